"""One computation for torch tensors and NumPy arrays.

Every public function of the package enters through this module: inputs of either kind become
float64 tensors (NumPy memory is shared, not copied, where it already is float64), the arithmetic
is written once in torch, and results leave as what came in. Thresholded metrics flip on float32
noise, hence float64 throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posepile_torch.errors import MetricError

ArrayT = TypeVar("ArrayT", Tensor, NDArray[Any])
"""A torch tensor or a NumPy array; results are of the kind that was given."""


def returned(tensor: Tensor, like: ArrayT) -> ArrayT:
    """Return a result as the kind of array that the caller gave.

    Args:
        tensor: The result.
        like: An argument of the caller. Unless it is a tensor, the result is a NumPy array, or a
            NumPy scalar if it has no axes.
    """
    if isinstance(like, Tensor):
        return tensor
    array = tensor.detach().cpu().numpy()
    result: ArrayT = array[()] if array.ndim == 0 else array
    return result


def check_same_kind(*values: object, where: str) -> None:
    """Raise if torch tensors and NumPy arrays are mixed in one call."""
    if len({isinstance(value, Tensor) for value in values}) > 1:
        raise MetricError(
            "torch tensors and NumPy arrays are mixed in one call",
            where=where,
            rule="all coordinates of a call are of one kind; the result is of the same kind",
            fix="convert one side with torch.from_numpy(...) or tensor.numpy()",
        )


def real(value: object, *, name: str, where: str, device: torch.device | None = None) -> Tensor:
    """Return ``value`` as a float64 tensor, sharing memory where that is possible."""
    if isinstance(value, Tensor):
        if value.dtype.is_complex or value.dtype == torch.bool:
            raise _not_real(name, str(value.dtype), where)
        return value.to(device=device, dtype=torch.float64)
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise _not_real(name, str(array.dtype), where)
    # torch refuses negative strides and foreign byte order, and warns about read-only memory.
    array = np.require(array, dtype=np.float64, requirements=["C", "W"])
    return torch.from_numpy(array).to(device=device)


def _not_real(name: str, dtype: str, where: str) -> MetricError:
    return MetricError(
        f"{name} has element type {dtype}",
        where=where,
        rule="coordinates and values are real numbers",
        fix="pass an integer or floating-point array",
    )


def pair(
    pred: object, gt: object, *, where: str, dims: int | None = 3, joints: bool = True
) -> tuple[Tensor, Tensor]:
    """Check and convert a prediction and its ground truth.

    Shapes must be equal: silent broadcasting has averaged many a wrong number.

    Args:
        pred: Prediction, ``[..., J, D]`` (or ``[..., D]`` without joints).
        gt: Ground truth of the same shape.
        where: Name of the calling function, for messages.
        dims: Required length of the last axis; None for any.
        joints: Whether a joint axis must precede the last one.
    """
    check_same_kind(pred, gt, where=where)
    p, g = real(pred, name="the prediction", where=where), real(gt, name="the truth", where=where)
    if p.shape != g.shape:
        raise MetricError(
            f"the prediction has shape {list(p.shape)}, the ground truth {list(g.shape)}",
            where=where,
            rule="both have the same samples, joints and axes; nothing is broadcast",
            fix="select the same joints on both sides; expand hypotheses explicitly",
        )
    if p.device != g.device:
        raise MetricError(
            f"the prediction is on {p.device}, the ground truth on {g.device}",
            where=where,
            rule="both are on one device",
            fix="move one of them with .to(device)",
        )
    check_shape(p, where=where, dims=dims, axes=2 if joints else 1)
    return p, g


def check_shape(points: Tensor, *, where: str, dims: int | None = 3, axes: int = 2) -> None:
    """Raise unless ``points`` has at least ``axes`` axes and ``dims`` coordinates in the last."""
    if points.ndim < axes or (dims is not None and points.shape[-1] != dims):
        wanted = f"[..., {dims or 'D'}]" if axes == 1 else f"[..., joints, {dims or 'D'}]"
        raise MetricError(
            f"the array has shape {list(points.shape)}",
            where=where,
            rule=f"its shape is {wanted}",
            fix="check the order of the axes",
        )


def truths(mask: object, shape: Sequence[int], device: torch.device, *, where: str) -> Tensor:
    """Return a mask as a bool tensor expanded to ``shape``.

    Masks are boolean or integer (non-zero = true). A floating-point array is refused because a
    confidence of 0.3 would silently count as valid.
    """
    tensor = mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(mask))
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        raise MetricError(
            f"the mask has element type {tensor.dtype}",
            where=where,
            rule="a mask is boolean (or integer, non-zero meaning valid)",
            fix="state the rule yourself, for example mask=confidence > 0",
        )
    try:
        return (tensor.to(device) != 0).expand(list(shape))
    except RuntimeError:
        raise MetricError(
            f"a mask of shape {list(tensor.shape)} does not fit joints of shape {list(shape)}",
            where=where,
            rule="a mask has one entry per joint, or broadcasts to that",
            fix="give mask[..., None] for one entry per sample",
        ) from None


def joint_index(joint: int, count: int, *, where: str) -> int:
    """Return a joint number in 0..count-1; negative numbers count from the end."""
    if not -count <= joint < count:
        raise MetricError(
            f"joint {joint} does not exist",
            where=where,
            rule=f"the arrays have {count} joints",
            fix="take the number from skeleton.index(name)",
        )
    return joint % count


def joint_indices(joints: Sequence[int], count: int, *, where: str) -> list[int]:
    """Return joint numbers in 0..count-1, checked to be distinct and not none at all."""
    indices = [joint_index(int(joint), count, where=where) for joint in joints]
    if not indices or len(set(indices)) != len(indices):
        raise MetricError(
            f"the joint selection {list(joints)} is empty or names a joint twice",
            where=where,
            rule="a selection of joints has at least one and no repeated joint",
            fix="check the list of joint numbers",
        )
    return indices


def summed(values: Tensor, dims: tuple[int, ...] | None = None) -> Tensor:
    """Sum over some or all axes.

    On the CPU NumPy adds: torch would spread a large sum over threads, and waking them costs more
    than adding, above all on a busy machine.
    """
    if values.device.type != "cpu" or values.requires_grad:
        return values.sum() if dims is None else values.sum(dims)
    return torch.as_tensor(values.numpy().sum(dims))


def surely_finite(values: Tensor) -> bool:
    """Return True only if every value is finite; False may also mean that their sum overflows."""
    return bool(torch.isfinite(summed(values.detach())))


class _SafeSqrt(torch.autograd.Function):
    """Square root whose gradient at zero is zero, the subgradient a distance needs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        root = x.sqrt()
        ctx.save_for_backward(root)
        return root

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        positive = root > 0
        safe = torch.where(positive, root, torch.ones_like(root))
        return torch.where(positive, grads[0] / (2 * safe), torch.zeros_like(root))


def safe_sqrt(x: Tensor) -> Tensor:
    """Square root with gradient zero at zero."""
    if not x.requires_grad:
        return x.sqrt()
    root: Tensor = _SafeSqrt.apply(x)  # type: ignore[no-untyped-call]
    return root


def length(vectors: Tensor) -> Tensor:
    """Euclidean length over the last axis.

    The squares are added coordinate by coordinate, so that the result for one vector does not
    depend on how many others are in the array.
    """
    parts = vectors.unbind(-1)
    total = parts[0] * parts[0]
    for part in parts[1:]:
        total = total + part * part
    return safe_sqrt(total)
