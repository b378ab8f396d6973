"""Pose and shape parameters as they are given, brought to one batch of tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posepile_torch.body.kinds import BodyKind
from posepile_torch.errors import BodyModelError
from posepile_torch.record_fields import BodyParameters

#: What parameters may be: NumPy arrays (or lists), or tensors, whose gradients are kept.
ArrayOrTensor = Any
#: A tensor if any parameter was one, else a NumPy array.
Result = Any


@dataclass(frozen=True, eq=False, kw_only=True)
class BodyBatch:
    """Parameters of N bodies, with the way back to the shape in which they were given."""

    pose: Tensor  # [N, J, 3]
    shape: Tensor  # [N, B + E + 1]: betas, expression, kid factor; shorter ones filled with zeros
    translation: Tensor  # [N, 3], metres
    scale: Tensor  # [N, 1]
    batch_shape: tuple[int, ...]
    is_torch: bool

    def as_given(self, points: Tensor) -> Result:
        """Return [N, K, 3] points in the batch shape and the array library of the parameters."""
        points = points.reshape(*self.batch_shape, *points.shape[1:])
        if self.is_torch:
            return points
        array: NDArray[Any] = points.detach().cpu().numpy()
        return array

    def placed(self, points: Tensor, mass: Tensor | None = None) -> Tensor:
        """Return [N, K, 3] points scaled and translated; ``mass`` [K] weighs the translation."""
        translation = self.translation[:, None]
        if mass is not None:
            translation = mass[:, None] * translation
        return points * self.scale[:, None] + translation


@dataclass(frozen=True, kw_only=True)
class ParameterRules:
    """What parameters one loaded model takes."""

    kind: BodyKind
    variant: str
    num_betas: int
    num_expression: int
    has_kid: bool
    where: str

    def batch(
        self,
        pose: ArrayOrTensor | BodyParameters,
        betas: ArrayOrTensor | None,
        translation: ArrayOrTensor | None,
        *,
        expression: ArrayOrTensor | None,
        kid_factor: ArrayOrTensor | None,
        scale: ArrayOrTensor | None,
        like: Tensor,
    ) -> BodyBatch:
        """Check parameters and bring them to the dtype and device of ``like``.

        Raises:
            BodyModelError: If they are of another model, or too many or too few.
        """
        if isinstance(pose, BodyParameters):
            others = (betas, translation, expression, kid_factor, scale)
            if any(other is not None for other in others):
                raise BodyModelError("BodyParameters were given, and further parameters with them")
            self._check_model(pose)
            betas, translation, expression = pose.betas, pose.translation, pose.expression
            kid_factor, scale, pose = pose.kid_factor, pose.scale, pose.pose
        given = (pose, betas, translation, expression, kid_factor, scale)
        is_torch = any(isinstance(value, Tensor) for value in given)

        def tensor(value: ArrayOrTensor) -> Tensor:
            if not isinstance(value, Tensor):
                value = torch.from_numpy(np.array(value, dtype=np.float64))
            moved: Tensor = value.to(like)
            return moved

        def single(value: ArrayOrTensor | None, default: float) -> Tensor:
            return tensor(default if value is None else value)[..., None]

        flat = self._full_pose(tensor(pose))
        parts = [
            self._padded(tensor(betas), self.num_betas, "betas") if betas is not None else None,
            self._padded(tensor(expression), self.num_expression, "expression")
            if expression is not None
            else None,
        ]
        shape = [
            part if part is not None else flat.new_zeros(count)
            for part, count in zip(parts, (self.num_betas, self.num_expression), strict=True)
        ]
        kid = single(kid_factor, 0.0)
        if not self.has_kid and bool((kid != 0).any()):
            raise BodyModelError(
                "the parameters have a kid factor, and the model was loaded without kid template",
                where=self.where,
                fix="load it with kid_template=, the [V, 3] template that comes with AGORA",
            )
        offset = tensor(np.zeros(3) if translation is None else translation)
        if offset.shape[-1:] != (3,):
            raise BodyModelError(
                f"the translation has the shape {tuple(offset.shape)}", rule="[..., 3], metres"
            )
        values = [flat, *shape, kid, offset, single(scale, 1.0)]
        try:
            batch = np.broadcast_shapes(*(value.shape[:-1] for value in values))
        except ValueError:
            raise BodyModelError(
                f"the parameters do not fit together: {[tuple(v.shape) for v in values]}",
                rule="all but the last axis are the same, or 1",
            ) from None
        flat, *shape, kid, offset, factor = (
            value.expand(*batch, value.shape[-1]).reshape(math.prod(batch), value.shape[-1])
            for value in values
        )
        return BodyBatch(
            pose=flat.reshape(len(flat), self.kind.num_joints, 3),
            shape=torch.cat([*shape, kid], dim=-1),
            translation=offset,
            scale=factor,
            batch_shape=tuple(batch),
            is_torch=is_torch,
        )

    def _check_model(self, given: BodyParameters) -> None:
        wrong = given.model != self.kind.name
        if self.kind.name != "mano":
            wrong = wrong or given.gender != self.variant
        if wrong:
            raise BodyModelError(
                f"the parameters are of {given.model} {given.gender}, the model is "
                f"{self.kind.name} {self.variant}",
                where=self.where,
                rule="parameters mean something only to the model that they were fitted with",
                fix=f"load_body_model({given.model!r}, {given.gender!r})",
            )

    def _full_pose(self, pose: Tensor) -> Tensor:
        full, body = 3 * self.kind.num_joints, 3 * self.kind.body_joints
        if pose.ndim >= 2 and pose.shape[-1] == 3 and pose.shape[-2] * 3 in (full, body):
            pose = pose.flatten(-2)
        count = pose.shape[-1] if pose.ndim else 0
        if count not in (full, body):
            few = f", or {body} without hands and face" if body != full else ""
            raise BodyModelError(
                f"the pose has {count} numbers",
                where=self.where,
                rule=f"{self.kind.title} has {full}{few}: 3 for each joint, axis-angle radians",
                fix="check which model the parameters belong to",
            )
        return torch.nn.functional.pad(pose, (0, full - count)) if count < full else pose

    def _padded(self, values: Tensor, room: int, what: str) -> Tensor:
        count = values.shape[-1] if values.ndim else 0
        if not 1 <= count <= room and not (count == 0 and values.ndim):
            raise BodyModelError(
                f"{what} has {count} numbers; this file has {room} components",
                where=self.where,
                rule="fewer than the file has are filled with zeros, more cannot be used",
                fix="load the file with more components (SMPL 1.1.0 has 300, 1.0.0 has 10)"
                if what == "betas"
                else "only SMPL-X has expressions; check which model they belong to",
            )
        return torch.nn.functional.pad(values, (0, room - count))
