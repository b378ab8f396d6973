"""Reading HDF5 files without following what leads out of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import (
    PosepileError,
    RawFileTooLargeError,
    UnreadableRawFileError,
    require,
)
from posepile_torch.rawfiles import sniff

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAX_DEPTH = 64  # a group can contain itself
_DAMAGE = (
    OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, IndexError,
    AttributeError, NotImplementedError,
)  # fmt: skip


class Hdf5File:
    """An HDF5 file opened for reading, as a context manager.

    Arrays come as they are stored: axis order, byte order and units are the writer's. Groups are
    addressed by paths such as ``"Camera_5mp/0/color"``. Links out of the file, external data and
    virtual datasets are refused: they would let a file decide what else is read.

    Raises:
        UnreadableRawFileError: If the file is not HDF5, is cut off, or damaged.
        MissingDependencyError: If h5py is not installed (``convert`` extra).
    """

    def __init__(
        self, path: str | os.PathLike[str], *, max_bytes: int = sniff.DEFAULT_MAX_BYTES
    ) -> None:
        self.path = Path(path)
        self.max_bytes = max_bytes

    def __enter__(self) -> Hdf5File:
        checked = sniff.check_file(self.path, max_bytes=None, may_start_with_zeros=True)
        if not is_hdf5(checked):
            raise UnreadableRawFileError(
                f"this is no HDF5 file but {sniff.looks_like(checked.head)}",
                where=self.path,
                fix="fetch the file again",
            )
        h5py = require("h5py", extra="convert")
        with self.reading():
            self.root = h5py.File(checked.path, "r")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.root.close()

    def names(self, group: str = "/") -> tuple[str, ...]:
        """The names directly inside a group, sorted."""
        h5py = require("h5py", extra="convert")
        found = self.item(group)
        if not isinstance(found, h5py.Group):
            raise UnreadableRawFileError(f"{group!r} is a dataset, not a group", where=self.path)
        with self.reading():
            return tuple(sorted(str(name) for name in found))

    def datasets(self, group: str = "/") -> Iterator[str]:
        """Yield the paths of all datasets below a group, depth first, sorted."""
        h5py = require("h5py", extra="convert")
        if group.count("/") > _MAX_DEPTH:
            raise UnreadableRawFileError("groups are nested too deeply", where=self.path)
        for name in self.names(group):
            path = f"{group.strip('/')}/{name}".lstrip("/")
            if isinstance(self.item(path), h5py.Group):
                yield from self.datasets(path)
            else:
                yield path

    def __contains__(self, path: str) -> bool:
        with self.reading():
            return path in self.root

    def shape(self, path: str) -> tuple[int, ...]:
        """The shape of a dataset, without reading it."""
        dataset = self._dataset(path)
        with self.reading():
            return tuple(dataset.shape or ())

    def attributes(self, path: str = "/") -> dict[str, Any]:
        """The attributes of a group or dataset; text as ``str``."""
        item = self.item(path)
        with self.reading():
            return {
                name: value.decode("utf-8") if isinstance(value, bytes) else value
                for name, value in item.attrs.items()
            }

    def read(self, path: str, selection: Any = ()) -> NDArray[Any]:
        """A dataset, or the part of it that ``selection`` (a numpy index) names.

        Raises:
            RawFileTooLargeError: If the whole dataset exceeds ``max_bytes`` and no part of it was
                selected.
        """
        dataset = self._dataset(path)
        with self.reading(), sniff.memory_guard(f"{self.path}: {path}", dataset.nbytes):
            if isinstance(selection, tuple) and not selection and dataset.nbytes > self.max_bytes:
                raise RawFileTooLargeError(
                    f"the dataset {path!r} has {dataset.nbytes:,} bytes",
                    where=self.path,
                    rule=f"at most {self.max_bytes:,} bytes are read at once",
                    fix="read parts of it with a selection, or pass a larger max_bytes",
                )
            return np.asarray(dataset[selection])

    @contextmanager
    def reading(self, where: object = None) -> Iterator[None]:
        """Turn what h5py raises on damaged files into this library's error."""
        try:
            yield
        except PosepileError:
            raise
        except _DAMAGE as error:
            raise UnreadableRawFileError(
                f"the HDF5 file is cut off or damaged: {error}",
                where=where or self.path,
                fix="fetch the file again",
            ) from None

    def item(self, path: str) -> Any:
        """The h5py object at a path, with every step on the way checked."""
        found = self.root
        with self.reading():
            for step in [step for step in path.split("/") if step]:
                found = self.member(found, step)
            self.refuse_external(found, path)
        return found

    def member(self, group: Any, name: str) -> Any:
        """The h5py object of a name inside a group, if it lies in this file."""
        h5py = require("h5py", extra="convert")
        link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            known = list(group) if isinstance(group, h5py.Group) else []
            raise sniff.no_such_part("dataset", name, known, where=self.path)
        if not isinstance(link, h5py.HardLink):
            raise self._leads_outside(name)
        return group[name]

    def refuse_external(self, found: Any, path: str) -> None:
        """Refuse a dataset whose data lie in other files."""
        if getattr(found, "external", None) or getattr(found, "is_virtual", False):
            raise self._leads_outside(path)

    def _dataset(self, path: str) -> Any:
        h5py = require("h5py", extra="convert")
        found = self.item(path)
        if not isinstance(found, h5py.Dataset):
            raise UnreadableRawFileError(f"{path!r} is a group, not a dataset", where=self.path)
        return found

    def _leads_outside(self, path: str) -> UnreadableRawFileError:
        return UnreadableRawFileError(
            f"{path!r} refers to another place or file",
            where=self.path,
            rule="soft, external and virtual links are not followed",
            fix="write the file again with the data inside, for example with h5repack",
        )


def is_hdf5(checked: sniff.CheckedFile) -> bool:
    """Whether a file is HDF5, which may begin with a block of the writer's own bytes."""
    starts = (0, 512, 1024)
    return any(checked.head[at : at + len(_SIGNATURE)] == _SIGNATURE for at in starts)
