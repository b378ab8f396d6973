"""Maps between skeletons: by landmark where two skeletons agree, by stated rules elsewhere.

A map never guesses silently. Every joint of the target is *exact* (the same landmark of the same
convention), *approximate* (a rule or a same-named joint of another convention, with the reason
why it is no better) or *missing* (NaN), and :meth:`JointMap.report` prints which is which.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch.errors import SkeletonError
from posepile_torch.joint_rules import JointRule, RuleSet, get
from posepile_torch.skeleton import Skeleton

__all__ = ["JointMap", "JointRule", "MappedJoint", "RuleSet"]

Status = Literal["exact", "approximate", "missing"]


@dataclass(frozen=True)
class MappedJoint:
    """What became of one joint of the target: its status, the rule, and the reason."""

    target: str
    status: Status
    rule: JointRule | None
    why: str


@dataclass(frozen=True)
class JointMap:
    """How arrays of one skeleton become arrays of another.

    Row ``i`` says where joint ``i`` of the target comes from. Build it with :meth:`between`.
    """

    source: Skeleton
    target: Skeleton
    rows: tuple[MappedJoint, ...]

    @classmethod
    def between(
        cls,
        source: Skeleton,
        target: Skeleton,
        rules: str | RuleSet | Iterable[JointRule] = (),
        *,
        approximate: bool = True,
    ) -> JointMap:
        """Work out the map from ``source`` to ``target``.

        For every target joint the first of these that applies is taken:

        1. a rule from ``rules``;
        2. the source joint with the same landmark: exact;
        3. if ``approximate``, a source joint with the same code in another convention. A source
           joint that has its exact counterpart in the target is not used again here, so a map
           into a union skeleton fills the joints of its own dataset and no others;
        4. nothing: the joint is missing and becomes NaN.

        Args:
            source: Skeleton of the arrays at hand.
            target: Skeleton that is wanted.
            rules: Rules for particular joints: a :class:`RuleSet`, its name (see
                :func:`posepile_torch.joint_rules.names`), or single rules.
            approximate: Whether step 3 is taken.

        Raises:
            UnknownNameError: If a rule names a joint that its skeleton lacks.
            SkeletonError: If two rules fill one joint.
        """
        given = _resolved_rules(rules, source, target)
        by_landmark: dict[str, str] = {}
        by_code: dict[str, list[str]] = {}
        shared = set(source.landmarks) & set(target.landmarks)
        for joint, landmark in zip(source.joints, source.landmarks, strict=True):
            by_landmark.setdefault(landmark, joint)
            if landmark not in shared:
                by_code.setdefault(landmark.split(":", 1)[1], []).append(joint)
        rows = []
        for joint, landmark in zip(target.joints, target.landmarks, strict=True):
            code = landmark.split(":", 1)[1]
            if joint in given:
                rows.append(_by_rule(given[joint], source, landmark))
            elif landmark in by_landmark:
                rule = JointRule.copy(joint, by_landmark[landmark], exact=True)
                rows.append(MappedJoint(joint, "exact", rule, "same landmark"))
            elif approximate and code in by_code:
                rows.append(_by_code(joint, landmark, by_code[code], source))
            else:
                why = f"{source.name} has no such joint and no rule was given"
                rows.append(MappedJoint(joint, "missing", None, why))
        return cls(source, target, tuple(rows))

    @functools.cached_property
    def copied_from(self) -> NDArray[np.intp]:
        """For every target joint the index of the source joint it copies, -1 if it copies none."""
        sources = [
            self.source.index(row.rule.sources[0]) if row.rule and row.rule.is_copy else -1
            for row in self.rows
        ]
        return np.array(sources, dtype=np.intp)

    @functools.cached_property
    def _derived(self) -> tuple[tuple[int, JointRule, NDArray[np.intp]], ...]:
        return tuple(
            (i, row.rule, self.source.indices(row.rule.sources))
            for i, row in enumerate(self.rows)
            if row.rule and not row.rule.is_copy
        )

    def matrix(self) -> NDArray[np.float64]:
        """Return the map as weights ``[target joints, source joints]``.

        Rows of missing joints are NaN. Useful on the GPU:
        ``torch.einsum("ts,bsd->btd", matrix, coords)`` for coordinates without NaN.

        Raises:
            SkeletonError: If a rule has different weights for different axes.
        """
        weights = np.zeros((len(self.target), len(self.source)))
        for i, row in enumerate(self.rows):
            if row.rule is None:
                weights[i] = np.nan
                continue
            if len(row.rule.weights) > 1:
                raise SkeletonError(
                    f"joint {row.target!r} has different weights for x and y",
                    where=f"map from {self.source.name!r} to {self.target.name!r}",
                    rule="a single matrix serves all axes",
                    fix="use apply()",
                )
            weights[i, self.source.indices(row.rule.sources)] = row.rule.weights[0]
        return weights

    def apply(self, coords: ArrayLike) -> NDArray[Any]:
        """Map coordinates ``[..., source joints, D]`` to ``[..., target joints, D]``.

        NaN marks missing joints on both sides; a derived joint is NaN if any of its sources is.
        Floating dtypes are kept, integers become float64.

        Raises:
            JointCountError: If the joint axis does not fit the source skeleton.
            SkeletonError: If a rule is for another number of axes than ``D``.
        """
        array = self.source.checked(_floating(coords), where="coordinates to map")
        result = self._copied(array, axis=-2, fill=np.nan)
        axes = array.shape[-1]
        for i, rule, sources in self._derived:
            if len(rule.weights) not in (1, axes):
                raise SkeletonError(
                    f"the rule for {rule.target!r} has weights for {len(rule.weights)} axes, "
                    f"the coordinates have {axes}",
                    where=f"map from {self.source.name!r} to {self.target.name!r}",
                    rule="weights are given once for all axes, or once per axis",
                    fix="this rule is for image coordinates; choose another for 3D",
                )
            weights = np.asarray(rule.weights, dtype=array.dtype).T
            result[..., i, :] = (array[..., sources, :] * weights).sum(axis=-2)
        return result

    def apply_confidence(self, confidence: ArrayLike) -> NDArray[Any]:
        """Map confidences ``[..., source joints]``; missing joints get 0.

        Derived joints combine their sources as their rule says (see :class:`JointRule`).
        """
        array = self.source.checked(_floating(confidence), where="confidences to map", axis=-1)
        result = self._copied(array, axis=-1, fill=0)
        for i, rule, sources in self._derived:
            values = array[..., sources]
            if rule.confidence == "weighted":
                result[..., i] = (values * np.asarray(rule.weights[0], array.dtype)).sum(axis=-1)
            elif rule.confidence == "product":
                result[..., i] = values.prod(axis=-1)
            elif rule.confidence == "mean":
                result[..., i] = values.mean(axis=-1)
            else:
                result[..., i] = values.min(axis=-1)
        return result

    def apply_mask(self, mask: ArrayLike) -> NDArray[np.bool_]:
        """Map a boolean mask ``[..., source joints]``; a derived joint needs all its sources."""
        array = self.source.checked(np.asarray(mask, dtype=bool), where="mask to map", axis=-1)
        result = self._copied(array, axis=-1, fill=False)
        for i, _, sources in self._derived:
            result[..., i] = array[..., sources].all(axis=-1)
        return result

    def apply_visibility(self, visible: ArrayLike) -> NDArray[np.int8]:
        """Map visibility flags ``[..., source joints]`` (-1 unknown, 0 occluded, 1 visible).

        A derived joint is occluded if a source is, else unknown if a source is, else visible.
        Missing joints are unknown.
        """
        array = self.source.checked(
            np.asarray(visible, dtype=np.int8), where="visibility to map", axis=-1
        )
        result = self._copied(array, axis=-1, fill=-1)
        for i, _, sources in self._derived:
            values = array[..., sources]
            occluded, unknown = (values == 0).any(axis=-1), (values < 0).any(axis=-1)
            result[..., i] = np.where(occluded, 0, np.where(unknown, -1, 1))
        return result

    def _copied(self, array: NDArray[Any], *, axis: int, fill: float) -> NDArray[Any]:
        shape = list(array.shape)
        shape[axis] = len(self.target)
        result = np.full(shape, fill, dtype=array.dtype)
        joints = np.flatnonzero(self.copied_from >= 0)
        if axis == -1:
            result[..., joints] = array[..., self.copied_from[joints]]
        else:
            result[..., joints, :] = array[..., self.copied_from[joints], :]
        return result

    def with_status(self, status: Status) -> tuple[MappedJoint, ...]:
        """Return the rows that are ``"exact"``, ``"approximate"`` or ``"missing"``."""
        return tuple(row for row in self.rows if row.status == status)

    @property
    def unused(self) -> tuple[str, ...]:
        """Source joints that no target joint uses."""
        used = {
            self.source.index(name) for row in self.rows if row.rule for name in row.rule.sources
        }
        return tuple(joint for i, joint in enumerate(self.source.joints) if i not in used)

    @property
    def summary(self) -> str:
        """One line with the counts, for example ``"a -> b: 3 exact, 1 approximate, ..."``."""
        counts = [
            f"{len(self.with_status(status))} {status}"
            for status in ("exact", "approximate", "missing")
        ]
        names = f"{self.source.name} -> {self.target.name}"
        return f"{names}: {', '.join(counts)} of {len(self.rows)} joints"

    def report(self) -> str:
        """Return what maps exactly, approximately (how, and why no better), and not at all."""
        lines = [self.summary]
        for status in ("exact", "approximate"):
            rows = self.with_status(status)
            if rows:
                lines.append(f"{status}:")
            for why, group in _by_reason(rows).items():
                lines.append("  " + ", ".join(group) + (f"  ({why})" if why else ""))
        missing = self.with_status("missing")
        if missing:
            lines.append(f"missing: {' '.join(row.target for row in missing)}")
        if self.unused:
            lines.append(f"unused in {self.source.name}: {' '.join(self.unused)}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain lists and texts, ready for JSON."""
        return {
            "source": self.source.name,
            "target": self.target.name,
            "joints": [
                {
                    "target": row.target,
                    "status": row.status,
                    "sources": list(row.rule.sources) if row.rule else [],
                    "weights": [list(axis) for axis in row.rule.weights] if row.rule else [],
                    "confidence": row.rule.confidence if row.rule else None,
                    "why": row.why,
                }
                for row in self.rows
            ],
            "unused": list(self.unused),
        }


def _resolved_rules(
    rules: str | RuleSet | Iterable[JointRule], source: Skeleton, target: Skeleton
) -> dict[str, JointRule]:
    """Return the rules by target joint, with all names replaced by the skeletons' own."""
    if isinstance(rules, str):
        rules = get(rules)
    resolved: dict[str, JointRule] = {}
    for rule in rules.rules if isinstance(rules, RuleSet) else rules:
        joint = target.joints[target.index(rule.target)]
        if joint in resolved:
            raise SkeletonError(
                f"two rules fill joint {joint!r}",
                where=f"map from {source.name!r} to {target.name!r}",
                rule="every joint has one rule",
                fix="remove one of them",
            )
        names = tuple(source.joints[source.index(name)] for name in rule.sources)
        resolved[joint] = replace(rule, target=joint, sources=names)
    return resolved


def _by_rule(rule: JointRule, source: Skeleton, landmark: str) -> MappedJoint:
    same = rule.is_copy and source.landmarks[source.index(rule.sources[0])] == landmark
    status: Status = "exact" if rule.exact or same else "approximate"
    return MappedJoint(rule.target, status, rule, rule.why or ("same landmark" if same else ""))


def _by_code(joint: str, landmark: str, found: Sequence[str], source: Skeleton) -> MappedJoint:
    other = source.landmarks[source.index(found[0])].split(":", 1)[0]
    convention = landmark.split(":", 1)[0]
    why = f"named alike, but {other} and {convention} mean different points of the body"
    if len(found) > 1:
        why += f"; the first of {', '.join(found)}"
    return MappedJoint(joint, "approximate", JointRule.copy(joint, found[0], why=why), why)


def _floating(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def _by_reason(rows: Sequence[MappedJoint]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for row in rows:
        if row.rule is not None:
            plain = row.rule.formula == row.target
            text = row.target if plain else f"{row.target} = {row.rule.formula}"
            groups.setdefault(row.why, []).append(text)
    return groups
