"""Points that are linear in the vertices of a body, computed without the vertices.

Skinning is linear in the products of joint transforms and unposed vertices. A row ``m`` of a
regressor therefore needs, of each joint ``j`` that moves any of its vertices, only the sums of
``m_v w_vj`` and of ``m_v w_vj`` times the unposed vertex ``v``, which is again linear in the shape
and pose coefficients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from posepile_torch.body.kinematics import relative_to_rest
from posepile_torch.body.parameters import Result
from posepile_torch.errors import BodyModelError

if TYPE_CHECKING:
    from posepile_torch.body.model import BodyModel


class PointRegressor:
    """K points of a body model; equal to ``matrix @ vertices``, much faster.

    Args:
        model: The body model; its dtype and device are used.
        matrix: [K, V], finite. Rows need not sum to 1.
    """

    def __init__(self, model: BodyModel, matrix: NDArray[Any]) -> None:
        fits = matrix.ndim == 2 and matrix.shape[1] == model.num_vertices and len(matrix)
        if not fits or matrix.dtype.kind not in "fiub" or not np.isfinite(matrix).all():
            raise BodyModelError(
                f"the regressor is a {matrix.dtype} array of the shape {matrix.shape}",
                rule=f"finite numbers [K, {model.num_vertices}] for {model.kind.title}",
                fix="use the regressor that was made for this model",
            )
        self.model = model
        self.matrix = np.array(matrix, dtype=np.float64)
        self.matrix.flags.writeable = False
        tensors = model._tensors
        like = tensors["weights"]
        weights = like.double().cpu().numpy()
        used = np.abs(self.matrix) @ (weights != 0).T  # [K, J]
        point, joint = np.nonzero(used)
        rows = torch.from_numpy(self.matrix[point] * weights[joint])  # [Q, V]
        template = tensors["template"].double().cpu().reshape(3, -1)
        basis = tensors["basis"].double().cpu()
        basis = basis.reshape(len(basis), 3, -1)
        self._point = torch.from_numpy(point).to(like.device)
        self._joint = torch.from_numpy(joint).to(like.device)
        self._pair_mass = rows.sum(1).to(like)
        self._point_mass = torch.from_numpy(self.matrix.sum(1)).to(like)
        self._template = (rows @ template.T).flatten().to(like)  # [Q 3]
        self._basis = (basis @ rows.T).transpose(1, 2).flatten(1).to(like)  # [C, Q 3]

    def __len__(self) -> int:
        return len(self.matrix)

    def points(self, *args: Any, **kwargs: Any) -> Result:
        """Return the points, [..., K, 3], metres; arguments as :meth:`BodyModel.joints`."""
        names = ("pose", "betas", "translation", "expression", "kid_factor", "scale")
        given = dict.fromkeys(names) | dict(zip(names[:3], args, strict=False)) | kwargs
        batch = self.model._batch(**given)
        frames, rest, coefficients = self.model._posed(batch)
        transforms = relative_to_rest(frames, rest)[:, self._joint]
        unposed = torch.addmm(self._template, coefficients, self._basis)
        unposed = unposed.reshape(len(rest), len(self._joint), 3)
        moved = (transforms[..., :3] @ unposed[..., None])[..., 0]
        moved = moved + self._pair_mass[:, None] * transforms[..., 3]
        points = moved.new_zeros((len(rest), len(self), 3)).index_add(1, self._point, moved)
        return batch.as_given(batch.placed(points, self._point_mass))

    def points_mm(self, *args: Any, **kwargs: Any) -> Result:
        """Return :meth:`points` in millimetres. The translation is still given in metres."""
        return self.points(*args, **kwargs) * 1000.0
