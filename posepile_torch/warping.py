"""Images and masks of one camera as another camera with the same optical centre sees them.

Pixel centres are at integer coordinates on both sides, and whatever is scaled is scaled about
image borders (a pixel x of an image enlarged by f is at ``f (x + 0.5) - 0.5``). Colours are
averaged as amounts of light, in float32, unless told otherwise. Target pixels whose rays miss the
source image, lie behind its camera, or outside the valid region of a lens, get the border value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch import camera_checks, light
from posepile_torch.camera import Camera
from posepile_torch.errors import CameraError, ImageError, MaskError
from posepile_torch.masks import Mask

Floats = NDArray[np.float64]
Pixels = NDArray[Any]

MAP_TOLERANCE_PX = 0.002
"""Largest accepted error of an interpolated pixel map, measured wherever one is used."""

_MAX_SUPERSAMPLE = 8
_INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
_FAR_OUTSIDE = np.float32(1e5)  # pixels; no image is as large


def reproject_image(
    image: NDArray[np.uint8],
    source: Camera,
    target: Camera,
    *,
    linear_light: bool = True,
    curve: light.Curve = "srgb",
    supersample: int = 1,
    antialias: bool = True,
    interpolation: Literal["linear", "cubic"] = "linear",
    border_value: int | Sequence[int] = 0,
) -> NDArray[np.uint8]:
    """Resample an image of ``source`` to what ``target`` sees.

    Where the image shrinks, every source pixel under a target pixel takes part: the source is
    first averaged over whole blocks of pixels, as far as that costs no sharpness, and the target
    is sampled densely enough for its coarsest place and then averaged.

    Args:
        image: uint8 ``[H, W]`` or ``[H, W, C]`` (up to 4 channels), of the size of ``source``.
        source: Camera that took the image.
        target: Camera of the result; it must share the optical centre of ``source``.
        linear_light: Average amounts of light; if False, average stored values (faster, darkens
            fine bright detail).
        curve: Transfer curve between stored values and light, ``"srgb"`` or ``"gamma22"``.
        supersample: Least number of samples along each side of a target pixel. Larger is sharper
            and slower, 2 is close to the best.
        antialias: Whether to average and to add samples where the image shrinks.
        interpolation: ``"linear"`` or ``"cubic"`` between source pixels.
        border_value: Stored value, or one for each channel, where the target sees nothing.

    Returns:
        uint8 of the target's size, with the channels of ``image``.

    Raises:
        CameraError: If the optical centres differ.
        ImageError: If the image is not uint8 or not of the size of ``source``.
    """
    _check_image(image, source)
    _check_supersample(supersample)
    camera_checks.check_same_centre(source, target)
    flag = _interpolation_flag(interpolation)
    border: Pixels = _border(border_value, image)
    block = 1
    if antialias:
        least, most = _source_pixels_per_target_pixel(source, target)
        block = max(1, math.floor(least / supersample + 0.01))  # 3.9999 source pixels are four
        supersample = _enough_samples(most / block, supersample)
    pixels: Pixels = image
    if linear_light or block > 1:  # the less of the image to treat, the better
        left, top, width, height = part = _needed_part(source, target, block)
        pixels, source = image[top : top + height, left : left + width], source.cropped(part)
    if linear_light:
        pixels, border = light.to_linear(pixels, curve), light.to_linear(border, curve)
    if block > 1:
        pixels, source = _averaged_blocks(pixels, block), source.downscaled(block)
    pixels = _sampled(pixels, source, _refined(target, supersample), flag, border[0].tolist())
    if supersample > 1:
        pixels = cv2.resize(pixels, target.size, interpolation=cv2.INTER_AREA)
    if linear_light:
        pixels = light.from_linear(pixels, curve)
    return pixels.reshape(target.size[1], target.size[0], *image.shape[2:])


def reproject_mask(mask: Mask, source: Camera, target: Camera, *, supersample: int = 2) -> Mask:
    """Resample a mask of ``source`` to what ``target`` sees.

    A target pixel belongs to the result if more than half of its samples do. Between pinhole
    cameras and with ``supersample=1`` the mask stays in run-length form.

    Args:
        mask: Mask of the size of ``source``.
        source: Camera of the image that the mask belongs to.
        target: Camera of the result; it must share the optical centre of ``source``.
        supersample: Samples along each side of a target pixel; more are taken where it shrinks.

    Raises:
        CameraError: If the optical centres differ.
        MaskError: If the mask does not have the size of ``source``.
    """
    if mask.size != source.size:
        raise MaskError(
            f"mask of {mask.size} for a camera of {source.size}",
            rule="a mask has the size of its camera's image, (width, height)",
            fix="resize the camera to the mask with camera.resized() if the mask is smaller",
        )
    _check_supersample(supersample)
    camera_checks.check_same_centre(source, target)
    _, most = _source_pixels_per_target_pixel(source, target)
    supersample = _enough_samples(most, supersample)
    fine = _refined(target, supersample)
    if source.is_pinhole and target.is_pinhole:
        warped = mask.warped(source.homography_to(fine), fine.size)
        if supersample == 1:
            return warped
        dense = warped.to_array() * np.uint8(255)
    else:
        dense = _sampled(mask.to_array() * np.uint8(255), source, fine, cv2.INTER_LINEAR, [0])
    share = cv2.resize(dense, target.size, interpolation=cv2.INTER_AREA)
    return Mask.from_array(share > 127)


def pixel_map(source: Camera, target: Camera) -> NDArray[np.float32]:
    """Return where in the source image each target pixel comes from.

    Args:
        source: Camera of the image to sample.
        target: Camera of the result; it must share the optical centre of ``source``.

    Returns:
        float32 ``[H, W, 2]`` for the target's ``H`` and ``W``: x and y in source pixels, NaN where
        the target's ray has no image in the source. Most maps are smooth, and are interpolated
        from a coarse grid whose error is measured and stays below :data:`MAP_TOLERANCE_PX`; all
        others are computed pixel by pixel.
    """
    camera_checks.check_same_centre(source, target)
    interpolated = _interpolated_map(source, target)
    if interpolated is not None:
        return interpolated
    x, y = (np.arange(float(side)) for side in target.size)
    return _source_pixels(source, target, x, y).astype(np.float32)


def _source_pixels(source: Camera, target: Camera, x: Floats, y: Floats) -> Floats:
    """Compute the map exactly on the grid of target pixels ``x`` by ``y``."""
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    turn = source.R @ np.linalg.inv(target.R)
    return source.project_camera(target.back_project(grid) @ turn.T)


def _interpolated_map(source: Camera, target: Camera) -> NDArray[np.float32] | None:
    """Interpolate the map from few exact points, or return None where that is not good enough.

    Polynomial interpolation at Chebyshev points converges very fast for smooth maps. Smooth means
    that the valid region of the source lens holds the whole target: with a pinhole target that
    follows from its four corners, because the valid region is convex as a set of rays. The error
    is measured between the interpolation points, where it is largest.
    """
    if not target.is_pinhole:
        return None
    width, height = target.size
    for count in (12, 24, 48):
        if 2 * count > min(width, height):
            return None
        x, y = _chebyshev_points(count, width), _chebyshev_points(count, height)
        values = _source_pixels(source, target, x, y)
        if not (np.abs(values) < _FAR_OUTSIDE).all():  # or NaN
            return None
        between_x, between_y = (a[:-1] + np.diff(a) / 2 for a in (x, y))
        error = _interpolate(values, x, y, between_x, between_y)
        error -= _source_pixels(source, target, between_x, between_y)
        if np.abs(error).max() <= MAP_TOLERANCE_PX / 4:
            return _interpolate(values, x, y, np.arange(float(width)), np.arange(float(height)))
    return None


def _chebyshev_points(count: int, length: int) -> Floats:
    """Return the extrema of a Chebyshev polynomial, spread over the pixels 0 to length - 1."""
    return (length - 1) * (0.5 - 0.5 * np.cos(np.pi * np.arange(count) / (count - 1)))


def _interpolate(
    values: Floats, x: Floats, y: Floats, new_x: Floats, new_y: Floats
) -> NDArray[np.float32]:
    """Interpolate ``[Y, X, 2]`` values on Chebyshev points to the grid of new points."""
    to_x, to_y = _interpolation_matrix(x, new_x), _interpolation_matrix(y, new_y)
    to_x = to_x.T.astype(np.float32)
    planes = []
    for plane in np.moveaxis(values, -1, 0):
        mean = plane.mean()  # without it, float32 has digits to spare for the large product
        planes.append((to_y @ (plane - mean)).astype(np.float32) @ to_x + np.float32(mean))
    return np.asarray(cv2.merge(planes))


def _interpolation_matrix(nodes: Floats, points: Floats) -> Floats:
    """Return the barycentric weights ``[points, nodes]`` of interpolation at Chebyshev nodes."""
    weights = np.where(np.arange(len(nodes)) % 2, -1.0, 1.0)
    weights[[0, -1]] /= 2
    distance = points[:, None] - nodes
    is_node = np.abs(distance) < 1e-9
    matrix = weights / np.where(is_node, 1.0, distance)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return np.where(is_node.any(axis=1, keepdims=True), is_node.astype(float), matrix)


def _sampled(
    pixels: Pixels, source: Camera, target: Camera, flag: int, border: list[float]
) -> Pixels:
    """Sample ``pixels`` at the centre of every pixel of the target, without any averaging."""
    if source.is_pinhole and target.is_pinhole:
        back = target.homography_to(source)
        right, bottom = (side - 1 for side in target.size)
        corners = np.array([[0, 0, 1], [right, 0, 1], [0, bottom, 1], [right, bottom, 1]])
        # OpenCV would also draw what lies behind the source camera, upside down.
        if (corners @ back[2] > 0).all():
            return np.asarray(
                cv2.warpPerspective(
                    pixels,
                    back,
                    target.size,
                    flags=flag | cv2.WARP_INVERSE_MAP,
                    borderMode=cv2.BORDER_CONSTANT,
                    borderValue=border,
                )
            )
    # OpenCV converts coordinates to integers, where NaN and large numbers have no meaning.
    mapping = pixel_map(source, target)
    np.fmin(mapping, _FAR_OUTSIDE, out=mapping)
    np.fmax(mapping, -_FAR_OUTSIDE, out=mapping)
    return np.asarray(
        cv2.remap(pixels, mapping, None, flag, borderMode=cv2.BORDER_CONSTANT, borderValue=border)
    )


def _refined(target: Camera, supersample: int) -> Camera:
    width, height = target.size
    return target.resized((width * supersample, height * supersample))


def _enough_samples(pixels_per_pixel: float, at_least: int) -> int:
    """Return how many samples along a side it takes to skip no source pixel."""
    # Up to 1.25 source pixels for each sample: the rest is not worth four times the work.
    return max(at_least, min(math.ceil(pixels_per_pixel - 0.25), _MAX_SUPERSAMPLE))


def _needed_part(source: Camera, target: Camera, block: int) -> tuple[int, int, int, int]:
    """Return the box of the source image that the target draws on; the whole image if unsure.

    Found from a grid over the target. Between its points the border of the needed part bulges by
    less than the grid's second differences.
    """
    x, y = (np.linspace(-0.5, side - 0.5, 17) for side in target.size)
    places = _source_pixels(source, target, x, y)
    if not np.isfinite(places).all():
        return 0, 0, *source.size
    bulge = max(np.abs(np.diff(places, 2, axis=axis)).max() for axis in (0, 1))
    margin = bulge + 4 * block  # a cubic reaches two averaged pixels to each side
    low = np.floor(places.min(axis=(0, 1)) - margin)
    high = np.ceil(places.max(axis=(0, 1)) + margin)
    # At least one pixel stays, so that a target that sees nothing needs no case of its own.
    left, top = np.clip(low, 0, np.array(source.size) - 1).astype(int).tolist()
    right, bottom = np.clip(high, (left, top), np.array(source.size) - 1).astype(int).tolist()
    return left, top, right - left + 1, bottom - top + 1


def _source_pixels_per_target_pixel(source: Camera, target: Camera) -> tuple[float, float]:
    """Return the least and the most source pixels that a step of one target pixel covers.

    From differences over one pixel at a grid of places that see the source image; (1, 1) if none
    does.
    """
    width, height = target.size
    x, y = (np.linspace(0, side - 1, 7) for side in (width, height))
    # Pairs half a pixel to each side, along x and along y.
    right, left = (_source_pixels(source, target, x + step, y) for step in (0.5, -0.5))
    below, above = (_source_pixels(source, target, x, y + step) for step in (0.5, -0.5))
    jacobian = np.stack([right - left, below - above], axis=-1)
    middle = (right + left) / 2
    is_used = np.isfinite(jacobian).all(axis=(-1, -2)) & source.is_in_view(middle)
    if not is_used.any():
        return 1.0, 1.0
    sizes = np.linalg.svd(jacobian[is_used], compute_uv=False)
    return float(sizes.min()), float(sizes.max())


def _averaged_blocks(pixels: Pixels, block: int) -> Pixels:
    """Average square blocks of pixels; started blocks are filled by repeating the border."""
    height, width = pixels.shape[:2]
    bottom, right = -height % block, -width % block
    if bottom or right:
        pixels = cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    size = ((width + right) // block, (height + bottom) // block)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _check_image(image: NDArray[np.uint8], source: Camera) -> None:
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or (image.ndim == 3 and not 1 <= image.shape[2] <= 4)
    ):
        raise ImageError(
            f"image is {image.dtype} of shape {image.shape}",
            rule="an image to warp is uint8, [H, W] or [H, W, C] with 1 to 4 channels",
            fix="decode images with posepile_torch.images",
        )
    if (image.shape[1], image.shape[0]) != source.size:
        raise ImageError(
            f"image of {(image.shape[1], image.shape[0])} for a camera of {source.size}",
            reason="size",
            rule="an image has the size of its camera, (width, height)",
            fix="use camera.downscaled() for a JPEG that was decoded at a reduced size",
        )


def _check_supersample(supersample: int) -> None:
    if not (isinstance(supersample, int) and 1 <= supersample <= _MAX_SUPERSAMPLE):
        raise CameraError(
            f"supersample is {supersample!r}",
            rule=f"supersample is a whole number from 1 to {_MAX_SUPERSAMPLE}",
            fix="2 is enough for nearly every picture",
        )


def _interpolation_flag(interpolation: str) -> int:
    if interpolation not in _INTERPOLATIONS:
        raise ImageError(
            f"interpolation {interpolation!r}",
            rule=f"interpolation is one of {sorted(_INTERPOLATIONS)}",
            fix="linear is the default; cubic is sharper where the image grows",
        )
    return int(_INTERPOLATIONS[interpolation])


def _border(value: int | Sequence[int], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the border value as a picture of one pixel, ``[1, C]``."""
    channels = image.shape[2] if image.ndim == 3 else 1
    values = np.asarray(value).ravel()
    if len(values) not in (1, channels) or not ((values >= 0) & (values <= 255)).all():
        raise ImageError(
            f"border value {value!r} for an image with {channels} channels",
            rule="the border value is one stored value (0 to 255), or one for each channel",
            fix="0 is black",
        )
    return np.broadcast_to(values, (1, channels)).astype(np.uint8)
