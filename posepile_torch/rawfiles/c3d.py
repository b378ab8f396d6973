"""Reading marker positions from C3D files.

Written from the public description of the format (www.c3d.org): 512-byte blocks, a header, a
tree of named parameters, and frames of points and analog samples in one of three number formats.
A reader of our own, because the well-known native one crashes the process on damaged files and
takes a file that was cut off for a short one.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import UnreadableRawFileError
from posepile_torch.rawfiles import sniff

_BLOCK = 512
_KEY = 0x50
_INTEL, _DEC, _SGI = 84, 85, 86
_MM_PER_UNIT = {
    "mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "millimetres": 1.0,
    "cm": 10.0, "centimeter": 10.0, "centimeters": 10.0,
    "m": 1000.0, "meter": 1000.0, "meters": 1000.0, "metres": 1000.0,
    "in": 25.4, "inch": 25.4, "inches": 25.4, "ft": 304.8,
}  # fmt: skip
_SATURATED = 0xFFFF  # the header's 16-bit frame numbers cannot say more

Parameters = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class C3D:
    """The points of a C3D file.

    Attributes:
        points_mm: float64 ``[frames, points, 3]`` in millimetres, in the axes of the file; NaN
            where the file marks a point as invalid (negative residual).
        residuals_mm: float64 ``[frames, points]``, how well the markers were triangulated; NaN
            for invalid points.
        labels: The names of the points; ``""`` where the file has none.
        rate_hz: Frames per second.
        first_frame: The number that the file gives to its first frame, usually 1.
        units: The unit of length as the file writes it.
        parameters: All parameters by group and name; text stripped, numbers as arrays with the
            fastest axis of the file first.
    """

    points_mm: NDArray[np.float64]
    residuals_mm: NDArray[np.float64]
    labels: tuple[str, ...]
    rate_hz: float
    first_frame: int
    units: str
    parameters: Parameters


def read_c3d(
    path: str | os.PathLike[str],
    *,
    units: str | None = None,
    max_bytes: int = sniff.DEFAULT_MAX_BYTES,
) -> C3D:
    """Read the points of a C3D file, in millimetres; analog channels are skipped.

    Args:
        path: The file, in Intel, DEC or SGI number format, integer or floating-point.
        units: The unit of length, for files that do not state theirs or state it wrongly.
        max_bytes: Refuse larger files.

    Raises:
        UnreadableRawFileError: If the file is cut off or damaged, or states no known unit.
        RawFileTooLargeError: If it exceeds ``max_bytes`` or the memory at hand.
    """
    data = sniff.read_bytes(path, max_bytes=max_bytes)
    with sniff.memory_guard(path, len(data)):
        return parse_c3d(data, units=units, where=path)


def parse_c3d(data: bytes, *, units: str | None = None, where: object = None) -> C3D:
    """Parse the bytes of a C3D file by the rules of :func:`read_c3d`."""
    try:
        return _parse(data, units, where)
    except (struct.error, IndexError, ValueError, KeyError, OverflowError) as error:
        if isinstance(error, UnreadableRawFileError):
            raise
        raise _damaged(f"{type(error).__name__}: {error}", where) from None


def _parse(data: bytes, units: str | None, where: object) -> C3D:
    if len(data) < 2 * _BLOCK or data[1] != _KEY:
        raise _damaged(
            "it has no header" if data[1:2] == bytes([_KEY]) else sniff.looks_like(data[:512]),
            where,
        )
    start = (data[0] - 1) * _BLOCK
    numbers = _NumberFormat(data[start + 3], where)
    parameters = _parse_parameters(data, start, numbers)
    point = parameters.get("POINT", {})
    (count, analog_per_frame, first, last, _, _, _, data_block, _, _, _) = numbers.integers(
        data, 2, 11
    )
    used = int(_scalar(point, "USED", count))
    if used != count:
        raise _damaged(f"its header counts {count} points, its parameters {used}", where)
    frames = _frame_count(parameters, first, last)
    data_block = int(_scalar(point, "DATA_START", data_block)) or data_block
    scale = float(_scalar(point, "SCALE", numbers.floats(data, 12, 1)[0]))
    words, positions = _read_frames(
        data, numbers, (data_block - 1) * _BLOCK, frames, count, analog_per_frame, scale, where
    )
    factor, stated = _unit(point, units, where)
    valid = (words >= 0) & np.isfinite(positions).all(axis=-1)
    residual = (words & 0xFF) * abs(scale) * factor
    return C3D(
        points_mm=np.where(valid[..., np.newaxis], positions * factor, np.nan),
        residuals_mm=np.where(valid, residual, np.nan),
        labels=_labels(point, count),
        rate_hz=float(_scalar(point, "RATE", numbers.floats(data, 20, 1)[0])),
        first_frame=first,
        units=stated,
        parameters=parameters,
    )


class _NumberFormat:
    """How a file writes numbers: the processor that it was made on."""

    def __init__(self, processor: int, where: object) -> None:
        if processor not in (_INTEL, _DEC, _SGI):
            raise _damaged(f"its parameters name the unknown processor {processor}", where)
        self.is_dec = processor == _DEC
        self.order = ">" if processor == _SGI else "<"

    def integers(self, data: bytes, at: int, count: int) -> tuple[int, ...]:
        """Unsigned 16-bit numbers."""
        return struct.unpack_from(f"{self.order}{count}H", data, at)

    def floats(self, data: bytes, at: int, count: int) -> NDArray[np.float64]:
        """32-bit floating-point numbers."""
        if at + 4 * count > len(data):
            raise IndexError("a number lies behind the end of the file")
        if not self.is_dec:
            with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN like any other
                return np.frombuffer(data, f"{self.order}f4", count, at).astype(np.float64)
        # DEC's words are swapped and its exponent is larger by two (a factor of four).
        halves = np.frombuffer(data, "<u2", 2 * count, at).reshape(-1, 2)[:, ::-1]
        swapped = np.ascontiguousarray(halves).view("<f4").reshape(-1)
        return swapped.astype(np.float64) / 4.0


def _parse_parameters(
    data: bytes, start: int, numbers: _NumberFormat
) -> dict[str, dict[str, Any]]:
    end = min(start + data[start + 2] * _BLOCK, len(data)) if data[start + 2] else len(data)
    groups: dict[int, str] = {}
    found: list[tuple[int, str, Any]] = []
    at = start + 4
    while at + 2 <= end:
        length, number = struct.unpack_from("bb", data, at)
        length = abs(length)  # negative for locked entries
        if length == 0 or number == 0:
            break
        name = _decode(data[at + 2 : at + 2 + length]).upper()
        offset_at = at + 2 + length
        (offset,) = struct.unpack_from(f"{numbers.order}h", data, offset_at)
        if number < 0:
            groups[-number] = name
        else:
            found.append((number, name, _parameter(data, offset_at + 2, numbers)))
        if offset <= 0:
            break
        at = offset_at + offset
    parameters: dict[str, dict[str, Any]] = {name: {} for name in groups.values()}
    for number, name, value in found:
        parameters.setdefault(groups.get(number, str(number)), {})[name] = value
    return parameters


def _parameter(data: bytes, at: int, numbers: _NumberFormat) -> Any:
    kind, rank = struct.unpack_from("bB", data, at)
    shape = tuple(data[at + 2 : at + 2 + rank])
    if len(shape) != rank or rank > 7:
        raise ValueError("a parameter has a bad shape")
    count, at = math.prod(shape), at + 2 + rank
    if at + count * abs(kind) > len(data):
        raise ValueError("a parameter lies behind the end of the file")
    if kind == -1:
        return _texts(data[at : at + count], shape)
    if kind == 1:
        values: NDArray[Any] = np.frombuffer(data, "u1", count, at)
    elif kind == 2:
        values = np.frombuffer(data, f"{numbers.order}i2", count, at)
    elif kind == 4:
        values = numbers.floats(data, at, count)
    else:
        raise ValueError(f"a parameter has the unknown type {kind}")
    return values.reshape(shape, order="F")


def _texts(raw: bytes, shape: tuple[int, ...]) -> str | list[str]:
    """A text parameter: its first axis is the length of each text."""
    if len(shape) <= 1:
        return _decode(raw)
    width = shape[0]
    return [_decode(raw[i : i + width]) for i in range(0, len(raw), width)] if width else []


def _decode(raw: bytes) -> str:
    return raw.decode("latin1").strip(" \0")


def _scalar(group: Mapping[str, Any], name: str, default: Any) -> Any:
    value = group.get(name)
    if not isinstance(value, np.ndarray) or value.size == 0:
        return default
    number = value.reshape(-1)[0]
    return int(number) & 0xFFFF if value.dtype.kind == "i" else float(number)


def _frame_count(parameters: Parameters, first: int, last: int) -> int:
    """How many frames there are; the header's 16 bits do not suffice for long recordings."""
    trial = parameters.get("TRIAL", {})
    start, end = trial.get("ACTUAL_START_FIELD"), trial.get("ACTUAL_END_FIELD")
    if isinstance(start, np.ndarray) and isinstance(end, np.ndarray):
        numbers = [_long(field) for field in (start, end)]
        return numbers[1] - numbers[0] + 1
    if last < _SATURATED:
        return last - first + 1
    point = parameters.get("POINT", {})
    long_frames = _scalar(point, "LONG_FRAMES", 0)
    return int(long_frames or _scalar(point, "FRAMES", last - first + 1))


def _long(field: NDArray[Any]) -> int:
    """A number stored as two 16-bit words, the lower one first."""
    words = [int(word) & 0xFFFF for word in field.reshape(-1)[:2]]
    return words[0] + (words[1] << 16 if len(words) > 1 else 0)


def _read_frames(
    data: bytes,
    numbers: _NumberFormat,
    start: int,
    frames: int,
    count: int,
    analog_per_frame: int,
    scale: float,
    where: object,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The residual words ``[frames, points]`` and the positions in the file's unit."""
    per_frame = 4 * count + analog_per_frame
    is_float = scale < 0
    width = 4 if is_float else 2
    needed = frames * per_frame * width
    if frames <= 0 or start < _BLOCK:
        raise _damaged(f"it announces {frames} frames", where)
    if start + needed > len(data):
        whole = max(0, len(data) - start) // max(per_frame * width, 1)
        raise _damaged(f"{whole} of {frames} frames came", where)
    if is_float:
        table = numbers.floats(data, start, frames * per_frame)
    else:
        table = np.frombuffer(data, f"{numbers.order}i2", frames * per_frame, start).astype(
            np.float64
        )
    points = table.reshape(frames, per_frame)[:, : 4 * count].reshape(frames, count, 4)
    words = points[..., 3]
    if not np.isfinite(words).all():
        raise _damaged("the residual of a point is no number", where)
    return words.astype(np.int64), points[..., :3] * (1.0 if is_float else scale)


def _labels(point: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Names of the points; more than 255 of them continue in LABELS2, LABELS3, ..."""
    names: list[str] = []
    suffix = 1
    while isinstance(part := point.get("LABELS" if suffix == 1 else f"LABELS{suffix}"), list):
        names.extend(part)
        suffix += 1
    return tuple((names + [""] * count)[:count])


def _unit(point: Mapping[str, Any], units: str | None, where: object) -> tuple[float, str]:
    stated = point.get("UNITS", "")
    stated = (stated[0] if stated else "") if isinstance(stated, list) else str(stated)
    factor = _MM_PER_UNIT.get((units or stated).strip().lower())
    if factor is None:
        raise UnreadableRawFileError(
            f"the unit of length is {(units or stated)!r}" if units or stated
            else "the file states no unit of length",
            where=where,
            rule=f"known units: {', '.join(_MM_PER_UNIT)}",
            fix="pass units='mm' (or the unit that the dataset documents)",
        )  # fmt: skip
    return factor, stated


def _damaged(what: str, where: object) -> UnreadableRawFileError:
    return UnreadableRawFileError(
        f"this is no intact C3D file: {what}", where=where, fix="fetch the file again"
    )
