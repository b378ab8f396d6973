"""Reading NASA Common Data Format files, the container of Human3.6M's poses."""

from __future__ import annotations

import math
import os
import struct
import warnings
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import RawFileTooLargeError, UnreadableRawFileError, require
from posepile_torch.rawfiles import sniff

_VERSION_3 = b"\xcd\xf3\x00\x01"
_VERSION_2 = (b"\xcd\xf2\x60\x02", b"\x00\x00\xff\xff")
_PLAIN, _PACKED = b"\x00\x00\xff\xff", b"\xcc\xcc\x00\x01"
_MAX_RATIO = 1100  # what deflate reaches at best
_DAMAGE = (
    OSError, ValueError, KeyError, IndexError, TypeError, EOFError, struct.error, zlib.error,
    AttributeError, ArithmeticError, RuntimeError, Warning,
)  # fmt: skip


def read_cdf(
    path: str | os.PathLike[str],
    variables: Iterable[str] | None = None,
    *,
    max_bytes: int = sniff.DEFAULT_MAX_BYTES,
) -> dict[str, NDArray[Any]]:
    """Read variables of a CDF file, by name.

    Arrays have the axes, shape and unit of the file, the first axis counting its records: the
    ``Pose`` of Human3.6M comes as float32 ``[1, frames, 96]``, in millimetres.

    Args:
        path: The file.
        variables: Which ones; ``None`` for all.
        max_bytes: How large the file, and each variable, may be.

    Raises:
        UnreadableRawFileError: If the file is cut off or damaged, or lacks one of ``variables``.
        RawFileTooLargeError: If it exceeds ``max_bytes`` or the memory at hand.
        MissingDependencyError: If cdflib is not installed (``convert`` extra).
    """
    checked = sniff.check_file(path, max_bytes=max_bytes)
    _check_whole(checked)
    cdflib = require("cdflib", extra="convert")
    with sniff.memory_guard(checked.path, checked.size_bytes):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                file = cdflib.CDF(checked.path)
                info = file.cdf_info()
                known = [*info.rVariables, *info.zVariables]
                wanted = known if variables is None else list(variables)
                for name in wanted:
                    if name not in known:
                        raise sniff.no_such_part("variable", name, known, where=path)
                return {name: _variable(file, name, checked, max_bytes) for name in wanted}
        except _DAMAGE as error:
            if isinstance(error, UnreadableRawFileError):
                raise
            raise _damaged(checked, f"{type(error).__name__}: {error}") from None


def _variable(file: Any, name: str, checked: sniff.CheckedFile, max_bytes: int) -> NDArray[Any]:
    inquiry = file.varinq(name)
    shape = (inquiry.Last_Rec + 1, *(int(n) for n in inquiry.Dim_Sizes))
    size = math.prod(shape) * max(int(inquiry.Num_Elements), 1)
    if size > _MAX_RATIO * checked.size_bytes:
        raise _damaged(checked, f"the variable {name!r} claims the shape {shape}")
    if size > max_bytes:  # in elements of at least one byte
        raise RawFileTooLargeError(
            f"the variable {name!r} claims the shape {shape}", where=checked.path
        )
    values = np.asarray(file.varget(name))
    if values.size != math.prod(shape) and inquiry.Last_Rec >= 0:
        raise _damaged(checked, f"the variable {name!r} has {values.size} of {shape} values")
    return values


def _check_whole(checked: sniff.CheckedFile) -> None:
    """Compare the file with the size that it declares; cdflib does not."""
    head = checked.head
    if head[:4] != _VERSION_3 and head[:4] not in _VERSION_2:
        raise UnreadableRawFileError(
            f"this is no CDF file but {sniff.looks_like(head)}",
            where=checked.path,
            fix="fetch the file again",
        )
    is_wide = head[:4] == _VERSION_3
    try:
        with checked.path.open("rb") as file:
            declared = _declared_bytes(file.read(64), file, is_wide, head[4:8])
    except (struct.error, ValueError, OverflowError, OSError) as error:
        raise _damaged(checked, str(error)) from None
    if declared > checked.size_bytes:
        raise _damaged(checked, f"it declares {declared:,} bytes and has {checked.size_bytes:,}")


def _declared_bytes(head: bytes, file: Any, is_wide: bool, packing: bytes) -> int:
    """The end of the last record, from the file's own records (CDF Internal Format, section 2).

    Version 3 widened all offsets and sizes from 4 to 8 bytes; numbers are big-endian.
    """
    width, code = (8, ">Q") if is_wide else (4, ">I")
    if packing == _PACKED:  # a compressed file: one record of data, one about its compression
        (at,) = struct.unpack_from(code, head, 8 + width + 4)
        file.seek(at)
        (length,) = struct.unpack(code, file.read(width))
        return int(at + length)
    (at,) = struct.unpack_from(code, head, 8 + width + 4)
    file.seek(at + width + 4 + 3 * width)
    (end,) = struct.unpack(code, file.read(width))
    return int(end)


def _damaged(checked: sniff.CheckedFile, what: str) -> UnreadableRawFileError:
    return UnreadableRawFileError(
        f"the CDF file is cut off or damaged: {what}",
        where=checked.path,
        fix="fetch the file again",
    )
