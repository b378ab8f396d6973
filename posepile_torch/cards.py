"""Cards: what is true of a dataset before anybody opens a file of it.

A :class:`Card` holds the licence with its evidence, how to get the raw files and how they are
laid out, the conventions of the annotation, the known oddities, and what a loader must know. It
is plain data: everything that lists, cites, checks or documents a dataset reads it from here.
Cards are checked when they are made; a :class:`~posepile_torch.errors.CardError` names the card,
the field and the rule.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from posepile_torch.card_rules import Problem, is_web_address, json_ready
from posepile_torch.errors import CardError
from posepile_torch.hints import Hints, PhotometricFix
from posepile_torch.licences import Licence
from posepile_torch.raw_layout import RawFilePattern, RawKind, RemoteFile

SPLIT_NAMES = ("train", "val", "test")
"""The splits that an archive can hold."""

_NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_CITATION_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_:-]*")


class Task(StrEnum):
    """What the annotation of a source can train or test."""

    POSE_3D = "3d"
    POSE_2D = "2d"
    BODY_MODEL = "body"
    DENSE = "dense"
    HANDS = "hands"
    FACE = "face"
    SEGMENTATION = "segmentation"
    MULTI_PERSON = "multi-person"
    VIDEO = "video"
    BACKGROUND = "background"


class Access(StrEnum):
    """How the raw files are obtained."""

    OPEN = "open"
    """Direct download."""
    FORM = "form"
    """After an agreement has been signed or a form sent in."""
    ACCOUNT = "account"
    """After registration on the dataset's site."""
    REQUEST = "request"
    """After writing to the authors."""
    BROKEN = "broken"
    """The official way no longer works; the steps say what is left."""
    SYNTHETIC = "synthetic"
    """The library renders the data itself."""


class LengthUnit(StrEnum):
    """Unit of the coordinates in the raw files; archives always hold millimetres."""

    MILLIMETRE = "mm"
    CENTIMETRE = "cm"
    METRE = "m"
    PIXEL = "px"

    @property
    def in_mm(self) -> float:
        """Millimetres per unit; NaN for pixels, which are no length in the world."""
        return {"mm": 1.0, "cm": 10.0, "m": 1000.0}.get(self.value, math.nan)


class Visibility(StrEnum):
    """What the source says about occluded joints."""

    NONE = "none"
    """Nothing: occluded and visible joints look alike, every record says "unknown"."""
    ANNOTATED = "annotated"
    """Annotators judged each joint."""
    VISIBLE_ONLY = "visible-only"
    """Only visible joints were labelled; a missing label may mean occlusion."""
    EXACT = "exact"
    """Computed from the geometry of the scene, as renderers can."""
    CONFIDENCE = "confidence"
    """A detector's confidence stands in for visibility."""


@dataclass(frozen=True)
class Split:
    """One split of a source, with its counts where they are known.

    Attributes:
        name: ``"train"``, ``"val"`` or ``"test"``, the names that archives use.
        note: How the source calls it, and what is special about it.
        images: Number of annotated images; None if unknown.
        people: Number of annotated people; None if unknown.
        labelled: False if the labels are withheld by the authors.
    """

    name: str
    note: str = ""
    images: int | None = None
    people: int | None = None
    labelled: bool = True


@dataclass(frozen=True)
class Quirk:
    """A documented oddity of the raw data; the converter handles it.

    Attributes:
        text: What is odd and what is done about it.
        where: Files, sequences or fields that are affected.
        source: Page, issue or reproduction that shows it.
    """

    text: str
    where: str
    source: str


@dataclass(frozen=True)
class Sizes:
    """How large a source is; None where nobody has counted.

    Attributes:
        raw_bytes: Raw files on disk, unpacked.
        archive_bytes: The archive converted with the default plan.
        subjects: Different people.
        sequences: Takes, videos or scenes.
        cameras: Viewpoints recorded at once.
    """

    raw_bytes: int | None = None
    archive_bytes: int | None = None
    subjects: int | None = None
    sequences: int | None = None
    cameras: int | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything that is true of a source as such, as data.

    Attributes:
        name: What users type, and the folder of its archive: ``[a-z0-9]`` with single ``-`` or
            ``_`` between.
        title: The name as its authors write it.
        description: One paragraph: what was recorded, how, and what is annotated.
        tasks: What the annotation can train or test.
        licence: Terms, permissions and evidence.
        access: How the raw files are obtained.
        citation: Key of an entry in ``citations.bib`` (or in :attr:`bibtex`).
        homepage: Official page.
        paper: Address of the paper; None if there is none.
        release: Release of the raw data that the card describes, in the authors' words; empty if
            there has been one only.
        download_steps: What a person must do to get the files, in order.
        layout: The raw files, relative to the folder that is passed as ``--raw``.
        remotes: Those of them (or archives that hold them) that anybody may download, for
            ``posepile fetch``.
        splits: The splits that a conversion yields.
        units: Unit of raw 3D coordinates; pixels for 2D data.
        world_up: Up direction in the raw world axes, of length 1; None for 2D data.
        visibility: What the source says about occluded joints.
        visibility_note: How its labels become unknown, occluded or visible.
        quirks: Known oddities.
        hints: What a loader must know.
        sizes: How large it is.
        bibtex: The citation's entry itself, for sources outside the library, whose authors
            cannot add to ``citations.bib``.

    Raises:
        CardError: If a field breaks a rule; card, field and rule are named.
    """

    name: str
    title: str
    description: str
    tasks: tuple[Task, ...]
    licence: Licence
    access: Access
    citation: str
    homepage: str
    layout: tuple[RawFilePattern, ...]
    splits: tuple[Split, ...]
    units: LengthUnit
    world_up: tuple[float, float, float] | None
    visibility: Visibility
    visibility_note: str = ""
    paper: str | None = None
    release: str = ""
    download_steps: tuple[str, ...] = ()
    remotes: tuple[RemoteFile, ...] = ()
    quirks: tuple[Quirk, ...] = ()
    hints: Hints = field(default_factory=Hints)
    sizes: Sizes = field(default_factory=Sizes)
    bibtex: str = ""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise CardError(
                problem.what,
                where=f"card {self.name!r}, field {problem.field}",
                rule=problem.rule,
                fix=problem.fix,
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the card's content, in hexadecimal; any change of a field changes it."""
        text = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON values, in the order of its fields."""
        return json_ready(self)

    def _problems(self) -> Iterator[Problem]:
        yield from self._problems_of_types()
        yield from self._problems_of_names()
        yield from self._problems_of_access()
        yield from self._problems_of_conventions()
        yield from _prefixed("licence", self.licence.problems())
        yield from _prefixed("hints", self.hints.problems())
        for number, pattern in enumerate(self.layout):
            yield from _prefixed(f"layout[{number}]", pattern.problems())
        for number, remote in enumerate(self.remotes):
            yield from _prefixed(f"remotes[{number}]", remote.problems())

    def _problems_of_types(self) -> Iterator[Problem]:
        """Authors of plugins may not run a type checker; everything below relies on types."""
        kinds = {"access": Access, "units": LengthUnit, "visibility": Visibility}
        for name, kind in kinds.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                rule = (
                    f"it is one of {', '.join(f'{kind.__name__}.{m}' for m in kind.__members__)}"
                )
                yield Problem(name, f"{value!r} is no {kind.__name__}", rule, "use the member")
        parts: dict[str, type] = {
            "tasks": Task,
            "layout": RawFilePattern,
            "splits": Split,
            "quirks": Quirk,
            "download_steps": str,
            "remotes": RemoteFile,
        }
        for name, part in parts.items():
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(v, part) for v in value):
                rule = f"it is a tuple of {part.__name__}"
                yield Problem(name, f"{value!r} is not", rule, "a tuple of one ends with a comma")

    def _problems_of_names(self) -> Iterator[Problem]:
        if not _NAME.fullmatch(self.name) or len(self.name) > 64:
            rule = "a name is at most 64 of a-z and 0-9, with single - or _ between"
            yield Problem("name", f"{self.name!r} is no name", rule, "shorten or respell it")
        for name in ("title", "description"):
            text = getattr(self, name)
            if not text.strip() or text != " ".join(text.split()):
                rule = "a text is there, on one line, without blanks around or doubled"
                yield Problem(name, f"{text!r} is not such a text", rule, "rewrite it")
        if not _CITATION_KEY.fullmatch(self.citation):
            rule = "a citation key is one word of letters, digits, _ : and -"
            yield Problem("citation", f"{self.citation!r} is no key", rule, "respell it")
        for name in ("homepage", "paper"):
            address = getattr(self, name)
            if address is not None and not is_web_address(address):
                rule = "addresses are http(s)://"
                yield Problem(name, f"{address!r} is no web address", rule, "correct it")
        for number, quirk in enumerate(self.quirks):
            if not all(text.strip() for text in (quirk.text, quirk.where, quirk.source)):
                rule = "a quirk says what, where, and what shows it"
                yield Problem(f"quirks[{number}]", f"{quirk} is incomplete", rule, "fill it in")

    def _problems_of_access(self) -> Iterator[Problem]:
        by_hand = (Access.FORM, Access.ACCOUNT, Access.REQUEST, Access.BROKEN)
        if self.access in by_hand and not any(step.strip() for step in self.download_steps):
            yield Problem(
                "download_steps",
                f"access is {self.access.value!r} and no step is given",
                "files that a program cannot fetch come with steps for a person",
                "list what to open, sign, download and unpack where",
            )
        patterns = [pattern.pattern for pattern in self.layout]
        if not any(pattern.required for pattern in self.layout):
            rule = "a layout names at least one required file"
            yield Problem("layout", "no raw file is required", rule, "list the raw files")
        if len(set(patterns)) < len(patterns):
            again = next(pattern for pattern in patterns if patterns.count(pattern) > 1)
            rule = "every pattern stands there once"
            yield Problem("layout", f"{again!r} is there twice", rule, "remove one")

    def _problems_of_conventions(self) -> Iterator[Problem]:
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            rule = "a card has at least one task, each once"
            yield Problem("tasks", f"{self.tasks} are no such tasks", rule, "correct them")
        names = [split.name for split in self.splits]
        if not names or len(set(names)) < len(names) or not set(names) <= set(SPLIT_NAMES):
            rule = f"splits are some of {SPLIT_NAMES}, each once"
            yield Problem("splits", f"{names} are no such splits", rule, "rename or merge them")
        in_space = {Task.POSE_3D, Task.BODY_MODEL} & set(self.tasks)
        if in_space and self.units is LengthUnit.PIXEL:
            rule = "3D coordinates have a unit of length"
            yield Problem("units", "the unit of 3D data is px", rule, "say mm, cm or m")
        if in_space and self.world_up is None:
            rule = "3D data say which way is up"
            yield Problem("world_up", "there is no up", rule, "give a unit vector")
        if self.world_up is not None and not (
            len(self.world_up) == 3 and abs(math.hypot(*self.world_up) - 1) < 1e-6
        ):
            rule = "up is three numbers of length 1"
            yield Problem("world_up", f"{self.world_up} is not", rule, "normalise it")
        counts: dict[str, int | None] = asdict(self.sizes)
        for split in self.splits:
            counts |= {f"{split.name} images": split.images, f"{split.name} people": split.people}
        for name, count in counts.items():
            if count is not None and count < 0:
                rule = "counts are not negative; unknown is None"
                yield Problem(
                    "sizes" if name in asdict(self.sizes) else "splits",
                    f"{name} is {count}",
                    rule,
                    "correct it",
                )


def _prefixed(part: str, problems: Iterator[Problem]) -> Iterator[Problem]:
    for problem in problems:
        yield problem._replace(field=f"{part}.{problem.field}")


__all__ = [
    "SPLIT_NAMES",
    "Access",
    "Card",
    "Hints",
    "LengthUnit",
    "Licence",
    "PhotometricFix",
    "Quirk",
    "RawFilePattern",
    "RawKind",
    "RemoteFile",
    "Sizes",
    "Split",
    "Task",
    "Visibility",
]
