"""Reading exported HDF5 and npz files back, a block of records at a time."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.export_columns import COLUMNS, to_record
from posepile_torch.archive.export_files import (
    EXPORT_FORMAT,
    EXPORT_VERSION,
    HEADER_FIELDS,
    OFFSETS,
)
from posepile_torch.errors import ArchiveError, ArchiveNotFoundError, PosepileError, require
from posepile_torch.record import Record
from posepile_torch.skeleton import Skeleton

_RECORDS_PER_BLOCK = 512

_HDF5_START = b"\x89HDF\r\n\x1a\n"
_ZIP_START = b"PK\x03\x04"


def is_exported(path: Path) -> bool:
    """Tell whether a file begins like an HDF5 or npz file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8).startswith((_HDF5_START, _ZIP_START))


class ExportedRecords:
    """An exported HDF5 or npz file, open for reading; see ``docs/interop.md`` for its layout.

    HDF5 files are read a block at a time; the columns of an npz file are loaded when they are
    first needed, and stay in memory.

    Args:
        path: The file.

    Raises:
        ArchiveNotFoundError: If there is no file.
        ArchiveError: If it is no exported file, is damaged, or was written by a newer version.
        MissingDependencyError: If h5py is needed and not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ArchiveNotFoundError("there is no file", where=self.path)
        self._block = _Block(-1, {}, [])
        with contextlib.ExitStack() as to_close:
            try:
                self._columns: Any = to_close.enter_context(_open_columns(self.path))
                #: What the file says about itself: skeleton, conventions, source of the records.
                self.meta: dict[str, Any] = json.loads(_text(self._columns["meta"][0]))
                self._count = len(self._columns["flags"])
            except _DAMAGE as error:
                raise _unusable(self.path, error) from None
            self._check_version()
            #: Joint order of all records.
            self.skeleton: Skeleton = Skeleton.from_dict(self.meta["skeleton"], where=self.path)
            to_close.pop_all()  # all is well: the file stays open

    def _check_version(self) -> None:
        known = type(self.meta) is dict and self.meta.get("format") == EXPORT_FORMAT
        if not known or self.meta.get("version") != EXPORT_VERSION:
            raise ArchiveError(
                "this file was not written by `posepile export`, or by a newer version",
                where=self.path,
                rule=f"its meta names the format {EXPORT_FORMAT!r}, version {EXPORT_VERSION}",
                fix="pip install --upgrade posepile-torch",
            )
        if not {"skeleton", *HEADER_FIELDS} <= self.meta.keys():
            raise _unusable(self.path, KeyError("its meta is incomplete"))

    def __len__(self) -> int:
        """Number of records."""
        return self._count

    @property
    def has_images(self) -> bool:
        """Whether the file holds the images, too."""
        return "image_jpeg" in self._columns

    def record(self, row: int) -> Record:
        """Return one record; rows are best asked for in order.

        Raises:
            IndexError: If there is no such row.
            ArchiveError: If the file does not hold what its layout promises.
        """
        if not 0 <= row < self._count:
            raise IndexError(f"row {row} of {self._count}")
        try:
            if row // _RECORDS_PER_BLOCK != self._block.number:
                self._block = self._read_block(row // _RECORDS_PER_BLOCK)
            at = row % _RECORDS_PER_BLOCK
            values = {name: column[at] for name, column in self._block.columns.items()}
            return to_record(values, self._block.image_keys[at])
        except PosepileError:
            raise
        except _DAMAGE as error:
            raise _unusable(self.path, error) from None

    def image_bytes(self, row: int) -> bytes:
        """Return the JPEG of one record.

        Raises:
            ArchiveError: If the file was written without images, or is damaged.
        """
        if not self.has_images:
            raise ArchiveError(
                "the file holds no images",
                where=self.path,
                fix="write it again with `posepile export --images`",
            )
        try:
            (image,) = self._ragged("image_jpeg", int(self._columns["image"][row]), 1)
        except _DAMAGE as error:
            raise _unusable(self.path, error) from None
        return np.asarray(image, np.uint8).tobytes()

    def _read_block(self, number: int) -> _Block:
        start = number * _RECORDS_PER_BLOCK
        count = min(_RECORDS_PER_BLOCK, self._count - start)
        columns: dict[str, Any] = {}
        for column in COLUMNS:
            if column.name not in self._columns:
                continue
            if column.kind == "ragged":
                columns[column.name] = self._ragged(column.name, start, count)
                continue
            part = self._columns[column.name][start : start + count]
            if len(part) != count:
                raise ValueError(f"column {column.name} has too few entries")
            columns[column.name] = [_text(t) for t in part] if column.kind == "text" else part
        images = self._columns["image"][start : start + count]
        keys = [_text(self._columns["image_key"][int(image)]) for image in images]
        return _Block(number, columns, keys)

    def _ragged(self, name: str, start: int, count: int) -> list[NDArray[Any]]:
        offsets = np.asarray(self._columns[name + OFFSETS][start : start + count + 1], np.int64)
        length = len(self._columns[name])
        sound = len(offsets) == count + 1 and (np.diff(offsets) >= 0).all()
        if not sound or not 0 <= offsets[0] <= offsets[-1] <= length:
            raise ValueError(f"the offsets of {name} point outside of it")
        values = np.asarray(self._columns[name][int(offsets[0]) : int(offsets[-1])])
        return np.split(values, (offsets[1:-1] - offsets[0]).tolist())

    def close(self) -> None:
        """Close the file."""
        self._columns.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Block(NamedTuple):
    """Some consecutive records, as columns."""

    number: int
    columns: dict[str, Any]
    image_keys: list[str]


def _open_columns(path: Path) -> Any:
    """Open a file as a context manager that maps names to arrays."""
    with path.open("rb") as file:
        is_zip = file.read(4) == _ZIP_START
    return _LoadedColumns(path) if is_zip else require("h5py", extra="convert").File(path, "r")


class _LoadedColumns:
    """The arrays of an npz file, each read once; Python objects are refused."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("rb")
        try:
            self._file = np.load(self._stream, allow_pickle=False)
        except BaseException:
            self._stream.close()
            raise
        self._loaded: dict[str, NDArray[Any]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._file.files

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._loaded:
            self._loaded[name] = self._file[name]
        return self._loaded[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._stream.close()


#: What h5py, zipfile and NumPy raise on files that are not what they seem.
_DAMAGE = (
    OSError, KeyError, IndexError, ValueError, TypeError, RuntimeError, EOFError, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _unusable(path: Path, error: Exception) -> ArchiveError:
    return ArchiveError(
        f"this is no file written by `posepile export`, or it is damaged: {error}",
        where=path,
        rule="its layout is that of docs/interop.md",
        fix="export the archive again",
    )
