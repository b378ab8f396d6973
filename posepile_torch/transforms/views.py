"""The planned geometry of one image: two cameras and the homography between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch.camera import Camera
from posepile_torch.errors import BoxError, RecipeError
from posepile_torch.hints import Hints
from posepile_torch.record import Record
from posepile_torch.skeleton import Skeleton
from posepile_torch.transforms.geometry import (
    PLAIN_VIEW,
    drawn_view,
    planned,
    weak_perspective_camera,
)
from posepile_torch.transforms.recipes import Recipe
from posepile_torch.transforms.streams import RandomKey
from posepile_torch.transforms.subboxes import half_body_box, partial_box

Floats = NDArray[np.float64]

NO_HINTS = Hints()
"""What is assumed of a source about which nothing is known."""


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """The planned geometry of one image.

    Attributes:
        stored: Camera of the stored crop; a stand-in for data without calibration.
        camera: Camera of the image to make. Mirrored where ``is_flipped``.
        homography: ``[3, 3]``, maps pixels of the stored crop to pixels of the image.
        is_flipped: Whether the image shows the scene mirrored, so that left and right joints
            trade places.
    """

    stored: Camera
    camera: Camera
    homography: Floats
    is_flipped: bool

    def points(self, pixels: ArrayLike) -> Floats:
        """Map pixels ``[..., 2]`` of the stored crop to the image; NaN beyond the horizon."""
        places = np.asarray(pixels, np.float64)
        homogeneous = places @ self.homography[:, :2].T + self.homography[:, 2]
        depth = homogeneous[..., 2:]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(depth > 0, homogeneous[..., :2] / depth, np.nan)

    def box(self, stored_box: Floats) -> Floats:
        """Map a box by the midpoints of its sides.

        Raises:
            BoxError: If part of it lies beyond the horizon.
        """
        # Plain floats: this runs for every sample, and small numpy calls add up.
        (a, b, c), (d, e, f), (g, h, i) = self.homography.tolist()
        x, y, width, height = stored_box.tolist()
        u, v = x + width / 2, y + height / 2
        places = []
        for px, py in ((x, v), (x + width, v), (u, y), (u, y + height)):
            depth = g * px + h * py + i
            if not depth > 0:
                raise BoxError(
                    f"box {stored_box.tolist()} does not lie wholly in front of the new camera",
                    rule="the middles of all four sides project to finite pixels",
                    fix="check the box and the camera of this record",
                )
            places.append(((a * px + b * py + c) / depth, (d * px + e * py + f) / depth))
        left, top = (min(values) for values in zip(*places, strict=True))
        right, bottom = (max(values) for values in zip(*places, strict=True))
        return np.array([left, top, right - left, bottom - top])

    def mirrored(self, joints: NDArray[Any], skeleton: Skeleton) -> NDArray[Any]:
        """Return the joints ``[J, ...]``, left and right exchanged where the image is mirrored."""
        return joints[list(skeleton.mirror)] if self.is_flipped else joints


def plan_view(
    record: Record,
    recipe: Recipe,
    key: RandomKey | None,
    *,
    hints: Hints = NO_HINTS,
    skeleton: Skeleton | None = None,
) -> View:
    """Decide where the image of a record looks.

    Args:
        record: Its camera, size, box and joints are used, no pixels.
        recipe: The numbers.
        key: Decides what is random; None for the plain view.
        hints: What is known about the source.
        skeleton: Skeleton of the record's joints; half bodies need it.
    """
    box, change = record.box, PLAIN_VIEW
    if key is not None:
        box = _shown_box(record, recipe, key, hints, skeleton)
        may_flip = recipe.geometry.flips_bodies or record.body is None
        change = drawn_view(recipe.geometry, key, may_flip=may_flip)
    target, homography = planned(
        record.camera, record.image_size, box, recipe.image_size, recipe.framing, change
    )
    return View(
        stored=record.camera or weak_perspective_camera(record.image_size),
        camera=target,
        homography=homography,
        is_flipped=change.is_flipped,
    )


def _shown_box(
    record: Record, recipe: Recipe, key: RandomKey, hints: Hints, skeleton: Skeleton | None
) -> Floats:
    """Box that the image shows: the person's, or that of a part of the person."""
    half: Floats | None = None
    if recipe.half_body.probability:
        if skeleton is None:
            raise RecipeError(
                f"recipe {recipe.name!r} shows half bodies, and no skeleton was given",
                where=record.id,
                rule="upper and lower body are groups of a skeleton",
                fix="pass skeleton=, or set half_body.probability to 0",
            )
        points = record.joints2d
        if points is None and record.joints3d is not None and record.camera is not None:
            points = record.camera.project(record.joints3d)
        half = half_body_box(record.box, points, record.visible, skeleton, recipe.half_body, key)
    box = record.box if half is None else half
    may_hide = hints.single_person or not recipe.partial.only_single_person
    if recipe.partial.probability and may_hide:
        part = partial_box(box, recipe.partial, key)
        box = box if part is None else part
    return box


__all__ = ["NO_HINTS", "View", "plan_view"]
