"""Rules that make a joint of one skeleton from joints of another, and named sets of them.

Published numbers depend on how, say, the Human3.6M pelvis was made from COCO keypoints. Each way
has a name here and says where it comes from, so that a manifest or a report can state which one
was used.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from posepile_torch.errors import SkeletonError, UnknownNameError

ConfidenceRule = Literal["min", "product", "mean", "weighted"]


@dataclass(frozen=True)
class JointRule:
    """How one joint of the target is computed from joints of the source.

    The position is the weighted sum of the sources, with weights that sum to one on every axis,
    so the rule moves with the person. A derived joint is missing as soon as one of its sources
    is. Use :meth:`copy`, :meth:`midpoint`, :meth:`mean` and :meth:`affine` to build one.

    Args:
        target: Joint of the target skeleton.
        sources: Joints of the source skeleton.
        weights: One row of weights per axis ``[D][n]``, or a single row used for every axis.
        confidence: How the confidences of the sources combine: ``"min"`` (the default: a point is
            no better known than its worst source), ``"product"`` (independent probabilities),
            ``"mean"``, or ``"weighted"`` (the same weighted sum as the position).
        exact: Whether the rule is the very definition of the target joint.
        why: Why the rule is an approximation, or why it is exact; printed in reports.
    """

    target: str
    sources: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    confidence: ConfidenceRule = "min"
    exact: bool = False
    why: str = ""

    def __post_init__(self) -> None:
        fits = all(len(row) == len(self.sources) for row in self.weights)
        sums_to_one = all(abs(sum(row) - 1) < 1e-9 for row in self.weights)
        if not self.sources or not self.weights or not fits or not sums_to_one:
            raise SkeletonError(
                f"bad weights {self.weights} for sources {self.sources}",
                where=f"rule for joint {self.target!r}",
                rule="one weight per source, summing to 1 on every axis",
                fix="only weights that sum to 1 make a point that moves with the body",
            )
        if len(set(self.sources)) != len(self.sources):
            raise SkeletonError(
                f"a source is named twice among {self.sources}",
                where=f"rule for joint {self.target!r}",
                rule="sources are unique",
                fix="add up the weights of the repeated source",
            )
        if self.confidence == "weighted" and len(self.weights) > 1:
            raise SkeletonError(
                "confidence 'weighted' with weights that differ between axes",
                where=f"rule for joint {self.target!r}",
                rule="a confidence has no axes, so it needs a single row of weights",
                fix="use 'min', 'product' or 'mean'",
            )

    @classmethod
    def copy(cls, target: str, source: str, *, exact: bool = False, why: str = "") -> JointRule:
        """The target is the source joint; its confidence is copied too."""
        return cls(target, (source,), ((1.0,),), exact=exact, why=why)

    @classmethod
    def midpoint(
        cls,
        target: str,
        a: str,
        b: str,
        *,
        confidence: ConfidenceRule = "min",
        exact: bool = False,
        why: str = "",
    ) -> JointRule:
        """The target lies halfway between two joints."""
        return cls(target, (a, b), ((0.5, 0.5),), confidence, exact, why)

    @classmethod
    def mean(
        cls,
        target: str,
        sources: str | Sequence[str],
        *,
        confidence: ConfidenceRule = "min",
        exact: bool = False,
        why: str = "",
    ) -> JointRule:
        """The target is the mean of several joints (blank-separated or a sequence)."""
        names = tuple(sources.split()) if isinstance(sources, str) else tuple(sources)
        row = (1 / len(names),) * len(names) if names else ()
        return cls(target, names, (row,), confidence, exact, why)

    @classmethod
    def affine(
        cls,
        target: str,
        *weights: Mapping[str, float],
        confidence: ConfidenceRule = "min",
        exact: bool = False,
        why: str = "",
    ) -> JointRule:
        """The target is a weighted sum, with one ``{source: weight}`` for all axes or per axis.

        A source that is absent from an axis has weight 0 there.
        """
        names = tuple(dict.fromkeys(name for axis in weights for name in axis))
        rows = tuple(tuple(float(axis.get(name, 0)) for name in names) for axis in weights)
        return cls(target, names, rows, confidence, exact, why)

    @property
    def is_copy(self) -> bool:
        """Whether the target is a single source joint, unchanged."""
        return len(self.sources) == 1

    @property
    def formula(self) -> str:
        """The rule as text, for example ``"1/2 lsho + 1/2 rsho"``."""
        if self.is_copy:
            return self.sources[0]
        rows = [_formula(row, self.sources) for row in self.weights]
        if len(rows) == 1:
            return rows[0]
        return "; ".join(f"{axis}: {row}" for axis, row in zip("xyz", rows, strict=False))


@dataclass(frozen=True)
class RuleSet:
    """A named, citable list of rules that belong together.

    Args:
        name: What users type, for example ``"coco-h36m/midpoints"``.
        rules: The rules; joints without a rule are mapped by landmark and name.
        source: Name of the standard skeleton the rules read.
        target: Name of the standard skeleton they fill.
        title: One sentence on what the set is for.
        citation: Where the rules come from.
    """

    name: str
    rules: tuple[JointRule, ...]
    source: str
    target: str
    title: str
    citation: str


def get(name: str) -> RuleSet:
    """Return the rule set of this exact name.

    Raises:
        UnknownNameError: If there is none; near misses are listed.
    """
    table = _table()
    if name not in table:
        raise UnknownNameError.among("rule set", name, table)
    return table[name]


def names() -> tuple[str, ...]:
    """Return the names of all rule sets, sorted."""
    return tuple(sorted(_table()))


@functools.cache
def _table() -> Mapping[str, RuleSet]:
    from posepile_torch._joint_rule_table import RULE_SETS  # built from the classes above

    return MappingProxyType({rules.name: rules for rules in RULE_SETS})


def _formula(weights: Sequence[float], names: Sequence[str]) -> str:
    parts = []
    for weight, name in zip(weights, names, strict=True):
        if weight == 0:
            continue
        sign = "-" if weight < 0 else "+"
        parts.append(f"{sign} {_fraction(abs(weight))}{name}")
    text = " ".join(parts)
    return text[2:] if text.startswith("+ ") else text


def _fraction(weight: float) -> str:
    if weight == 1:
        return ""
    for denominator in range(1, 13):
        numerator = weight * denominator
        if abs(numerator - round(numerator)) < 1e-9:
            return f"{round(numerator)}" + (f"/{denominator} " if denominator > 1 else " ")
    return f"{weight:.4g} "
