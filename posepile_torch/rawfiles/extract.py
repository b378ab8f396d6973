"""Unpacking downloaded archives: all of it, or nothing.

Everything is written into a new folder beside the target and renamed at the end, so that a
target folder either holds the whole archive or is not touched. The names and kinds of members
that are let through are those of :mod:`posepile_torch.rawfiles.members`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from posepile_torch import keys
from posepile_torch.errors import ExtractionError, UnreadableRawFileError
from posepile_torch.rawfiles import sniff, tars, zips
from posepile_torch.rawfiles.members import (
    DEFAULT_LIMITS,
    ExtractionLimits,
    MemberRegister,
    translated,
)


@dataclass(frozen=True)
class Extraction:
    """What was unpacked: the target folder and how much was put into it."""

    folder: Path
    num_files: int
    num_bytes: int


def extract_zip(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    select: Callable[[str], bool] | None = None,
    limits: ExtractionLimits = DEFAULT_LIMITS,
    expected_bytes: int | None = None,
) -> Extraction:
    """Unpack a zip archive into ``folder``.

    The folder may exist already; then no member may be there yet, and files are moved in one by
    one after all of them were unpacked and checked. File times and permissions of the archive are
    not taken over.

    Args:
        path: The archive.
        folder: Where its members go.
        select: Called with each member's name; only members for which it is true are written.
        limits: Bounds on what may come out.
        expected_bytes: The size of the archive on the server, if known.

    Raises:
        ExtractionError: If the archive is cut off, damaged, of another size than expected, or
            breaks the policy, or if the disk is full. The target folder is then as it was.
    """
    _check_download(path, expected_bytes)
    with zips.ZipReader(path, limits=limits) as reader:
        wanted = [m for m in reader.members() if select is None or select(m.name)]
        needed = sum(member.size_bytes for member in wanted)
        with _Target(folder, where=reader.path, needed_bytes=needed) as target:
            for name in reader.folders:
                if select is None:
                    target.add_folder(name)
            for member in wanted:
                with reader.stream(member.name) as stream, reader.reading(member.name):
                    copied = target.add_file(member.name, stream, member.size_bytes)
                if copied != member.size_bytes:
                    raise zips.wrong_size(reader.path, member.name, member.size_bytes, copied)
            return target.commit()


def extract_tar(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    select: Callable[[str], bool] | None = None,
    limits: ExtractionLimits = DEFAULT_LIMITS,
    expected_bytes: int | None = None,
) -> Extraction:
    """Unpack a tar archive (plain, gzip, bzip2 or xz) into ``folder``.

    Arguments, promises and errors are those of :func:`extract_zip`.
    """
    _check_download(path, expected_bytes)
    path = Path(path)
    with _Target(folder, where=path) as target:
        for entry in tars.walk_tar(path, limits):
            if select is not None and (entry.is_folder or not select(entry.name)):
                continue
            if entry.is_folder:
                target.add_folder(entry.name)
                continue
            with tars.reading(entry, where=path):
                copied = target.add_file(entry.name, entry.stream, entry.size_bytes)
            if copied != entry.size_bytes:
                raise tars.wrong_size(entry, copied, where=path)
        return target.commit()


def extract_barecat(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    select: Callable[[str], bool] | None = None,
    limits: ExtractionLimits = DEFAULT_LIMITS,
) -> Extraction:
    """Unpack a BareCat archive into ``folder``.

    BareCat's own ``extract`` writes keys such as ``../x`` outside of the target; here all keys
    are checked before anything is written, and every file's CRC32C while it is. Arguments,
    promises and errors are those of :func:`extract_zip`.

    Raises:
        ArchivePathError: If BareCat cannot open an archive at this path.
    """
    import sqlite3

    checked = sniff.check_file(path, max_bytes=None)
    keys.check_archive_path(checked.path)
    register = MemberRegister(limits, packed_bytes=checked.size_bytes, where=checked.path)
    damage = (sqlite3.Error, ValueError, IndexError, KeyError, OSError)
    with _Target(folder, where=checked.path) as target:
        with (
            translated(damage, lambda error: _damaged(path, "BareCat archive", error)),
            _opened_barecat(checked.path) as archive,
        ):
            infos = list(archive.index.iter_all_fileinfos())
            names = [register.add(i.path, is_folder=False, size_bytes=i.size) for i in infos]
            for info, name in zip(infos, names, strict=True):
                if select is None or select(name):
                    target.add_content(name, archive.read(info.path))
        return target.commit()


def decompress_file(
    path: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    limits: ExtractionLimits = DEFAULT_LIMITS,
) -> Path:
    """Unpack a single gzip, bzip2 or xz file (``video.avi.xz``) to the new file ``target``.

    Raises:
        ExtractionError: If the data is cut off or damaged, exceeds the limits, or if ``target``
            exists; no file is left then.
    """
    checked = sniff.check_file(path, max_bytes=None)
    target = Path(target)
    register = MemberRegister(limits, packed_bytes=checked.size_bytes, where=checked.path)
    if not checked.head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")):
        raise UnreadableRawFileError(
            f"this is no gzip, bzip2 or xz data but {sniff.looks_like(checked.head)}", where=path
        )
    if target.exists():
        raise _exists(target, checked.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with (
            translated(tars.DAMAGE, lambda error: _damaged(path, "compressed file", error)),
            tars.decompressed(checked) as source,
            _new_file(temporary) as sink,
        ):
            total = 0
            while piece := source.read(1 << 20):
                total += len(piece)
                register.check_size(target.name, total)
                register.check_ratio("the file", total, checked.size_bytes)
                sink.write(piece)
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _opened_barecat(path: Path) -> Any:
    import sqlite3

    import barecat

    # BareCat leaves its connection open when it fails to open a damaged index.
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as index:
        index.execute("SELECT path, shard, offset, size, crc32c FROM files LIMIT 1").fetchall()
    return barecat.Barecat(path, readonly=True, threadsafe=True)


def _damaged(path: str | os.PathLike[str], kind: str, error: Exception) -> ExtractionError:
    return ExtractionError(
        f"the {kind} is cut off or damaged: {error}", where=path, fix="fetch it again"
    )


def _check_download(path: str | os.PathLike[str], expected_bytes: int | None) -> None:
    checked = sniff.check_file(path, max_bytes=None)
    if expected_bytes is not None and checked.size_bytes != expected_bytes:
        raise ExtractionError(
            f"the archive has {checked.size_bytes:,} bytes, not {expected_bytes:,}",
            where=path,
            rule="its size must be that of the file on the server",
            fix="finish or repeat the download",
        )


class _Target:
    """A folder in the making: filled beside its place, put there by :meth:`commit` only."""

    def __init__(
        self, folder: str | os.PathLike[str], *, where: Path, needed_bytes: int = 0
    ) -> None:
        self.folder = Path(folder)
        self.where = where
        self.needed_bytes = needed_bytes
        self.num_files = 0
        self.num_bytes = 0
        self.files: list[str] = []
        self.made: set[Path] = set()

    def __enter__(self) -> _Target:
        parent = self.folder.absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(parent).free
        if self.needed_bytes > free:
            raise self._disk_full(f"{self.needed_bytes:,} bytes are needed, {free:,} are free")
        self.temporary = parent / f".extracting-{self.folder.name}-{secrets.token_hex(6)}"
        self.temporary.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.temporary, ignore_errors=True)

    def add_folder(self, name: str) -> None:
        """Create an empty folder."""
        self._make(self.temporary / name)

    def add_file(self, name: str, stream: IO[bytes], declared_bytes: int) -> int:
        """Write one file from a stream; returns its size."""
        with self._written(name) as sink:
            copied = tars.copy_stream(stream, sink, declared_bytes)
        self.num_bytes += copied
        return copied

    def add_content(self, name: str, content: bytes) -> None:
        """Write one file."""
        with self._written(name) as sink:
            sink.write(content)
        self.num_bytes += len(content)

    def commit(self) -> Extraction:
        """Put everything in its place."""
        if self.folder.is_dir() and any(self.folder.iterdir()):
            self._merge()
        else:
            if self.folder.is_symlink() or self.folder.is_file():
                raise _exists(self.folder, self.where)
            self.temporary.rename(self.folder)
        return Extraction(self.folder, self.num_files, self.num_bytes)

    def _merge(self) -> None:
        moves = [(self.temporary / name, self.folder / name) for name in self.files]
        folders = [self.folder / made.relative_to(self.temporary) for made in sorted(self.made)]
        for final in [final for _, final in moves] + folders:
            if os.path.lexists(final) and not (final.is_dir() and final in folders):
                raise _exists(final, self.where)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for temporary, final in moves:
            shutil.move(temporary, final)

    def _make(self, folder: Path) -> None:
        if folder not in self.made:
            folder.mkdir(parents=True, exist_ok=True)
            self.made.add(folder)

    @contextlib.contextmanager
    def _written(self, name: str) -> Iterator[IO[bytes]]:
        path = self.temporary / name
        self._make(path.parent)
        try:
            sink = _new_file(path)
        except OSError as error:
            raise ExtractionError(
                f"the file {name!r} cannot be created: {error}", where=self.folder
            ) from None
        try:
            with sink:
                yield sink
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            free = shutil.disk_usage(self.temporary).free
            raise self._disk_full(f"writing {name!r} failed, {free:,} bytes are free") from None
        self.files.append(name)
        self.num_files += 1

    def _disk_full(self, what: str) -> ExtractionError:
        return ExtractionError(
            f"the disk is full: {what}",
            where=self.folder,
            fix="free some space, or unpack to another disk; nothing was left behind",
        )


def _new_file(path: Path) -> IO[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666), "wb")


def _exists(path: Path, where: Path) -> ExtractionError:
    return ExtractionError(
        f"{str(path)!r} exists already",
        where=where,
        rule="nothing is overwritten",
        fix="remove it, or unpack to another folder",
    )
