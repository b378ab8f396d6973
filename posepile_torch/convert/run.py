"""The whole conversion: units into parts, parts into one published archive.

Every unit becomes a part in a working folder beside the archive. A rerun validates the parts it
finds, skips their units, and converts the rest; when all parts are there they are merged in the
order of the units and the archive is published. A killed run loses at most the unit in work.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posepile_torch.archive import ArchiveHeader, ArchiveWriter
from posepile_torch.convert.base import Converter, Unit
from posepile_torch.convert.part import (
    IMAGE,
    RECORD,
    DamagedPartError,
    UnitReport,
    iter_part,
    read_report,
)
from posepile_torch.convert.plan import Plan
from posepile_torch.convert.unit import convert_unit, fingerprint
from posepile_torch.errors import ConversionError, PosepileError, ResumeError
from posepile_torch.keys import is_key
from posepile_torch.raw_layout import RawKind
from posepile_torch.record import decode_record

Progress = Callable[["UnitReport | None", int, int], None]
"""Called after each unit with its report (None if it failed), units done and units in all."""


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
        archive: The published archive; None if units failed.
        units: Units in all.
        reused: Units whose finished part was found and kept.
        frames: Frames parsed.
        images: Images stored.
        records: Records stored.
        skipped: Reason to count.
        failed: Unit to error message.
    """

    archive: Path | None
    units: int
    reused: int
    frames: int
    images: int
    records: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        archive = None if self.archive is None else str(self.archive)
        return dataclasses.asdict(self) | {"archive": archive}


def convert(
    converter: Converter,
    out: Path | str,
    *,
    plan: Plan | None = None,
    limit: int | None = None,
    restart: bool = False,
    force_unlock: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Convert a source, in this process, and publish its archive.

    A unit that fails is reported and the others go on; the archive is published only when every
    unit has its part, so a rerun finishes the work.

    Args:
        converter: Reads the raw files.
        out: Folder of archives; ``out/<name>`` appears when the archive is whole.
        plan: The numbers of the conversion; the converter's own by default.
        limit: Convert only this many units, for a first look; they are published as an archive.
        restart: Throw finished parts of an earlier run away.
        force_unlock: Take over the lock of a run that cannot be shown to be dead.
        progress: Called after every unit.

    Raises:
        ResumeError: If finished parts were made by other code or with other choices.
        ConversionError: If there are no units, or unit names are not usable.
    """
    plan = plan or converter.plan
    units = _checked_units(list(_limited(converter.units(), limit)), converter)
    folder = Path(out) / f".converting-{converter.source.card.name}"
    if restart and folder.exists():
        shutil.rmtree(folder)
    _begin(folder, converter, plan)
    reports: dict[str, UnitReport] = {}
    failed: dict[str, str] = {}
    reused = 0
    for unit in units:
        part = part_path(folder, unit)
        report = _finished(part)
        reused += report is not None
        if report is None:
            try:
                report = convert_unit(converter, unit, plan, part)
            except PosepileError as error:
                failed[unit.name] = str(error)
        if report is not None:
            reports[unit.name] = report
        if progress is not None:
            progress(report, len(reports) + len(failed), len(units))
    archive = None
    if not failed:
        header = _header(converter, plan, units)
        archive = merge(
            folder, Path(out), header, units, reports, force_unlock=force_unlock, restart=restart
        )
        shutil.rmtree(folder)
    skipped: Counter[str] = Counter()
    for report in reports.values():
        skipped.update(report.skipped)
    return ConversionReport(
        archive=archive,
        units=len(units),
        reused=reused,
        frames=sum(report.frames for report in reports.values()),
        images=sum(report.images for report in reports.values()),
        records=sum(report.records for report in reports.values()),
        skipped=dict(skipped),
        failed=failed,
    )


def merge(
    folder: Path,
    out: Path,
    header: ArchiveHeader,
    units: Sequence[Unit],
    reports: Mapping[str, UnitReport],
    *,
    force_unlock: bool = False,
    restart: bool = False,
) -> Path:
    """Write all parts, in the order of the units, into one archive and publish it.

    Counts are derived again from what is written. An interrupted merge is resumed behind the
    last unit that is safely on disk.

    Args:
        folder: Working folder that holds the parts.
        out: Folder of archives.
        header: What is known of the archive before its first record.
        units: The units, in order.
        reports: Their reports, for what was skipped.
        force_unlock: Take over the lock of a dead writer.
        restart: Do not resume an interrupted merge.
    """
    with ArchiveWriter(
        out, header.source, header=header, force_unlock=force_unlock, restart=restart
    ) as writer:
        done = 0 if writer.resumed_state is None else int(writer.resumed_state["units"])
        for index, unit in enumerate(units[done:], start=done):
            for kind, key, data in iter_part(part_path(folder, unit)):
                if kind == IMAGE:
                    writer.add_image(key, data)
                elif kind == RECORD:
                    writer.add(decode_record(data, where=f"part of {unit.name}: {key}"))
            for reason, item in _skipped_items(reports[unit.name]):
                writer.skip(reason, item)
            writer.end_unit(unit.name)
            writer.checkpoint({"units": index + 1})
        return writer.publish()


def part_path(folder: Path, unit: Unit) -> Path:
    """Return the file of a unit's part; names of units may be longer than file names can be."""
    digest = hashlib.sha256(unit.name.encode()).hexdigest()[:20]
    return folder / "parts" / f"{digest}.part"


def _limited(units: Iterator[Unit], limit: int | None) -> Iterator[Unit]:
    for count, unit in enumerate(units):
        if limit is not None and count >= limit:
            return
        yield unit


def _checked_units(units: list[Unit], converter: Converter) -> list[Unit]:
    where = f"units of {converter.source.card.name}"
    if not units:
        raise ConversionError(
            "there is nothing to convert",
            where=converter.root,
            rule="a raw folder holds at least one unit",
            fix=f"compare it with the layout of `posepile info {converter.source.card.name}`",
        )
    again = [name for name, count in Counter(unit.name for unit in units).items() if count > 1]
    if again:
        raise ConversionError(f"unit {again[0]!r} is listed twice", where=where)
    for unit in units:
        if not is_key(unit.name):
            raise ConversionError(
                f"unit name {unit.name!r}",
                where=where,
                rule="a unit name is a relative path without '.', '..' or backslash, in NFC",
            )
    return units


def _begin(folder: Path, converter: Converter, plan: Plan) -> None:
    """Make the working folder, or check that it was begun by the same code and choices."""
    job = folder / "job.json"
    wanted = {
        "source": converter.source.card.name,
        "card": converter.source.card.digest,
        "converter": converter.version,
        "plan": plan.to_dict(),
        "fingerprint": fingerprint(converter, plan),
    }
    if not job.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = job.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(wanted, indent=1, sort_keys=True))
        temporary.replace(job)
        return
    begun = json.loads(job.read_text())
    if begun["fingerprint"] != wanted["fingerprint"]:
        changed = [key for key in wanted if begun.get(key) != wanted[key] and key != "fingerprint"]
        raise ResumeError(
            f"an unfinished conversion was begun with another {' and '.join(changed)}",
            where=folder,
            rule="all parts of an archive are made by one version with one plan",
            fix="repeat the earlier options to finish it, or start over with --restart",
        )


def _finished(part: Path) -> UnitReport | None:
    try:
        return read_report(part) if part.exists() else None
    except DamagedPartError:
        part.unlink()
        return None


def _skipped_items(report: UnitReport) -> Iterator[tuple[str, str]]:
    for reason, count in report.skipped.items():
        named = report.skipped_items.get(reason, [])
        yield from ((reason, item) for item in named)
        yield from ((reason, report.unit) for _ in range(count - len(named)))


def _header(converter: Converter, plan: Plan, units: Sequence[Unit]) -> ArchiveHeader:
    card = converter.source.card
    return ArchiveHeader(
        source=card.name,
        skeleton=converter.source.native,
        card_digest=card.digest,
        plan=plan.to_dict(),
        converter_version=converter.version,
        hints=card.hints.to_dict(),
        units={unit.name: "" for unit in units},
        raw_files=raw_listing(converter),
        precision=plan.precision,
    )


def raw_listing(converter: Converter) -> dict[str, Any]:
    """Summarise the raw files of each pattern of the card: how many, how large, which.

    The digest is over sorted relative paths and sizes, so that another download of the same
    files gives the same archive; modification times do not enter.
    """
    listing: dict[str, Any] = {}
    for pattern in converter.source.card.layout:
        lines, total = [], 0
        for path in sorted(converter.root.glob(pattern.glob)):
            relative = converter.relative(path)
            if pattern.match(relative) is not None and path.is_file():
                size = path.stat().st_size
                total += size
                content = ""
                if pattern.kind not in (RawKind.IMAGE, RawKind.VIDEO, RawKind.MASK):
                    content = hashlib.sha256(path.read_bytes()).hexdigest()
                lines.append(f"{relative}\t{size}\t{content}\n")
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        listing[pattern.pattern] = {"files": len(lines), "bytes": total, "sha256": digest}
    return listing
