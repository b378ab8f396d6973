"""From the parts of all units to one published archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from posepile_torch.archive import ArchiveHeader, ArchiveWriter
from posepile_torch.archive.journal import Journal
from posepile_torch.archive.layout import building_folder
from posepile_torch.archive.lock import WriterLock
from posepile_torch.archive.manifest import Manifest, read_manifest
from posepile_torch.archive.publish import JOURNAL_FILE
from posepile_torch.convert.base import Unit
from posepile_torch.convert.part import (
    IMAGE,
    RECORD,
    REPORT,
    UnitReport,
    incidents_of,
    iter_part,
    report_of,
)
from posepile_torch.convert.worker import part_path
from posepile_torch.errors import ManifestError

_DURABLE_RECORDS = 1000
_DURABLE_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """What it takes to put an archive together.

    Attributes:
        root: Folder of archives.
        parts: Folder of the parts.
        header: What is known of the archive before its first record.
        units: All units, in order.
        failed: Units that are left out, and why.
        lock: The lock of the archive, held by the caller.
        removes_parts: Remove a part as soon as the archive holds it for good, so that parts and
            archive never fill the disk together.
    """

    root: Path
    parts: Path
    header: ArchiveHeader
    units: Sequence[Unit]
    failed: Mapping[str, str]
    lock: WriterLock
    removes_parts: bool

    def publish(
        self,
        *,
        is_stopped: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Path | None:
        """Write all parts, in the order of the units, into one archive and publish it.

        Counts are derived again from what is written. An interrupted assembly is resumed behind
        the last unit that is safely on disk.

        Args:
            is_stopped: Asked between units; when it says so, a resumable state is left behind.
            progress: Called with the number of units that are in the archive.

        Returns:
            The archive; None if it was stopped.

        Raises:
            DamagedPartError: If a part is damaged.
            ArchiveError: If there is no record at all.
            StorageError: If the disk refuses a write.
        """
        fresh = merged_units(self.root, self.header) is None
        with ArchiveWriter(
            self.root, self.header.source, header=self.header, lock=self.lock, restart=fresh
        ) as writer:
            done = 0 if writer.resumed_state is None else int(writer.resumed_state["units"])
            held: list[Path] = []
            unsaved = 0
            for index, unit in enumerate(self.units[done:], start=done):
                if is_stopped():
                    writer.checkpoint({"units": index}, durable=True)
                    return None
                unsaved += self._add(writer, unit)
                held.append(part_path(self.parts, unit.name))
                is_due = unsaved >= _DURABLE_BYTES or len(held) >= _DURABLE_RECORDS
                writer.checkpoint({"units": index + 1}, durable=is_due)
                if is_due:
                    self._remove(held)
                    unsaved = 0
                progress(index + 1)
            path = writer.publish()
            self._remove(held)
            return path

    def _add(self, writer: ArchiveWriter, unit: Unit) -> int:
        """Add the part of a unit; returns its bytes."""
        written = 0
        if unit.name in self.failed:
            writer.skip("unit failed", f"{unit.name}: {self.failed[unit.name]}")
        else:
            for kind, key, data in iter_part(part_path(self.parts, unit.name)):
                written += len(data)
                if kind == IMAGE:
                    writer.add_image(key, data)
                elif kind == RECORD:
                    writer.add_encoded(data)
                elif kind == REPORT:
                    for reason, item, count in _skips(report_of(data)):
                        writer.skip(reason, item, count=count)
        writer.end_unit(unit.name)
        return written

    def _remove(self, parts: list[Path]) -> None:
        if self.removes_parts:
            for part in parts:
                part.unlink(missing_ok=True)
                incidents_of(part).unlink(missing_ok=True)
        parts.clear()


def merged_units(root: Path, header: ArchiveHeader) -> list[str] | None:
    """Units that an interrupted assembly with this header has on disk for good.

    None if there is no such assembly: none at all, or one with another header. The lock of the
    archive must be held.
    """
    path = building_folder(root, header.source) / JOURNAL_FILE
    if not path.is_file():
        return None
    journal = Journal(path)
    try:
        begun = dict(journal.get("header") or {})
        begun.pop("shard_limit_bytes", None)
        return [unit[0] for unit in journal.units()] if begun == header.to_json() else None
    finally:
        journal.close()


def published_manifest(root: Path, name: str) -> Manifest | None:
    """Return the manifest of the published archive; None if there is no sound one."""
    try:
        return read_manifest(root / name)
    except ManifestError:
        return None


def header_of(manifest: Manifest) -> ArchiveHeader:
    """Return the header that a published archive was written with."""
    return ArchiveHeader(
        source=manifest.source,
        skeleton=manifest.skeleton,
        card_digest=manifest.card_digest,
        plan=manifest.plan,
        converter_version=manifest.converter_version,
        hints=manifest.hints,
        units={name: unit.raw_digest for name, unit in manifest.units.items()},
        raw_files=manifest.raw_files,
        precision=manifest.precision,
    )


def write_quarantine_list(parts: Iterable[Path], path: Path) -> None:
    """Join the quarantine lists of parts, in order, into one file; none if none has any."""
    path.unlink(missing_ok=True)
    for part in parts:
        incidents = incidents_of(part)
        if incidents.exists():
            with path.open("ab") as file:
                file.write(incidents.read_bytes())


def _skips(report: UnitReport) -> Iterator[tuple[str, str, int]]:
    """Reasons with their first items; the last item stands for all that were not named."""
    for reason, count in report.skipped.items():
        named = report.skipped_items.get(reason) or [report.unit]
        for item in named[:-1]:
            yield reason, item, 1
        yield reason, named[-1], count - len(named) + 1
