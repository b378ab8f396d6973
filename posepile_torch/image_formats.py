"""Pixels of PNG, WebP, TIFF, BMP, GIF, PNM and JPEG 2000 files, exactly as they are stored.

Needs Pillow (the ``convert`` extra), for which pillow-simd may stand in: nothing newer than
Pillow 9.5 is used. PNGs of 16 bits go through OpenCV, since Pillow keeps only their high bytes.
No rotation, no rescaling of numbers: that is decided in :mod:`posepile_torch.intake`.
"""

from __future__ import annotations

import dataclasses
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch import errors, image_headers
from posepile_torch.errors import ImageError, MissingDependencyError
from posepile_torch.image_headers import Kind

# What may be opened at all. Pillow knows more, among them formats that start other programs.
_PILLOW_FORMATS = {
    "png": "PNG",
    "gif": "GIF",
    "webp": "WEBP",
    "tiff": "TIFF",
    "bmp": "BMP",
    "pnm": "PPM",
    "jpeg2000": "JPEG2000",
}

# Pillow's plugins raise all of these on damaged files.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)

_QUIET = threading.Lock()

# Clockwise quarter turns, and whether the image is first mirrored left to right, for each EXIF
# orientation.
_TURNS = {1: 0, 2: 0, 3: 2, 4: 2, 5: 3, 6: 1, 7: 1, 8: 3}
_MIRRORED = frozenset({2, 4, 5, 7})
_BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # the orientation that undoes each


@dataclasses.dataclass(frozen=True, eq=False)
class StoredPixels:
    """The pixels of a file before any interpretation.

    Attributes:
        values: ``[h, w]``, ``[h, w, 2]`` (grey, alpha), ``[h, w, 3]`` RGB, ``[h, w, 4]`` RGBA or
            ``[h, w, 4]`` CMYK; uint8 or uint16.
        orientation: EXIF orientation, 1 to 8, that is still to be applied.
        cmyk: Whether the four channels are inks.
    """

    values: NDArray[Any]
    orientation: int = 1
    cmyk: bool = False


def turned(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return stored pixels as the EXIF orientation wants them seen."""
    flipped = array[:, ::-1] if orientation in _MIRRORED else array
    return np.ascontiguousarray(np.rot90(flipped, -_TURNS[orientation]))


def turn_matrix(orientation: int, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the ``[3, 3]`` map of pixels that :func:`turned` makes.

    Args:
        orientation: EXIF orientation.
        size: (width, height) as stored.
    """
    width, height = size
    matrix = np.eye(3)
    if orientation in _MIRRORED:
        matrix = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])
    for _ in range(_TURNS[orientation]):
        matrix = np.array([[0.0, -1, height - 1], [1, 0, 0], [0, 0, 1]]) @ matrix
        width, height = height, width
    return matrix


def read_pixels(
    data: bytes,
    kind: Kind,
    *,
    labels: bool = False,
    frame_index: int | None = None,
    max_pixels: int = image_headers.MAX_PIXELS,
    where: object = None,
) -> StoredPixels:
    """Decode an image that is not a JPEG.

    Args:
        data: The encoded bytes.
        kind: As :func:`posepile_torch.image_headers.sniff` names it.
        labels: Return the numbers themselves: palette indices, 1-, 2- and 4-bit greys unscaled.
            Otherwise colours, with an alpha channel wherever anything may be transparent.
        frame_index: Which frame of an animation or multi-page file; required for those.
        max_pixels: Refused above this many, before decoding.
        where: Named in errors.

    Raises:
        ImageError: With one of the reasons of :func:`posepile_torch.intake.probe`.
        MissingDependencyError: If Pillow is needed and not installed.
    """
    header = None
    if kind == "png":
        header = image_headers.png_header(data, max_pixels=max_pixels, where=where)
        if header.bit_depth == 16 and not header.animated:
            return StoredPixels(_read_16_bit_png(data, where), header.orientation)
    _check_ending(data, kind, where)
    with _decoder_errors(kind, where):
        picture, orientation = _opened(data, kind, frame_index, max_pixels, where)
        picture.load()
        values = _numbers(picture, header) if labels else _colours(picture)
    if values is None:
        raise ImageError(
            f"pixels of the kind {picture.mode!r} have no stated meaning here",
            reason="unsupported",
            where=where,
            rule="images have 8 or 16 bits a channel: grey, palette, RGB, RGBA or CMYK",
            fix="read it with the library of that format and store what is meant",
        )
    if header is not None:
        orientation = header.orientation
    if kind == "tiff":
        values = turned(values, _BACK[orientation])  # Pillow turns TIFFs while loading them
    return StoredPixels(values, orientation, cmyk=picture.mode == "CMYK" and not labels)


def _read_16_bit_png(data: bytes, where: object) -> NDArray[Any]:
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    if values is None or values.dtype != np.uint16:
        raise ImageError("the PNG's pixel data are damaged", reason="damaged", where=where)
    if values.ndim == 2:
        return np.asarray(values)
    return np.asarray(values[..., [2, 1, 0, 3][: values.shape[2]]])


def _opened(
    data: bytes, kind: Kind, frame_index: int | None, max_pixels: int, where: object
) -> tuple[Any, int]:
    """Open with Pillow, check the size, choose the frame; return it with its EXIF orientation.

    Pillow warns about large images and about broken tags. The first is checked here, the second
    raises or is harmless. Warning filters belong to the process, so threads take turns; pixels
    are decoded outside of this, except those of TIFFs, whose loading reads tags again.
    """
    pil = errors.require("PIL.Image", "convert")
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = pil.open(io.BytesIO(data), formats=[_PILLOW_FORMATS[kind]])
        except pil.DecompressionBombError as error:
            raise ImageError(str(error), reason="too_large", where=where) from None
        image_headers.check_size(picture.size, max_pixels, where=where)
        _choose_frame(picture, frame_index, where)
        # The tags of a PNG are read in image_headers; asking Pillow would decode it here.
        value = 1 if kind == "png" else picture.getexif().get(0x0112, 1)
        if kind == "tiff":
            picture.load()
    return picture, value if isinstance(value, int) and 1 <= value <= 8 else 1


@contextmanager
def _decoder_errors(kind: Kind, where: object) -> Iterator[None]:
    """Turn whatever a decoder raises into an ImageError with a reason."""
    try:
        yield
    except (ImageError, MissingDependencyError):
        raise
    except _DECODER_ERRORS as error:
        text = str(error).partition("<_io")[0].strip()  # no addresses of objects in the lists
        cut = isinstance(error, EOFError) or "truncated" in text
        raise ImageError(
            f"the {kind} file is {'cut short' if cut else 'damaged'} ({text})",
            reason="truncated" if cut else "damaged",
            where=where,
            fix="fetch the file again; if the source itself is broken, leave it quarantined",
        ) from None


def _check_ending(data: bytes, kind: Kind, where: object) -> None:
    """Catch the cuts that decoders forgive."""
    cut = kind == "gif" and data.rstrip(b"\0")[-1:] != b";"
    if kind == "webp":
        cut = len(data) < 8 + int.from_bytes(data[4:8], "little")
    if cut:
        raise ImageError(f"the {kind} file is cut short", reason="truncated", where=where)


def _choose_frame(picture: Any, frame_index: int | None, where: object) -> None:
    count = int(getattr(picture, "n_frames", 1))
    if frame_index is None and count > 1:
        raise ImageError(
            f"the file holds {count} frames",
            reason="multi_frame",
            where=where,
            rule="a still image has one frame; which one is annotated cannot be guessed",
            fix="name it: frame_index=0",
        )
    if frame_index is None:
        return
    if not 0 <= frame_index < count:
        raise ImageError(
            f"frame {frame_index} of {count} was asked for", reason="multi_frame", where=where
        )
    picture.seek(frame_index)


def _numbers(picture: Any, header: image_headers.Header | None) -> NDArray[Any] | None:
    """Return the stored numbers of a label image."""
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)
    if picture.mode not in ("1", "L", "P", "LA", "RGB", "RGBA"):
        return None
    values = np.asarray(picture).astype(np.uint8)
    if picture.mode == "L" and header is not None and header.bit_depth < 8:
        values //= 255 // ((1 << header.bit_depth) - 1)  # Pillow spreads few bits to 0..255
    return values


def _colours(picture: Any) -> NDArray[Any] | None:
    """Return colours; four channels if anything may be transparent."""
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)
    if picture.mode == "CMYK":
        return np.asarray(picture)
    if picture.mode not in ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBX", "YCbCr"):
        return None
    transparent = picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info
    return np.asarray(picture.convert("RGBA" if transparent else "RGB"))
