"""What the raw files are, so that a change between two runs, or during one, is noticed.

A snapshot is a text file with one line for each raw file that the card's layout names: relative
path, size, modification time and a hash of the content. It is written and compared line by line,
so a download of millions of images needs no memory.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from posepile_torch.archive.storage import ends_crc32c, sha256_of, storage_errors
from posepile_torch.errors import RawFileError
from posepile_torch.raw_layout import RawFilePattern, RawKind

_WHOLE_HASH_BYTES = 256 * 2**20
_SHA256_DIGITS = 64
_BY_SIZE_ONLY = (RawKind.IMAGE, RawKind.VIDEO, RawKind.MASK)


@dataclass(frozen=True)
class RawEntry:
    """One raw file.

    Attributes:
        path: Relative to the raw folder, with forward slashes; bytes that are not UTF-8 are
            surrogates, as everywhere in Python.
        size_bytes: Size.
        mtime_ns: Time of the last modification.
        content: Hash of small files that decide what is converted; empty for images, videos and
            masks, which are told apart by their size; ``ends:`` and a hash of both ends for
            other large files.
        pattern: Index of the layout's pattern that it follows.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    content: str
    pattern: int

    def to_line(self) -> bytes:
        """Return the line of a snapshot file, without its end."""
        # A path may hold every byte but NUL and slash, so it stands last and is escaped.
        escaped = self.path.encode("unicode_escape", "surrogateescape")
        return b"%d\t%d\t%s\t%d\t%s" % (
            self.size_bytes,
            self.mtime_ns,
            self.content.encode(),
            self.pattern,
            escaped,
        )

    @classmethod
    def from_line(cls, line: bytes) -> RawEntry:
        """Read a line that :meth:`to_line` wrote."""
        size, mtime_ns, content, pattern, path = line.rstrip(b"\n").split(b"\t")
        text = path.decode("unicode_escape")
        return cls(text, int(size), int(mtime_ns), content.decode(), int(pattern))


_NOTHING = RawEntry("", 0, 0, "", 0)


@dataclass
class RawSummary:
    """What the files of one pattern are, without modification times.

    Another download of the same files has the same summary.
    """

    files: int = 0
    total_bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, entry: RawEntry) -> None:
        """Count one file."""
        self.files += 1
        self.total_bytes += entry.size_bytes
        path = os.fsencode(entry.path)
        self.digest.update(b"%s\t%d\t%s\n" % (path, entry.size_bytes, entry.content.encode()))

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {"files": self.files, "bytes": self.total_bytes, "sha256": self.digest.hexdigest()}


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield path relative to ``root`` and status of every regular file, in a stable order.

    Symbolic links are followed, also to other disks. Only one folder is held in memory at a time.

    Raises:
        RawFileError: If a link leads back into a folder above itself, or a folder cannot be read.
    """
    yield from _walk(root, "", ())


def _walk(
    root: Path, relative: str, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, os.stat_result]]:
    folder = root / relative if relative else root
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        raise RawFileError(
            f"the folder {relative!r} contains itself, through a symbolic link",
            where=folder,
            rule="links in a raw folder lead to other places, not back up",
            fix="remove the link",
        )
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except PermissionError:
        raise RawFileError(
            "the folder may not be read by this user", where=folder, fix="change its permissions"
        ) from None
    for name in names:
        path = f"{relative}/{name}" if relative else name
        try:
            found = (root / path).stat()
        except OSError:
            continue  # a dangling link, or gone meanwhile: missing, as far as the layout goes
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(root, path, (*above, identity))
        elif stat.S_ISREG(found.st_mode):
            yield path, found


def raw_entries(root: Path, layout: Sequence[RawFilePattern]) -> Iterator[RawEntry]:
    """Yield every raw file that the layout names, in the order of :func:`walk`."""
    for entry in _entries_by_status(root, layout):
        content = _content(root / entry.path, entry.size_bytes, layout[entry.pattern].kind)
        yield replace(entry, content=content)


def _entries_by_status(root: Path, layout: Sequence[RawFilePattern]) -> Iterator[RawEntry]:
    """Yield the entries without a look into the files."""
    for path, status in walk(root):
        for number, pattern in enumerate(layout):
            if pattern.match(path) is not None:
                yield RawEntry(path, status.st_size, status.st_mtime_ns, "", number)
                break


def _content(path: Path, size: int, kind: RawKind) -> str:
    if kind in _BY_SIZE_ONLY:
        return ""
    try:
        return f"ends:{ends_crc32c(path):08x}" if size > _WHOLE_HASH_BYTES else sha256_of(path)
    except OSError as error:
        raise RawFileError(
            f"the file cannot be read ({error.strerror})",
            where=path,
            fix="check its permissions, and that nothing moves the raw files",
        ) from None


def take_snapshot(
    root: Path, layout: Sequence[RawFilePattern], path: Path
) -> dict[str, dict[str, Any]]:
    """Write a snapshot of the raw files, and return the summary of each pattern.

    Raises:
        RawFileError: If the folder cannot be walked through.
        StorageError: If the disk refuses a write.
    """
    summaries = [RawSummary() for _ in layout]
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with storage_errors(path), temporary.open("wb") as file:
        for entry in raw_entries(root, layout):
            summaries[entry.pattern].add(entry)
            file.write(entry.to_line() + b"\n")
    temporary.replace(path)
    return {
        pattern.pattern: summary.to_dict()
        for pattern, summary in zip(layout, summaries, strict=True)
    }


def read_snapshot(path: Path) -> Iterator[RawEntry]:
    """Yield the entries of a snapshot."""
    with path.open("rb") as file:
        for line in file:
            yield RawEntry.from_line(line)


@dataclass(frozen=True)
class RawChange:
    """A raw file that differs between two snapshots.

    Attributes:
        path: Relative to the raw folder.
        what: ``"added"``, ``"removed"``, ``"changed"``, or ``"touched"``: written to, without a
            difference that the snapshots show.
    """

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path!r} was {self.what}"


def changes(before: Iterator[RawEntry], after: Iterator[RawEntry]) -> Iterator[RawChange]:
    """Compare two snapshots, both in the order of :func:`walk`.

    A file with an unchanged hash of its whole content is unchanged, whatever its time says.
    """
    for old, new in _paired(before, after):
        what = _difference(old, new)
        if what:
            yield RawChange((old or new or _NOTHING).path, what)


def changes_since(
    snapshot: Path, root: Path, layout: Sequence[RawFilePattern]
) -> Iterator[RawChange]:
    """Compare the raw files with a snapshot of them, reading only those whose time differs."""
    for old, new in _paired(read_snapshot(snapshot), _entries_by_status(root, layout)):
        if old is not None and new is not None:
            if (old.size_bytes, old.mtime_ns) == (new.size_bytes, new.mtime_ns):
                continue
            kind = layout[new.pattern].kind
            new = replace(new, content=_content(root / new.path, new.size_bytes, kind))
        what = _difference(old, new)
        if what:
            yield RawChange((old or new or _NOTHING).path, what)


def _paired(
    before: Iterator[RawEntry], after: Iterator[RawEntry]
) -> Iterator[tuple[RawEntry | None, RawEntry | None]]:
    """Join two snapshots by path; None where one of them has no such file."""
    old, new = next(before, None), next(after, None)
    while old is not None or new is not None:
        if old is not None and (new is None or _order(old) < _order(new)):
            yield old, None
            old = next(before, None)
        elif new is not None and (old is None or _order(new) < _order(old)):
            yield None, new
            new = next(after, None)
        else:
            yield old, new
            old, new = next(before, None), next(after, None)


def _difference(old: RawEntry | None, new: RawEntry | None) -> str:
    if old is None or new is None:
        return "added" if old is None else "removed"
    if (old.size_bytes, old.content) != (new.size_bytes, new.content):
        return "changed"
    is_proven_equal = len(old.content) == _SHA256_DIGITS
    return "touched" if old.mtime_ns != new.mtime_ns and not is_proven_equal else ""


def _order(entry: RawEntry) -> list[str]:
    return entry.path.split("/")
