"""Detection of poses in the wrong unit."""

from __future__ import annotations

import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import ArrayT, check_shape, length, real
from posepile_torch.metrics._validity import compare
from posepile_torch.metrics.alignment import roots
from posepile_torch.metrics.choices import Root

PLAUSIBLE_RADIUS_MM = (50.0, 2000.0)
"""Smallest and largest plausible median distance of a joint from the root, in mm."""


def median_joint_radius(poses: ArrayT, *, root: Root = "centroid", mask: object = None) -> float:
    """Return the median distance of valid joints from the root of their pose.

    Poses whose root is unknown are left out, and the root joints themselves, which are at zero.

    Args:
        poses: ``[..., J, 3]``.
        root: See :data:`Root`.
        mask: Bool ``[..., J]`` or broadcastable; non-finite joints are left out as well.

    Raises:
        MetricError: If no joint has a known distance.
    """
    where = "median_joint_radius"
    x = real(poses, name="poses", where=where).detach()
    check_shape(x, where=where)
    compared = compare(x, x, mask=mask, where=where)
    centre, _, known, _ = roots(compared, root, where=where)
    radius = length(compared.gt - centre[..., None, :])
    evaluated = compared.all_valid() & known[..., None]
    if isinstance(root, int):
        evaluated = evaluated.clone()
        evaluated[..., root] = False
    if not bool(evaluated.any()):
        raise MetricError(
            "no joint with a known distance from its root",
            where=where,
            rule="a median needs at least one valid joint besides the root",
        )
    return float(_median(radius[evaluated]))


def check_units_mm(
    poses: ArrayT,
    *,
    name: str,
    root: Root = "centroid",
    mask: object = None,
    where: object = None,
) -> float:
    """Raise if poses can hardly be in millimetres; return their median joint radius.

    The median distance of joints from the root must lie within :data:`PLAUSIBLE_RADIUS_MM`. Poses
    in metres have about 0.4, in centimetres about 40.

    Args:
        poses: ``[..., J, 3]``, in mm as the caller believes.
        name: What the poses are, for the message, for example ``"prediction"``.
        root: See :data:`Root`.
        mask: Bool ``[..., J]`` or broadcastable.
        where: File or argument they came from, for the message.
    """
    radius = median_joint_radius(poses, root=root, mask=mask)
    low, high = PLAUSIBLE_RADIUS_MM
    if low <= radius <= high:
        return radius
    guess = "metres: multiply by 1000" if radius < 5 else "centimetres: multiply by 10"
    if radius > high:
        guess = "micrometres or pixels, or not relative to one person"
    raise MetricError(
        f"the {name} has a median joint radius of {radius:.4g}, which is no length in mm",
        where=where,
        rule=f"the median distance of joints from the root is within {low:g}..{high:g} mm",
        fix=f"the numbers look like {guess}",
    )


def _median(values: Tensor) -> Tensor:
    ordered = values.sort().values
    n = len(ordered)
    return torch.lerp(ordered[(n - 1) // 2], ordered[n // 2], 0.5)
