"""What a conversion has done so far, and in the end."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posepile_torch.convert.part import UnitReport

ERROR_PREFIX = "error: "
"""Reasons for skips that begin so are failures of single frames, not decisions of the plan."""


@dataclass
class ConversionProgress:
    """A conversion under way; one object, brought up to date before every call.

    Attributes:
        stage: What is being done: ``"raw files"``, ``"units"`` or ``"archive"``.
        done: Units that are done in this stage.
        units: Units in all; 0 before they are known.
        reused: Units whose part was found and kept.
        frames: Frames parsed.
        images: Images stored.
        records: Records stored.
        skipped: Reason to count.
        failed: Unit to error message.
        started_s: When this run began, on the monotonic clock.
        fresh_frames: Frames parsed in this run.
    """

    stage: str = "raw files"
    done: int = 0
    units: int = 0
    reused: int = 0
    frames: int = 0
    images: int = 0
    records: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    started_s: float = field(default_factory=time.monotonic)
    fresh_frames: int = 0

    def add(self, report: UnitReport, *, is_fresh: bool) -> None:
        """Count a finished unit."""
        self.done += 1
        self.reused += not is_fresh
        self.frames += report.frames
        self.fresh_frames += report.frames if is_fresh else 0
        self.images += report.images
        self.records += report.records
        self.skipped.update(report.skipped)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started_s

    @property
    def frames_per_second(self) -> float:
        """Frames of this run, per second."""
        return self.fresh_frames / max(self.seconds, 1e-9)


Progress = Callable[[ConversionProgress], None]
"""Called after every unit, and now and then while nothing is finished."""


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
        archive: The published archive; None if units failed or the run was interrupted.
        units: Units in all.
        reused: Units whose finished part was found and kept.
        frames: Frames parsed.
        images: Images stored.
        records: Records stored.
        skipped: Reason to count.
        failed: Unit to error message.
        quarantine_list: Where the images that were refused or repaired are listed; None if there
            are none.
        interrupted: Whether the run was stopped before its end.
        already_converted: Whether the archive was there already, equal in everything that decides
            its content; nothing was done then.
        partial: Whether only some units were asked for.
        seconds: How long it took.
        archive_bytes: Size of the archive.
    """

    archive: Path | None
    units: int
    reused: int = 0
    frames: int = 0
    images: int = 0
    records: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    quarantine_list: Path | None = None
    interrupted: bool = False
    already_converted: bool = False
    partial: bool = False
    seconds: float = 0.0
    archive_bytes: int = 0

    @property
    def frame_errors(self) -> int:
        """People and frames that were left out because of an error, not by a decision."""
        return sum(n for reason, n in self.skipped.items() if reason.startswith(ERROR_PREFIX))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        paths = {name: getattr(self, name) for name in ("archive", "quarantine_list")}
        texts = {name: None if path is None else str(path) for name, path in paths.items()}
        return dataclasses.asdict(self) | texts | {"frame_errors": self.frame_errors}
