"""What a verification found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Levels of verification, each including the ones before it.
LEVELS = ("quick", "crc", "decode", "semantic")

#: Called with what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]

#: Findings of a kind that are kept with their text; the others are only counted.
MAX_LINES_PER_KIND = 20


@dataclass(frozen=True)
class Problem:
    """One finding.

    Attributes:
        kind: Short word by which findings are grouped, for example ``"crc"``.
        message: What is wrong and where.
        is_warning: Whether it only deserves a look; warnings do not fail a verification.
    """

    kind: str
    message: str
    is_warning: bool = False


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """The result of :func:`verify_archive`.

    Attributes:
        archive: Folder that was verified.
        level: How thoroughly.
        records: Number of records according to the manifest.
        images: Number of images according to the manifest.
        problems: The first 20 errors and the first 20 warnings of every kind.
        counts: All findings, per kind.
        warning_counts: How many of them are warnings, per kind.
    """

    archive: str
    level: str
    records: int
    images: int
    problems: tuple[Problem, ...]
    counts: Mapping[str, int]
    warning_counts: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """Whether there are no findings beside warnings."""
        return self.errors == 0

    @property
    def errors(self) -> int:
        """Number of findings that are not warnings."""
        return sum(self.counts.values()) - self.warnings

    @property
    def warnings(self) -> int:
        """Number of findings that only deserve a look."""
        return sum(self.warning_counts.values())

    def lines(self) -> list[str]:
        """Return the report as text, errors first, at most 20 lines of each kind of them.

        One more line says how many of a kind were left out.
        """
        lines = []
        for word, is_warning in (("error", False), ("warning", True)):
            for kind, count in self.counts.items():
                warnings = self.warning_counts.get(kind, 0)
                shown = [
                    problem.message
                    for problem in self.problems
                    if problem.kind == kind and problem.is_warning == is_warning
                ]
                lines += [f"{word} [{kind}] {message}" for message in shown]
                left_out = (warnings if is_warning else count - warnings) - len(shown)
                if left_out:
                    lines.append(f"{word} [{kind}] ... and {left_out} more")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {
            "archive": self.archive,
            "level": self.level,
            "ok": self.ok,
            "records": self.records,
            "images": self.images,
            "errors": self.errors,
            "warnings": self.warnings,
            "counts": dict(self.counts),
            "problems": [
                {
                    "kind": problem.kind,
                    "severity": "warning" if problem.is_warning else "error",
                    "message": problem.message,
                }
                for problem in self.problems
            ],
        }


@dataclass
class Findings:
    """Collects problems while a verification runs: the first 20 errors and warnings per kind."""

    problems: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    warning_counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, message: object, *, is_warning: bool = False) -> None:
        """Note a problem; messages of several lines are joined into one."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        count = self.warning_counts.get(kind, 0)
        if is_warning:
            count = self.warning_counts[kind] = count + 1
        else:
            count = self.counts[kind] - count
        if count <= MAX_LINES_PER_KIND:
            text = "; ".join(line.strip() for line in str(message).splitlines())
            self.problems.append(Problem(kind, text, is_warning))

    @property
    def has_errors(self) -> bool:
        """Whether anything beside warnings was found so far."""
        return sum(self.counts.values()) > sum(self.warning_counts.values())

    def report(self, archive: object, level: str, records: int, images: int) -> VerifyReport:
        """Return what was found."""
        return VerifyReport(
            archive=str(archive),
            level=level,
            records=records,
            images=images,
            problems=tuple(self.problems),
            counts=dict(self.counts),
            warning_counts=dict(self.warning_counts),
        )
