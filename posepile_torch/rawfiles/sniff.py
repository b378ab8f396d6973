"""What every raw reader does first: is the file there, whole, small enough, and data at all?

Three accidents look like data to a parser and give it strange errors: an interrupted download, a
git-lfs or git-annex pointer that was cloned instead of its content, and the login or error page
of a web server saved under the name of the file. They are recognised here, once, for all formats.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from posepile_torch.errors import (
    MissingRawFileError,
    PointerFileError,
    RawFileTooLargeError,
    UnknownNameError,
    UnreadableRawFileError,
)

GIB = 1 << 30
DEFAULT_MAX_BYTES = 4 * GIB

_HEAD_BYTES = 2048
_RESERVE_BYTES = 1 << 22
_ZERO_RUN = 64
_UNFINISHED_SUFFIXES = (".part", ".partial", ".crdownload", ".download", ".aria2", ".filepart")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_ANNEX_POINTERS = (b"/annex/objects/", b".git/annex/objects/", b"../.git/annex/objects/")
_PAGE_START = re.compile(rb"<(?:!doctype\s+html|html|head|body|script|title|meta)[\s>/]")
_SERVER_ERROR = re.compile(rb"<html[\s>]|<code>(?:accessdenied|nosuchkey|expiredtoken)")
_KINDS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x93NUMPY", "an npy array"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB v5 file"),
    (b"MATLAB 7.3 MAT-file", "a MATLAB v7.3 file"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"%PDF-", "a PDF document"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
)


@dataclass(frozen=True)
class CheckedFile:
    """A regular, non-empty file whose first bytes are not those of a pointer or a web page.

    ``head`` holds at most the first 2048 bytes; ``size_bytes`` is the size of the whole file.
    """

    path: Path
    size_bytes: int
    head: bytes


def check_file(
    path: str | os.PathLike[str],
    *,
    max_bytes: int | None = DEFAULT_MAX_BYTES,
    may_start_with_zeros: bool = False,
) -> CheckedFile:
    """Check that ``path`` is a finished data file before a parser sees it.

    Reads the first 2 KiB and nothing more. ``max_bytes=None`` lifts the limit on the size;
    ``may_start_with_zeros`` is for formats that allow a preamble of zero bytes (HDF5).

    Raises:
        MissingRawFileError: If there is no such file.
        PointerFileError: If a git-lfs or git-annex pointer or a web page lies there.
        RawFileTooLargeError: If it has more than ``max_bytes``.
        UnreadableRawFileError: If it is empty, not a regular file, or an unfinished download.
    """
    path = Path(path)
    size = _regular_size(path)
    if path.suffix.lower() in _UNFINISHED_SUFFIXES:
        raise UnreadableRawFileError(
            f"{path.name!r} is an unfinished download",
            where=path,
            rule=f"names ending in {path.suffix} belong to downloads that were interrupted",
            fix="finish or repeat the download",
        )
    if size == 0:
        raise UnreadableRawFileError(
            "the file is empty (0 bytes)", where=path, fix="fetch the file again"
        )
    if max_bytes is not None and size > max_bytes:
        raise RawFileTooLargeError(
            f"the file has {size:,} bytes",
            where=path,
            rule=f"this reader takes at most {max_bytes:,} bytes, so that memory is not exhausted",
            fix="pass a larger max_bytes if the file is right and the memory is there",
        )
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    refuse_pointer(head, where=path)
    if not may_start_with_zeros and not any(head[:_ZERO_RUN]):
        raise UnreadableRawFileError(
            f"the file begins with {min(len(head), _ZERO_RUN)} zero bytes",
            where=path,
            rule="space that a download reserved but did not fill looks like this",
            fix="fetch the file again",
        )
    return CheckedFile(path, size, head)


def read_bytes(
    path: str | os.PathLike[str], *, max_bytes: int | None = DEFAULT_MAX_BYTES
) -> bytes:
    """Read a whole raw file into memory, after :func:`check_file`.

    Raises:
        RawFileTooLargeError: If the file exceeds ``max_bytes`` or the memory at hand.
        UnreadableRawFileError: If fewer bytes arrive than the file system promised.
    """
    checked = check_file(path, max_bytes=max_bytes)
    with memory_guard(checked.path, checked.size_bytes), checked.path.open("rb") as file:
        data = file.read(checked.size_bytes)
    if len(data) != checked.size_bytes:
        raise UnreadableRawFileError(
            f"read {len(data):,} of {checked.size_bytes:,} bytes",
            where=path,
            fix="check the disk, and that nothing writes to the file",
        )
    return data


@contextlib.contextmanager
def memory_guard(where: object, size_bytes: int) -> Iterator[None]:
    """Turn a failed allocation into an error that names the file and its size."""
    reserve = bytearray(_RESERVE_BYTES)
    try:
        yield
    except MemoryError as failure:
        # The error needs some memory itself; what was built so far hangs on the frames.
        del reserve
        traceback.clear_frames(failure.__traceback__)
        raise RawFileTooLargeError(
            "the memory does not suffice to read this file",
            where=where,
            rule=f"the file has {size_bytes:,} bytes and is read as a whole",
            fix="use the streaming reader of the format, or a machine (or job) with more memory",
        ) from None


def refuse_pointer(head: bytes, *, where: object) -> None:
    """Refuse bytes that begin like a git pointer or a web page.

    Raises:
        PointerFileError: Always saying that the data must be fetched again, and how.
    """
    if head.startswith(_LFS_POINTER):
        raise PointerFileError(
            "this is a git-lfs pointer file, not the data",
            where=where,
            rule="git clones pointers when git-lfs is not installed",
            fix="fetch again: install git-lfs and run `git lfs pull`, or download the file itself",
        )
    first_line = head.split(b"\n", 1)[0]
    if len(first_line) < 512 and any(
        first_line.startswith(start) and b"--" in first_line for start in _ANNEX_POINTERS
    ):
        raise PointerFileError(
            "this is a git-annex pointer file, not the data",
            where=where,
            fix="fetch again: run `git annex get` for it",
        )
    if looks_like_page(head):
        raise PointerFileError(
            "this is a web page (HTML), not the data",
            where=where,
            rule="servers answer with a login, licence or error page when a download is refused",
            fix="fetch again while logged in; open the file in a browser to see what it says",
        )


def looks_like_page(head: bytes) -> bool:
    """Whether bytes begin like an HTML page or the XML error document of a storage server."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    while text.startswith(b"<!--") and b"-->" in text:
        text = text.split(b"-->", 1)[1].lstrip()
    if _PAGE_START.match(text):
        return True
    return text.startswith(b"<?xml") and _SERVER_ERROR.search(text) is not None


def looks_like(head: bytes) -> str:
    """Describe what the first bytes of a file look like, for error messages."""
    for magic, kind in _KINDS:
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[4:8] == b"ftyp":
        return "an MP4 video"
    return f"unknown data (first bytes {head[:8].hex(' ')})"


def _regular_size(path: Path) -> int:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingRawFileError(
            f"there is no file {path.name!r}",
            where=path,
            fix="check the raw folder that was given, and that the dataset was downloaded fully",
        ) from None
    except (OSError, ValueError) as error:
        raise UnreadableRawFileError(
            f"the file cannot be looked at ({error})", where=repr(str(path))
        ) from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise UnreadableRawFileError(f"this is {kind}", where=path, fix="name a file inside it")
    if not os.access(path, os.R_OK):
        raise UnreadableRawFileError(
            "the file may not be read by this user", where=path, fix="change its permissions"
        )
    return status.st_size


def no_such_part(
    kind: str, name: object, known: Iterable[object], *, where: object
) -> UnreadableRawFileError:
    """The error for a variable, member or dataset that a file does not have."""
    hint = UnknownNameError.among(kind, name, map(str, known))
    return UnreadableRawFileError(
        f"the file has no {kind} {name!r}",
        where=where,
        rule="a file of this dataset is expected to have it",
        fix=hint.fix,
    )
