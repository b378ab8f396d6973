"""The journal of an archive under construction: every address, in one SQLite file.

A commit of the journal *is* the checkpoint: entries, counters and the caller's state become
durable together, after the bytes that they point at. SQLite rolls an interrupted commit back, so
that the journal always shows the last complete checkpoint. The journal never leaves the building
folder; the published indexes are written from it in one go and do not depend on where a write
was interrupted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from posepile_torch.archive.bones import BoneSums
from posepile_torch.archive.layout import (
    ANNOTATIONS,
    CONTAINERS,
    IMAGES,
    RECORD_ATTRIBUTES,
    SPLIT_CODES,
    UNKNOWN_CODE,
    VOCABULARY_FIELDS,
)
from posepile_torch.archive.shards import Address
from posepile_torch.archive.storage import storage_errors
from posepile_torch.errors import RecordError, ResumeError
from posepile_torch.record_fields import Record

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE images (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, shard INTEGER,
    offset INTEGER, size INTEGER, crc32c INTEGER, width INTEGER, height INTEGER);
CREATE TABLE records (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, shard INTEGER,
    offset INTEGER, size INTEGER, crc32c INTEGER, image INTEGER NOT NULL, split INTEGER,
    frame INTEGER, flags INTEGER, subject INTEGER, sequence INTEGER, camera INTEGER,
    activity INTEGER, scene INTEGER, track INTEGER);
CREATE TABLE vocabulary (id INTEGER PRIMARY KEY, field TEXT NOT NULL, value TEXT NOT NULL,
    UNIQUE (field, value));
CREATE TABLE skips (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE skipped_items (id INTEGER PRIMARY KEY, reason TEXT NOT NULL, item TEXT NOT NULL);
CREATE TABLE units (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, records_end INTEGER,
    images_end INTEGER, skipped_end INTEGER);
CREATE INDEX records_by_split ON records (split, id);
"""

_TABLES = {ANNOTATIONS: "records", IMAGES: "images"}
_MAX_CACHED_TEXTS = 1 << 16  # bounds the memory; the table itself lies on the disk
_KEPT_SKIPPED_ITEMS = 20


class Journal:
    """The open journal of one building folder; a transaction is always open.

    Args:
        path: File of the journal, created if it is not there.

    Raises:
        ResumeError: If the file is damaged.
        StorageError: If the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._codes: dict[tuple[str, str], int] = {}
        with storage_errors(path):
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._database.execute("PRAGMA synchronous = FULL")
                tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
                self._database.execute("BEGIN IMMEDIATE")
                if tables[0] == 0:
                    for statement in _SCHEMA.split(";"):
                        self._database.execute(statement)
                self.image_count = self._count("images")
                self.record_count = self._count("records")
                self.unit_count = self._count("units")
                self.skip_count = self._count_skips()
            except sqlite3.DatabaseError as error:
                self._database.close()
                if isinstance(error, sqlite3.OperationalError):
                    raise
                raise ResumeError(
                    f"the journal of the unfinished archive is damaged: {error}",
                    where=path,
                    fix="start the conversion over with --restart",
                ) from None

    # ---- state ----

    def get(self, name: str) -> Any:
        """Return the JSON value stored under ``name``, or ``None``."""
        row = self._database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set(self, name: str, value: Any) -> None:
        """Store a JSON value under ``name``; it becomes durable with the next commit."""
        text = json.dumps(value, allow_nan=False)
        with storage_errors(self.path):
            self._database.execute(
                "INSERT INTO meta VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, text),
            )

    def commit(self, ends: Mapping[str, list[int]], bones: BoneSums) -> None:
        """Make everything durable; the shards must have been synced up to ``ends`` before."""
        self.set("shard_ends", dict(ends))
        self.set("bones", bones.to_json())
        with storage_errors(self.path):
            self._database.execute("COMMIT")
            self._database.execute("BEGIN IMMEDIATE")

    def shard_ends(self) -> dict[str, list[int]]:
        """Return the logical sizes of all shards at the last commit."""
        return self.get("shard_ends") or {container: [0] for container in CONTAINERS}

    def close(self) -> None:
        """Roll back to the last commit and close."""
        try:
            self._database.execute("ROLLBACK")
        except sqlite3.DatabaseError:
            pass  # a failed statement may have ended the transaction already
        finally:
            self._database.close()

    # ---- adding ----

    def add_image(self, key: str, address: Address, size: tuple[int, int]) -> None:
        """Note an image."""
        with storage_errors(self.path):
            try:
                self._database.execute(
                    "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (self.image_count, key, *address, *size),
                )
            except sqlite3.IntegrityError:
                raise RecordError(
                    f"there is already an image {key!r}",
                    where=self.path.parent,
                    rule="keys are unique",
                    fix="add each image once; several records may share it",
                ) from None
        self.image_count += 1

    def find_image(self, key: str) -> tuple[int, tuple[int, int]] | None:
        """Return number and ``(width, height)`` of an image, or ``None``."""
        row = self._database.execute(
            "SELECT id, width, height FROM images WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else (row[0], (row[1], row[2]))

    def add_record(self, record: Record, address: Address, image: int, flags: int) -> None:
        """Note a record."""
        with storage_errors(self.path):
            taken = self._database.execute("SELECT 1 FROM records WHERE key = ?", (record.key,))
            if taken.fetchone() is not None:  # asked first: a refused record leaves no texts
                raise RecordError(
                    f"there is already a record {record.key!r}",
                    where=self.path.parent,
                    rule="record ids are unique within their split",
                    fix="put sequence, frame and person into the id",
                )
            codes = [
                self._code(f, getattr(record, RECORD_ATTRIBUTES[f])) for f in VOCABULARY_FIELDS
            ]
            row = (self.record_count, record.key, *address, image, SPLIT_CODES[record.split])
            self._database.execute(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, record.frame, flags, *codes),
            )
        self.record_count += 1

    def _code(self, field: str, value: str | None) -> int:
        if value is None:
            return UNKNOWN_CODE
        code = self._codes.get((field, value))
        if code is None:
            self._database.execute(
                "INSERT OR IGNORE INTO vocabulary (field, value) VALUES (?, ?)", (field, value)
            )
            row = self._database.execute(
                "SELECT id FROM vocabulary WHERE field = ? AND value = ?", (field, value)
            ).fetchone()
            code = int(row[0])
            if len(self._codes) >= _MAX_CACHED_TEXTS:
                self._codes.clear()
            self._codes[field, value] = code
        return code

    def add_skip(self, reason: str, item: str, count: int = 1) -> None:
        """Count skipped items, one of them by name; 20 names are kept for each reason."""
        with storage_errors(self.path):
            self._database.execute(
                "INSERT INTO skips VALUES (?, ?) "
                "ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count",
                (reason, count),
            )
            named = self._database.execute(
                "SELECT count(*) FROM skipped_items WHERE reason = ?", (reason,)
            ).fetchone()[0]
            if named < _KEPT_SKIPPED_ITEMS:
                self._database.execute(
                    "INSERT INTO skipped_items (reason, item) VALUES (?, ?)", (reason, item)
                )
        self.skip_count += count

    def end_unit(self, name: str) -> None:
        """Note that everything added since the previous unit belongs to unit ``name``."""
        with storage_errors(self.path):
            try:
                self._database.execute(
                    "INSERT INTO units (name, records_end, images_end, skipped_end) "
                    "VALUES (?, ?, ?, ?)",
                    (name, self.record_count, self.image_count, self.skip_count),
                )
            except sqlite3.IntegrityError:
                raise RecordError(
                    f"unit {name!r} was ended twice",
                    where=self.path.parent,
                    rule="units are unique",
                ) from None
        self.unit_count += 1

    # ---- reading, at publication ----

    def entries(
        self, container: str, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[str, int, int, int, int]]:
        """Yield ``(key, shard, offset, size, crc32c)`` in the order of adding."""
        end = self._count(_TABLES[container]) if end is None else end
        return iter(
            self._database.execute(
                f"SELECT key, shard, offset, size, crc32c FROM {_TABLES[container]} "
                "WHERE id >= ? AND id < ? ORDER BY id",
                (start, end),
            )
        )

    def index_rows(self) -> Iterator[tuple[int, ...]]:
        """Yield the fields of the index rows in their order; codes as in :meth:`vocabulary`."""
        return iter(
            self._database.execute(
                "SELECT i.offset, r.offset, r.frame, i.size, i.crc32c, r.size, r.crc32c, "
                "r.subject, r.sequence, r.camera, r.activity, r.scene, r.track, "
                "i.shard, r.shard, r.flags, r.split "
                "FROM records r JOIN images i ON i.id = r.image ORDER BY r.split, r.id"
            )
        )

    def vocabulary(self, field: str) -> list[tuple[int, str]]:
        """Return ``(code, text)`` of a field, sorted by the UTF-8 bytes of the text."""
        return self._database.execute(
            "SELECT id, value FROM vocabulary WHERE field = ? ORDER BY value", (field,)
        ).fetchall()

    def skipped(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Return count and first items of every reason."""
        items: dict[str, list[str]] = {}
        for reason, item in self._database.execute(
            "SELECT reason, item FROM skipped_items ORDER BY id"
        ):
            items.setdefault(reason, []).append(item)
        rows = self._database.execute("SELECT reason, count FROM skips ORDER BY reason")
        return {reason: (count, tuple(items.get(reason, ()))) for reason, count in rows}

    def units(self) -> list[tuple[str, int, int, int]]:
        """Return ``(name, records_end, images_end, skipped_end)`` in the order of ending."""
        return self._database.execute(
            "SELECT name, records_end, images_end, skipped_end FROM units ORDER BY id"
        ).fetchall()

    def counts_by(self, column: str) -> dict[int, int]:
        """Return the number of records per value of ``split`` or ``flags``."""
        return dict(
            self._database.execute(f"SELECT {column}, count(*) FROM records GROUP BY {column}")
        )

    def _count(self, table: str) -> int:
        return int(self._database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def _count_skips(self) -> int:
        return int(
            self._database.execute("SELECT coalesce(sum(count), 0) FROM skips").fetchone()[0]
        )
