"""Walking through a tar archive once, from its start to its proven end."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from posepile_torch.errors import ExtractionError, UnreadableRawFileError
from posepile_torch.rawfiles import sniff
from posepile_torch.rawfiles.members import (
    DEFAULT_LIMITS,
    ExtractionLimits,
    MemberRegister,
    is_target_itself,
    translated,
)

_BLOCK = 512
_KEPT_BYTES = 1 << 16
_PIECE_BYTES = 1 << 20
_MAX_READ_BYTES = 1 << 24  # tarfile reads the headers of long names and attributes in one piece
DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)


@dataclass(frozen=True)
class TarEntry:
    """A regular file or folder in a tar archive; ``stream`` is valid until the next entry."""

    name: str
    is_folder: bool
    size_bytes: int
    stream: IO[bytes]


def iter_tar_members(
    path: str | os.PathLike[str], *, limits: ExtractionLimits = DEFAULT_LIMITS
) -> Iterator[tuple[str, bytes]]:
    """Yield ``(name, content)`` of every regular file of a tar archive, in its order.

    Plain, gzip, bzip2 and xz archives are read, once and forwards. Iterating to the end proves
    that the archive is complete.

    Raises:
        ExtractionError: If the archive is cut off or damaged, or breaks the policy of
            :mod:`posepile_torch.rawfiles.members`.
    """
    for entry in walk_tar(path, limits):
        if not entry.is_folder:
            with sniff.memory_guard(f"{path}: {entry.name}", entry.size_bytes):
                data = read_entry(entry, where=Path(path))
            yield entry.name, data


def read_entry(entry: TarEntry, *, where: Path) -> bytes:
    """The content of an entry, its size checked."""
    content = io.BytesIO()
    with reading(entry, where=where):
        copied = copy_stream(entry.stream, content, entry.size_bytes)
    if copied != entry.size_bytes:
        raise wrong_size(entry, copied, where=where)
    return content.getvalue()


def reading(entry: TarEntry, *, where: Path) -> AbstractContextManager[None]:
    """A context that turns what damaged data raises into an error naming the entry."""
    return translated(DAMAGE, lambda error: _damaged(where, f"in {entry.name!r}: {error}"))


def wrong_size(entry: TarEntry, got: int, *, where: Path) -> ExtractionError:
    """The error for an entry whose size is not the declared one."""
    return _damaged(where, f"{entry.name!r} has {got:,} of {entry.size_bytes:,} bytes")


def copy_stream(source: IO[bytes], sink: IO[bytes], declared_bytes: int) -> int:
    """Copy a member piece by piece; stops one byte after its declared size, returns the count."""
    copied = 0
    while piece := source.read(min(_PIECE_BYTES, declared_bytes + 1 - copied)):
        sink.write(piece)
        copied += len(piece)
    return copied


def walk_tar(path: str | os.PathLike[str], limits: ExtractionLimits) -> Iterator[TarEntry]:
    """Yield the entries of a tar archive; links, devices and sparse files are refused."""
    checked = sniff.check_file(path, max_bytes=None)
    where = checked.path
    register = MemberRegister(limits, packed_bytes=checked.size_bytes, where=where)
    with decompressed(checked) as source:
        reader = _ForwardReader(source, register, is_compressed=not isinstance(source, _Plain))
        with translated(DAMAGE, lambda error: _damaged(where, str(error))):
            archive = tarfile.open(  # noqa: SIM115 - it owns nothing: `source` is closed above
                fileobj=reader, mode="r:", encoding="utf-8", errors="surrogateescape"
            )
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                if not (member.isdir() and is_target_itself(member.name)):
                    yield _checked_entry(archive, member, register)
            _check_end(reader, archive.offset, where)


def _damaged(where: Path, what: str) -> ExtractionError:
    """The error for a tar archive that ends too early or makes no sense."""
    return ExtractionError(
        f"the tar archive is cut off or damaged: {what}",
        where=where,
        fix="fetch the archive again and compare its size with the one on the server",
    )


class _Plain(io.FileIO):
    """An uncompressed file."""


def decompressed(checked: sniff.CheckedFile) -> IO[bytes]:
    """Open a file for reading, unpacking gzip, bzip2 or xz on the way by its first bytes."""
    head, path = checked.head, checked.path
    if head.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if head.startswith(b"BZh"):
        return bz2.open(path, "rb")
    if head.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(path, "rb")
    if head.startswith((b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!")):
        raise UnreadableRawFileError(
            f"this is {sniff.looks_like(head)}, which is not read here",
            where=path,
            fix="unpack it by hand first" if head[:2] != b"PK" else "use extract_zip",
        )
    return _Plain(path)


def _checked_entry(
    archive: tarfile.TarFile, member: tarfile.TarInfo, register: MemberRegister
) -> TarEntry:
    if member.issparse() or not (member.isreg() or member.isdir()):
        raise ExtractionError(
            f"the member {member.name!r} is a link, a device or a sparse file",
            where=register.where,
            rule="only regular files and folders are unpacked",
            fix="if the archive is trusted, unpack it by hand and put the links in their place",
        )
    size = 0 if member.isdir() else member.size
    if size < 0:
        raise ExtractionError(f"the member {member.name!r} has the size {size}",
                              where=register.where)  # fmt: skip
    name = register.add(member.name, is_folder=member.isdir(), size_bytes=size)
    stream = None if member.isdir() else archive.extractfile(member)
    return TarEntry(name, member.isdir(), size, stream or io.BytesIO())


def _check_end(reader: _ForwardReader, offset: int, where: Path) -> None:
    """A whole archive ends with blocks of zeros; Python's reader also stops at less."""
    block = reader.recent(offset, _BLOCK)
    if len(block) < _BLOCK:
        raise _damaged(where, "it stops without its end mark")
    if any(block):
        raise _damaged(where, f"the header at byte {offset:,} makes no sense")
    while piece := reader.read(_KEPT_BYTES):
        if any(piece):
            raise _damaged(where, "more data follows its end mark")


class _ForwardReader(io.RawIOBase):
    """A stream that only goes forwards, remembers its last bytes and counts what it gives.

    tarfile steps back by one byte at times; in a compressed file that would unpack everything
    again from the start.
    """

    def __init__(
        self, source: IO[bytes], register: MemberRegister, *, is_compressed: bool
    ) -> None:
        super().__init__()
        self._source = source
        self._register = register
        self._is_compressed = is_compressed
        self._kept = b""
        self._end = 0  # position of the source
        self._at = 0  # position of the reader, at most len(_kept) behind

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Forwards, and a little backwards."""
        return True

    def tell(self) -> int:
        """The position in the unpacked stream."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an absolute position."""
        if whence != os.SEEK_SET or offset < self._end - len(self._kept):
            raise tarfile.ReadError("the archive cannot be read in one pass")
        while offset > self._end:
            self._at = self._end
            if not self.read(min(offset - self._end, _KEPT_BYTES)):
                break
        self._at = min(offset, self._end)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, or fewer at the end."""
        if size < 0 or size > _MAX_READ_BYTES:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        behind = self.recent(self._at, min(size, self._end - self._at))
        pieces, missing = [behind], size - len(behind)
        while missing and (piece := self._source.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces)
        fresh = data[len(behind) :]
        if fresh:
            self._end += len(fresh)
            self._kept = (self._kept + fresh)[-_KEPT_BYTES:]
            if self._is_compressed:
                packed = self._register.packed_bytes
                self._register.check_ratio("the whole archive", self._end, packed)
        self._at += len(data)
        return data

    def recent(self, start: int, size: int) -> bytes:
        """Bytes that were read a moment ago."""
        first = start - (self._end - len(self._kept))
        return self._kept[max(first, 0) : max(first, 0) + size]
