"""Arrays and maps as MessagePack bytes, read back without trusting them.

Arrays are stored in the form that the ``msgpack-numpy`` package writes, so that any reader with
that package can open a record. Reading is done here by hand: ``msgpack_numpy.unpackb`` calls
``pickle.loads`` on arrays that claim the object type, which would let a downloaded archive run
code.
"""

from __future__ import annotations

from typing import Any

import msgpack
import msgpack_numpy
import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import RecordError

Array = NDArray[Any]

#: Types that a stored array may have; everything else (objects, strings, records) is refused.
STORED_DTYPES = {
    name: np.dtype(name)
    for name in ("|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")
}

_FLOATS = (np.dtype("<f2"), np.dtype("<f4"), np.dtype("<f8"))
_MAX_NDIM = 2


def packed(fields: dict[str, Any]) -> bytes:
    """Return ``fields`` as MessagePack; NumPy arrays in the form of ``msgpack-numpy``."""
    return bytes(msgpack_numpy.packb(fields, use_bin_type=True))


def unpacked(data: bytes, *, where: object) -> dict[str, Any]:
    """Read a MessagePack map; arrays stay undecoded until :func:`read_array`.

    Raises:
        RecordError: If ``data`` is anything else than one whole map.
    """
    try:
        fields = msgpack.unpackb(data, raw=False, strict_map_key=False, use_list=True)
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        # msgpack raises subclasses of ValueError (FormatError, ExtraData, StackError, ...)
        raise RecordError(
            f"the bytes are not one MessagePack map ({type(error).__name__}: {error})",
            where=where,
            fix="run `posepile verify` on the archive; convert it again if it is damaged",
        ) from None
    if type(fields) is not dict:
        raise RecordError(f"expected a MessagePack map, got {type(fields).__name__}", where=where)
    return fields


def smallest_float(values: Array, tolerance: float) -> Array:
    """Return ``values`` as the smallest of float16, float32, float64 within ``tolerance``.

    With tolerance 0 a smaller type is used only where it holds every number exactly; kilometre
    coordinates therefore stay float64. ``values`` must be finite.
    """
    source = np.asarray(values, np.float64)
    with np.errstate(over="ignore"):  # an overflow gives inf, which is beyond every tolerance
        for dtype in _FLOATS[:-1]:
            small: NDArray[np.floating[Any]] = source.astype(dtype)
            if not (np.abs(small - source) > tolerance).any():
                return np.ascontiguousarray(small)
    return np.ascontiguousarray(source, _FLOATS[-1])


def smallest_unsigned(values: Array) -> Array:
    """Return non-negative integers as the smallest of uint8, uint16, uint32, uint64."""
    top = int(values.max()) if values.size else 0
    for name in ("|u1", "<u2", "<u4"):
        if top <= np.iinfo(name).max:
            return np.ascontiguousarray(values, np.dtype(name))
    return np.ascontiguousarray(values, np.dtype("<u8"))


def read_array(
    stored: object, dtype: Any, shape: tuple[int | None, ...], *, name: str, where: object
) -> Array:
    """Turn the stored form of an array into a new, writable array of a fixed type.

    Args:
        stored: What :func:`unpacked` left of the array.
        dtype: Type of the result. A float result accepts any stored float; an integer result
            accepts stored integers that it can hold.
        shape: Expected lengths, ``None`` where any length may be.
        name: Name of the field, for the message.
        where: File and key, for the message.

    Raises:
        RecordError: If the stored thing is no array of that kind and shape.
    """
    try:
        if type(stored) is not dict or stored[b"nd"] is not True:
            raise _bad(name, "not an array", where)
        source_dtype = STORED_DTYPES[stored[b"type"]]
        lengths, data = stored[b"shape"], stored[b"data"]
    except (KeyError, TypeError):
        raise _bad(name, "not an array of an accepted type", where) from None
    if type(lengths) is not list or len(lengths) != len(shape) or len(lengths) > _MAX_NDIM:
        raise _bad(name, f"expected {len(shape)} dimensions, shape {lengths!r}", where)
    count = 1
    for length, expected in zip(lengths, shape, strict=True):
        if type(length) is not int or length < 0 or (expected is not None and length != expected):
            raise _bad(name, f"expected shape {shape}, got {lengths!r}", where)
        count *= length
    if type(data) is not bytes or len(data) != count * source_dtype.itemsize:
        raise _bad(name, f"bytes and shape {lengths!r} disagree", where)
    target = np.dtype(dtype)
    if (source_dtype.kind == "f") != (target.kind == "f"):
        raise _bad(name, f"stored as {source_dtype}, expected {target}", where)
    source = np.frombuffer(data, source_dtype)
    if target.kind != "f" and count and not np.can_cast(source_dtype, target):
        info = np.iinfo(target)
        if int(source.min()) < info.min or int(source.max()) > info.max:
            raise _bad(name, f"values do not fit into {target}", where)
    return source.astype(target).reshape(lengths)


def _bad(name: str, what: str, where: object) -> RecordError:
    return RecordError(
        f"field {name!r}: {what}",
        where=where,
        rule="a stored record follows the schema of its archive",
        fix="run `posepile verify` on the archive; convert it again if it is damaged",
    )


def require_type(stored: object, kind: type, *, name: str, where: object) -> Any:
    """Return ``stored`` if its type is exactly ``kind``; otherwise name the field."""
    if type(stored) is not kind:
        raise _bad(name, f"expected {kind.__name__}, got {type(stored).__name__}", where)
    return stored
