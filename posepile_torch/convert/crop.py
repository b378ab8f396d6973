"""From a raw frame and a box to the crop that is stored: geometry first, pixels last.

The stored crop is what an undistorted pinhole camera sees that has been turned from the raw
camera towards the person, with its horizon levelled to ``world_up``. It holds every pixel that
training may need (see :class:`~posepile_torch.convert.plan.Plan`), no more than training can use,
and joins the raw pixels to the stored ones by one resampling in linear light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.camera import Camera
from posepile_torch.convert.plan import Plan
from posepile_torch.masks import Mask
from posepile_torch.warping import reproject_image, reproject_mask


@dataclass(frozen=True, eq=False)
class CropGeometry:
    """Where a stored crop looks.

    Attributes:
        raw: Camera of the raw image; a stand-in for 2D data that has none.
        stored: Camera of the stored crop: pinhole, no lens.
        box: The person's box in pixels of the stored crop.
    """

    raw: Camera
    stored: Camera
    box: NDArray[np.float64]

    def image(self, raw_image: NDArray[np.uint8], *, supersample: int) -> NDArray[np.uint8]:
        """Resample the raw image to the stored crop, in linear light."""
        return reproject_image(
            raw_image, self.raw, self.stored, linear_light=True, supersample=supersample
        )

    def mask(self, raw_mask: Mask) -> Mask:
        """Send a mask of the raw image through the same resampling."""
        return reproject_mask(raw_mask, self.raw, self.stored)

    def points(self, raw_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Send pixels of the raw image (``[..., 2]``) to pixels of the stored crop."""
        rays = self.raw.back_project(raw_px)
        return self.stored.project_camera(rays @ (self.stored.R @ self.raw.R.T).T)


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
        (max(1, round(scale * window.size[0])), max(1, round(scale * window.size[1])))
    )
    return CropGeometry(raw=raw, stored=stored, box=boxes.reprojected(person, turned, stored))


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
