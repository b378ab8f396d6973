"""Reading an archive: two ``pread`` calls and two CRC checks per sample, from any process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.containers import open_container
from posepile_torch.archive.index import REBUILD, IndexArray, open_index
from posepile_torch.archive.layout import (
    ANNOTATIONS,
    IMAGES,
    INDEX_DTYPE,
    INDEX_FILE,
    MANIFEST_FILE,
    VOCABULARIES_FILE,
    VOCABULARY_FIELDS,
    shard_name,
)
from posepile_torch.archive.manifest import Manifest, read_manifest
from posepile_torch.archive.opening import check_files, existing_folder
from posepile_torch.archive.shard_reader import ShardReader
from posepile_torch.errors import (
    ArchiveCorruptError,
    ManifestError,
    UnknownNameError,
)
from posepile_torch.keys import check_archive_path
from posepile_torch.record import Record, decode_record
from posepile_torch.record_rules import SPLITS
from posepile_torch.skeleton import Skeleton


def _address_getter(kind: str) -> Callable[[tuple[int, ...]], tuple[int, int, int, int]]:
    names = list(INDEX_DTYPE.names or ())
    fields = ("shard", "offset", "bytes", "crc32c")
    return itemgetter(*(names.index(f"{kind}_{field}") for field in fields))


_annotation_address = _address_getter("annotation")
_image_address = _address_getter("image")

_FIX = "run `posepile verify` on the archive; restore it from a copy or convert it again"


class Archive:
    """A published archive, open for reading.

    Opening reads the manifest, compares names, sizes and the ends of all files with it, and maps
    the index into memory; its cost does not grow with the number of records. Data files are
    opened when they are first read, one descriptor per shard and process. One object may be used
    by many threads and by forked processes at once, and pickles as its path; unpickling refuses
    an archive that was changed in place in the meantime.

    An archive that is replaced by a newer version stays readable to whoever has it open.

    Args:
        path: Folder of the archive, or a link to it.

    Raises:
        ArchiveNotFoundError: If nothing is there.
        ArchiveIncompleteError: If it is still being written, or a listed file is missing.
        ManifestError: If the manifest is missing, edited, or contradicts the files beside it.
        SchemaVersionError: If a newer version of the library wrote it.
        ArchiveCorruptError: If a file differs from what was written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given = check_archive_path(path)
        #: Folder of this version, links resolved: replacing the archive does not change it.
        self.path: Path = existing_folder(given)
        self.manifest: Manifest = read_manifest(self.path)
        check_files(self.path, self.manifest)
        #: The rows of all records, read-only and memory-mapped; fields as in ``INDEX_DTYPE``.
        self.index: IndexArray = open_index(self.path / INDEX_FILE, self.manifest.totals.records)
        self._shards = ShardReader(self.path)

    @property
    def skeleton(self) -> Skeleton:
        """Joint order of all records."""
        return self.manifest.skeleton

    @property
    def fingerprint(self) -> str:
        """Hash of the manifest; it changes when anything in the archive does."""
        return self.manifest.fingerprint

    def __len__(self) -> int:
        """Number of records in all splits."""
        return len(self.index)

    def __repr__(self) -> str:
        return f"Archive({str(self.path)!r}: {len(self):,} records of {self.manifest.source})"

    # ---- rows ----

    def split_range(self, split: str | None = None) -> range:
        """Return the rows of a split, or of all splits, without listing them in memory.

        Rows of a split are contiguous and in the order in which they were written.
        """
        if split is None:
            return range(len(self))
        if split not in SPLITS:
            raise UnknownNameError.among("split", split, SPLITS, where=self.path)
        counts = [self.manifest.totals.splits.get(name, 0) for name in SPLITS]
        start = sum(counts[: SPLITS.index(split)])
        return range(start, start + counts[SPLITS.index(split)])

    def rows(self, *, split: str | None = None) -> NDArray[np.int64]:
        """Return the rows of a split (or of all) as an array of row numbers."""
        rows = self.split_range(split)
        return np.arange(rows.start, rows.stop, dtype=np.int64)

    def record(self, row: int) -> Record:
        """Read and check one record.

        Raises:
            IndexError: If there is no such row.
            ArchiveCorruptError: If the stored bytes are not those that were written.
        """
        address = _annotation_address(self.index[row].item())
        data = self._shards.read(ANNOTATIONS, *address)
        return decode_record(data, where=_Place(self._shards, *address))

    def record_bytes(self, row: int) -> bytes:
        """Read one record in its stored form, CRC checked."""
        return self._shards.read(ANNOTATIONS, *_annotation_address(self.index[row].item()))

    def image_bytes(self, row: int) -> bytes:
        """Read the JPEG of one record, CRC checked.

        Raises:
            IndexError: If there is no such row.
            ArchiveCorruptError: If the stored bytes are not those that were written.
        """
        return self._shards.read(IMAGES, *_image_address(self.index[row].item()))

    def find(self, split: str, record_id: str) -> int:
        """Return the row of a record by its split and id.

        Slow (it asks the container's index); for tools, not for training.

        Raises:
            UnknownNameError: If there is no such record.
        """
        key = f"{split}/{record_id}.msgpack"
        with open_container(self.path / ANNOTATIONS) as database:
            found = database.execute(
                "SELECT shard, offset FROM files WHERE path = ?", (key,)
            ).fetchone()
        if found is None:
            raise UnknownNameError(f"no record {key!r}", where=self.path)
        rows = self.split_range(split)
        low, high = rows.start, rows.stop
        while low < high:  # addresses increase within a split
            middle = (low + high) // 2
            address = _annotation_address(self.index[middle].item())[:2]
            if address == tuple(found):
                return middle
            low, high = (middle + 1, high) if address < tuple(found) else (low, middle)
        raise ArchiveCorruptError(
            "the record is not in index.npy", archive=self.path, key=key, fix=REBUILD
        )

    # ---- vocabularies ----

    def vocabulary(self, field: str) -> tuple[str, ...]:
        """Return the sorted texts of a field of the index.

        ``index[field]`` holds positions in it, -1 where the record has none.

        Args:
            field: ``subject``, ``sequence``, ``camera``, ``activity``, ``scene`` or ``track``.
        """
        if field not in VOCABULARY_FIELDS:
            raise UnknownNameError.among("index field", field, VOCABULARY_FIELDS, where=self.path)
        inline = self.manifest.vocabularies[field]
        return self._large_vocabularies[field] if inline is None else inline

    @cached_property
    def _large_vocabularies(self) -> dict[str, tuple[str, ...]]:
        path = self.path / VOCABULARIES_FILE
        try:
            data = json.loads(path.read_bytes())
            return {field: tuple(texts) for field, texts in data.items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise ArchiveCorruptError(
                f"the vocabularies cannot be read: {error}",
                archive=self.path,
                shard=VOCABULARIES_FILE,
                fix=_FIX,
            ) from None

    # ---- life ----

    def close(self) -> None:
        """Close the data files; reading afterwards is an error. More than once is fine."""
        self._shards.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (str(self.path), self.fingerprint)


class _Place:
    """Where a record lies, put into words only if an error needs it."""

    def __init__(self, shards: ShardReader, shard: int, offset: int, *_: int) -> None:
        self._shards, self._shard, self._offset = shards, shard, offset

    def __str__(self) -> str:
        key = self._shards.key_at(ANNOTATIONS, self._shard, self._offset)
        name = shard_name(ANNOTATIONS, self._shard)
        return f"{self._shards.folder}, key {key}, file {name}, byte {self._offset}"


def _reopen(path: str, fingerprint: str) -> Archive:
    archive = Archive(path)
    if archive.fingerprint != fingerprint:
        raise ManifestError(
            "the archive was changed in place since it was pickled",
            where=path,
            rule=f"it had the fingerprint {fingerprint[:16]}, now it has "
            f"{archive.fingerprint[:16]}",
            fix="open it again by its path",
        )
    return archive


def open_archive(path: str | os.PathLike[str]) -> Archive:
    """Open an archive of any supported schema.

    A folder with a manifest (or an index) is a plain :class:`Archive`; any other BareCat archive
    is read as a PosePile archive (schema 0), by the subclass
    :class:`~posepile_torch.archive.legacy.LegacyArchive`.

    Raises:
        ArchiveError: Of the kinds that :class:`Archive` raises.
    """
    given = check_archive_path(path)
    if not is_schema_0(given):
        return Archive(given)
    from posepile_torch.archive.legacy import LegacyArchive

    return LegacyArchive(given)


def is_schema_0(path: Path) -> bool:
    """Tell whether something other than an archive with a manifest lies at ``path``."""
    if (path / MANIFEST_FILE).exists() or (path / INDEX_FILE).exists():
        return False
    # The index of an old BareCat container is a file of a longer name.
    return path.exists() or path.with_name(f"{path.name}-sqlite-index").is_file()
