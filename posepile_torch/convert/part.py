r"""The part: everything that one unit of work produced, in one file that is whole or absent.

A part is written under a temporary name and renamed when complete, so that a killed worker never
leaves half a part under its final name. Its entries carry checksums and it ends with the unit's
report; a rerun validates a part it finds and then skips the unit.

Layout: the 8 bytes ``PPPART1\n``, then entries of a little-endian header (kind u8, length of the
key u16, length of the data u32), the CRC32C of header, key and data, the key in UTF-8, the data.
Kinds: 1 image, 2 record, 3 report (JSON, last entry, empty key). The quarantine list of the unit,
if it has one, lies beside the part under the same name and ``.jsonl``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import crc32c

from posepile_torch.archive.storage import storage_errors
from posepile_torch.errors import ConversionError

_MAGIC = b"PPPART1\n"
_HEADER = struct.Struct("<BHI")
_CHECKSUM = struct.Struct("<I")
IMAGE, RECORD, REPORT = 1, 2, 3
_FIRST_ITEMS = 5
_PARTIAL = ".partial-"


class DamagedPartError(ConversionError):
    """A part file is cut short or damaged; its unit is converted again."""


@dataclass
class UnitReport:
    """What happened in one unit.

    Attributes:
        unit: Name of the unit.
        fingerprint: Hash of everything that decides the unit's output besides the raw files.
        frames: Frames parsed.
        images: Images stored.
        records: Records stored.
        examined: Raw images looked at.
        repaired: What was done to raw images to make them usable, to count.
        quarantined: Why raw images cannot be used, to count.
        skipped: Reason to count, for people and frames that were not stored.
        skipped_items: Reason to the first few items skipped for it.
    """

    unit: str
    fingerprint: str
    frames: int = 0
    images: int = 0
    records: int = 0
    examined: int = 0
    repaired: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_items: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, reason: str, item: str, *, count: int = 1) -> None:
        """Count a skipped item (or several with one name); the first few are listed by name."""
        self.skipped[reason] += count
        items = self.skipped_items.setdefault(reason, [])
        if len(items) < _FIRST_ITEMS:
            items.append(item)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        values = dict(vars(self))
        return values | {name: dict(values[name]) for name in _COUNTERS}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> UnitReport:
        """Rebuild a report from :meth:`to_dict`."""
        return cls(**{**data, **{name: Counter(data[name]) for name in _COUNTERS}})


_COUNTERS = ("repaired", "quarantined", "skipped")


class PartWriter:
    """Writes one part; only :meth:`finish` makes it visible.

    Used as a context manager, it removes its temporary file if the unit fails. The folder must be
    there: a worker that outlives its conversion must not bring the folder back.

    Raises:
        ConversionError: If the folder is not there.
        StorageError: If the disk refuses a write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Two machines may write the same part, when one was believed to be dead.
        unique = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.temporary = path.with_name(f"{path.name}{_PARTIAL}{unique}")
        if not path.parent.is_dir():
            raise ConversionError(
                "the working folder of this conversion is gone",
                where=path.parent,
                rule="a worker only adds to a conversion that is under way",
                fix="nothing, if the conversion was published or started over meanwhile",
            )
        with storage_errors(path):
            self._file: BinaryIO = self.temporary.open("wb")
            self._file.write(_MAGIC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Whether bytes that are thrown away could still have been written does not matter.
        with contextlib.suppress(OSError):
            self._file.close()
        self.temporary.unlink(missing_ok=True)

    def add(self, kind: int, key: str, data: bytes) -> None:
        """Append one entry."""
        name = key.encode()
        header = _HEADER.pack(kind, len(name), len(data))
        checksum = crc32c.crc32c(data, crc32c.crc32c(header + name))
        with storage_errors(self.path, len(data)):
            self._file.write(header + _CHECKSUM.pack(checksum) + name)
            self._file.write(data)

    def finish(self, report: UnitReport) -> None:
        """Append the report, put everything on disk, and give the part its final name."""
        self.add(REPORT, "", json.dumps(report.to_dict(), sort_keys=True).encode())
        with storage_errors(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self.temporary.replace(self.path)


def report_of(data: bytes) -> UnitReport:
    """Read the data of a report entry."""
    return UnitReport.from_dict(json.loads(data))


def incidents_of(part: Path) -> Path:
    """Return where the quarantine list of a part lies, if it has one."""
    return part.with_name(f"{part.name}.jsonl")


def partial_files(folder: Path) -> list[Path]:
    """List the temporary files of parts that are being written, or were when a worker died."""
    return sorted(path for path in folder.iterdir() if _PARTIAL in path.name)


def part_of_partial(partial: Path) -> Path:
    """Return the part that a temporary file would have become."""
    return partial.with_name(partial.name.partition(_PARTIAL)[0])


def iter_part(path: Path) -> Iterator[tuple[int, str, bytes]]:
    """Yield ``(kind, key, data)`` of a part, checking every entry and the final report.

    Raises:
        DamagedPartError: If the file is cut short or an entry differs from its checksum.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise _damaged(path, "it does not begin like a part")
        complete = False
        while header := file.read(_HEADER.size):
            if complete:
                raise _damaged(path, "data follows the report")
            if len(header) != _HEADER.size:
                raise _damaged(path, "it is cut inside an entry")
            kind, key_length, data_length = _HEADER.unpack(header)
            checksum, name = file.read(_CHECKSUM.size), file.read(key_length)
            data = file.read(data_length)
            if len(data) != data_length or len(name) != key_length:
                raise _damaged(path, "it is cut inside an entry")
            if checksum != _CHECKSUM.pack(crc32c.crc32c(data, crc32c.crc32c(header + name))):
                raise _damaged(path, f"the checksum of {name!r} differs")
            complete = kind == REPORT
            yield kind, name.decode(), data
        if not complete:
            raise _damaged(path, "its report is missing")


def read_report(path: Path) -> UnitReport:
    """Validate a part from end to end and return its report.

    Raises:
        DamagedPartError: If the part is damaged or its counts differ from its report.
    """
    counts: Counter[int] = Counter()
    report = None
    for kind, _, data in iter_part(path):
        counts[kind] += 1
        if kind == REPORT:
            report = report_of(data)
    if report is None:
        raise _damaged(path, "its report is missing")
    if (counts[IMAGE], counts[RECORD]) != (report.images, report.records):
        raise _damaged(path, f"it holds {dict(counts)} entries, its report says {report}")
    return report


def _damaged(path: Path, why: str) -> DamagedPartError:
    return DamagedPartError(
        f"damaged part: {why}", where=path, fix="remove the file; the next run makes it anew"
    )
