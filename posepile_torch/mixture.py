"""Mixtures: which sources feed a training run, and how much of every batch each of them gives.

A mixture says what is mixed; :mod:`posepile_torch.sampler` says in which order, and
:mod:`posepile_torch.loader` makes the batches. Everything that cannot work is refused here, before
a worker starts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posepile_torch import skeletons
from posepile_torch.apportion import schedule, whole_counts
from posepile_torch.errors import MixtureError
from posepile_torch.skeleton import Skeleton, union
from posepile_torch.sources.base import Source
from posepile_torch.sources.views import View

UNION = "union"
"""Asks for the skeleton that has every joint of every member."""

Mode = Literal["share", "per_batch"]
Weights = NDArray[np.float64]


class Member(NamedTuple):
    """One source of a mixture.

    Attributes:
        name: Name in the mixture; the source's own, numbered if it is there twice.
        source: The samples.
        weight: Share or count, as it was given.
    """

    name: str
    source: View[Any]
    weight: float


class Mixture:
    """Several sources as one endless stream of batches of fixed composition.

    Give either shares (any positive numbers, taken relative to their sum) with a batch size, or
    how many samples of each source every batch has. Shares need not give whole numbers: they are
    rounded over a period of batches by largest remainders, and within it every source is always
    less than one sample away from its exact number, while every batch has its full size.

    Within its share, every source is passed through in random order, each sample once, and then
    again in another order; with ``example_weights``, its samples are drawn with replacement.

    Attributes:
        members: The sources with their weights.
        batch_size: Samples per batch, of all ranks together.
        skeleton: The target skeleton of all samples.
        seed: Decides the order, and what recipes draw by chance.

    Args:
        share: ``{source: share}``.
        per_batch: ``{source: count}``, instead of ``share``.
        batch_size: With ``share``: samples per batch, of all ranks together.
        skeleton: Target skeleton by value or name; ``"union"`` for one with every joint of every
            member, told apart by the names of their native skeletons. None if the sources agree.
        seed: Of the run.
        period: With ``share``: over how many batches shares are rounded, at most.
        example_weights: ``{source: [len(source)] weights}``: how likely each sample is.

    Raises:
        MixtureError: If sources are empty, weights are zero, negative or not finite, or sizes
            do not fit.
    """

    def __init__(
        self,
        share: Mapping[Any, float] | None = None,
        *,
        per_batch: Mapping[Any, int] | None = None,
        batch_size: int | None = None,
        skeleton: Skeleton | str | None = None,
        seed: int = 0,
        period: int = 64,
        example_weights: Mapping[Any, Sequence[float] | Weights] | None = None,
    ) -> None:
        if (share is None) == (per_batch is None):
            raise MixtureError(
                "give either share= or per_batch=", rule="a mixture has one of its two modes"
            )
        self.mode: Mode = "share" if per_batch is None else "per_batch"
        given: Mapping[Any, float] = (share if per_batch is None else per_batch) or {}
        self.members = _members(given)
        _check_weights(self.members, self.mode)
        self.batch_size = self._size(batch_size)
        if period < 1:
            raise MixtureError(f"period={period}", rule="a period has at least one batch")
        self.period = 1 if self.mode == "per_batch" else period
        if not 0 <= seed < 1 << 64:
            raise MixtureError(f"seed={seed}", rule="a seed is a whole number in 0 .. 2^64 - 1")
        self.seed = seed
        self.skeleton = _target(self.members, skeleton)
        self.members = tuple(m._replace(source=_retarget(m, self.skeleton)) for m in self.members)
        self.example_weights = self._checked_example_weights(given, example_weights or {})

    def _size(self, batch_size: int | None) -> int:
        if self.mode == "per_batch":
            total = sum(int(member.weight) for member in self.members)
            if batch_size not in (None, total):
                raise MixtureError(
                    f"batch_size={batch_size}, but the counts sum to {total}",
                    rule="per_batch= gives the batch its size",
                    fix="leave batch_size out",
                )
            return total
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise MixtureError(
                f"batch_size={batch_size!r}",
                rule="shares need a batch size of at least 1",
                fix="pass batch_size=64, for example",
            )
        return batch_size

    def _checked_example_weights(
        self, given: Mapping[Any, float], weights: Mapping[Any, Sequence[float] | Weights]
    ) -> dict[str, Weights]:
        names = dict(zip(given, (member.name for member in self.members), strict=True))
        checked = {}
        for source, values in weights.items():
            if source not in names:
                raise MixtureError(
                    "example_weights for a source that is no member", where=repr(source)
                )
            array = np.asarray(values, np.float64)
            if array.shape != (len(source),):
                raise MixtureError(
                    f"example_weights of shape {array.shape} for {len(source)} samples",
                    where=names[source],
                )
            if not np.isfinite(array).all() or (array < 0).any() or not array.sum() > 0:
                raise MixtureError(
                    "example_weights that are negative, not finite, or all zero",
                    where=names[source],
                    rule="weights are finite, none is negative and one is positive",
                )
            checked[names[source]] = array
        return checked

    def __len__(self) -> int:
        """Number of samples of all sources together."""
        return sum(len(member.source) for member in self.members)

    def __repr__(self) -> str:
        parts = ", ".join(f"{member.name} {member.weight:g}" for member in self.members)
        return f"Mixture({self.mode}: {parts}; {self.batch_size} per batch)"

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Samples of each member in one period of batches."""
        weights = np.array([member.weight for member in self.members], np.float64)
        counts, _ = whole_counts(weights, self.batch_size, self.period)
        lost = [m.name for m, count in zip(self.members, counts, strict=True) if not count]
        if lost:
            raise MixtureError(
                f"the shares of {', '.join(lost)} give no sample in {self.period} batches",
                rule="every member is drawn at least once per period",
                fix="give them more, or set a longer period=",
            )
        return counts

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """``[batches, batch_size]``: which member fills which place, in one period."""
        return schedule(self.counts).reshape(-1, self.batch_size)

    @property
    def shares(self) -> dict[str, float]:
        """The share of each member in the stream, as it is realised."""
        total = int(self.counts.sum())
        names = [member.name for member in self.members]
        return dict(zip(names, (self.counts / total).tolist(), strict=True))

    def passes(self, steps: int) -> dict[str, float]:
        """Return how often each source is passed through in so many batches."""
        drawn = steps * self.batch_size
        return {m.name: drawn * self.shares[m.name] / len(m.source) for m in self.members}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that decides which samples are drawn: archives, rows, shares."""
        digest = hashlib.sha256(repr((self.batch_size, self.counts.tolist())).encode())
        for member in self.members:
            digest.update(member.name.encode())
            for part in _sources(member.source):
                digest.update(part.archive.fingerprint.encode())
                digest.update(part.rows.tobytes())
            weights = self.example_weights.get(member.name)
            digest.update(b"-" if weights is None else weights.tobytes())
        return digest.hexdigest()


def _members(given: Mapping[Any, float]) -> tuple[Member, ...]:
    if not given:
        raise MixtureError("a mixture without sources", fix="name at least one")
    used: dict[str, int] = {}
    members = []
    for source, weight in given.items():
        if not isinstance(source, View):
            raise MixtureError(f"{source!r} is not a source", rule="members are Dataset objects")
        base = "+".join(dict.fromkeys(part.card.name for part in _sources(source)))
        used[base] = used.get(base, 0) + 1
        name = base if used[base] == 1 else f"{base}-{used[base]}"
        members.append(Member(name, source, weight))
    empty = [member.name for member in members if not len(member.source)]
    if empty:
        raise MixtureError(
            f"no samples in {', '.join(empty)}",
            rule="every source of a mixture has at least one sample",
            fix="look at its split and at what .where() asks for, or leave it out",
        )
    return tuple(members)


def _check_weights(members: Sequence[Member], mode: Mode) -> None:
    def is_good(weight: Any) -> bool:
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.number):
            return False
        whole = mode == "share" or float(weight).is_integer()
        return bool(math.isfinite(weight) and weight > 0 and whole)

    bad = [f"{m.name}={m.weight!r}" for m in members if not is_good(m.weight)]
    if bad:
        raise MixtureError(
            f"weights {', '.join(bad)}",
            rule="counts are whole numbers of at least 1"
            if mode == "per_batch"
            else "shares are finite and greater than 0",
            fix="leave a source out to give it nothing",
        )


def _sources(view: View[Any]) -> tuple[Source[Any], ...]:
    parts = getattr(view, "parts", (view,))
    return tuple(part for part in parts if isinstance(part, Source))


def _target(members: Sequence[Member], skeleton: Skeleton | str | None) -> Skeleton:
    if isinstance(skeleton, Skeleton):
        return skeleton
    if skeleton == UNION:
        natives = {s.native.name: s.native for m in members for s in _sources(m.source)}
        return next(iter(natives.values())) if len(natives) == 1 else union(natives)
    if skeleton is not None:
        return skeletons.get(skeleton)
    first = members[0]
    for member in members:
        if member.source.skeleton.joints != first.source.skeleton.joints:
            raise MixtureError(
                f"{member.name} has joints of {member.source.skeleton.name}, {first.name} of "
                f"{first.source.skeleton.name}",
                rule="all samples of a batch have one skeleton",
                fix='Mixture(..., skeleton="union"), or the name of one skeleton',
            )
    return first.source.skeleton


def _retarget(member: Member, skeleton: Skeleton) -> View[Any]:
    source = member.source
    if source.skeleton == skeleton:
        return source
    if not isinstance(source, Source):
        raise MixtureError(
            f"{member.name} is a sum of views in {source.skeleton.name}",
            rule="a sum keeps the skeleton of its parts",
            fix="give the parts the skeleton first: source.with_skeleton(...)",
        )
    return source.with_skeleton(skeleton)


__all__ = ["UNION", "Member", "Mixture"]
