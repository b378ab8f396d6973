"""Reading ``.npy`` and ``.npz`` files; arrays of Python objects only through a pickle profile."""

from __future__ import annotations

import ast
import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import ExtractionError, UnreadableRawFileError, UnsafePickleError
from posepile_torch.rawfiles import sniff
from posepile_torch.rawfiles.members import ExtractionLimits
from posepile_torch.rawfiles.pickles import PickleProfile, parse_pickle
from posepile_torch.rawfiles.zips import ZipReader

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 1 << 16
_LONG_SUFFIX = re.compile(r"(\d)L\b")  # of integers, as Python 2 wrote them


def read_npy(
    path: str | os.PathLike[str],
    *,
    profile: str | PickleProfile | None = None,
    memory_map: bool = False,
    max_bytes: int | None = sniff.DEFAULT_MAX_BYTES,
) -> NDArray[Any]:
    """Read an ``.npy`` file.

    As ``numpy.load`` gives it: a pickled dictionary comes as a 0-d object array (``.item()``).

    Args:
        path: The file.
        profile: How arrays of Python objects are read (see :func:`read_pickle`); ``None``
            refuses them.
        memory_map: Map the file instead of reading it; the array is then read-only.
        max_bytes: Refuse larger files; ``None`` lifts the limit (as ``memory_map`` does).

    Raises:
        UnsafePickleError: If it holds Python objects that the profile does not allow.
        UnreadableRawFileError: If it is cut off or damaged, or something follows the array.
        RawFileTooLargeError: If it exceeds ``max_bytes`` or the memory at hand.
    """
    if memory_map:
        return _map_npy(sniff.check_file(path, max_bytes=None))
    data = sniff.read_bytes(path, max_bytes=max_bytes)
    with sniff.memory_guard(path, len(data)):
        return parse_npy(data, profile=profile, where=path)


def parse_npy(
    data: bytes, *, profile: str | PickleProfile | None = None, where: object = None
) -> NDArray[Any]:
    """Parse the bytes of an ``.npy`` file by the rules of :func:`read_npy`."""
    dtype, fortran, shape, start = _parse_header(data[: _MAX_HEADER_BYTES + 16], where)
    if dtype.hasobject:
        return _objects(data[start:], dtype, shape, profile, where)
    _check_size(len(data) - start, dtype, shape, where)
    array: NDArray[Any] = np.ndarray(
        shape, dtype, bytearray(data[start:]), order="F" if fortran else "C"
    )
    return array


def read_npz(
    path: str | os.PathLike[str],
    names: Iterable[str] | None = None,
    *,
    profile: str | PickleProfile | None = None,
    max_bytes: int = sniff.DEFAULT_MAX_BYTES,
) -> dict[str, NDArray[Any]]:
    """Read arrays of an ``.npz`` file, by name.

    Args:
        path: The file.
        names: Which arrays; only these are unpacked. ``None`` for all.
        profile: How arrays of Python objects are read (see :func:`read_pickle`); ``None``
            refuses them.
        max_bytes: How many bytes the file may hold, unpacked.

    Raises:
        UnsafePickleError: If an array holds Python objects that the profile does not allow.
        UnreadableRawFileError: If the file is cut off or damaged, or lacks one of ``names``.
        RawFileTooLargeError: If it exceeds the memory at hand.
    """
    with _npz(path, max_bytes) as archive:
        members = _members(archive)
        arrays = {}
        for name in members if names is None else names:
            if name not in members:
                raise sniff.no_such_part("array", name, members, where=path)
            data = archive.read(members[name])
            arrays[name] = parse_npy(data, profile=profile, where=f"{path}: {name}")
        return arrays


def list_npz(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names of the arrays in an ``.npz`` file, in its order."""
    with _npz(path, sniff.DEFAULT_MAX_BYTES) as archive:
        return tuple(_members(archive))


@contextmanager
def _npz(path: str | os.PathLike[str], max_bytes: int) -> Iterator[ZipReader]:
    limits = ExtractionLimits(
        max_total_bytes=max_bytes,
        max_member_bytes=max_bytes,
        max_ratio=math.inf,  # arrays of zeros compress a thousandfold
        allow_case_collisions=True,
    )
    try:
        with ZipReader(path, limits=limits) as archive:
            yield archive
    except ExtractionError as error:
        fix = "pass a larger max_bytes" if "ExtractionLimits" in (error.rule or "") else error.fix
        raise UnreadableRawFileError(
            error.what, where=error.where, rule=error.rule, fix=fix
        ) from None


def _members(archive: ZipReader) -> dict[str, str]:
    return {name.removesuffix(".npy"): name for name in archive.names}


def _map_npy(checked: sniff.CheckedFile) -> NDArray[Any]:
    with checked.path.open("rb") as file:
        head = file.read(_MAX_HEADER_BYTES + 16)
    dtype, fortran, shape, start = _parse_header(head, checked.path)
    if dtype.hasobject:
        raise UnreadableRawFileError("Python objects cannot be memory-mapped", where=checked.path)
    _check_size(checked.size_bytes - start, dtype, shape, checked.path)
    if 0 in shape:  # nothing can be mapped
        return np.empty(shape, dtype)
    return np.memmap(
        checked.path, dtype, "r", offset=start, shape=shape, order="F" if fortran else "C"
    )


def _parse_header(data: bytes, where: object) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """dtype, Fortran order, shape and where the data begin."""
    if not data.startswith(_MAGIC):
        raise UnreadableRawFileError(
            f"this is no npy array but {sniff.looks_like(data[:512])}",
            where=where,
            fix="fetch the file again",
        )
    try:
        major = data[6]
        width = 2 if major == 1 else 4
        length = int.from_bytes(data[8 : 8 + width], "little")
        start = 8 + width + length
        if major not in (1, 2, 3) or length > _MAX_HEADER_BYTES or start > len(data):
            raise ValueError("its header is cut off or of an unknown version")
        text = data[8 + width : start].decode("utf-8" if major == 3 else "latin1")
        header = ast.literal_eval(_LONG_SUFFIX.sub(r"\1", text).strip())
        shape = header["shape"]
        if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"its shape is {shape!r}")
        return np.lib.format.descr_to_dtype(header["descr"]), header["fortran_order"], shape, start
    except (
        ValueError, SyntaxError, TypeError, KeyError, IndexError, RecursionError
    ) as error:  # fmt: skip
        raise UnreadableRawFileError(
            f"this is no intact npy array: {error}", where=where, fix="fetch the file again"
        ) from None


def _check_size(got: int, dtype: np.dtype[Any], shape: tuple[int, ...], where: object) -> None:
    expected = math.prod(shape) * dtype.itemsize
    if got != expected:
        state = "cut off" if got < expected else "followed by further data"
        raise UnreadableRawFileError(
            f"the array is {state}: {got:,} bytes instead of {expected:,}",
            where=where,
            rule=f"its header announces shape {shape} and type {dtype}",
            fix="fetch the file again",
        )


def _objects(
    data: bytes,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    profile: str | PickleProfile | None,
    where: object,
) -> NDArray[Any]:
    if profile is None:
        raise UnsafePickleError(
            "the array holds pickled Python objects",
            where=where,
            rule="pickles are read only where the caller says what they may contain",
            fix="pass profile='numpy' (or another profile of read_pickle)",
        )
    array = parse_pickle(data, profile, where=where)
    if type(array) is not np.ndarray or array.shape != shape or array.dtype != dtype:
        raise UnreadableRawFileError(
            "the pickled array is not the one that the header announces", where=where
        )
    return array
