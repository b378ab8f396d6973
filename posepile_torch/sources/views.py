"""Views: choosing, thinning out and joining the samples of sources, copying nothing.

A view is a list of row numbers over an archive that it shares with the source it was made from.
Everything here works on the columns of the archive's index, so millions of rows take
milliseconds and no record is read.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.layout import (
    FLAG_ATTRIBUTES,
    SPLIT_CODES,
    UNKNOWN_CODE,
    VOCABULARY_FIELDS,
)
from posepile_torch.errors import SelectionError, UnknownNameError
from posepile_torch.transforms.streams import RandomKey

if TYPE_CHECKING:
    from types import EllipsisType as _Anything

    from posepile_torch.archive import Archive
    from posepile_torch.record import Record
    from posepile_torch.skeleton import Skeleton

T = TypeVar("T", covariant=True)
Rows: TypeAlias = range | NDArray[np.int64]
Names: TypeAlias = str | Iterable[str | None] | None
"""One name, None for records that have none, or several of these."""

Step: TypeAlias = tuple[str, Any]
"""What a view did, as plain values: enough to do it again."""

_KEYS = (*VOCABULARY_FIELDS, "split", "frame_step", "has")


class View(ABC, Generic[T]):
    """A map-style Dataset of which parts can be taken.

    Every method returns a new view; the one it is called on stays as it is.

    Attributes:
        seed: With :attr:`epoch` and the index it decides what ``view[index]`` draws by chance.
        epoch: Counts the passes over the data.
        steps: How this view was made, as plain values.
    """

    seed: int
    epoch: int
    steps: tuple[Step, ...]
    skeleton: Skeleton
    _rows: Rows

    @abstractmethod
    def sample(self, index: int, key: RandomKey | None = None) -> T:
        """Return sample ``index``, augmented by the random numbers of ``key``, or not at all."""

    @abstractmethod
    def record(self, index: int) -> Record:
        """Return the stored record behind sample ``index``."""

    @abstractmethod
    def _matching(self, keys: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Tell for each sample of the view whether it has all these properties."""

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[T]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> T | Self:
        if isinstance(index, slice):
            bounds = (index.start, index.stop, index.step)
            plain = [None if bound is None else int(bound) for bound in bounds]
            return self._with_rows(self._rows[index], ("slice", plain))
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is outside 0..{len(self) - 1}")
        position = int(index) % len(self)
        return self.sample(position, RandomKey(self.seed, self.epoch, position))

    def where(
        self,
        *,
        subject: Names | _Anything = ...,
        sequence: Names | _Anything = ...,
        camera: Names | _Anything = ...,
        activity: Names | _Anything = ...,
        scene: Names | _Anything = ...,
        track: Names | _Anything = ...,
        split: str | Iterable[str] | _Anything = ...,
        frame_step: int | _Anything = ...,
        has: str | Iterable[str] | _Anything = ...,
        action: Names | _Anything = ...,
    ) -> Self:
        """Return the samples that have all the given properties.

        Names are compared exactly: ``activity="Sitting"`` does not find ``"SittingDown"``. A list
        means any of its names, and None stands for records that have no name.

        Args:
            subject: Who is seen.
            sequence: The recording.
            camera: Name of the camera.
            activity: What is being done.
            scene: Where.
            track: Label of the person in the recording.
            split: ``"train"``, ``"val"`` or ``"test"``, of views that hold several.
            frame_step: Keep the frames whose number is a multiple of it.
            has: What the record must have: ``"joints3d"``, ``"joints2d"``, ``"person_mask"``,
                ``"body"``, ``"densepose"``, ``"visible"`` and so on.
            action: Another word for ``activity``.

        Raises:
            UnknownNameError: If no record of the archive has such a name.
            SelectionError: If the archive does not hold what is asked for.
        """
        given = {
            "subject": subject,
            "sequence": sequence,
            "camera": camera,
            "activity": activity,
            "scene": scene,
            "track": track,
            "split": split,
            "frame_step": frame_step,
            "has": has,
        }
        keys = {name: _plain(value) for name, value in given.items() if value is not ...}
        if action is not ...:
            if "activity" in keys:
                raise SelectionError(
                    "both action= and activity= are given",
                    rule="they are two words for one key",
                    fix="give one of them",
                )
            keys["activity"] = _plain(action)
        return self._where(keys)

    def _where(self, keys: Mapping[str, Any]) -> Self:
        rows = as_array(self._rows)[self._matching(keys)]
        return self._with_rows(rows, ("where", dict(keys)))

    def take(self, count: int) -> Self:
        """Return the first ``count`` samples, or all if there are fewer."""
        if count < 0:
            raise SelectionError(f"cannot take {count} samples", rule="a count is not negative")
        return self._with_rows(self._rows[: int(count)], ("take", int(count)))

    def fraction(self, share: float, *, seed: int = 0) -> Self:
        """Return a random part of the samples, in their order.

        With one seed, smaller parts are contained in larger ones.

        Args:
            share: Size of the part, in ``[0, 1]``; the count is rounded.
            seed: Decides which ones.
        """
        if not 0 <= share <= 1:
            raise SelectionError(
                f"a fraction of {share}", rule="a share lies between 0 and 1", fix="0.1 is 10 %"
            )
        order = RandomKey(seed).generator("fraction").permutation(len(self))
        chosen = np.sort(order[: round(share * len(self))])
        return self._with_rows(as_array(self._rows)[chosen], ("fraction", [float(share), seed]))

    def again(self, steps: Iterable[Step]) -> Self:
        """Return what another view with these :attr:`steps` is made of.

        Raises:
            SelectionError: If a step is not known.
        """
        view = self
        for name, value in steps:
            if name == "where":
                unknown = [key for key in value if key not in _KEYS]
                if unknown:
                    raise UnknownNameError.among("key", unknown[0], _KEYS)
                view = view._where(value)
            elif name == "slice":
                view = view[slice(*value)]
            elif name == "take":
                view = view.take(value)
            elif name == "fraction":
                view = view.fraction(value[0], seed=value[1])
            else:
                raise SelectionError(
                    f"unknown step {name!r}", rule="steps are where, slice, take and fraction"
                )
        return view

    def __add__(self, other: View[Any]) -> JoinedViews:
        if not isinstance(other, View):
            return NotImplemented
        return JoinedViews([*_parts(self), *_parts(other)])

    def _with_rows(self, rows: Rows, step: Step) -> Self:
        view = copy(self)
        view._rows = rows
        view.steps = (*self.steps, step)
        return view

    def _repr_html_(self) -> str:
        from html import escape

        steps = " &rarr; ".join(
            escape(f"{name} {json.dumps(value)}") for name, value in self.steps
        )
        return f"<code>{escape(repr(self))}</code>" + (f"<br>{steps}" if steps else "")


class JoinedViews(View[Any]):
    """Several views, one behind the other; what ``a + b`` returns.

    A sample that is in two of them is there twice. All must have one target skeleton.

    Args:
        parts: The views.

    Raises:
        SelectionError: If there are none, or their skeletons differ.
    """

    def __init__(self, parts: Iterable[View[Any]]) -> None:
        self.parts = tuple(parts)
        if not self.parts:
            raise SelectionError("no views to join")
        self.skeleton = self.parts[0].skeleton
        for part in self.parts:
            if part.skeleton.joints != self.skeleton.joints:
                raise SelectionError(
                    f"{part.skeleton.name} beside {self.skeleton.name}",
                    where=part,
                    rule="joined views have one target skeleton",
                    fix="give all sources the same skeleton=",
                )
        self._ends = np.cumsum([len(part) for part in self.parts])
        self._rows = range(int(self._ends[-1]))
        self.seed, self.epoch, self.steps = self.parts[0].seed, 0, ()

    def sample(self, index: int, key: RandomKey | None = None) -> Any:
        """Return sample ``index``, augmented by the random numbers of ``key``, or not at all."""
        part, inner = self._place(index)
        return part.sample(inner, key)

    def record(self, index: int) -> Record:
        """Return the stored record behind sample ``index``."""
        part, inner = self._place(index)
        return part.record(inner)

    def _place(self, index: int) -> tuple[View[Any], int]:
        row = int(self._rows[index])
        number = int(np.searchsorted(self._ends, row, side="right"))
        part = self.parts[number]
        return part, row - (int(self._ends[number]) - len(part))

    def _matching(self, keys: Mapping[str, Any]) -> NDArray[np.bool_]:
        matches = np.concatenate([part._matching(keys) for part in self.parts])
        return np.asarray(matches[as_array(self._rows)], np.bool_)

    def __repr__(self) -> str:
        return f"JoinedViews({len(self)} samples of {', '.join(map(repr, self.parts))})"


def matching_rows(archive: Archive, rows: Rows, keys: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Tell for each of ``rows`` of an archive whether it has all the given properties.

    Args:
        archive: Whose index is looked at; no record is read.
        rows: Row numbers.
        keys: As those of :meth:`View.where`.
    """
    index = archive.index
    where = _selector(rows)
    matches = np.ones(len(rows), np.bool_)
    for key, value in keys.items():
        if key in VOCABULARY_FIELDS:
            table = _wanted_codes(archive, key, value)
            # The last entry stands for "unknown", whose code is -1.
            matches &= table[index[key][where]]
        elif key == "split":
            matches &= np.isin(index["split"][where], _split_codes(archive, value))
        elif key == "frame_step":
            matches &= _on_step(archive, index["frame"][where], value)
        else:
            bits = _flag_bits(archive, value)
            matches &= (index["flags"][where] & bits) == bits
    return matches


def as_array(rows: Rows) -> NDArray[np.int64]:
    """Return row numbers as an array."""
    if isinstance(rows, range):
        return np.arange(rows.start, rows.stop, rows.step, dtype=np.int64)
    return rows


def _selector(rows: Rows) -> slice | NDArray[np.int64]:
    """Return what selects rows of a column; a slice looks at the column itself."""
    if isinstance(rows, range) and rows.step > 0:
        return slice(rows.start, rows.stop, rows.step)
    return as_array(rows)


def _wanted_codes(archive: Archive, key: str, value: Any) -> NDArray[np.bool_]:
    vocabulary = archive.vocabulary(key)
    wanted = [value] if value is None or isinstance(value, str) else list(value)
    if not vocabulary and any(name is not None for name in wanted):
        legacy = archive.manifest.schema_version[0] == 0
        raise SelectionError(
            f"the records of this archive have no {key}",
            where=archive.path,
            rule="schema 0 stores no names of subjects, sequences, cameras and so on"
            if legacy
            else f"a source can be filtered by {key} if its converter knows it",
            fix="select rows by slices, or convert the dataset with this library"
            if legacy
            else "choose another key; `posepile info NAME` lists what a source knows",
        )
    codes = {name: code for code, name in enumerate(vocabulary)}
    table = np.zeros(len(vocabulary) + 1, np.bool_)
    for name in wanted:
        if name is not None and name not in codes:
            raise UnknownNameError.among(key, name, vocabulary, where=archive.path)
        table[UNKNOWN_CODE if name is None else codes[name]] = True
    return table


def _split_codes(archive: Archive, value: Any) -> list[int]:
    names = [value] if isinstance(value, str) else list(value)
    for name in names:
        if name not in SPLIT_CODES:
            raise UnknownNameError.among("split", name, SPLIT_CODES, where=archive.path)
    return [SPLIT_CODES[name] for name in names]


def _on_step(archive: Archive, frames: NDArray[np.int64], step: Any) -> NDArray[np.bool_]:
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or step < 1:
        raise SelectionError(
            f"frame_step={step!r}", where=archive.path, rule="a step is a whole number, 1 or more"
        )
    unknown = int(np.count_nonzero(frames < 0))
    if unknown:
        raise SelectionError(
            f"{unknown:,} of {len(frames):,} records have no frame number",
            where=archive.path,
            rule="frame_step= compares frame numbers",
            fix="use a slice with a step, or choose records with frame numbers first",
        )
    return np.asarray(frames % step == 0, np.bool_)


def _flag_bits(archive: Archive, value: Any) -> int:
    if archive.manifest.schema_version[0] == 0:
        raise SelectionError(
            "the index of this archive does not say what a record has",
            where=archive.path,
            rule="schema 0 has no flags",
            fix="import it first: `posepile import-legacy`",
        )
    bits = {name: int(flag) for flag, name in FLAG_ATTRIBUTES.items()}
    names = [value] if isinstance(value, str) else list(value)
    for name in names:
        if name not in bits:
            raise UnknownNameError.among("part of a record", name, bits, where=archive.path)
    return sum(bits[name] for name in set(names))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, np.integer):
        return int(value)
    return list(value) if isinstance(value, Iterable) else value


def _parts(view: View[Any]) -> tuple[View[Any], ...]:
    return view.parts if isinstance(view, JoinedViews) and not view.steps else (view,)


__all__ = ["JoinedViews", "Names", "Rows", "Step", "View", "as_array", "matching_rows"]
