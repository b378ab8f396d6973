"""Reading entries out of shards: one ``pread`` and one CRC each, from any thread or process.

``pread`` takes its offset as an argument, so a descriptor that was opened before a fork, or that
many threads share, cannot be disturbed by anybody else's reads.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path

import crc32c

from posepile_torch.archive.containers import open_container
from posepile_torch.archive.layout import shard_name
from posepile_torch.errors import ArchiveCorruptError, ArchiveError

_FIX = "run `posepile verify` on the archive; restore it from a copy or convert it again"


class ShardReader:
    """The shards of one archive folder, opened when they are first read.

    Args:
        folder: Folder of the archive.
        checksum: What was computed from the bytes of every entry; old BareCat versions took
            another checksum than CRC32C.
    """

    def __init__(self, folder: Path, *, checksum: Callable[[bytes], int] = crc32c.crc32c) -> None:
        self.folder = folder
        self._checksum = checksum
        self._descriptors: dict[tuple[str, int], int] = {}
        self._finalizer = weakref.finalize(self, _close_all, self._descriptors)

    def read(self, container: str, shard: int, offset: int, size: int, crc: int) -> bytes:
        """Return the bytes of an entry.

        Raises:
            ArchiveCorruptError: If they are not those that were written.
        """
        descriptor = self._descriptors.get((container, shard))
        try:
            if descriptor is None:
                descriptor = self._open(container, shard)
            data = os.pread(descriptor, size, offset)
        except (OSError, OverflowError) as error:
            raise self._corrupt(f"cannot read: {error}", container, shard, offset) from None
        if len(data) != size:
            short = f"the file ends after {len(data)} of {size} bytes"
            raise self._corrupt(short, container, shard, offset)
        if self._checksum(data) != crc:
            name = "CRC32C" if self._checksum is crc32c.crc32c else "checksum"
            raise self._corrupt(f"{name} mismatch", container, shard, offset)
        return data

    def _open(self, container: str, shard: int) -> int:
        if not self._finalizer.alive:
            raise ArchiveError("this archive was closed", where=self.folder)
        path = self.folder / shard_name(container, shard)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # Two threads may get here at once; setdefault lets exactly one of them win.
        kept = self._descriptors.setdefault((container, shard), descriptor)
        if kept != descriptor:
            os.close(descriptor)
        return kept

    def _corrupt(self, what: str, container: str, shard: int, offset: int) -> ArchiveCorruptError:
        return ArchiveCorruptError(
            f"stored bytes are damaged: {what}",
            archive=self.folder,
            key=self.key_at(container, shard, offset),
            shard=shard_name(container, shard),
            offset=offset,
            rule="every read is compared with the CRC32C taken when it was written",
            fix=_FIX,
        )

    def key_at(self, container: str, shard: int, offset: int) -> str | None:
        """Return the key of the entry at an address, for messages; ``None`` if unknown."""
        try:
            with open_container(self.folder / container) as database:
                row = database.execute(
                    "SELECT path FROM files WHERE shard = ? AND offset = ?", (shard, offset)
                ).fetchone()
        except ArchiveCorruptError:
            return None
        return None if row is None else str(row[0])

    def close(self) -> None:
        """Close all descriptors; reading afterwards is an error. More than once is fine."""
        self._finalizer()


def _close_all(descriptors: dict[tuple[str, int], int]) -> None:
    while descriptors:
        os.close(descriptors.popitem()[1])
