"""Writing to disk so that it stays written, with errors that name the space that is left."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import crc32c

from posepile_torch.archive.manifest import StoredFile
from posepile_torch.errors import StorageError

_CHUNK_BYTES = 8 * 2**20
_END_BYTES = 4096

_DISK_ERRORS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_NOLFS,
}


def free_bytes(folder: Path) -> int:
    """Return the space that an ordinary user may still write to the disk of ``folder``."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def check_free_space(folder: Path, needed_bytes: int, *, where: object) -> None:
    """Refuse early when an estimate of the output does not fit on the disk.

    Raises:
        StorageError: With the needed and the free number of bytes.
    """
    free = free_bytes(folder)
    if needed_bytes > free:
        raise StorageError(
            f"about {needed_bytes:,} bytes are needed, {free:,} are free",
            where=where,
            rule="the free space is checked before a conversion begins",
            fix=f"free {needed_bytes - free:,} bytes, or choose another output folder",
            needed_bytes=needed_bytes,
            free_bytes=free,
        )


@contextlib.contextmanager
def storage_errors(path: Path, needed_bytes: int = 0) -> Iterator[None]:
    """Turn failures of the disk (OSError, SQLite errors) into :class:`StorageError`."""
    try:
        yield
    except StorageError:
        raise
    except sqlite3.Error as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) not in _DISK_ERRORS:
            raise  # about the data or the code, not the disk
        raise _storage_error(error, path, needed_bytes) from error
    except OSError as error:
        raise _storage_error(error, path, needed_bytes) from error


def _storage_error(error: Exception, path: Path, needed_bytes: int) -> StorageError:
    try:
        free = free_bytes(path if path.is_dir() else path.parent)
    except OSError:
        free = -1
    reason = getattr(error, "strerror", None) or str(error)
    needed = f"{needed_bytes:,} bytes were to be written" if needed_bytes else "a write failed"
    space = "free space unknown" if free < 0 else f"{free:,} bytes are free"
    return StorageError(
        f"the disk refused a write ({reason}): {needed}, {space}",
        where=path,
        rule="nothing is published unless every byte reached the disk",
        fix="free some space or check the disk, then run the same command again: it resumes",
        needed_bytes=needed_bytes,
        free_bytes=free,
    )


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of ``data``; a disk that takes nothing more raises ENOSPC."""
    view = memoryview(data)
    while view:
        written = os.write(descriptor, view)
        if written <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[written:]


def write_file(path: Path, content: bytes) -> None:
    """Write a new file and make it durable."""
    with storage_errors(path, len(content)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def fsync_path(path: Path) -> None:
    """Make the content of a file, or the entries of a folder, durable."""
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_folder(folder: Path) -> None:
    """Remove a folder and everything in it; a folder that is not there is fine."""
    with storage_errors(folder):
        if folder.is_symlink() or not folder.exists():
            return
        shutil.rmtree(folder)


def ends_crc32c(path: Path) -> int:
    """CRC32C of the first and the last 4096 bytes of a file (of all of a smaller one).

    Cheap enough for every open, it notices files that were swapped or replaced.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        head = os.pread(file.fileno(), _END_BYTES, 0)
        tail = os.pread(file.fileno(), _END_BYTES, max(0, size - _END_BYTES))
    return int(crc32c.crc32c(tail, crc32c.crc32c(head)))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def describe_file(path: Path) -> StoredFile:
    """Return size, SHA-256 and CRC32C of the ends of a file, as listed in a manifest."""
    with storage_errors(path):
        return StoredFile(
            bytes=path.stat().st_size, sha256=sha256_of(path), ends_crc32c=ends_crc32c(path)
        )
