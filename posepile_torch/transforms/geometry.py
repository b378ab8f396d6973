"""Where the image of a sample looks, decided on cameras alone, before any pixel is touched."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.camera import Camera

# 2D data without calibration is looked at as if through a long lens: 8 degrees over the longer
# side is the field of view that MeTRAbs assumes for it.
WEAK_PERSPECTIVE_FOV_RAD = math.radians(8)


def weak_perspective_camera(size: tuple[int, int]) -> Camera:
    """Return the camera assumed for a stored crop of ``size`` that came without calibration."""
    return Camera.from_fov(size, WEAK_PERSPECTIVE_FOV_RAD, world_up=(0.0, -1.0, 0.0))


def evaluation_camera(
    camera: Camera | None, size: tuple[int, int], box: NDArray[np.float64], side_px: int
) -> Camera:
    """Return the square camera in which the box fills the image, upright and centred.

    With a calibrated camera, the new one is turned to the centre of the box and levelled to
    ``world_up``, which removes the dependence of perspective on the position in the image. The
    distance of the midpoints of the box's two short sides fills the image's side. Without a
    calibration the image is only shifted and scaled.

    Args:
        camera: Camera of the stored crop (a pinhole), or None.
        size: ``(width, height)`` of the stored crop.
        box: The person's ``[x, y, w, h]`` in the stored crop.
        side_px: Side of the image to make.
    """
    middle = (side_px - 1) / 2
    if camera is None:
        flat = weak_perspective_camera(size)
        zoomed = flat.zoomed(side_px / float(max(box[2:])))
        target = zoomed.project_camera(flat.back_project(boxes.centre(box)))
        moved = zoomed.shifted(*(middle - target))
        return moved.with_size((side_px, side_px))
    turned = camera.turned_towards(pixel=boxes.centre(box)).undistorted().with_square_pixels()
    left, right, top, bottom = boxes.side_midpoints(box)
    ends = np.stack([top, bottom] if box[3] >= box[2] else [left, right])
    rays = camera.back_project(ends) @ (turned.R @ camera.R.T).T
    first, second = turned.project_camera(rays)
    zoomed = turned.zoomed(side_px / float(np.linalg.norm(second - first)))
    return zoomed.with_size((side_px, side_px)).with_centred_principal_point()
