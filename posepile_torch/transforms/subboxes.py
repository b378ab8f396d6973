"""Smaller boxes than the person's, so that a network learns from people who are partly seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.skeleton import Skeleton
from posepile_torch.transforms.families import HalfBody, PartialView
from posepile_torch.transforms.streams import RandomKey

Floats = NDArray[np.float64]

_TRIES = 200  # every third succeeds with a least side of 0.5, every 24th with 0.75

_LEAST_EXTENT = 0.1  # of the person's box; below it, joints in a line would give a sliver


def partial_box(box: Floats, numbers: PartialView, key: RandomKey) -> Floats | None:
    """Draw a square part of the squared box, or None where the whole box stays.

    Its left and right edges are drawn from the left and right half; the square's side is their
    distance and must exceed ``least_side``; its lower edge is drawn from the lower half and must
    leave room for it.

    Args:
        box: The person's ``[x, y, w, h]``.
        numbers: Probability and least side.
        key: Decides the outcome; the family is called ``"partial"``.
    """
    if key.uniforms("partial", 1)[0] >= numbers.probability:
        return None
    edges = key.uniforms("partial", 1 + 3 * _TRIES)[1:].reshape(_TRIES, 3) * 0.5 + (0.0, 0.5, 0.5)
    for left, right, bottom in edges.tolist():
        side = right - left
        if numbers.least_side < side < bottom:
            square = boxes.squared(box)
            full = float(square[2])
            part = np.array([left, bottom - side, side, side]) * full
            part[:2] += square[:2]
            return part
    return None


def half_body_box(
    box: Floats,
    joints2d: Floats | None,
    visible: NDArray[np.int8] | None,
    skeleton: Skeleton,
    numbers: HalfBody,
    key: RandomKey,
) -> Floats | None:
    """Draw the box around the upper or lower body, or None where the whole box stays.

    The lower body are the legs and feet, the upper body is the rest. A half with too few visible
    joints is replaced by the other one; with too few in both, or with joints all in one line,
    nothing changes.

    Args:
        box: The person's ``[x, y, w, h]``.
        joints2d: ``[J, 2]`` in the pixels of ``box``, NaN where unknown.
        visible: ``[J]``: 0 is occluded, 1 visible, -1 unknown, which counts as visible.
        skeleton: Its groups say which joints are legs and feet.
        numbers: Probability and thresholds.
        key: Decides the outcome; the family is called ``"half_body"``.
    """
    u = key.uniforms("half_body", 2)
    if u[0] >= numbers.probability or joints2d is None:
        return None
    is_seen = np.isfinite(joints2d).all(axis=-1)
    if visible is not None:
        is_seen &= visible != 0
    if is_seen.sum() <= numbers.more_than:
        return None
    is_lower = np.zeros(len(skeleton), np.bool_)
    for group in ("left_leg", "right_leg", "left_foot", "right_foot"):
        is_lower[list(skeleton.groups.get(group, ()))] = True
    halves = [is_seen & ~is_lower, is_seen & is_lower]
    if u[1] >= numbers.upper_share:
        halves.reverse()
    for chosen in halves:
        if chosen.sum() >= numbers.least_joints:
            part = boxes.scaled(boxes.around_points(joints2d, chosen), numbers.growth)
            is_sliver = bool(part[2:].max() < _LEAST_EXTENT * box[2:].max())
            return None if is_sliver else part
    return None


__all__ = ["half_body_box", "partial_box"]
