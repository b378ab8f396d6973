"""From a raw frame and a box to the crop that is stored: geometry first, pixels last.

The stored crop is what an undistorted pinhole camera sees that has been turned from the raw
camera towards the person, with its horizon levelled to ``world_up``. It holds every pixel that
training may need (see :class:`~posepile_torch.convert.plan.Plan`), no more than training can use,
and joins the raw pixels to the stored ones by one resampling in linear light.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.camera import Camera
from posepile_torch.convert.plan import Plan
from posepile_torch.convert.resample import Resampling, reduction_for_step, typical_step
from posepile_torch.masks import Mask


@dataclass(frozen=True, eq=False)
class CropGeometry:
    """Where a stored image looks.

    Attributes:
        raw: Camera of the raw image; a stand-in for 2D data that has none.
        stored: Camera of the stored image: pinhole, no lens.
        box: The person's box in pixels of the stored image.
    """

    raw: Camera
    stored: Camera
    box: NDArray[np.float64]

    @property
    def keeps_pixels(self) -> bool:
        """Whether the stored image is the raw one, pixel by pixel."""
        return self.raw == self.stored

    @functools.cached_property
    def step_px(self) -> float:
        """Raw pixels along a side of a stored pixel."""
        return 1.0 if self.keeps_pixels else typical_step(self.raw, self.stored)

    @property
    def reduction(self) -> int:
        """The factor by which a JPEG of the raw image may be reduced while it is decoded."""
        return reduction_for_step(self.step_px)

    @functools.cached_property
    def resampling(self) -> Resampling:
        """Where the pixels come from; worked out when first needed."""
        return _resampling(self.raw, self.stored, self.step_px)

    def image(self, raw_image: NDArray[np.uint8], *, reduction: int = 1) -> NDArray[np.uint8]:
        """Resample the raw image, in linear light.

        Args:
            raw_image: RGB uint8, of full size or as a JPEG decoder reduces it.
            reduction: By how much it is reduced.
        """
        if self.keeps_pixels and reduction == 1:
            return raw_image
        return self.resampling.image(raw_image, reduction=reduction)

    def mask(self, raw_mask: Mask) -> Mask:
        """Send a mask of the raw image through the same resampling."""
        if self.keeps_pixels and raw_mask.size == self.raw.size:
            return raw_mask
        return self.resampling.mask(raw_mask)

    def points(self, raw_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Send pixels of the raw image (``[..., 2]``) to pixels of the stored crop."""
        rays = self.raw.back_project(raw_px)
        return self.stored.project_camera(rays @ (self.stored.R @ self.raw.R.T).T)


@functools.lru_cache(maxsize=2)  # people of a whole frame, and frames of one camera, share it
def _resampling(raw: Camera, stored: Camera, step_px: float) -> Resampling:
    return Resampling(raw, stored, step_px)


# Further off the optical axis, pixels of a pinhole image grow without bound.
_STEEPEST_RAD = math.radians(85)


def stand_in_camera(size: tuple[int, int]) -> Camera:
    """Return the camera that carries the geometry of 2D data without calibration.

    Only crops and scalings are applied to it, so its focal length does not matter.
    """
    return Camera.from_fov(size, math.radians(60), world_up=(0.0, -1.0, 0.0))


def plan_crop(
    camera: Camera | None, size: tuple[int, int], box: NDArray[np.float64], plan: Plan
) -> CropGeometry:
    """Choose the stored camera for the person in ``box``.

    Args:
        camera: Camera of the raw image, or None for 2D data without calibration, which is then
            only cropped and scaled.
        size: ``(width, height)`` of the raw image.
        box: The person's ``[x, y, w, h]`` in raw pixels.
        plan: The numbers of the conversion.
    """
    if camera is None:
        raw = turned = stand_in_camera(size)
    else:
        raw = camera
        turned = camera.turned_towards(pixel=boxes.centre(box)).undistorted()
    person = boxes.reprojected(box, raw, turned)
    image_area = _visible_area(raw, turned)
    side = _roll_proof_side(person, plan.roll_room_rad)
    side *= plan.padding_room * plan.shift_room * plan.scale_room
    middle = boxes.centre(person)
    wanted = np.array([*(middle - side / 2), side, side])
    area = boxes.intersection(wanted, image_area)
    long_side = float(max(person[2:]))
    scale = min(plan.upscaling_limit, plan.training_side_px * plan.oversampling / long_side)
    window = turned.cropped(boxes.to_pixels(area))
    stored = window.resized(
        (_at_least_one(scale * window.size[0]), _at_least_one(scale * window.size[1]))
    )
    return CropGeometry(raw=raw, stored=stored, box=boxes.reprojected(person, turned, stored))


def plan_frame(
    camera: Camera | None, size: tuple[int, int], box: NDArray[np.float64], plan: Plan
) -> CropGeometry:
    """Choose the stored camera for a whole frame; it is the same for everybody in it.

    The lens is taken off and the frame shrunk to the plan's ``full_frame_side_px``; a frame that
    needs neither keeps its pixels.

    Args:
        camera: Camera of the raw image, or None for 2D data without calibration.
        size: ``(width, height)`` of the raw image.
        box: A person's ``[x, y, w, h]`` in raw pixels.
        plan: The numbers of the conversion.
    """
    raw = stand_in_camera(size) if camera is None else camera
    stored = raw.undistorted()
    shrink = max(size) / plan.full_frame_side_px if plan.full_frame_side_px else 1.0
    if shrink > 1:
        stored = stored.resized((_at_least_one(size[0] / shrink), _at_least_one(size[1] / shrink)))
    if raw.is_pinhole and shrink <= 1:
        return CropGeometry(raw=raw, stored=raw, box=box)
    moved = boxes.clipped(boxes.reprojected(box, raw, stored), stored.size)
    return CropGeometry(raw=raw, stored=stored, box=moved)


def _at_least_one(pixels: float) -> int:
    return max(1, round(pixels))


def _roll_proof_side(box: NDArray[np.float64], angle_rad: float) -> float:
    """Side of the square that contains ``box`` rolled by any angle up to ``angle_rad``."""
    width, height = float(box[2]), float(box[3])
    worst_for_width = min(angle_rad, math.atan2(height, width))
    worst_for_height = min(angle_rad, math.atan2(width, height))
    return max(
        math.cos(worst_for_width) * width + math.sin(worst_for_width) * height,
        math.cos(worst_for_height) * height + math.sin(worst_for_height) * width,
    )


def _visible_area(raw: Camera, turned: Camera) -> NDArray[np.float64]:
    """Bounding box, in the turned camera, of all that the raw image shows.

    Points of the raw border that lie beside or behind the turned camera have no finite image
    there: the area is then unbounded on purpose, and the room of the plan alone limits the crop.
    """
    along = np.linspace(0, 1, 33)
    x, y, w, h = boxes.of_image(raw.size)
    near, far = np.zeros_like(along), np.ones_like(along)
    edges = [(along, near), (along, far), (near, along), (far, along)]
    border = np.concatenate([np.stack([x + w * u, y + h * v], axis=1) for u, v in edges])
    rays = raw.back_project(border) @ (turned.R @ raw.R.T).T
    pixels = turned.project_camera(rays)
    steep = rays[:, 2] < math.cos(_STEEPEST_RAD) * np.linalg.norm(rays, axis=1)
    if not np.isfinite(pixels).all() or steep.any():
        return np.array([-1e9, -1e9, 2e9, 2e9])
    return boxes.around_points(pixels)
