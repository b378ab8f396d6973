"""Finding the files of a PosePile archive (schema 0), whatever version of BareCat wrote them.

An archive is an annotation container, recognised by its entry ``metadata.msgpack``, and images: a
second container, loose files below a folder, or both.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import crc32c

from posepile_torch.archive.containers import open_container
from posepile_torch.errors import (
    ArchiveError,
    ArchiveIncompleteError,
    ArchiveNotFoundError,
    SchemaVersionError,
)

METADATA_KEY = "metadata.msgpack"

#: What BareCat up to 0.2 appended to the path of a container to name its index.
OLD_INDEX_SUFFIX = "-sqlite-index"

_SHARD = re.compile(r"(?P<name>.+)-shard-(?P<number>\d{5})")

#: Column of the checksum of each entry, and the function it comes from; newest first. Until the
#: end of 2024 BareCat stored zlib's CRC-32.
_CHECKSUMS: dict[str, Callable[[bytes], int]] = {"crc32c": crc32c.crc32c, "crc32": zlib.crc32}


@dataclass(frozen=True)
class LegacyContainer:
    """One BareCat container of any version.

    Attributes:
        folder: Folder in which its files lie.
        name: Name of its shards up to ``-shard-00000``.
        index_file: Its SQLite index.
        checksum: Column of the index that holds the checksums: ``crc32c`` or ``crc32``.
        shard_bytes: Size of every shard by its number; -1 for one that is missing.
    """

    folder: Path
    name: str
    index_file: Path
    checksum: str
    shard_bytes: tuple[int, ...]

    @property
    def path(self) -> Path:
        """Path under which BareCat knows it."""
        return self.folder / self.name

    @property
    def stem(self) -> str:
        """Name without the endings of BareCat."""
        return self.name.removesuffix(".barecat")

    @property
    def checksum_function(self) -> Callable[[bytes], int]:
        """What was computed from the bytes of every entry."""
        return _CHECKSUMS[self.checksum]

    @property
    def total_bytes(self) -> int:
        """Size of all shards together."""
        return sum(size for size in self.shard_bytes if size > 0)

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """Open the index for reading only.

        Raises:
            ArchiveCorruptError: If it is no SQLite file, or damaged where it is read.
        """
        with open_container(self.index_file) as database:
            yield database

    def has(self, key: str) -> bool:
        """Tell whether there is an entry ``key``."""
        with self.database() as database:
            query = "SELECT 1 FROM files WHERE path = ?"
            return database.execute(query, (key,)).fetchone() is not None


@dataclass(frozen=True)
class LegacyFiles:
    """Where everything of a PosePile archive lies.

    Attributes:
        annotations: The container with ``metadata.msgpack``.
        images: The container with the images, if there is one.
        image_root: Folder in which images are looked for that are in no container.
    """

    annotations: LegacyContainer
    images: LegacyContainer | None
    image_root: Path


def is_container(path: Path) -> bool:
    """Tell whether a BareCat container of any version seems to lie at ``path``."""
    return path.is_file() or _old_index(path).is_file()


def locate(path: Path, images: Path | None = None, image_root: Path | None = None) -> LegacyFiles:
    """Find the annotations at ``path`` and the images that belong to them.

    Args:
        path: The annotation container, its index file, or a folder that holds exactly one.
        images: The image container, or a folder with one or with loose image files. By default
            the only other container beside the annotations, or the one called
            ``images.barecat``.
        image_root: Folder of loose image files; by default that of the annotations.

    Raises:
        ArchiveNotFoundError: If there are no annotations, or several, or no images as named.
        ArchiveIncompleteError: If a container was being written, or lacks a file.
        ArchiveCorruptError: If an index cannot be read.
    """
    annotations = _annotations_in(path) if path.is_dir() else open_legacy_container(path)
    if not annotations.has(METADATA_KEY):
        raise ArchiveNotFoundError(
            f"this container has no entry {METADATA_KEY!r}",
            where=annotations.path,
            rule="the annotation container of a PosePile archive holds its joints in that entry",
            fix="name the container with the annotations; images are found beside it or named "
            "by images=...",
        )
    root = image_root or annotations.folder
    if images is None:
        beside = _images_in(annotations.folder, other_than=annotations.name)
        return LegacyFiles(annotations, beside, root)
    if is_container(images):
        return LegacyFiles(annotations, open_legacy_container(images), root)
    if not images.is_dir():
        raise ArchiveNotFoundError(
            "no images there",
            where=images,
            fix="name a BareCat container, or the folder to which image paths are relative",
        )
    return LegacyFiles(annotations, _images_in(images), image_root or images)


def open_legacy_container(path: Path) -> LegacyContainer:
    """Find the files of the container at ``path``, which may also be that of its old index.

    Raises:
        ArchiveNotFoundError: If there is no index.
        ArchiveIncompleteError: If it was being written when it was copied, or has no shards.
        ArchiveCorruptError: If its index cannot be read.
        SchemaVersionError: If its index is of no known version.
    """
    name = path.name.removesuffix(OLD_INDEX_SUFFIX)
    given = path.with_name(name)
    index = given if given.is_file() else _old_index(given)
    if not index.is_file():
        raise ArchiveNotFoundError(
            "no BareCat container there",
            where=given,
            rule=f"its index is called {name} or {name}{OLD_INDEX_SUFFIX}",
            fix="check the path; index and shards must lie in one folder",
        )
    for suffix in ("-journal", "-wal"):
        rest = index.with_name(index.name + suffix)
        if rest.exists() and rest.stat().st_size:
            raise ArchiveIncompleteError(
                f"{rest.name} lies beside the index: a write is going on, or was cut off",
                where=given,
                fix="wait for the writer, or let BareCat finish it: barecat verify " + name,
            )
    return LegacyContainer(
        folder=index.parent,
        name=name,
        index_file=index,
        checksum=_checksum_column(index),
        shard_bytes=_shard_bytes(index.parent, name),
    )


def _old_index(path: Path) -> Path:
    return path.with_name(path.name + OLD_INDEX_SUFFIX)


def _checksum_column(index: Path) -> str:
    with open_container(index) as database:
        table = database.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'files'"
        ).fetchone()
        columns = {row[1] for row in database.execute("PRAGMA table_info(files)")}
    known = [column for column in _CHECKSUMS if column in columns]
    # A view or a virtual table under that name could compute anything.
    is_plain = table is not None and str(table[0]).upper().startswith("CREATE TABLE")
    if not is_plain or not known or not {"path", "shard", "offset", "size"} <= columns:
        raise SchemaVersionError(
            "this SQLite file is no BareCat index of a known version",
            where=index,
            rule="it has a table of files with path, shard, offset, size and a checksum",
            fix="if BareCat itself opens it: barecat upgrade",
        )
    return known[0]


def _shard_bytes(folder: Path, name: str) -> tuple[int, ...]:
    sizes: dict[int, int] = {}
    for path in folder.glob("*-shard-*"):
        match = _SHARD.fullmatch(path.name)
        if match is not None and match["name"] == name:
            sizes[int(match["number"])] = path.stat().st_size
    if not sizes:
        raise ArchiveIncompleteError(
            f"there is no shard {name}-shard-00000 beside the index",
            where=folder / name,
            fix="copy the shards into the folder of the index",
        )
    return tuple(sizes.get(number, -1) for number in range(max(sizes) + 1))


def _container_names(folder: Path) -> list[str]:
    """Names of all containers in a folder, sorted; they are recognised by their shards."""
    matches = (_SHARD.fullmatch(path.name) for path in folder.glob("*-shard-*"))
    names = {match["name"] for match in matches if match is not None}
    return sorted(name for name in names if is_container(folder / name))


def _annotations_in(folder: Path) -> LegacyContainer:
    containers = [open_legacy_container(folder / name) for name in _container_names(folder)]
    found = [container for container in containers if container.has(METADATA_KEY)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(container.name for container in found)
    raise ArchiveNotFoundError(
        f"{len(found)} annotation containers in this folder{': ' if names else ''}{names}",
        where=folder,
        rule="an archive is a folder with manifest.json, or a PosePile container with "
        f"{METADATA_KEY}",
        fix="name the container itself" if found else "check the path",
    )


def _images_in(folder: Path, other_than: str = "") -> LegacyContainer | None:
    """The image container of a folder, if it is clear which one that is."""
    found = []
    for name in _container_names(folder):
        # A neighbour that cannot be read says nothing about the archive that was asked for.
        with contextlib.suppress(ArchiveError):
            container = open_legacy_container(folder / name)
            if name != other_than and not container.has(METADATA_KEY):
                found.append(container)
    named = [container for container in found if container.stem == "images"]
    chosen = named or found
    return chosen[0] if len(chosen) == 1 else None
