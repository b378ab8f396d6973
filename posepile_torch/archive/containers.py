"""The SQLite index of a BareCat container: written in one go, read without trusting it.

BareCat itself creates the tables, so that its own tools accept the file; the rows are inserted in
bulk, because its triggers stamp the current time on every folder and would make equal archives
differ. Reading opens the file read-only and immutable and never attaches code to it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from posepile_torch.archive.storage import storage_errors
from posepile_torch.errors import ArchiveCorruptError, ArchiveError

#: ``(key, shard, offset, size, crc32c)`` of one stored entry.
Entry = tuple[str, int, int, int, int]


def write_container_index(path: Path, entries: Iterable[Entry], shard_limit_bytes: int) -> None:
    """Write the index of a container whose shards are complete.

    Equal entries in equal order give equal bytes (with the same SQLite library): no time stamps,
    no owner, no traces of how the entries came about.

    Raises:
        ArchiveError: If two entries have the same key, or one is the folder of another.
        StorageError: If the disk refuses.
    """
    from barecat.core.index import Index

    path.unlink(missing_ok=True)
    with storage_errors(path):
        Index(path, shard_size_limit=shard_limit_bytes, readonly=False).close()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            try:
                _fill(database, entries)
            except sqlite3.IntegrityError as error:
                raise ArchiveError(
                    f"keys contradict each other: {error}",
                    where=path,
                    rule="keys are unique, and none is the folder of another",
                ) from None


def _fill(database: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    # The whole file is synced before it is published, so no rollback journal is needed here.
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA foreign_keys = OFF")
    # The new file already holds the current time; emptied pages must not keep a trace of it.
    database.execute("PRAGMA secure_delete = ON")
    database.execute("UPDATE config SET value_int = 0 WHERE key = 'use_triggers'")
    database.execute("DELETE FROM dirs")
    # (the triggers do not compile without the index on the folders)
    indexes = database.execute(
        "SELECT name, sql FROM sqlite_master "
        "WHERE type = 'index' AND tbl_name = 'files' AND sql IS NOT NULL ORDER BY name"
    ).fetchall()
    for name, _ in indexes:
        database.execute(f'DROP INDEX "{name}"')
    database.execute("VACUUM")
    database.execute("BEGIN")
    folders = _Folders()
    database.executemany(
        "INSERT INTO files (path, shard, offset, size, crc32c) VALUES (?, ?, ?, ?, ?)",
        folders.counting(entries),
    )
    database.executemany(
        "INSERT INTO dirs (path, num_subdirs, num_files, num_files_tree, size_tree) "
        "VALUES (?, ?, ?, ?, ?)",
        folders.rows(),
    )
    for _, sql in indexes:  # sorted once, instead of one B-tree insertion per row
        database.execute(sql)
    clash = database.execute(
        "SELECT files.path FROM files JOIN dirs ON files.path = dirs.path LIMIT 1"
    ).fetchone()
    if clash is not None:
        raise sqlite3.IntegrityError(f"{clash[0]!r} is an entry and a folder")
    database.execute("UPDATE config SET value_int = 1 WHERE key = 'use_triggers'")
    database.execute("COMMIT")


class _Folders:
    """Statistics of every folder, as BareCat keeps them."""

    def __init__(self) -> None:
        self._files: dict[str, int] = defaultdict(int)
        self._sizes: dict[str, int] = defaultdict(int)

    def counting(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the entries on, counting them."""
        for entry in entries:
            parent = entry[0].rpartition("/")[0]
            self._files[parent] += 1
            self._sizes[parent] += entry[3]
            yield entry

    def rows(self) -> list[tuple[str, int, int, int, int]]:
        """Return path, subfolders, files, files below, bytes below of every folder, sorted."""
        tree: dict[str, list[int]] = {"": [0, 0, 0, 0]}
        for folder, count in self._files.items():
            for ancestor in _ancestors(folder):
                tree.setdefault(ancestor, [0, 0, 0, 0])
                tree[ancestor][2] += count
                tree[ancestor][3] += self._sizes[folder]
            tree[folder][1] += count
        for folder in tree:
            if folder:
                tree[folder.rpartition("/")[0]][0] += 1
        return [(folder, *tree[folder]) for folder in sorted(tree)]  # type: ignore[misc]


def _ancestors(folder: str) -> list[str]:
    parts = folder.split("/") if folder else []
    return [""] + ["/".join(parts[: i + 1]) for i in range(len(parts))]


@contextlib.contextmanager
def open_container(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the index of a published container for reading only.

    Raises:
        ArchiveCorruptError: If it is no SQLite file, or damaged where it is read.
    """
    # immutable: no locks and no journal, so that a read-only disk is enough
    uri = f"file:{quote(str(path))}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("PRAGMA cell_size_check = ON")
            yield database
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise ArchiveCorruptError(
            f"the container's index cannot be read ({type(error).__name__}: {error})",
            archive=path.parent,
            shard=path.name,
            fix="restore this file from a copy, or convert the dataset again",
        ) from None


def container_entries(database: sqlite3.Connection, order: str = "address") -> Iterator[Entry]:
    """Yield the entries of a container ordered by ``"address"`` or by ``"key"``."""
    columns = {"address": "shard, offset, path", "key": "path"}[order]
    return iter(
        database.execute(f"SELECT path, shard, offset, size, crc32c FROM files ORDER BY {columns}")
    )
