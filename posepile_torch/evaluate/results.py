"""Results: numbers that carry their definition.

A :class:`Result` is what a protocol says about one set of predictions. Nothing in it is NaN: what
could not be computed is None, and is counted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import ProtocolError
from posepile_torch.registry import DISTRIBUTION


def library_version() -> str:
    """Return the version of the library, as printed beside every number."""
    return metadata.version(DISTRIBUTION)


@dataclass(frozen=True)
class Cell:
    """One entry of a breakdown: the mean inside a group, or of one joint.

    Args:
        label: Name of the group or joint.
        value: The number, or None if nothing in it was evaluated.
        n_samples: People in the group who were evaluated.
    """

    label: str
    value: float | None
    n_samples: int


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """One number with everything that defines it.

    Args:
        metric: Name in the protocol.
        value: The number.
        unit: Its unit; empty for a fraction.
        higher_is_better: Direction.
        aggregation: Order of averaging ("pooled", "group_mean over activity", ...).
        joints: Names of the evaluated joints.
        root: The root in words.
        alignment: What was fitted ("none", "scale", "rigid", "similarity").
        n_samples: People that entered the number.
        n_values: Evaluated (person, joint) pairs, or differences, that entered it.
        also: Other orders of averaging → value.
        breakdowns: Breakdown → its cells.
    """

    metric: str
    value: float
    unit: str
    higher_is_better: bool
    aggregation: str
    joints: tuple[str, ...] = ()
    root: str = "none"
    alignment: str = "none"
    n_samples: int = 0
    n_values: int = 0
    also: Mapping[str, float] = field(default_factory=dict)
    breakdowns: Mapping[str, tuple[Cell, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What was there, what entered the headline, and what did not.

    Args:
        n_expected: Annotated people that the protocol evaluates.
        n_evaluated: Those with at least one labelled and predicted joint.
        n_missing: Annotated people without a usable prediction (absent, all NaN, or duplicate).
        n_duplicates: Annotated people with several predictions; none of them is used.
        n_nan_joints: Valid joints whose prediction is not finite, of people who are predicted.
        n_excluded: People left out for want of ground truth: too few valid joints or no root.
        n_degenerate: Evaluated people whose predicted joints all coincide.
        n_unmatched: Predictions for which there is no annotation; they are not used.
    """

    n_expected: int
    n_evaluated: int
    n_missing: int = 0
    n_duplicates: int = 0
    n_nan_joints: int = 0
    n_excluded: int = 0
    n_degenerate: int = 0
    n_unmatched: int = 0

    @property
    def coverage(self) -> float:
        """Evaluated share of the annotated people; 0 if there are none."""
        return self.n_evaluated / self.n_expected if self.n_expected else 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class SampleErrors:
    """The headline per person, for the worst cases.

    Args:
        image: ``[N]`` ids of images.
        person: ``[N]`` ids of people.
        values: ``[N]``; NaN where not evaluated.
    """

    image: NDArray[np.str_]
    person: NDArray[np.str_]
    values: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a protocol says about one set of predictions.

    Args:
        protocol: Name and version.
        values: The numbers, headline first.
        counts: Coverage and everything that was left out.
        on_missing: Policy that was used.
        name: Name of the predictions.
        truth: Where the ground truth came from.
        truth_fingerprint: Identifies it.
        notes: Warnings and approximations in words.
        samples: Headline per person; None from evaluators that have none.
        version: Version of the library.
    """

    protocol: str
    values: tuple[MetricValue, ...]
    counts: Counts
    on_missing: str
    name: str = ""
    truth: str = ""
    truth_fingerprint: str = ""
    notes: tuple[str, ...] = ()
    samples: SampleErrors | None = field(default=None, compare=False)
    version: str = field(default_factory=library_version)

    def __getitem__(self, metric: str) -> MetricValue:
        """Return the number of this name."""
        for value in self.values:
            if value.metric == metric:
                return value
        names = ", ".join(value.metric for value in self.values)
        raise ProtocolError(f"no metric {metric!r}", where=self.protocol, fix=f"it has {names}")

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the values per person as plain JSON data."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del data["samples"]
        data["values"] = [_plain_value(value) for value in self.values]
        counts = dataclasses.asdict(self.counts)
        data["counts"] = counts | {"coverage": self.counts.coverage}
        data["notes"] = list(self.notes)
        return data


@dataclass(frozen=True, kw_only=True)
class SeedValue:
    """One metric over several prediction files.

    Args:
        metric: Name in the protocol.
        unit: Its unit.
        mean: Mean of the single numbers.
        std: Their population standard deviation (divided by the number of files).
        values: The single numbers, in the order of the files.
        higher_is_better: Direction.
    """

    metric: str
    unit: str
    mean: float
    std: float
    values: tuple[float, ...]
    higher_is_better: bool


@dataclass(frozen=True, kw_only=True)
class SeedSummary:
    """Mean and population standard deviation over several prediction files.

    Args:
        protocol: Name and version.
        names: Names of the prediction files.
        values: One entry per metric.
        version: Version of the library.
    """

    protocol: str
    names: tuple[str, ...]
    values: tuple[SeedValue, ...]
    version: str = field(default_factory=library_version)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        data = dataclasses.asdict(self)
        data["names"] = list(self.names)
        data["values"] = [dataclasses.asdict(v) | {"values": list(v.values)} for v in self.values]
        return data


def over_seeds(results: Sequence[Result]) -> SeedSummary:
    """Summarise results of one protocol on one ground truth for several prediction files.

    Raises:
        ProtocolError: If there are none, or they differ in protocol, policy or ground truth.
    """
    facts = {(r.protocol, r.on_missing, r.truth, r.truth_fingerprint, r.version) for r in results}
    if len(facts) != 1:
        raise ProtocolError(
            f"{len(results)} results with {len(facts)} definitions cannot be summarised",
            where="over_seeds",
            rule="seeds share protocol, policy, ground truth and version of the library",
        )
    values = []
    for first in results[0].values:
        numbers = [result[first.metric].value for result in results]
        mean = math.fsum(numbers) / len(numbers)
        variance = math.fsum((number - mean) ** 2 for number in numbers) / len(numbers)
        values.append(
            SeedValue(
                metric=first.metric,
                unit=first.unit,
                mean=mean,
                std=math.sqrt(variance),
                values=tuple(numbers),
                higher_is_better=first.higher_is_better,
            )
        )
    return SeedSummary(
        protocol=results[0].protocol,
        names=tuple(result.name for result in results),
        values=tuple(values),
    )


def _plain_value(value: MetricValue) -> dict[str, Any]:
    data = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    data["joints"] = list(value.joints)
    data["also"] = dict(value.also)
    data["breakdowns"] = {
        name: [dataclasses.asdict(cell) for cell in cells]
        for name, cells in value.breakdowns.items()
    }
    return data


__all__ = [
    "Cell",
    "Counts",
    "MetricValue",
    "Result",
    "SampleErrors",
    "SeedSummary",
    "SeedValue",
    "library_version",
    "over_seeds",
]
