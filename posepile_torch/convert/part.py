r"""The part: everything that one unit of work produced, in one file that is whole or absent.

A part is written under a temporary name and renamed when complete, so that a killed worker never
leaves half a part under its final name. Its entries carry checksums and it ends with the unit's
report; a rerun validates a part it finds and then skips the unit.

Layout: the 8 bytes ``PPPART1\n``, then entries of a little-endian header (kind u8, length of the
key u16, length of the data u32), the CRC32C of header, key and data, the key in UTF-8, the data.
Kinds: 1 image, 2 record, 3 report (JSON, last entry, empty key).
"""

from __future__ import annotations

import json
import os
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import crc32c

from posepile_torch.errors import ConversionError

_MAGIC = b"PPPART1\n"
_HEADER = struct.Struct("<BHI")
_CHECKSUM = struct.Struct("<I")
IMAGE, RECORD, REPORT = 1, 2, 3
_FIRST_ITEMS = 5


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
        skipped: Reason to count, for people and frames that were not stored.
        skipped_items: Reason to the first few items skipped for it.
    """

    unit: str
    fingerprint: str
    frames: int = 0
    images: int = 0
    records: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_items: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, reason: str, item: str) -> None:
        """Count one skipped item; the first few are listed by name."""
        self.skipped[reason] += 1
        items = self.skipped_items.setdefault(reason, [])
        if len(items) < _FIRST_ITEMS:
            items.append(item)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "unit": self.unit,
            "fingerprint": self.fingerprint,
            "frames": self.frames,
            "images": self.images,
            "records": self.records,
            "skipped": dict(self.skipped),
            "skipped_items": self.skipped_items,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> UnitReport:
        """Rebuild a report from :meth:`to_dict`."""
        return cls(**{**data, "skipped": Counter(data["skipped"])})


class PartWriter:
    """Writes one part; only :meth:`finish` makes it visible.

    Used as a context manager, it removes its temporary file if the unit fails.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = path.with_name(f"{path.name}.partial-{os.getpid()}")
        self._file: BinaryIO = self._temporary.open("wb")
        self._file.write(_MAGIC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, kind: int, key: str, data: bytes) -> None:
        """Append one entry."""
        name = key.encode()
        header = _HEADER.pack(kind, len(name), len(data))
        checksum = crc32c.crc32c(data, crc32c.crc32c(header + name))
        self._file.write(header + _CHECKSUM.pack(checksum) + name)
        self._file.write(data)

    def finish(self, report: UnitReport) -> None:
        """Append the report, put everything on disk, and give the part its final name."""
        self.add(REPORT, "", json.dumps(report.to_dict(), sort_keys=True).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self.path)


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
            report = UnitReport.from_dict(json.loads(data))
    if report is None:
        raise _damaged(path, "its report is missing")
    if (counts[IMAGE], counts[RECORD]) != (report.images, report.records):
        raise _damaged(path, f"it holds {dict(counts)} entries, its report says {report}")
    return report


def _damaged(path: Path, why: str) -> DamagedPartError:
    return DamagedPartError(
        f"damaged part: {why}", where=path, fix="remove the file; the next run makes it anew"
    )
