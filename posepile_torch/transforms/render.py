"""Encoded bytes and planned geometry in, pixels out: the one place where a sample is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.camera import Camera
from posepile_torch.errors import ImageError
from posepile_torch.images import decode_jpeg, reduced_to_full, reduction_for_zoom
from posepile_torch.transforms.families import Sampling

Image = NDArray[np.uint8]

_FLAGS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST}
_PLAIN = Sampling()


def render(
    jpeg: bytes,
    stored: Camera,
    target: Camera,
    *,
    sampling: Sampling = _PLAIN,
    border: Sequence[int] = (0, 0, 0),
    where: object = None,
) -> Image:
    """Decode a stored crop at the smallest sufficient scale and warp it once.

    Args:
        jpeg: The stored crop.
        stored: Its camera, a pinhole without lens.
        target: Camera of the image to make, with the same optical centre.
        sampling: Interpolation and supersampling.
        border: RGB where the stored crop does not reach.
        where: Named in errors.

    Returns:
        ``[H, W, 3]`` RGB uint8 of the size of ``target``.
    """
    return render_by(
        jpeg,
        stored.homography_to(target),
        target.size,
        stored_size=stored.size,
        sampling=sampling,
        border=border,
        where=where,
    )


def render_by(
    jpeg: bytes,
    homography: NDArray[np.float64],
    size: tuple[int, int],
    *,
    stored_size: tuple[int, int],
    sampling: Sampling = _PLAIN,
    border: Sequence[int] = (0, 0, 0),
    where: object = None,
) -> Image:
    """Decode and warp as :func:`render` does, by a homography that is known already.

    Args:
        jpeg: The stored crop.
        homography: ``[3, 3]``, maps pixels of the stored crop to pixels of the result.
        size: ``(width, height)`` of the result.
        stored_size: ``(width, height)`` of the stored crop.
        sampling: Interpolation and supersampling.
        border: RGB where the stored crop does not reach.
        where: Named in errors.

    Raises:
        ImageError: If the crop cannot be decoded, or has another size.
    """
    factor = sampling.supersample
    zoom = _zoom_at_centre(homography, stored_size, size)
    reduction = reduction_for_zoom(zoom * factor)
    image = decode_jpeg(jpeg, reduction=reduction, where=where)
    if image.shape[:2] != (-(-stored_size[1] // reduction), -(-stored_size[0] // reduction)):
        raise ImageError(
            f"a crop that should have {stored_size[0]}x{stored_size[1]} pixels decodes to "
            f"{image.shape[1]}x{image.shape[0]} at 1/{reduction} of its size",
            reason="size_mismatch",
            where=where,
            rule="a stored crop has the size that its record says",
            fix="run `posepile verify` on the archive; convert it again if it is damaged",
        )
    if reduction > 1:
        homography = homography @ reduced_to_full(reduction)
    if factor > 1:
        shift = (factor - 1) / 2
        homography = np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]]) @ homography
    warped = cv2.warpPerspective(
        image,
        homography,
        (size[0] * factor, size[1] * factor),
        flags=_FLAGS[sampling.interpolation],
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=border,
    )
    if factor > 1:
        warped = cv2.resize(warped, size, interpolation=cv2.INTER_AREA)
    return np.asarray(warped, np.uint8)


def _zoom_at_centre(
    homography: NDArray[np.float64], stored_size: tuple[int, int], size: tuple[int, int]
) -> float:
    """Target pixels per stored pixel, along one axis, at the middle of what is shown.

    That is the middle of the target, or of the stored crop where the target's middle lies beyond
    the horizon.
    """
    # Plain floats: small numpy arrays would cost more than the arithmetic.
    (a, b, c), (d, e, f), (g, h, i) = homography.tolist()
    x, y = (stored_size[0] - 1) / 2, (stored_size[1] - 1) / 2
    u, v = (size[0] - 1) / 2, (size[1] - 1) / 2
    # The point that lands on (u, v) solves two linear equations.
    p, q, r, s = a - u * g, b - u * h, d - v * g, e - v * h
    right, below = u * i - c, v * i - f
    determinant = p * s - q * r
    if determinant:
        x_, y_ = (right * s - q * below) / determinant, (p * below - right * r) / determinant
        if g * x_ + h * y_ + i > 0:
            x, y = x_, y_
    depth = g * x + h * y + i
    if depth <= 0:
        return 1.0
    u, v = (a * x + b * y + c) / depth, (d * x + e * y + f) / depth
    p, q, r, s = a - u * g, b - u * h, d - v * g, e - v * h
    return float(abs(p * s - q * r) ** 0.5 / depth)


__all__ = ["render", "render_by"]
