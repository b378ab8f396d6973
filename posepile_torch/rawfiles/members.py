"""Which members of a zip, tar or BareCat archive may be written, and under which names.

The rules are the same for all containers: regular files and folders only; a relative path inside
the target, in Unicode form NFC; no two names that one file system would take for the same file;
and bounds on how much comes out. Python's own extractors have let links and odd names out of the
target folder more than once (CVE-2025-4517 among others), hence a policy of our own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PureWindowsPath

from posepile_torch import keys
from posepile_torch.errors import ArchivePathError, ExtractionError

_RATIO_FLOOR_BYTES = 1 << 20


@dataclass(frozen=True)
class ExtractionLimits:
    """Bounds on what comes out of one archive.

    ``max_ratio`` bounds unpacked against packed size, of each zip member and of a whole
    compressed tar, once a mebibyte came out. Names that differ only in case are refused unless
    ``allow_case_collisions``: on macOS and Windows one file would overwrite the other.
    """

    max_members: int = 1_000_000
    max_total_bytes: int = 4 << 40
    max_member_bytes: int = 1 << 40
    max_ratio: float = 500.0
    allow_case_collisions: bool = False


#: The limits of all readers and extractors unless others are passed.
DEFAULT_LIMITS = ExtractionLimits()


def safe_member_name(name: str, *, where: object) -> str:
    """The relative path, with ``/`` and in form NFC, under which a member may be written.

    A leading ``./``, doubled slashes and the trailing slash of a folder are dropped; what is left
    must be a key as of :func:`posepile_torch.keys.check_key`.

    Raises:
        ExtractionError: For absolute paths, ``..``, drive letters, backslashes, control
            characters, bytes that are no text, and names that no file system takes.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    path = unicodedata.normalize("NFC", "/".join(parts))
    try:
        if name.startswith("/") or PureWindowsPath(name).drive:
            raise ArchivePathError("", rule="a member has no absolute path and no drive letter")
        return keys.check_key(path)
    except ArchivePathError as error:
        raise ExtractionError(
            f"the member name {name!r} is not safe",
            where=where,
            rule=error.rule,
            fix="do not unpack this archive; fetch it again from its original source",
        ) from None


def is_target_itself(name: str) -> bool:
    """Whether a member is the folder that is unpacked, as ``tar cf all.tar .`` stores it."""
    return not name.startswith("/") and all(part in ("", ".") for part in name.split("/"))


@contextmanager
def translated(
    damage: tuple[type[Exception], ...], make: Callable[[Exception], ExtractionError]
) -> Iterator[None]:
    """Turn what a decompressor raises on damaged data into an error of this library."""
    try:
        yield
    except ExtractionError:
        raise
    except damage as error:
        raise make(error) from None


class MemberRegister:
    """Remembers the members of one archive and refuses what its limits or names forbid."""

    def __init__(self, limits: ExtractionLimits, *, packed_bytes: int, where: object) -> None:
        self.limits = limits
        self.packed_bytes = packed_bytes
        self.where = where
        self.count = 0
        self.total_bytes = 0
        self._kinds: dict[str, tuple[str, bool]] = {}  # folded path -> (path, is a folder)

    def add(self, name: str, *, is_folder: bool, size_bytes: int = 0) -> str:
        """Register a member; returns the path under which it may be written.

        Raises:
            ExtractionError: If its name is unsafe or taken, or a limit is exceeded.
        """
        path = safe_member_name(name, where=self.where)
        self.count += 1
        if self.count > self.limits.max_members:
            raise self.too_much(f"more than {self.limits.max_members:,} members", "max_members")
        self.check_size(path, size_bytes)
        self.total_bytes += size_bytes
        if self.total_bytes > self.limits.max_total_bytes:
            raise self.too_much(
                f"more than {self.limits.max_total_bytes:,} bytes in all", "max_total_bytes"
            )
        parent = path.rpartition("/")[0]
        while parent and self._kinds.get(self._folded(parent)) != (parent, True):
            self._enter(parent, True)
            parent = parent.rpartition("/")[0]
        self._enter(path, is_folder)
        return path

    def check_size(self, path: str, size_bytes: int) -> None:
        """Refuse a single member that is too large."""
        if size_bytes > self.limits.max_member_bytes:
            raise self.too_much(f"{size_bytes:,} bytes in the member {path!r}", "max_member_bytes")

    def check_ratio(self, what: str, unpacked_bytes: int, packed_bytes: int) -> None:
        """Refuse data that unfolds too much, as zip bombs do."""
        bound = self.limits.max_ratio * max(packed_bytes, 1)
        if unpacked_bytes > max(bound, _RATIO_FLOOR_BYTES):
            raise self.too_much(
                f"{unpacked_bytes:,} bytes out of {packed_bytes:,} packed ones in {what}",
                "max_ratio",
            )

    def too_much(self, what: str, limit: str) -> ExtractionError:
        """The error for an exceeded limit."""
        return ExtractionError(
            f"the archive holds {what}",
            where=self.where,
            rule=f"ExtractionLimits.{limit} is {getattr(self.limits, limit):,}",
            fix=f"if the archive is right, pass limits=ExtractionLimits({limit}=...)",
        )

    def _folded(self, path: str) -> str:
        return path if self.limits.allow_case_collisions else path.casefold()

    def _enter(self, path: str, is_folder: bool) -> None:
        key = self._folded(path)
        known = self._kinds.get(key)
        if known is None:
            self._kinds[key] = (path, is_folder)
            return
        if known[0] != path:
            clash = f"the members {known[0]!r} and {path!r} differ only in case"
        elif known[1] != is_folder:
            clash = f"the member {path!r} is both a file and a folder"
        elif is_folder:
            return
        else:
            clash = f"the member {path!r} occurs twice"
        raise ExtractionError(
            clash,
            where=self.where,
            rule="every member has its own name, also on file systems that ignore case",
            fix="fetch the archive again, or unpack it by hand and look at these members",
        )
