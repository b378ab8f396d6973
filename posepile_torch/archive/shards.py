"""Appending to the shards of a container.

Shards are written without buffering in this process, so that a checkpoint only has to fsync. An
entry is never divided; a shard holds at most the limit, exactly the limit included.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import crc32c

from posepile_torch.archive.layout import MAX_SHARDS, shard_name
from posepile_torch.archive.storage import fsync_path, storage_errors, write_all
from posepile_torch.errors import ArchiveError, ResumeError


class Address(NamedTuple):
    """Where the bytes of an entry lie, and their CRC32C."""

    shard: int
    offset: int
    size: int
    crc32c: int


class ShardWriter:
    """The shards of one container while it is being written.

    Args:
        folder: Folder of the archive under construction.
        container: ``images.barecat`` or ``annotations.barecat``.
        limit_bytes: Largest size of a shard.
        ends: Logical sizes of the shards at the last checkpoint. Whatever lies behind them was
            written after it, and is cut off.

    Raises:
        ResumeError: If a shard is shorter than at the last checkpoint.
    """

    def __init__(
        self, folder: Path, container: str, *, limit_bytes: int, ends: Sequence[int] = (0,)
    ) -> None:
        self.folder = folder
        self.container = container
        self.limit_bytes = limit_bytes
        self.ends = list(ends) or [0]
        self._unsynced: set[int] = set()
        self._folder_changed = True
        with storage_errors(folder):
            self._cut_off_tails()
            self._descriptor: int | None = self._open(len(self.ends) - 1)

    def _path(self, shard: int) -> Path:
        return self.folder / shard_name(self.container, shard)

    def _open(self, shard: int) -> int:
        return os.open(self._path(shard), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def _cut_off_tails(self) -> None:
        for shard, end in enumerate(self.ends):
            path = self._path(shard)
            size = path.stat().st_size if path.exists() else 0
            if size < end:
                raise ResumeError(
                    f"{path.name} has {size:,} bytes, at the last checkpoint it had {end:,}",
                    where=self.folder,
                    rule="what a checkpoint made durable is still there when a write is resumed",
                    fix="start the conversion over with --restart",
                )
            if size > end:
                os.truncate(path, end)
                self._unsynced.add(shard)
        for path in self.folder.glob(f"{self.container}-shard-*"):
            if path.name not in {shard_name(self.container, s) for s in range(len(self.ends))}:
                path.unlink()

    def place(self, data: bytes) -> Address:
        """Return where :meth:`append` would put ``data``.

        Raises:
            ArchiveError: If it is larger than a shard may be, or there are too many shards.
        """
        size = len(data)
        if size > self.limit_bytes:
            raise ArchiveError(
                f"an entry of {size:,} bytes does not fit into a shard of {self.limit_bytes:,}",
                where=self.folder / self.container,
                fix="choose a larger shard limit",
            )
        shard = len(self.ends) - 1
        offset = self.ends[shard]
        if offset + size > self.limit_bytes:
            shard, offset = shard + 1, 0
            if shard >= MAX_SHARDS:
                raise ArchiveError(
                    f"more than {MAX_SHARDS} shards",
                    where=self.folder / self.container,
                    fix="choose a larger shard limit",
                )
        return Address(shard, offset, size, int(crc32c.crc32c(data)))

    def append(self, data: bytes) -> Address:
        """Write ``data`` behind everything else and return its address."""
        address = self.place(data)
        with storage_errors(self.folder, len(data)):
            if address.shard == len(self.ends):
                self._close_descriptor()
                self.ends.append(0)
                self._folder_changed = True
            if self._descriptor is None:
                self._descriptor = self._open(address.shard)
            self._unsynced.add(address.shard)
            write_all(self._descriptor, data)
        self.ends[address.shard] += len(data)
        return address

    def sync(self) -> None:
        """Make everything written so far durable."""
        for shard in sorted(self._unsynced):
            fsync_path(self._path(shard))
        self._unsynced.clear()
        if self._folder_changed:
            fsync_path(self.folder)
            self._folder_changed = False

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def close(self) -> None:
        """Close the open shard; nothing is made durable."""
        self._close_descriptor()
