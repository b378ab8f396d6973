"""Which people of which frames become records, decided without touching pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.camera import Camera
from posepile_torch.convert.base import RawFrame, RawPerson
from posepile_torch.convert.plan import Plan


@dataclass(frozen=True, eq=False)
class Selected:
    """A person who will be stored, with the box that decides the crop."""

    person: RawPerson
    box: NDArray[np.float64]


@dataclass(frozen=True)
class Skipped:
    """A person who will not be stored, and why."""

    reason: str


def select(
    frame: RawFrame, person: RawPerson, size: tuple[int, int], plan: Plan
) -> Selected | Skipped:
    """Decide on one person of one frame.

    Args:
        frame: The frame, for its camera.
        person: One of its people.
        size: ``(width, height)`` of the raw image.
        plan: The thresholds.
    """
    points = image_points(frame.camera, person)
    if points is None:
        return Skipped("no joints")
    known = np.isfinite(points).all(axis=-1)
    if not known.any():
        return Skipped("no known joint in front of the camera")
    width, height = size
    inside = known & ((points >= -0.5) & (points < (width - 0.5, height - 0.5))).all(axis=-1)
    if int(inside.sum()) < plan.min_joints_in_image:
        return Skipped("too few joints inside the image")
    box, _, reason = boxes.vetted(
        person.box,
        size,
        points=points,
        margin=plan.box_margin,
        min_side_px=plan.min_box_side_px,
    )
    return Skipped(f"box {reason}") if box is None else Selected(person, box)


def image_points(camera: Camera | None, person: RawPerson) -> NDArray[np.float64] | None:
    """2D joints of a person in the raw image: labelled ones, else projected 3D ones."""
    projected = None
    if camera is not None and person.joints3d is not None:
        projected = camera.project(person.joints3d)
    if person.joints2d is None:
        return projected
    if projected is None:
        return person.joints2d
    return np.where(np.isfinite(person.joints2d), person.joints2d, projected)
