"""The same body models computed by the smplx package, for those who want its numbers.

smplx gets arrays that this library has read and checked; it never opens the user's file, which it
would unpickle without restraint.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posepile_torch.body.files import BodyFile
from posepile_torch.body.model import BodyModel
from posepile_torch.body.parameters import BodyBatch
from posepile_torch.errors import BodyModelError, require

_ROOT = 4294967295


class SmplxBodyModel(BodyModel):
    """A body model whose joints and vertices are computed by smplx.

    Everything else is as in :class:`BodyModel`; :meth:`BodyModel.regressor` stays the library's
    own. ``chunk_size`` bounds the memory here too. The kid template is not supported.

    Args:
        file: Contents of a model file.
        dtype: ``torch.float32`` or ``torch.float64``.
        flat_hand_mean: Whether a hand pose of zeros is the flat hand.
        chunk_size: How many bodies are computed at once.

    Raises:
        MissingDependencyError: If smplx is not installed.
    """

    def __init__(
        self,
        file: BodyFile,
        *,
        dtype: torch.dtype = torch.float32,
        flat_hand_mean: bool = True,
        chunk_size: int = 16,
    ) -> None:
        if file.kid_template is not None:
            raise BodyModelError("the smplx backend takes no kid template", fix="backend='own'")
        super().__init__(file, dtype=dtype, flat_hand_mean=flat_hand_mean, chunk_size=chunk_size)
        self._module = _build(file, dtype)

    def to(self, device: torch.device | str) -> SmplxBodyModel:
        """Return this model, moved to another device together with the module inside."""
        moved = super().to(device)
        moved._module = moved._module.to(device)
        return moved

    def _joints(self, batch: BodyBatch) -> Tensor:
        return self._run(batch)[0]

    def _vertices(self, batch: BodyBatch) -> Tensor:
        return batch.placed(self._run(batch)[1])

    def _run(self, batch: BodyBatch) -> tuple[Tensor, Tensor]:
        pose = (batch.pose + self._tensors["mean_pose"]).flatten(1)
        joints, vertices = [], []
        for start in range(0, len(pose), self.chunk_size):
            part = slice(start, start + self.chunk_size)
            given = _arguments(self.kind.name, pose[part])
            given["betas"] = self._within(batch.shape[part, : self.num_betas], "num_betas")
            if self.kind.name == "smplx":
                expression = batch.shape[part, self.num_betas : -1]
                given["expression"] = self._within(expression, "num_expression_coeffs")
            done = self._module(**given, transl=pose.new_zeros((len(pose[part]), 3)))
            joints.append(done.joints[:, : self.num_joints])
            vertices.append(done.vertices)
        return torch.cat(joints), torch.cat(vertices)

    def _within(self, components: Tensor, name: str) -> Tensor:
        room = int(getattr(self._module, name))
        if bool((components[:, room:] != 0).any()):
            raise BodyModelError(
                f"smplx uses {room} components of this file, and more are given",
                where=self.path,
                fix="backend='own' uses all",
            )
        return components[:, :room]


def _build(file: BodyFile, dtype: torch.dtype) -> Any:
    smplx: Any = require("smplx", extra="body")
    fields: dict[str, Any] = {
        "v_template": file.template,
        "shapedirs": np.concatenate([file.shape_basis, file.expression_basis], axis=2),
        "posedirs": file.pose_basis,
        "J_regressor": file.joint_regressor,
        "weights": file.weights,
        "kintree_table": np.array([[_ROOT, *file.parents[1:]], range(len(file.parents))]),
        "f": file.faces,
        # Hand poses come complete; landmarks on the face are not asked for.
        "hands_mean": np.zeros(45),
        "hands_meanl": np.zeros(45),
        "hands_meanr": np.zeros(45),
        "hands_components": np.eye(45),
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        "lmk_faces_idx": np.zeros(51, dtype=np.int64),
        "lmk_bary_coords": np.full((51, 3), 1 / 3),
    }
    options = {"dtype": dtype, "num_betas": file.shape_basis.shape[2], "batch_size": 1}
    name = file.kind.name
    if name == "smplx":  # the only class that insists on opening a file
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "SMPLX_NEUTRAL.npz"
            np.savez(path, **fields)
            return smplx.SMPLX(
                str(path),
                use_pca=False,
                flat_hand_mean=True,
                num_expression_coeffs=file.expression_basis.shape[2],
                **options,
            )
    options["data_struct"] = smplx.utils.Struct(**fields)
    if name == "smpl":
        return smplx.SMPL("", **options)
    kind = {"smplh": smplx.SMPLH, "mano": smplx.MANO}[name]
    return kind("", use_pca=False, flat_hand_mean=True, **options)


def _arguments(kind: str, pose: Tensor) -> dict[str, Tensor]:
    """Cut a flat pose [n, 3 J] into the arguments of smplx."""
    cuts = {
        "smpl": {"body_pose": (3, 72)},
        "smplh": {
            "body_pose": (3, 66), "left_hand_pose": (66, 111), "right_hand_pose": (111, 156),
        },
        "smplx": {
            "body_pose": (3, 66), "jaw_pose": (66, 69), "leye_pose": (69, 72),
            "reye_pose": (72, 75), "left_hand_pose": (75, 120), "right_hand_pose": (120, 165),
        },
        "mano": {"hand_pose": (3, 48)},
    }[kind]  # fmt: skip
    parts = {name: pose[:, start:stop] for name, (start, stop) in cuts.items()}
    return {"global_orient": pose[:, :3], **parts}
