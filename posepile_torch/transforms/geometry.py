"""Where the image of a sample looks, decided on cameras alone, before any pixel is touched.

:func:`drawn_view` turns random numbers into a :class:`ViewChange`; :func:`target_camera` applies
one to the stored camera and the person's box. The rest follows from the two cameras: the image is
warped from one to the other, and 3D joints are projected by the new one.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posepile_torch import camera_checks, rotations
from posepile_torch.camera import Camera
from posepile_torch.errors import BoxError, CameraError
from posepile_torch.transforms import affine
from posepile_torch.transforms.families import Framing, Geometry
from posepile_torch.transforms.streams import RandomKey

Floats = NDArray[np.float64]

# 2D data without calibration is looked at as if through a long lens: 8 degrees over the longer
# side is the field of view that MeTRAbs assumes for it.
WEAK_PERSPECTIVE_FOV_RAD = math.radians(8)


@functools.lru_cache(maxsize=4096)
def weak_perspective_camera(size: tuple[int, int]) -> Camera:
    """Return the camera assumed for a stored crop of ``size`` that came without calibration."""
    return Camera.from_fov(size, WEAK_PERSPECTIVE_FOV_RAD, world_up=(0.0, -1.0, 0.0))


@dataclass(frozen=True, kw_only=True)
class ViewChange:
    """How one image differs from the plain view of the box.

    Attributes:
        shift: ``(dx, dy)`` by which the centre moves, as shares of the long side of the box.
        zoom: Factor by which the person becomes larger.
        roll_rad: Turn of the image content, clockwise on the screen.
        is_flipped: Whether the image is mirrored.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    roll_rad: float = 0.0
    is_flipped: bool = False


PLAIN_VIEW = ViewChange()
"""The view of a sample that is not augmented."""

_PLAIN_FRAMING = Framing()


def drawn_view(numbers: Geometry, key: RandomKey, *, may_flip: bool = True) -> ViewChange:
    """Draw shift, scale, roll and flip.

    Args:
        numbers: Their ranges.
        key: Decides the outcome; the family is called ``"geometry"``.
        may_flip: False for records whose labels cannot be mirrored.
    """
    # Every number has its own place in the vector, so that no range moves the others.
    u = key.uniforms("geometry", 10).tolist()
    radius = numbers.centre_shift * math.sqrt(u[0])
    angle = 2 * math.pi * u[1]
    scale = 1 + numbers.scale.deviation(u[2], u[3], u[4])
    roll = numbers.roll.deviation(u[5], u[6], u[7])
    if u[8] < numbers.full_turn_probability:
        roll = math.pi * (2 * u[6] - 1)
    return ViewChange(
        shift=(radius * math.cos(angle), radius * math.sin(angle)),
        zoom=scale if numbers.scale_of == "image" else 1 / scale,
        roll_rad=roll,
        is_flipped=may_flip and u[9] < numbers.flip_probability,
    )


def target_camera(
    camera: Camera | None,
    size: tuple[int, int],
    box: Floats,
    image_size: tuple[int, int],
    framing: Framing = _PLAIN_FRAMING,
    change: ViewChange = PLAIN_VIEW,
) -> Camera:
    """Return the camera of the image to make.

    With a calibrated camera and ``framing.mode == "camera"``, the new camera is turned to the
    (shifted) centre of the box and levelled to ``world_up``, which removes the dependence of
    perspective on the position in the image. The distance of the midpoints of the box's two short
    sides fills the image; then come zoom, roll and flip. Otherwise the image is only shifted,
    scaled, rolled and flipped in its plane.

    Args:
        camera: Camera of the stored crop (a pinhole), or None for data without calibration.
        size: ``(width, height)`` of the stored crop.
        box: The person's ``[x, y, w, h]`` in the stored crop.
        image_size: ``(width, height)`` of the image to make.
        framing: How the box is put into the image; turned cameras by default.
        change: What is changed beyond that.

    Raises:
        BoxError: If the box does not lie in front of the new camera.
        CameraError: If the camera has a lens.
    """
    return planned(camera, size, box, image_size, framing, change)[0]


def planned(
    camera: Camera | None,
    size: tuple[int, int],
    box: Floats,
    image_size: tuple[int, int],
    framing: Framing = _PLAIN_FRAMING,
    change: ViewChange = PLAIN_VIEW,
) -> tuple[Camera, Floats]:
    """Return the camera of the image to make, and the homography that leads to it.

    Takes what :func:`target_camera` takes. The homography is ``[3, 3]`` and maps pixels of the
    stored crop to pixels of the image, as ``camera.homography_to(target)`` does; here it is at
    hand already.
    """
    if camera is None or framing.mode == "affine":
        stored = camera or weak_perspective_camera(size)
        matrix = affine.crop_matrix(box, image_size, size, framing, change)
        target = affine.affine_camera(stored, matrix, image_size)
        return target, np.concatenate([matrix, [[0.0, 0.0, 1.0]]])
    return _turned(camera, box, image_size, framing, change)


def evaluation_camera(
    camera: Camera | None, size: tuple[int, int], box: Floats, side_px: int
) -> Camera:
    """Return the square camera in which the box fills the image, upright and centred.

    Args:
        camera: Camera of the stored crop (a pinhole), or None.
        size: ``(width, height)`` of the stored crop.
        box: The person's ``[x, y, w, h]`` in the stored crop.
        side_px: Side of the image to make.
    """
    return target_camera(camera, size, box, (side_px, side_px))


def _turned(
    camera: Camera,
    box: Floats,
    image_size: tuple[int, int],
    framing: Framing,
    change: ViewChange,
) -> tuple[Camera, Floats]:
    # Plain floats where they will do: this runs for every sample, and small numpy calls add up.
    if not camera.is_pinhole:
        raise CameraError(
            f"a stored crop with the lens {camera.lens.model!r}",
            rule="stored crops are pinhole images",
            fix="convert the source again",
        )
    x, y, w, h = box.tolist()
    width, height = image_size
    long_side = max(w, h)
    centre = (x + w / 2 + change.shift[0] * long_side, y + h / 2 + change.shift[1] * long_side)
    to_world_rays = camera_checks.inverse("K R", camera.K @ camera.R)
    forward = to_world_rays @ (*centre, 1.0)
    level = rotations.levelled(forward, camera.world_up, like=camera.R)
    to_level_rays = level @ to_world_rays
    is_tall = h * width >= w * height
    dx, dy, length = (0.0, h / 2, height) if is_tall else (w / 2, 0.0, width)
    rows = to_level_rays.tolist()
    first = _direction(rows, centre[0] - dx, centre[1] - dy, box)
    last = _direction(rows, centre[0] + dx, centre[1] + dy, box)
    extent = math.hypot(first[0] - last[0], first[1] - last[1])
    focal = length * change.zoom / (extent * framing.padding)
    c, s = math.cos(change.roll_rad), math.sin(change.roll_rad)
    side = -1.0 if change.is_flipped else 1.0
    turn = np.array([[side * c, -side * s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    target = Camera(R=turn @ level, t=camera.t, K=K, size=image_size, world_up=camera.world_up)
    return target, K @ turn @ to_level_rays


def _direction(rows: list[list[float]], x: float, y: float, box: Floats) -> tuple[float, float]:
    """Map a pixel to the plane z = 1 of the turned camera."""
    (a, b, c), (d, e, f), (g, h, i) = rows
    depth = g * x + h * y + i
    if depth <= 0:
        raise BoxError(
            f"box {box.tolist()} reaches behind the camera that is turned to its centre",
            rule="a person's box spans less than half the field of view",
            fix="check the box and the camera of this record",
        )
    return (a * x + b * y + c) / depth, (d * x + e * y + f) / depth
