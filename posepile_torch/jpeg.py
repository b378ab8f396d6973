"""JPEG bytes to pixels and back.

Images are uint8 RGB ``[height, width, 3]``; sizes are (width, height). Decoding is accurate (slow
integer DCT, smooth chroma upsampling) and strict: bytes that a tolerant decoder would fill up
with grey or black raise :class:`~posepile_torch.errors.ImageError` instead. One library decodes
and encodes everywhere, so pixels do not depend on what else is installed.

:mod:`posepile_torch.intake` is the way in for images of unknown quality and other formats.
"""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from posepile_torch.errors import ImageError

Image = NDArray[np.uint8]
"""uint8 RGB, ``[height, width, 3]``."""

REDUCTIONS = (1, 2, 4, 8)
"""Factors by which a JPEG can be shrunk while decoding; others (5/8, ...) cost more than 1."""

# A bilinear warp that shrinks by more than two skips pixels of its source.
_MIN_WARP_ZOOM = 0.5


def jpeg_size(data: bytes, *, where: object = None) -> tuple[int, int]:
    """Read (width, height) from a JPEG header without decoding.

    Raises:
        ImageError: If there is no readable JPEG header.
    """
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise _unreadable(error, where) from None
    return int(width), int(height)


def is_cmyk_jpeg(data: bytes) -> bool:
    """Whether a JPEG stores inks (CMYK or YCCK) instead of light; False if it is no JPEG."""
    try:
        return simplejpeg.decode_jpeg_header(data)[2] in ("CMYK", "YCCK")
    except ValueError:
        return False


def decode_jpeg(
    data: bytes,
    *,
    min_size: tuple[int, int] | None = None,
    reduction: int | None = None,
    where: object = None,
) -> Image:
    """Decode a JPEG to RGB, optionally at 1/2, 1/4 or 1/8 of its size.

    Grey images become three equal channels; CMYK ones are turned to RGB without colour
    management. EXIF orientation is not applied: stored images are upright already, and others go
    through :func:`posepile_torch.intake.probe`.

    A reduced image is ``ceil(side / k)`` pixels wide and high, and its pixel ``x`` lies at
    ``k * x + (k - 1) / 2`` of the full image, see :func:`reduced_to_full`.

    Args:
        data: The encoded bytes.
        min_size: (width, height) that the result must at least have; the largest reduction that
            does is taken.
        reduction: One of :data:`REDUCTIONS`, instead of ``min_size``.
        where: Named in errors.

    Raises:
        ImageError: If the data are not a JPEG (``unreadable``), cut short (``truncated``),
            damaged (``damaged``), or of a kind without decoder here (``unsupported``).
    """
    try:
        height, width, colour_space, _ = simplejpeg.decode_jpeg_header(data)
        k = _chosen_reduction((width, height), min_size, reduction)
        smallest = {} if k == 1 else {"min_width": -(-width // k), "min_height": -(-height // k)}
        if colour_space in ("CMYK", "YCCK"):
            return _from_cmyk(simplejpeg.decode_jpeg(data, colorspace="CMYK", **smallest))
        image: Image = simplejpeg.decode_jpeg(data, colorspace="RGB", **smallest)
    except ValueError as error:
        raise _unreadable(error, where) from None
    return image


def _chosen_reduction(
    size: tuple[int, int], min_size: tuple[int, int] | None, reduction: int | None
) -> int:
    if reduction is None:
        return 1 if min_size is None else largest_reduction(size, min_size)
    if reduction not in REDUCTIONS or min_size is not None:
        raise ImageError(
            f"cannot decode with reduction={reduction!r} and min_size={min_size!r}",
            reason="argument",
            rule=f"give either min_size or a reduction among {REDUCTIONS}",
        )
    return reduction


def _from_cmyk(inverted: NDArray[np.uint8]) -> Image:
    # CMYK JPEGs are stored inverted (255 = no ink), as Adobe does and every decoder assumes.
    ink = inverted.astype(np.uint16)
    return ((ink[..., :3] * ink[..., 3:] + 127) // 255).astype(np.uint8)


def largest_reduction(size: tuple[int, int], min_size: tuple[int, int]) -> int:
    """Return the largest of :data:`REDUCTIONS` that keeps an image at ``min_size`` or above."""
    fits = [
        k for k in REDUCTIONS if all(-(-s // k) >= m for s, m in zip(size, min_size, strict=True))
    ]
    return max(fits, default=1)


def reduction_for_zoom(zoom: float) -> int:
    """Return the reduction to decode with before a warp that enlarges by ``zoom``.

    It is the smallest one that leaves the warp to shrink by no more than two, so nothing that the
    result could show is lost, and bilinear sampling skips no pixel.

    Args:
        zoom: Output pixels per pixel of the full image.
    """
    return next((k for k in REDUCTIONS if zoom * k >= _MIN_WARP_ZOOM), REDUCTIONS[-1])


def reduced_to_full(reduction: int) -> NDArray[np.float64]:
    """Return the ``[3, 3]`` map from pixels of a reduced image to pixels of the full one.

    A reduced pixel is the mean of ``k`` by ``k`` full ones, so its centre is between them: the
    map is ``k * x + (k - 1) / 2``. A warp made for the full image is
    ``homography @ reduced_to_full(k)`` for the reduced one.
    """
    shift = (reduction - 1) / 2
    return np.array([[reduction, 0, shift], [0, reduction, shift], [0, 0, 1.0]])


def encode_jpeg(image: Image, quality: int = 95, *, subsampling: str = "420") -> bytes:
    """Encode RGB as a baseline JPEG; the same pixels always give the same bytes.

    Baseline, because progressive files take almost three times as long to decode.

    Args:
        image: uint8 RGB ``[h, w, 3]``.
        quality: 1 to 100.
        subsampling: ``"420"`` (colour at half resolution) or ``"444"``, which takes a third
            longer to decode.

    Raises:
        ImageError: If the array is not such an image, or quality or subsampling are unknown.
    """
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ImageError(
            f"cannot encode a {array.dtype} array of shape {array.shape}",
            reason="argument",
            rule="an image is uint8 RGB [height, width, 3]",
        )
    if max(array.shape[:2]) > 65500:
        raise ImageError(
            f"{array.shape[1]}x{array.shape[0]} pixels do not fit a JPEG",
            reason="argument",
            rule="a side of a JPEG has at most 65500 pixels",
        )
    if not 1 <= quality <= 100 or subsampling not in ("420", "422", "444"):
        raise ImageError(
            f"unknown quality {quality!r} or subsampling {subsampling!r}",
            reason="argument",
            rule="quality is 1 to 100, subsampling '420', '422' or '444'",
        )
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(array),
        quality=quality,
        colorspace="RGB",
        colorsubsampling=subsampling,
    )
    return data


def _unreadable(error: ValueError, where: object) -> ImageError:
    """Sort the decoder's message into one of the reasons that callers may rely on."""
    text = str(error)
    if isinstance(error, ImageError):
        return error
    if "Premature end" in text:
        reason, what = "truncated", "the JPEG is cut short"
    elif "Unsupported" in text:
        reason, what = "unsupported", "this kind of JPEG has no decoder here"
    elif "subsampling level" in text or "Not a JPEG" in text:
        reason, what = "unreadable", "there is no readable JPEG header"
    else:
        reason, what = "damaged", "the JPEG is damaged"
    return ImageError(
        f"{what} ({text})",
        reason=reason,
        where=where,
        rule="an image decodes without any warning, else part of it may be made up",
        fix="fetch the file again; if the source itself is broken, leave it quarantined",
    )
