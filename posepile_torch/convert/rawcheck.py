"""Before any work: is everything there that the card's layout names, and can it be read?"""

from __future__ import annotations

import copy
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from posepile_torch.archive.storage import free_bytes
from posepile_torch.convert.base import Converter, RawFrame, Unit
from posepile_torch.convert.plan import Plan
from posepile_torch.convert.samples import read_sample
from posepile_torch.convert.selection import Selection, selected_units
from posepile_torch.convert.snapshot import walk
from posepile_torch.convert.unit import convert_unit
from posepile_torch.convert.worker import one_thread_each
from posepile_torch.errors import PosepileError
from posepile_torch.raw_layout import RawFilePattern

_FIRST = 5
_SAMPLED_UNITS = 3
_SAMPLED_FRAMES = 8
_MOST_PARSED_S = 10.0  # in a unit, to count its frames
_NUMBERS = re.compile(r"\{([a-z][a-z0-9_]*):(?:0[0-9]+)?d\}")
_IGNORED = (".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass
class PatternCheck:
    """What was found of one pattern of the layout.

    Attributes:
        pattern: The pattern.
        kind: What such files hold.
        required: Whether a conversion needs them.
        origin: Which download they come from.
        files: How many there are.
        size_bytes: Their size.
        empty: Files of 0 bytes among them.
        missing: How many are not there although other files say that they should be.
        first: The first few paths that are there.
        first_missing: The first few that are not, and the first few empty ones.
        sample: What the first file turned out to be.
        problem: Why it cannot be read; empty if it can.
    """

    pattern: str
    kind: str
    required: bool
    origin: str
    files: int = 0
    size_bytes: int = 0
    empty: int = 0
    missing: int = 0
    first: list[str] = field(default_factory=list)
    first_missing: list[str] = field(default_factory=list)
    sample: str = ""
    problem: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether nothing is missing, empty or unreadable."""
        absent = self.required and not self.files
        return not (absent or self.missing or self.empty or self.problem)


@dataclass(frozen=True)
class Estimate:
    """What a conversion will take, from a few frames of a few units.

    Attributes:
        units: Units in all.
        frames: Frames in all, extrapolated.
        records: Records in all, extrapolated.
        seconds: Time with one job on this machine.
        archive_bytes: Size of the archive.
        free_bytes: Free space where it will go; -1 if that was not asked.
        problem: Why no estimate could be made; empty if it could.
    """

    units: int = 0
    frames: int = 0
    records: int = 0
    seconds: float = 0.0
    archive_bytes: int = 0
    free_bytes: int = -1
    problem: str = ""


@dataclass(frozen=True)
class RawCheck:
    """The raw files of a source beside what its card says.

    Attributes:
        source: Name of the source.
        patterns: What was found, by pattern.
        unexpected: Files that no pattern names.
        first_unexpected: The first few of them.
        estimate: What a conversion will take; None if it was not asked for.
    """

    source: str
    patterns: tuple[PatternCheck, ...]
    unexpected: int
    first_unexpected: tuple[str, ...]
    estimate: Estimate | None = None

    @property
    def is_fine(self) -> bool:
        """Whether a conversion can begin."""
        can_estimate = self.estimate is None or not self.estimate.problem
        return can_estimate and all(pattern.is_fine for pattern in self.patterns)

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain JSON values."""
        return asdict(self) | {"is_fine": self.is_fine}


def check_raw(
    converter: Converter,
    *,
    out: Path | None = None,
    estimate: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> RawCheck:
    """Compare a raw folder with the card's layout, read a sample of each kind, and estimate.

    Nothing is written but a few temporary files.

    Args:
        converter: The converter of the source.
        out: Folder of archives, to compare its free space.
        estimate: Whether to convert a few frames for an estimate of time and disk.
        progress: Called with what is being done.

    Raises:
        RawFileError: If the folder cannot be walked through.
    """
    card = converter.source.card
    progress("listing files")
    checks = [
        PatternCheck(raw.pattern, raw.kind.value, raw.required, raw.origin) for raw in card.layout
    ]
    seen: list[dict[tuple[str, ...], None]] = [{} for _ in card.layout]
    unexpected, first_unexpected = 0, []
    for path, status in walk(converter.root):
        number, found = _matched(card.layout, path)
        if found is None:
            name = path.rpartition("/")[2]
            if name not in _IGNORED and not name.startswith("."):
                unexpected += 1
                first_unexpected += [path] if unexpected <= _FIRST else []
            continue
        _count(checks[number], path, status.st_size)
        names = _joining_names(card.layout[number])
        seen[number][tuple(found[name] for name in names)] = None
    _name_missing(card.layout, checks, seen)
    for raw, check in zip(card.layout, checks, strict=True):
        if check.files:
            progress(f"reading {check.first[0]}")
            check.sample, check.problem = read_sample(converter.root / check.first[0], raw.kind)
    result = RawCheck(card.name, tuple(checks), unexpected, tuple(first_unexpected))
    if not estimate or not result.is_fine:
        return result
    progress("converting a few frames")
    guess = estimated(converter, converter.plan, out)
    return RawCheck(card.name, tuple(checks), unexpected, tuple(first_unexpected), guess)


def _matched(layout: Sequence[RawFilePattern], path: str) -> tuple[int, dict[str, str] | None]:
    for number, pattern in enumerate(layout):
        found = pattern.match(path)
        if found is not None:
            return number, found
    return -1, None


def _count(check: PatternCheck, path: str, size_bytes: int) -> None:
    check.files += 1
    check.size_bytes += size_bytes
    if len(check.first) < _FIRST:
        check.first.append(path)
    if not size_bytes:
        check.empty += 1
        if len(check.first_missing) < _FIRST:
            check.first_missing.append(f"{path} (0 bytes)")


def _joining_names(pattern: RawFilePattern) -> tuple[str, ...]:
    """Placeholders by which files belong together; numbers of frames would be too many."""
    numbers = _NUMBERS.findall(pattern.pattern)
    return tuple(name for name in pattern.placeholders if name not in numbers)


def _name_missing(
    layout: Sequence[RawFilePattern],
    checks: Sequence[PatternCheck],
    seen: Sequence[dict[tuple[str, ...], None]],
) -> None:
    """A take that has joints but no cameras lacks its cameras: join patterns by placeholders.

    Only patterns below the same folder are joined: elsewhere, another split may have no labels.
    """
    for raw, check, there in zip(layout, checks, seen, strict=True):
        names = _joining_names(raw)
        if not raw.required:
            continue
        if not names:
            if not check.files:
                check.missing = 1
                check.first_missing.append(raw.pattern)
            continue
        expected: dict[tuple[str, ...], None] = {}
        for other, others in zip(layout, seen, strict=True):
            other_names = _joining_names(other)
            is_beside = other.required and _folder(other) == _folder(raw)
            if other is not raw and is_beside and set(names) <= set(other_names):
                places = [other_names.index(name) for name in names]
                expected.update(dict.fromkeys(tuple(key[at] for at in places) for key in others))
        missing = [key for key in expected if key not in there]
        check.missing = len(missing)
        for key in missing[: _FIRST - len(check.first_missing)]:
            check.first_missing.append(
                _with_values(raw.pattern, dict(zip(names, key, strict=True)))
            )
        if not check.files and not check.missing:
            check.missing = 1
            check.first_missing.append(raw.pattern)


def _folder(pattern: RawFilePattern) -> str:
    """The folders that are the same for all files of a pattern."""
    return pattern.pattern.partition("{")[0].partition("*")[0].rpartition("/")[0]


def _with_values(pattern: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        start = pattern.find(f"{{{name}")
        while start >= 0:
            end = pattern.find("}", start)
            pattern = pattern[:start] + value + pattern[end + 1 :]
            start = pattern.find(f"{{{name}")
    return pattern


def estimated(converter: Converter, plan: Plan, out: Path | None) -> Estimate:
    """Convert a few frames of a few units, and extrapolate to all of them."""
    try:
        units = selected_units(converter, Selection())
        picked = sorted({len(units) * k // _SAMPLED_UNITS for k in range(_SAMPLED_UNITS)})
        frames = records = seconds = size_bytes = 0.0
        with tempfile.TemporaryDirectory() as folder, one_thread_each():
            for unit in (units[number] for number in picked):
                part = Path(folder) / "sample.part"
                chosen, count = _spread_frames(converter, unit)
                if not chosen:
                    continue
                start = time.process_time()
                report = convert_unit(_only(converter, chosen), unit, plan, part)
                share = count / len(chosen)
                seconds += (time.process_time() - start) * share
                size_bytes += part.stat().st_size * share
                records += report.records * share
                frames += count
    except PosepileError as error:
        return Estimate(problem=str(error))
    scale = len(units) / len(picked)
    return Estimate(
        units=len(units),
        frames=round(frames * scale),
        records=round(records * scale),
        seconds=seconds * scale,
        archive_bytes=round(size_bytes * scale),
        free_bytes=-1 if out is None else free_bytes(_existing(out)),
    )


def _spread_frames(converter: Converter, unit: Unit) -> tuple[list[RawFrame], int]:
    """A few frames spread over a unit, and how many it has (or at least how many)."""
    kept: list[RawFrame] = []
    step, count = 1, 0
    stop_s = time.monotonic() + _MOST_PARSED_S
    for frame in converter.frames(unit):
        if count % step == 0:
            kept.append(frame)
        if len(kept) == 2 * _SAMPLED_FRAMES:
            kept, step = kept[::2], 2 * step
        count += 1
        if time.monotonic() > stop_s:
            break
    return kept[:: max(1, len(kept) // _SAMPLED_FRAMES)], count


def _only(converter: Converter, frames: Iterable[RawFrame]) -> Converter:
    """Return a copy of the converter that yields these frames, whatever the unit."""
    chosen = copy.copy(converter)

    def given(_: Unit) -> Iterator[RawFrame]:
        return iter(frames)

    vars(chosen)["frames"] = given
    return chosen


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.absolute().parent)
