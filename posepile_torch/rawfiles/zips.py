"""Reading members of a zip archive without unpacking it, under the extraction policy."""

from __future__ import annotations

import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from posepile_torch.errors import ExtractionError, UnreadableRawFileError
from posepile_torch.rawfiles import sniff
from posepile_torch.rawfiles.members import (
    DEFAULT_LIMITS,
    ExtractionLimits,
    MemberRegister,
    is_target_itself,
    translated,
)

_END, _END64, _END64_LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_BYTES, _LOCATOR_BYTES, _MAX_COMMENT = 22, 20, 65535
_MAX_ENTRY_BYTES = 46 + 3 * 65535  # of the central directory
_TYPICAL_ENTRY_BYTES = 1024
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED, _UTF8_NAME = 0x1, 0x800
_METHODS = {0: "stored", 8: "deflate", 12: "bzip2", 14: "lzma"}
DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, OSError, ValueError,
    NotImplementedError, RuntimeError, IndexError, KeyError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class ZipMember:
    """One regular file in a zip archive: its safe name and unpacked size."""

    name: str
    size_bytes: int


class ZipReader:
    """Random access to the regular files of a zip archive.

    Names are relative paths with ``/``, in Unicode form NFC. The index is checked once, when the
    archive is first used; every read checks size and CRC. Instances can be pickled and used after
    a fork: each process opens the file for itself.

    Raises (on first use):
        ExtractionError: If the archive is cut off or damaged, or breaks the policy of
            :mod:`posepile_torch.rawfiles.members`.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, limits: ExtractionLimits = DEFAULT_LIMITS
    ) -> None:
        self.path = Path(path)
        self.limits = limits
        self._owner = 0
        self._file: zipfile.ZipFile
        self._infos: dict[str, zipfile.ZipInfo] = {}
        self._folders: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all files, in the order of the archive's index."""
        self._open()
        return tuple(self._infos)

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders that have an entry of their own."""
        self._open()
        return self._folders

    def members(self) -> Iterator[ZipMember]:
        """Yield name and size of all files."""
        self._open()
        for name, info in self._infos.items():
            yield ZipMember(name, info.file_size)

    def __contains__(self, name: str) -> bool:
        self._open()
        return name in self._infos

    def read(self, name: str) -> bytes:
        """The content of one file, its size and CRC checked."""
        with sniff.memory_guard(f"{self.path}: {name}", self._info(name).file_size):
            with self.stream(name) as stream, self.reading(name):
                data = stream.read()
            if len(data) != self._info(name).file_size:
                raise wrong_size(self.path, name, self._info(name).file_size, len(data))
            return data

    def stream(self, name: str) -> IO[bytes]:
        """Open one file for reading from its start; used within :meth:`reading`."""
        info = self._info(name)
        with self.reading(name):
            return self._file.open(info)

    def reading(self, name: str) -> AbstractContextManager[None]:
        """A context that turns what damaged data raises into an error naming the member."""
        return translated(
            DAMAGE,
            lambda error: _damaged(self.path, f"its member {name!r} cannot be unpacked ({error})"),
        )

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._owner == os.getpid():
            self._file.close()
        self._owner = 0

    def __enter__(self) -> ZipReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "limits": self.limits}

    def __setstate__(self, state: dict[str, Any]) -> None:
        ZipReader.__init__(self, state["path"], limits=state["limits"])

    def _info(self, name: str) -> zipfile.ZipInfo:
        self._open()
        if name not in self._infos:
            raise sniff.no_such_part("member", name, self._infos, where=self.path)
        return self._infos[name]

    def _open(self) -> None:
        if self._owner == os.getpid():
            return
        checked = sniff.check_file(self.path, max_bytes=None)
        _check_end(checked, self.limits)
        with translated(DAMAGE, lambda error: _damaged(self.path, str(error))):
            self._file = zipfile.ZipFile(checked.path)
        try:
            self._infos, self._folders = _checked_index(self._file, checked, self.limits)
        except ExtractionError:
            self._file.close()
            raise
        self._owner = os.getpid()


def iter_zip_members(
    path: str | os.PathLike[str], *, limits: ExtractionLimits = DEFAULT_LIMITS
) -> Iterator[ZipMember]:
    """Yield name and size of every file in a zip archive, without unpacking anything."""
    with ZipReader(path, limits=limits) as reader:
        yield from reader.members()


def read_zip_member(
    path: str | os.PathLike[str], name: str, *, limits: ExtractionLimits = DEFAULT_LIMITS
) -> bytes:
    """The content of one file of a zip archive; for many files use :class:`ZipReader`."""
    with ZipReader(path, limits=limits) as reader:
        return reader.read(name)


def wrong_size(path: Path, name: str, declared: int, got: int) -> ExtractionError:
    """The error for a member whose size is not the declared one."""
    return _damaged(path, f"its member {name!r} has {got:,} bytes, {declared:,} were declared")


def _damaged(path: Path, what: str) -> ExtractionError:
    return ExtractionError(
        f"the zip archive is cut off or damaged: {what}",
        where=path,
        fix="fetch the archive again and compare its size with the one on the server",
    )


def _check_end(checked: sniff.CheckedFile, limits: ExtractionLimits) -> None:
    """Look at the end record before Python's reader loads the whole index into memory."""
    if not checked.head.startswith(b"PK"):
        raise UnreadableRawFileError(
            f"this is no zip archive but {sniff.looks_like(checked.head)}",
            where=checked.path,
            fix="fetch the file again",
        )
    with checked.path.open("rb") as file:
        file.seek(
            -min(checked.size_bytes, _END_BYTES + _MAX_COMMENT + _LOCATOR_BYTES), os.SEEK_END
        )
        tail = file.read()
        at = tail.rfind(_END)
        if at < 0 or len(tail) < at + _END_BYTES:
            raise _damaged(checked.path, "it has no index at its end")
        disk, _, _, count, index_bytes = struct.unpack_from("<HHHHI", tail, at + 4)
        locator = tail[max(0, at - _LOCATOR_BYTES) : at]
        if locator.startswith(_END64_LOCATOR) and len(locator) == _LOCATOR_BYTES:
            file.seek(struct.unpack_from("<Q", locator, 8)[0])
            record = file.read(56)
            if len(record) < 56 or not record.startswith(_END64):
                raise _damaged(checked.path, "its zip64 end record is missing")
            count, index_bytes = struct.unpack_from("<QQ", record, 32)
    if disk not in (0, 0xFFFF):
        raise ExtractionError(
            "this is the last part of a split zip archive",
            where=checked.path,
            fix="join the parts first: zip -s 0 split.zip --out whole.zip",
        )
    register = MemberRegister(limits, packed_bytes=checked.size_bytes, where=checked.path)
    if count > limits.max_members:
        raise register.too_much(f"{count:,} members", "max_members")
    if index_bytes > _MAX_ENTRY_BYTES + _TYPICAL_ENTRY_BYTES * max(count, 1):
        raise _damaged(checked.path, f"its index claims {index_bytes:,} bytes")


def _checked_index(
    archive: zipfile.ZipFile, checked: sniff.CheckedFile, limits: ExtractionLimits
) -> tuple[dict[str, zipfile.ZipInfo], tuple[str, ...]]:
    where = checked.path
    register = MemberRegister(limits, packed_bytes=checked.size_bytes, where=where)
    infos: dict[str, zipfile.ZipInfo] = {}
    folders = []
    for info in archive.infolist():
        is_folder = _checked_kind(info, where)
        if is_folder and is_target_itself(_name(info)):
            continue
        name = register.add(_name(info), is_folder=is_folder, size_bytes=info.file_size)
        register.check_ratio(f"the member {name!r}", info.file_size, info.compress_size)
        if is_folder:
            folders.append(name)
        else:
            infos[name] = info
    _refuse_overlap(archive, where)
    return infos, tuple(folders)


def _checked_kind(info: zipfile.ZipInfo, where: Path) -> bool:
    """Whether the entry is a folder; refuses links, devices and what cannot be unpacked."""
    mode = info.external_attr >> 16
    is_folder = info.filename.endswith(("/", "\\")) or stat.S_ISDIR(mode)
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ExtractionError(
            f"the member {info.filename!r} is a link or a device",
            where=where,
            rule="only regular files and folders are unpacked",
            fix="do not use this archive; fetch it again from its original source",
        )
    if info.flag_bits & _ENCRYPTED:
        raise ExtractionError(
            f"the member {info.filename!r} is encrypted",
            where=where,
            fix="unpack it by hand with the password that the dataset's authors gave you",
        )
    if info.compress_type not in _METHODS:
        raise ExtractionError(
            f"the member {info.filename!r} uses the compression method {info.compress_type}",
            where=where,
            rule=f"supported are {', '.join(_METHODS.values())}",
            fix="unpack it by hand, for example with 7z",
        )
    return is_folder


def _name(info: zipfile.ZipInfo) -> str:
    """The member's name as text.

    Writers on Linux store UTF-8 without saying so; writers on Windows may store backslashes.
    """
    name = info.orig_filename
    if not info.flag_bits & _UTF8_NAME:
        try:
            name = name.encode("cp437").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            name = info.orig_filename
    return name.replace("\\", "/") if info.create_system == 0 else name


def _refuse_overlap(archive: zipfile.ZipFile, where: Path) -> None:
    """Refuse members that share packed bytes, the trick of non-recursive zip bombs."""
    end = 0
    last = ""
    for info in sorted(archive.infolist(), key=lambda i: i.header_offset):
        if info.header_offset < end:
            raise ExtractionError(
                f"the members {last!r} and {info.filename!r} overlap",
                where=where,
                rule="each member has its own packed bytes",
                fix="do not use this archive; fetch it again from its original source",
            )
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size
        last = info.filename
    if end > archive.start_dir:
        raise _damaged(where, "its last member reaches into its index")
