"""Joints and vertices of SMPL, SMPL-H, SMPL-X and MANO.

Written from the equations of Loper et al. 2015 (SMPL), Romero et al. 2017 (MANO, SMPL-H) and
Pavlakos et al. 2019 (SMPL-X): linear shape and pose blend shapes, then linear blend skinning.
"""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from posepile_torch import skeletons
from posepile_torch.body.files import BodyFile
from posepile_torch.body.kinematics import KinematicTree, relative_to_rest, rotation_matrices
from posepile_torch.body.parameters import ArrayOrTensor, BodyBatch, ParameterRules, Result
from posepile_torch.body.regressor import PointRegressor
from posepile_torch.errors import BodyModelError
from posepile_torch.record_fields import BodyParameters
from posepile_torch.skeleton import Skeleton

_MM_PER_METRE = 1000.0
_DTYPES = (torch.float32, torch.float64)


class BodyModel:
    """A body model, ready to compute; :func:`load_body_model` makes one.

    Parameters are NumPy arrays or lists, and the results are then NumPy arrays; or tensors, and
    the results are then tensors through which gradients flow. Any batch axes may come first;
    they broadcast. Instead of all of them, the :class:`BodyParameters` of a record may be given.

    - ``pose``: [..., 3 J] or [..., J, 3], axis-angle radians of all joints, root first. SMPL-H and
      SMPL-X also take the 22 body joints alone.
    - ``betas``: [..., B], shape. Fewer than the file has are filled with zeros.
    - ``translation``: [..., 3], METRES, added last.
    - ``expression``: [..., E], of SMPL-X.
    - ``kid_factor``: [...], weight of the kid template (AGORA).
    - ``scale``: [...], multiplies the body about its origin, before the translation.

    Results are metres, or millimetres where a name ends in ``_mm``, in the frame of the
    translation.

    Args:
        file: Contents of a model file.
        dtype: ``torch.float32`` or ``torch.float64``, of the computation and its results.
        flat_hand_mean: Whether a hand pose of zeros is the flat hand (as in AMASS); otherwise the
            mean hand of the file is added to each hand pose (as in MANO's own fits).
        chunk_size: How many bodies are skinned at once; bounds the memory, not the batch.
    """

    def __init__(
        self,
        file: BodyFile,
        *,
        dtype: torch.dtype = torch.float32,
        flat_hand_mean: bool = True,
        chunk_size: int = 16,
    ) -> None:
        if dtype not in _DTYPES:
            raise BodyModelError(f"dtype is {dtype}", rule="torch.float32 or torch.float64")
        if chunk_size < 1:
            raise BodyModelError(f"chunk_size is {chunk_size}", rule="at least 1")
        self.kind, self.variant = file.kind, file.variant
        self.path, self.sha256 = file.path, file.sha256
        self.faces, self.parents = file.faces, file.parents
        self.chunk_size = chunk_size
        num_betas, num_expression = file.shape_basis.shape[2], file.expression_basis.shape[2]
        self._rules = ParameterRules(
            kind=file.kind,
            variant=file.variant,
            num_betas=num_betas,
            num_expression=num_expression,
            has_kid=file.kid_template is not None,
            where=f"{file.kind.describe(file.variant)} of {file.path}",
        )
        self._tree = KinematicTree(file.parents)
        mean_pose = np.zeros_like(file.mean_pose) if flat_hand_mean else file.mean_pose
        self._tensors = _prepared(file, mean_pose, dtype)

    @property
    def num_betas(self) -> int:
        """How many shape components the file has."""
        return self._rules.num_betas

    @property
    def num_expression(self) -> int:
        """How many expression components the file has; 0 but for SMPL-X."""
        return self._rules.num_expression

    @property
    def num_joints(self) -> int:
        """Number of joints of the kinematic tree."""
        return self.kind.num_joints

    @property
    def num_vertices(self) -> int:
        """Number of vertices of the mesh."""
        return self.kind.num_vertices

    @property
    def skeleton(self) -> Skeleton:
        """The names of the joints, for mapping them to other skeletons.

        Raises:
            BodyModelError: For MANO, for which there is no standard skeleton.
        """
        if self.kind.skeleton is None:
            raise BodyModelError(f"there is no standard skeleton for {self.kind.title}")
        return skeletons.get(self.kind.skeleton)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the computation and of its results."""
        return self._tensors["weights"].dtype

    @property
    def device(self) -> torch.device:
        """Where it computes; NumPy results are brought back from there."""
        return self._tensors["weights"].device

    def to(self, device: torch.device | str) -> Self:
        """Return a copy that computes on another device."""
        moved = copy.copy(self)
        moved._tensors = {name: tensor.to(device) for name, tensor in self._tensors.items()}
        return moved

    def joints(
        self,
        pose: ArrayOrTensor | BodyParameters,
        betas: ArrayOrTensor | None = None,
        translation: ArrayOrTensor | None = None,
        *,
        expression: ArrayOrTensor | None = None,
        kid_factor: ArrayOrTensor | None = None,
        scale: ArrayOrTensor | None = None,
    ) -> Result:
        """Return the joints of the kinematic tree, [..., J, 3], metres. No vertex is computed."""
        batch = self._batch(pose, betas, translation, expression, kid_factor, scale)
        return batch.as_given(batch.placed(self._joints(batch)))

    def joints_mm(self, *args: Any, **kwargs: Any) -> Result:
        """Return :meth:`joints` in millimetres. The translation is still given in metres."""
        return self.joints(*args, **kwargs) * _MM_PER_METRE

    def vertices(
        self,
        pose: ArrayOrTensor | BodyParameters,
        betas: ArrayOrTensor | None = None,
        translation: ArrayOrTensor | None = None,
        *,
        expression: ArrayOrTensor | None = None,
        kid_factor: ArrayOrTensor | None = None,
        scale: ArrayOrTensor | None = None,
    ) -> Result:
        """Return the vertices of the mesh, [..., V, 3], metres.

        Without gradients the memory beyond the result is that of ``chunk_size`` bodies.
        """
        batch = self._batch(pose, betas, translation, expression, kid_factor, scale)
        return batch.as_given(self._vertices(batch))

    def vertices_mm(self, *args: Any, **kwargs: Any) -> Result:
        """Return :meth:`vertices` in millimetres. The translation is still given in metres."""
        vertices = self.vertices(*args, **kwargs)
        if isinstance(vertices, Tensor) and vertices.requires_grad:
            return vertices * _MM_PER_METRE
        vertices *= _MM_PER_METRE  # in place: a batch of meshes is large
        return vertices

    def regressor(self, matrix: ArrayLike | Tensor) -> PointRegressor:
        """Prepare points that are linear in the vertices, such as the 17 joints of Human3.6M.

        The template and all bases are projected once; computing the points then costs no vertex.

        Args:
            matrix: [K, V]: point = sum of weight times vertex.
        """
        values = np.asarray(matrix.cpu() if isinstance(matrix, Tensor) else matrix)
        return PointRegressor(self, values)

    def _batch(
        self,
        pose: ArrayOrTensor | BodyParameters,
        betas: ArrayOrTensor | None,
        translation: ArrayOrTensor | None,
        expression: ArrayOrTensor | None,
        kid_factor: ArrayOrTensor | None,
        scale: ArrayOrTensor | None,
    ) -> BodyBatch:
        return self._rules.batch(
            pose,
            betas,
            translation,
            expression=expression,
            kid_factor=kid_factor,
            scale=scale,
            like=self._tensors["weights"],
        )

    def _posed(self, batch: BodyBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Frames [N, J, 3, 4], rest joints [N, J, 3], blend coefficients [N, C]."""
        t = self._tensors
        rotations = rotation_matrices(batch.pose + t["mean_pose"])
        rest = torch.addmm(t["joint_template"], batch.shape, t["joint_basis"])
        rest = rest.reshape(len(rest), self.num_joints, 3)
        identity = torch.eye(3, dtype=rest.dtype, device=rest.device)
        features = (rotations[:, 1:] - identity).flatten(1)
        frames = self._tree.pose(rotations, rest)
        return frames, rest, torch.cat([batch.shape, features], dim=1)

    def _joints(self, batch: BodyBatch) -> Tensor:
        return self._posed(batch)[0][..., 3]

    def _vertices(self, batch: BodyBatch) -> Tensor:
        frames, rest, coefficients = self._posed(batch)
        transforms = relative_to_rest(frames, rest)
        count = len(rest)
        starts = range(0, count, self.chunk_size)
        needs_grad = torch.is_grad_enabled() and any(
            value.requires_grad
            for value in (transforms, coefficients, batch.translation, batch.scale)
        )

        def chunk(start: int) -> Tensor:
            part = slice(start, start + self.chunk_size)
            skinned = self._skinned(coefficients[part], transforms[part])
            return torch.addcmul(
                batch.translation[part, None], skinned.transpose(1, 2), batch.scale[part, None]
            )

        if needs_grad:
            return torch.cat([chunk(start) for start in starts])
        result = rest.new_empty((count, self.num_vertices, 3))
        for start in starts:
            result[start : start + self.chunk_size] = chunk(start)
        return result

    def _skinned(self, coefficients: Tensor, transforms: Tensor) -> Tensor:
        """Vertices [n, 3, V]: each coordinate lies together, so that skinning is vectorised."""
        t = self._tensors
        count = len(coefficients)
        shaped = torch.addmm(t["template"], coefficients, t["basis"])
        shaped = shaped.reshape(count, 3, self.num_vertices)
        # One blended 3 x 4 transform per vertex: [n, 12, J] @ [J, V].
        blended = transforms.flatten(2).transpose(1, 2) @ t["weights"]
        blended = blended.reshape(count, 3, 4, self.num_vertices)
        moved = torch.addcmul(blended[:, :, 3], blended[:, :, 0], shaped[:, None, 0])
        moved = torch.addcmul(moved, blended[:, :, 1], shaped[:, None, 1])
        return torch.addcmul(moved, blended[:, :, 2], shaped[:, None, 2])


def _prepared(file: BodyFile, mean_pose: NDArray[Any], dtype: torch.dtype) -> dict[str, Tensor]:
    """The arrays of a file in the layout of the computation, read only by convention."""
    kid = np.zeros_like(file.template)
    if file.kid_template is not None:
        # AGORA centres the child's template; its difference to the adult's is one more component.
        kid = file.kid_template - file.kid_template.mean(axis=0) - file.template
    shape_basis = np.concatenate(
        [file.shape_basis, file.expression_basis, kid[..., None]], axis=2, dtype=np.float64
    )
    components = shape_basis.shape[2]
    joint_basis = file.joint_regressor @ shape_basis.reshape(file.kind.num_vertices, -1)
    joint_basis = joint_basis.reshape(-1, components)  # [J 3, C]

    def tensor(array: NDArray[Any]) -> Tensor:
        numpy_type = np.float64 if dtype == torch.float64 else np.float32
        return torch.from_numpy(np.array(array, dtype=numpy_type, order="C"))

    basis = np.concatenate([shape_basis, file.pose_basis], axis=2, dtype=np.float64)
    return {
        "template": tensor(file.template.T).flatten(),
        "basis": tensor(basis.transpose(2, 1, 0)).flatten(1),  # [C, 3 V]
        "joint_template": tensor((file.joint_regressor @ file.template).ravel()),
        "joint_basis": tensor(joint_basis.T),
        "weights": tensor(file.weights.T),  # [J, V]
        "mean_pose": tensor(mean_pose),
    }
