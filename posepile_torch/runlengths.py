"""Reads masks that others wrote: run lengths and polygons in the COCO forms.

The native run-length library trusts its input. Everything that comes from a file is therefore
checked here, in Python, before it gets there: alphabet and length of every number, non-negative
runs, their sum, the size of the image, and for polygons the coordinates and the memory that
rasterising them takes. What fails raises :class:`~posepile_torch.errors.MaskError`.

Runs go down the columns (Fortran order) and begin with background, as in COCO.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rlemasklib import RLEMask

from posepile_torch.errors import MaskError

MAX_PIXELS = 1 << 28
"""Largest mask that is read, in pixels (16384 x 16384)."""

# COCO writes numbers in groups of five bits, lowest first. '0'..'O' ends a number and 'P'..'o'
# continues it. Run lengths below MAX_PIXELS and their differences need at most six groups;
# with more, the native parser would shift beyond its word.
_NUMBERS = re.compile(rb"(?:[P-o]{0,5}[0-O])+")

# The rasteriser stores every boundary point at five times the resolution.
_MAX_POLYGON_PERIMETER_PX = 4_000_000.0
# Coordinates further outside than this many image sides are a unit or parsing error.
_FAR_OUTSIDE = 16.0


def checked_size(size: object, *, where: object = None) -> tuple[int, int]:
    """Return ``[height, width]`` as two checked integers.

    Note the order: this is the ``size`` of a COCO dictionary, not the ``(width, height)`` that the
    rest of the library uses.

    Raises:
        MaskError: If it is not two positive whole numbers within :data:`MAX_PIXELS`.
    """
    rule = f"a mask size is [height, width], whole numbers above 0, at most {MAX_PIXELS} pixels"
    if not isinstance(size, Sequence | np.ndarray) or isinstance(size, str | bytes):
        raise MaskError(f"mask size {size!r:.80} is no pair of numbers", where=where, rule=rule)
    values = [int(v) for v in size if isinstance(v, int | np.integer) and not isinstance(v, bool)]
    if len(values) != 2 or len(size) != 2 or min(values) < 1 or values[0] * values[1] > MAX_PIXELS:
        raise MaskError(f"mask size {list(size)!r:.80} cannot be", where=where, rule=rule)
    return values[0], values[1]


def parse_counts(counts: object, height: int, width: int, *, where: object = None) -> RLEMask:
    """Parse COCO run lengths, compressed (``str`` or ``bytes``) or as a list of integers.

    Raises:
        MaskError: If they are not well formed, or do not add up to ``height * width``.
    """
    if isinstance(counts, str):
        try:
            counts = counts.encode("ascii")
        except UnicodeEncodeError:
            raise MaskError(
                "run-length string contains characters outside ASCII",
                where=where,
                rule="compressed counts use the characters '0' to 'o'",
            ) from None
    if isinstance(counts, bytes | bytearray | memoryview):
        return _parse_string(bytes(counts), height, width, where)
    return _parse_list(counts, height, width, where)


def _parse_string(text: bytes, height: int, width: int, where: object) -> RLEMask:
    if _NUMBERS.fullmatch(text) is None:
        raise MaskError(
            f"run-length string {text[:24]!r}... is malformed" if text else "no run lengths",
            where=where,
            rule="compressed counts are 5-bit groups, '0'..'O' ends a number, 'P'..'o' goes on",
            fix="the annotation is damaged or of another format; fetch it again",
        )
    try:
        return RLEMask.from_dict({"size": (height, width), "counts": text})
    except ValueError:
        raise _wrong_sum("run-length string", height, width, where) from None


def _parse_list(counts: object, height: int, width: int, where: object) -> RLEMask:
    rule = "uncompressed counts are a flat list of whole numbers >= 0"
    try:
        array = np.asarray(counts)
    except (ValueError, OverflowError):  # ragged, or beyond any integer type
        array = np.asarray(None)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise MaskError(f"run lengths {counts!r:.60} are no list", where=where, rule=rule)
    # One comparison before any sum, so that no sum can wrap around.
    if array.min() < 0 or array.max() > MAX_PIXELS:
        raise MaskError(
            f"run length {array.min() if array.min() < 0 else array.max()} cannot be",
            where=where,
            rule=rule,
        )
    if int(array.sum(dtype=np.int64)) != height * width:
        raise _wrong_sum("run-length list", height, width, where)
    return RLEMask.from_counts(array.astype(np.uint32), (height, width))


def _wrong_sum(what: str, height: int, width: int, where: object) -> MaskError:
    return MaskError(
        f"{what} does not describe {height} x {width} pixels",
        where=where,
        rule="run lengths are >= 0 and add up to height x width",
        fix="check that the mask belongs to this image and that its size is [height, width]",
    )


def decompress_counts(data: object, height: int, width: int, *, where: object = None) -> bytes:
    """Return the COCO string inside zlib-compressed ``data``, at most as long as it can be.

    Raises:
        MaskError: If the data are not zlib, cut short, or expand beyond any possible mask.
    """
    rule = "stored masks hold zlib-compressed COCO counts under 'zcounts'"
    if not isinstance(data, bytes | bytearray | memoryview):
        raise MaskError(f"zcounts are {type(data).__name__}, not bytes", where=where, rule=rule)
    inflater = zlib.decompressobj()
    limit = 6 * (height * width + 1)
    try:
        text = inflater.decompress(bytes(data), limit)
    except zlib.error as error:
        raise MaskError(f"zcounts do not decompress: {error}", where=where, rule=rule) from None
    if not inflater.eof:
        raise MaskError(
            "zcounts are cut short or expand without end",
            where=where,
            rule=f"a mask of {height} x {width} pixels has at most {limit} characters of counts",
        )
    return text


def rasterised(
    polygons: Sequence[Any], height: int, width: int, *, where: object = None
) -> tuple[RLEMask, tuple[str, ...]]:
    """Rasterise COCO polygons, one flat ``[x0, y0, x1, y1, ...]`` list for each part.

    Parts are united, and filled exactly as pycocotools fills them. A part that encloses nothing
    (fewer than three points), or has non-finite or absurd coordinates, adds no pixels and one
    reason to the second result.

    Raises:
        MaskError: If a part is not a flat list of pairs of numbers.
    """
    parts: list[RLEMask] = []
    reasons: list[str] = [] if len(polygons) else ["no polygon"]
    for number, polygon in enumerate(polygons):
        points = _points(polygon, number, where)
        reason = _defect(points, height, width)
        if reason is None:
            parts.append(RLEMask.from_polygon(points, imshape=(height, width)))
        else:
            reasons.append(f"part {number}: {reason}")
    if not parts:
        return RLEMask.zeros((height, width)), tuple(reasons)
    return (parts[0] if len(parts) == 1 else RLEMask.union(parts)), tuple(reasons)


def _points(polygon: object, number: int, where: object) -> NDArray[np.float64]:
    try:
        flat = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        flat = np.zeros(1)
    flat = flat.reshape(-1) if flat.ndim == 2 and flat.shape[1] == 2 else flat
    if flat.ndim != 1 or flat.size % 2:
        raise MaskError(
            f"polygon part {number} is no list of coordinate pairs: {polygon!r:.60}",
            where=where,
            rule="a part is [x0, y0, x1, y1, ...], an even count of numbers",
        )
    return flat.reshape(-1, 2)


def _defect(points: NDArray[np.float64], height: int, width: int) -> str | None:
    if len(points) < 3:
        return f"{len(points)} points enclose no area"
    if not np.isfinite(points).all():
        return "a coordinate is NaN or infinite"
    if np.abs(points).max() > _FAR_OUTSIDE * max(height, width):
        return f"a coordinate lies more than {_FAR_OUTSIDE:g} image sides away"
    steps_px = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1)
    if steps_px.sum() > _MAX_POLYGON_PERIMETER_PX:
        return f"its outline is longer than {_MAX_POLYGON_PERIMETER_PX:g} px"
    return None


def parse_record(record: Mapping[str, Any], *, where: object = None) -> RLEMask:
    """Parse ``{"size": [h, w], "zcounts": bytes}`` as archives store it.

    Raises:
        MaskError: If anything in it is not as written by this library or PosePile.
    """
    if not isinstance(record, Mapping) or "size" not in record or "zcounts" not in record:
        raise MaskError(
            f"stored mask {record!r:.60} lacks 'size' or 'zcounts'",
            where=where,
            rule="a stored mask is {'size': [height, width], 'zcounts': bytes}",
        )
    height, width = checked_size(record["size"], where=where)
    text = decompress_counts(record["zcounts"], height, width, where=where)
    return parse_counts(text, height, width, where=where)
