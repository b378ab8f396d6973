"""The rows of a PosePile archive, made from the SQLite index of its containers.

Schema 0 has no index of its own. One pass over the container's entries, in the order in which
they lie in the shards, fills arrays of a fixed size per record; no Python object is kept for any
of them. The image of each record is looked up in the same pass.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import crc32c
import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.index import IndexArray, index_problems
from posepile_torch.archive.layout import INDEX_DTYPE, UNKNOWN_CODE, VOCABULARY_FIELDS
from posepile_torch.archive.legacy_files import METADATA_KEY, LegacyContainer
from posepile_torch.archive.legacy_records import RecordName
from posepile_torch.archive.manifest import Skipped
from posepile_torch.archive.shards import Address
from posepile_torch.errors import ArchiveCorruptError, ArchiveIncompleteError
from posepile_torch.keys import is_key
from posepile_torch.record_rules import SPLITS

#: What a row needs beyond ``INDEX_DTYPE``: the rest of the record's name.
NAME_DTYPE = np.dtype([("counter", "<u4"), ("image_key_crc32c", "<u4")])

FOREIGN_KEY = "the key is not <split>/<image path>_<number>.msgpack"

# The counter has two digits, and more only where it needs them.
_RECORD_KEY = re.compile(r"(train|val|test)/(.+)_(\d{2}|[1-9]\d{2,8})\.msgpack")
_ROWS_PER_BLOCK = 1 << 15
_KEPT_ITEMS = 20
_MAX_SHARD, _MAX_BYTES, _MAX_OFFSET = 2**16 - 1, 2**32 - 1, 2**62


@dataclass
class LegacyIndex:
    """Rows of all records, ordered by split and then by their place in the shards.

    Attributes:
        rows: One row per record; vocabulary codes and flags are unknown, and ``image_bytes`` is 0
            where the image is in no container.
        names: The rest of each record's name, see ``NAME_DTYPE``.
        splits: Number of records per split.
        metadata: Address of ``metadata.msgpack``.
        skipped: Entries that are no records, by reason.
        image_entries: Number of entries of the image container.
    """

    rows: IndexArray
    names: NDArray[np.void]
    splits: dict[str, int]
    metadata: Address
    skipped: dict[str, Skipped] = field(default_factory=dict)
    image_entries: int = 0


def record_name(key: str) -> RecordName | None:
    """Return what the key of a record says, or None if it is no such key."""
    match = _RECORD_KEY.fullmatch(key)
    return None if match is None else RecordName(match[1], match[2], int(match[3]))


def read_legacy_index(annotations: LegacyContainer, images: LegacyContainer | None) -> LegacyIndex:
    """Read the index of a PosePile archive.

    Raises:
        ArchiveCorruptError: If a key or an address cannot be.
        ArchiveIncompleteError: If an entry lies in a shard that is missing.
    """
    with annotations.database() as database:
        reader = _Reader(annotations, database)
        if images is None:
            return reader.read(None)
        with images.database() as image_database:
            return reader.read(_ImageFinder(images, image_database))


class _Reader:
    def __init__(self, container: LegacyContainer, database: sqlite3.Connection) -> None:
        self._container = container
        self._database = database
        self._skipped: Counter[str] = Counter()
        self._skipped_items: list[str] = []
        self._metadata: Address | None = None

    def read(self, images: _ImageFinder | None) -> LegacyIndex:
        ends, rows, names = self._allocated()
        filled = [0, *ends[:-1]]
        for block in self._blocks():
            for split, part, part_names, keys in self._parts(block):
                at = slice(filled[split], filled[split] + len(part))
                if images is not None:
                    images.fill(part, keys)
                rows[at], names[at] = part, part_names
                filled[split] += len(part)
        used = [slice(begin, end) for begin, end in zip([0, *ends[:-1]], filled, strict=True)]
        if filled != ends:  # some keys were of another form
            rows = np.concatenate([rows[part] for part in used])
            names = np.concatenate([names[part] for part in used])
        counts = [part.stop - part.start for part in used]
        self._check(rows, counts)
        if self._metadata is None:
            raise ArchiveCorruptError(f"no entry {METADATA_KEY}", archive=self._container.path)
        skipped = {}
        if self._skipped:
            skipped[FOREIGN_KEY] = Skipped(
                count=self._skipped[FOREIGN_KEY], items=tuple(self._skipped_items)
            )
        return LegacyIndex(
            rows=rows,
            names=names,
            splits=dict(zip(SPLITS, counts, strict=True)),
            metadata=self._metadata,
            skipped=skipped,
            image_entries=0 if images is None else images.count(),
        )

    def _allocated(self) -> tuple[list[int], IndexArray, NDArray[np.void]]:
        """Arrays that are large enough, and where each split ends in them."""
        ends: list[int] = []
        for split in SPLITS:
            # '0' is the character behind '/'
            query = "SELECT count(*) FROM files WHERE path > ? AND path < ?"
            count = self._database.execute(query, (f"{split}/", f"{split}0")).fetchone()[0]
            ends.append((ends[-1] if ends else 0) + int(count))
        rows = np.zeros(ends[-1], INDEX_DTYPE)
        rows["frame"] = -1
        for name in VOCABULARY_FIELDS:
            rows[name] = UNKNOWN_CODE
        return ends, rows, np.zeros(ends[-1], NAME_DTYPE)

    def _blocks(self) -> Iterator[list[tuple[Any, ...]]]:
        cursor = self._database.execute(
            f"SELECT path, shard, offset, size, {self._container.checksum} FROM files "
            "ORDER BY shard, offset, path"
        )
        while block := cursor.fetchmany(_ROWS_PER_BLOCK):
            yield block

    def _parts(
        self, block: list[tuple[Any, ...]]
    ) -> Iterator[tuple[int, IndexArray, NDArray[np.void], list[str]]]:
        """Divide a block by split: its number, rows, names, and keys of images."""
        addresses = checked_addresses(self._container, block)
        names = [self._name(*entry) for entry in block]
        codes = np.array([-1 if name is None else SPLITS.index(name.split) for name in names])
        for split in range(len(SPLITS)):
            chosen = np.flatnonzero(codes == split)
            if not len(chosen):
                continue
            part = np.zeros(len(chosen), INDEX_DTYPE)
            part["frame"], part["split"] = -1, split
            for vocabulary in VOCABULARY_FIELDS:
                part[vocabulary] = UNKNOWN_CODE
            fill_addresses(part, "annotation", addresses[chosen])
            kept = [name for name in (names[i] for i in chosen) if name is not None]
            keys = [name.image_key for name in kept]
            part_names = np.zeros(len(chosen), NAME_DTYPE)
            part_names["counter"] = [name.counter for name in kept]
            part_names["image_key_crc32c"] = [key_checksum(key) for key in keys]
            yield split, part, part_names, keys

    def _name(self, key: Any, *address: Any) -> RecordName | None:
        if not is_key(key):
            raise ArchiveCorruptError(
                f"an unusable key: {key!r:.200}",
                archive=self._container.path,
                rule="keys are relative, without '..', in Unicode NFC",
                fix="do not extract this file with other tools; fetch it again from its source",
            )
        name = record_name(key)
        if name is None and key == METADATA_KEY:
            self._metadata = Address(*address)
        elif name is None:
            self._skipped[FOREIGN_KEY] += 1
            if len(self._skipped_items) < _KEPT_ITEMS:
                self._skipped_items.append(key)
        return name

    def _check(self, rows: IndexArray, counts: list[int]) -> None:
        # What is left to find are entries that overlap.
        sizes = {"annotation": [max(0, size) for size in self._container.shard_bytes]}
        problems = index_problems(
            rows,
            shard_sizes=sizes,
            vocabulary_sizes=dict.fromkeys(VOCABULARY_FIELDS, 0),
            split_counts=counts,
        )
        if problems:
            raise ArchiveCorruptError("; ".join(problems), archive=self._container.path)


class _ImageFinder:
    """Looks the images of many records up at once."""

    def __init__(self, container: LegacyContainer, database: sqlite3.Connection) -> None:
        self._container = container
        self._database = database
        # The keys travel as one JSON list: a single statement, whatever they contain.
        self._query = (
            f"SELECT wanted.key, f.shard, f.offset, f.size, f.{container.checksum} "
            "FROM json_each(?) AS wanted JOIN files AS f ON f.path = wanted.value"
        )

    def fill(self, rows: IndexArray, keys: list[str]) -> None:
        """Write the addresses of the images ``keys`` into ``rows``; 0 where there is none."""
        found = self._database.execute(self._query, (json.dumps(keys),)).fetchall()
        if not found:
            return
        named = [(keys[entry[0]], *entry[1:]) for entry in found]
        addresses = checked_addresses(self._container, named)
        at = np.array([entry[0] for entry in found], np.int64)
        part = rows[at]
        fill_addresses(part, "image", addresses)
        rows[at] = part

    def count(self) -> int:
        """Number of entries of the container."""
        return int(self._database.execute("SELECT count(*) FROM files").fetchone()[0])


def key_checksum(key: str) -> int:
    """CRC32C of a key, by which a record is held against the key that it lies under."""
    return int(crc32c.crc32c(key.encode()))


def checked_addresses(
    container: LegacyContainer, entries: Sequence[tuple[Any, ...]]
) -> NDArray[np.int64]:
    """Return shard, offset, size and checksum of entries ``(key, shard, offset, size, crc)``.

    Raises:
        ArchiveCorruptError: If one is no whole number, or points outside of its shard.
        ArchiveIncompleteError: If a shard is missing.
    """
    columns = list(zip(*entries, strict=True))[1:]
    for column, what in zip(columns, ("shard", "offset", "size", container.checksum), strict=True):
        if set(map(type, column)) != {int}:  # SQLite columns hold any type
            at = next(i for i, value in enumerate(column) if type(value) is not int)
            raise _bad_address(container, entries[at], f"{what} is {column[at]!r:.60}")
    try:
        addresses = np.array(columns, np.int64).T
    except OverflowError:
        raise ArchiveCorruptError("an address is too large", archive=container.path) from None
    shard, offset, size, crc = addresses.T
    sizes = np.array(container.shard_bytes, np.int64)
    bad = (addresses < 0).any(axis=1) | (shard > _MAX_SHARD) | (size > _MAX_BYTES)
    bad |= (offset > _MAX_OFFSET) | (crc > 2**32 - 1)
    if bad.any():
        raise _bad_address(container, entries[int(bad.argmax())], "the address cannot be")
    missing = shard >= len(sizes)
    missing |= sizes[np.minimum(shard, len(sizes) - 1)] < 0
    if missing.any():
        number = int(shard[missing.argmax()])
        raise ArchiveIncompleteError(
            f"the shard {container.name}-shard-{number:05d} is missing",
            where=container.path,
            fix="copy all shards into the folder of the index",
        )
    bad = offset + size > sizes[shard]
    if bad.any():
        raise _bad_address(container, entries[int(bad.argmax())], "it ends behind its shard")
    return addresses


def fill_addresses(rows: IndexArray, kind: str, addresses: NDArray[np.int64]) -> None:
    """Write addresses into the fields ``<kind>_shard`` and so on."""
    for name, column in zip(("shard", "offset", "bytes", "crc32c"), addresses.T, strict=True):
        rows[f"{kind}_{name}"] = column


def _bad_address(
    container: LegacyContainer, entry: tuple[Any, ...], what: str
) -> ArchiveCorruptError:
    return ArchiveCorruptError(
        f"the index is damaged: {what}",
        archive=container.path,
        key=str(entry[0])[:200],
        rule="an entry has whole numbers for shard, offset, size and checksum, within its shard",
        fix="fetch the archive again; `barecat verify` shows how much of it is damaged",
    )
