"""The engine: joins predictions with ground truth, and computes what a protocol defines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import PredictionError, ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth, attribute
from posepile_torch.evaluate.joining import Join, join
from posepile_torch.evaluate.predictions import Predictions, Rules
from posepile_torch.evaluate.protocol import OnMissing, Protocol
from posepile_torch.evaluate.results import Counts, Result, SampleErrors
from posepile_torch.evaluate.scores import Floats, Joined
from posepile_torch.evaluate.scoring import OF_TIME, Scorer
from posepile_torch.evaluate.summing import columns_of, count, metric_value, remarks
from posepile_torch.evaluate.suspicion import check_units, find_suspicion
from posepile_torch.jointmap import JointMap

COLUMN_BOUND = ("mpvpe", "ampvpe", "pa_mpvpe", "mpjae", "foot_sliding")
"""Functions of columns that are not carried from one frame of reference to another."""

STATIC_MM = 1.0
"""A camera that moves less than this within a video is taken for static."""


def evaluate(
    protocol: Protocol,
    predictions: Predictions,
    truth: GroundTruth,
    *,
    on_missing: OnMissing | None = None,
    rules: Rules = (),
) -> Result:
    """Evaluate predictions under a protocol.

    Args:
        protocol: What is computed.
        predictions: In any skeleton that has, or can be mapped onto, the protocol's joints.
        truth: From :func:`posepile_torch.evaluate.groundtruth.load_truth`.
        on_missing: What happens to people or joints without a usable prediction; the protocol's
            policy by default. They are counted under every policy.
        rules: Rules for mapping particular joints, see
            :class:`~posepile_torch.jointmap.JointMap`.

    Raises:
        PredictionError: If predictions are missing under the policy ``"error"``, lack joints
            that the protocol evaluates, are hardly in millimetres, or have no key in common with
            the ground truth.
    """
    policy = on_missing or protocol.on_missing
    mapped = predictions.in_skeleton(protocol.named_skeleton, rules)
    _check_joints(protocol, predictions, mapped)
    if protocol.evaluator is not None:
        result = attribute(protocol.evaluator)(protocol, mapped, truth, policy)
        if not isinstance(result, Result):
            raise ProtocolError(
                f"{protocol.evaluator} returned {type(result).__name__}",
                where=protocol.id,
                rule="the evaluator of a protocol returns a Result",
            )
        return replace(
            result,
            name=result.name or predictions.name,
            truth=result.truth or truth.where,
            truth_fingerprint=result.truth_fingerprint or truth.fingerprint,
            notes=tuple(dict.fromkeys([*truth.notes, *mapped.approximations, *result.notes])),
        )
    truth = _in_common_space(protocol, mapped, truth)
    joined = join(mapped, truth)
    evaluator = Evaluator(protocol, on_missing=policy)
    evaluator.add(joined.data, joined)
    notes = [*truth.notes, *mapped.approximations, *joined.notes]
    return evaluator.compute(
        name=predictions.name,
        where=predictions.where,
        truth=truth.where,
        truth_fingerprint=truth.fingerprint,
        notes=notes,
    )


class Evaluator:
    """Takes in poses in any order and in any number of parts, and computes a protocol's numbers.

    The numbers do not depend on order or parts: everything is sorted by image and person before
    it is summed. The poses are kept until then, 48 bytes per joint.

    Args:
        protocol: What is computed; it must not have an evaluator of its own.
        on_missing: Policy; the protocol's by default.
    """

    def __init__(self, protocol: Protocol, *, on_missing: OnMissing | None = None) -> None:
        if protocol.evaluator is not None:
            raise ProtocolError(
                "this protocol has an evaluator of its own",
                where=protocol.id,
                fix="use posepile_torch.evaluate.evaluate()",
            )
        self.protocol = protocol
        self.on_missing: OnMissing = on_missing or protocol.on_missing
        self._parts: list[Joined] = []
        self._counts = {"n_duplicates": 0, "n_unmatched": 0}

    def update(
        self,
        image: Sequence[str] | NDArray[np.str_],
        person: Sequence[str] | NDArray[np.str_],
        pred: Any,
        gt: Any,
        *,
        mask: Any = None,
        labels: Mapping[str, Sequence[str]] | None = None,
        frame: Any = None,
    ) -> None:
        """Take in some people.

        Args:
            image: ``[N]`` ids of images.
            person: ``[N]`` ids of people.
            pred: ``[N, J, D]`` in the protocol's skeleton, mm or px; tensor or array.
            gt: ``[N, J, D]`` in the same frame of reference.
            mask: ``[N, J]`` bool: labelled joints; None if labels are NaN where unknown.
            labels: Breakdown → ``[N]`` texts.
            frame: ``[N]`` frame numbers, for temporal metrics.
        """
        p, g = _poses(pred), _poses(gt)
        for poses, name in ((p, "pred"), (g, "gt")):
            self.protocol.named_skeleton.checked(poses, where=name)
        if mask is not None:
            g = np.where(_poses(mask).astype(bool)[..., None], g, np.nan)
        n = len(image)
        table = {name: np.asarray(texts, dtype=str) for name, texts in (labels or {}).items()}
        number = np.full(n, -1) if frame is None else _poses(frame)
        columns = {"person": person, "pred": p, "gt": g, "frame": number, **table}
        wrong = {name: len(c) for name, c in columns.items() if len(c) != n}
        if wrong:
            raise PredictionError(
                f"{n} images, but {wrong}",
                where="Evaluator.update",
                rule="all arguments have one entry per person",
            )
        self.add(
            Joined(
                image=np.asarray(image, dtype=str).reshape(-1),
                person=np.asarray(person, dtype=str).reshape(-1),
                pred=p,
                gt=g,
                labels=table,
                frame=number.astype(np.int64),
            )
        )

    def add(self, data: Joined, joined: Join | None = None) -> None:
        """Take in people who are joined already, with the counts of that join."""
        self._parts.append(data)
        if joined is not None:
            self._counts["n_duplicates"] += joined.n_duplicates
            self._counts["n_unmatched"] += joined.n_unmatched

    def merge(self, other: Evaluator) -> None:
        """Take in everything that another evaluator of the same protocol has taken in."""
        if (other.protocol.id, other.on_missing) != (self.protocol.id, self.on_missing):
            raise ProtocolError(
                f"{other.protocol.id} ({other.on_missing}) cannot be merged into "
                f"{self.protocol.id} ({self.on_missing})",
                where="Evaluator.merge",
                rule="evaluators that are merged have one protocol and one policy",
            )
        self._parts.extend(other._parts)
        for name, number in other._counts.items():
            self._counts[name] += number

    def compute(
        self,
        *,
        name: str = "",
        where: str = "predictions",
        truth: str = "",
        truth_fingerprint: str = "",
        notes: Sequence[str] = (),
    ) -> Result:
        """Compute all numbers of the protocol.

        Args:
            name: Name of the predictions, for tables.
            where: Where they came from, for messages.
            truth: Where the ground truth came from.
            truth_fingerprint: Identifies it.
            notes: Remarks to keep with the numbers.

        Raises:
            PredictionError: If predictions are missing under the policy ``"error"``, or there is
                nothing to evaluate.
        """
        data = _sorted(self._parts, self.protocol)
        counts = count(self.protocol, data, self._counts)
        if not counts.n_expected:
            raise PredictionError(
                "nothing to evaluate: no annotated person was given",
                where=f"{where}, {self.protocol.id}",
                rule="a number needs at least one evaluated person",
            )
        self._check_missing(data, counts, where)
        told = list(notes)
        columns = self.protocol.named_skeleton.indices(list(self.protocol.joints or ()))
        if data.pred.shape[2] == 3:
            check_units(data.pred[:, columns], data.gt[:, columns], where=where)
        suspicion = find_suspicion(data.pred, data.gt, self.protocol.named_skeleton)
        if suspicion is not None:
            told.append(str(suspicion))
        scorer = Scorer(self.protocol, data, self.on_missing)
        scored = [(metric, scorer.scores(metric)) for metric in self.protocol.metrics]
        values = tuple(
            metric_value(self.protocol, metric, scores, data) for metric, scores in scored
        )
        told += remarks(self.protocol, values)
        headline = scored[0][1].values
        finite = np.isfinite(headline)
        total = np.where(finite, headline, 0.0).sum(1)
        per_person = np.where(finite.any(1), total / np.maximum(finite.sum(1), 1), np.nan)
        return Result(
            protocol=self.protocol.id,
            values=values,
            counts=counts,
            on_missing=self.on_missing,
            name=name,
            truth=truth,
            truth_fingerprint=truth_fingerprint,
            notes=tuple(dict.fromkeys(told)),
            samples=SampleErrors(image=data.image, person=data.person, values=per_person),
        )

    def _check_missing(self, data: Joined, counts: Counts, where: str) -> None:
        if self.on_missing != "error":
            return
        columns = columns_of(self.protocol)
        valid, finite = (
            np.asarray(np.isfinite(p[:, columns]).all(-1)) for p in (data.gt, data.pred)
        )
        lacking = valid & ~finite
        if not lacking.any():
            return
        rows = np.flatnonzero(lacking.any(1))
        examples = "; ".join(f"{data.image[row]} person {data.person[row]}" for row in rows[:3])
        duplicate = f" ({counts.n_duplicates} predicted twice)" if counts.n_duplicates else ""
        raise PredictionError(
            f"{counts.n_missing} of {counts.n_expected} annotated people have no usable "
            f"prediction{duplicate}, and {counts.n_nan_joints} joints of others are not finite; "
            f"first: {examples}",
            where=where,
            rule=f"{self.protocol.id} needs one finite prediction per labelled joint",
            fix='add them, or choose the policy "skip" or "count_as_wrong" (--on-missing)',
        )


def _check_joints(protocol: Protocol, given: Predictions, mapped: Predictions) -> None:
    """Raise if the predicted skeleton lacks joints that the protocol looks at."""
    if given is mapped or not len(mapped):
        return
    mapping = JointMap.between(given.skeleton, mapped.skeleton)
    needed = {mapped.skeleton.joints[column] for column in columns_of(protocol)}
    lacking = [row.target for row in mapping.with_status("missing") if row.target in needed]
    supplied = np.flatnonzero(np.asarray(np.isfinite(mapped.joints).all(-1)).any(0)).tolist()
    lacking = [name for name in lacking if mapped.skeleton.index(name) not in supplied]
    if lacking:
        raise PredictionError(
            f"the skeleton {given.skeleton.name} has no {', '.join(lacking)}",
            where=given.where,
            rule=f"{protocol.id} evaluates joints of {mapped.skeleton.name}",
            fix="predict these joints, pass rules that derive them, or choose a protocol with "
            "fewer joints",
        )


def _in_common_space(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth
) -> GroundTruth:
    space = predictions.space
    columns = [m.name for m in protocol.metrics if m.function in COLUMN_BOUND]
    if columns and space != truth.space:
        raise PredictionError(
            f"the predictions are in {space} space, the ground truth is in {truth.space} space",
            where=predictions.where,
            rule=f"{', '.join(columns)} compares columns that are not moved between spaces",
            fix=f"write the predictions in {truth.space} space",
        )
    timed = [m.name for m in protocol.metrics if m.function in OF_TIME]
    if timed and space != protocol.space and not _has_static_cameras(truth):
        raise PredictionError(
            f"the predictions are in {space} space",
            where=predictions.where,
            rule=f"{', '.join(timed)} of {protocol.id} is defined in {protocol.space} space, "
            "which is the same only where cameras are known not to move",
            fix=f"write the predictions in {protocol.space} space",
        )
    return truth.in_space(space)


def _has_static_cameras(truth: GroundTruth) -> bool:
    if truth.position is None:
        return False
    unknown = np.full(len(truth), "")
    parts = [truth.labels.get(name, unknown).tolist() for name in ("sequence", "camera")]
    first: dict[tuple[str, str], NDArray[np.float64]] = {}
    return all(
        np.abs(position - first.setdefault(key, position)).max() < STATIC_MM
        for key, position in zip(zip(*parts, strict=True), truth.position, strict=True)
    )


def _sorted(parts: Sequence[Joined], protocol: Protocol) -> Joined:
    axes = 2 if protocol.target == "joints2d" else 3
    if not parts:
        empty = np.zeros((0, len(protocol.named_skeleton), axes))
        texts = np.zeros(0, dtype=str)
        return Joined(
            image=texts, person=texts, pred=empty, gt=empty, labels={}, frame=np.zeros(0, np.int64)
        )
    image = np.concatenate([part.image for part in parts])
    person = np.concatenate([part.person for part in parts])
    order = np.lexsort((person, image))
    image, person = image[order], person[order]
    keys = np.stack([image, person], axis=1)
    same = np.asarray((keys[1:] == keys[:-1]).all(axis=1))
    if same.any():
        row = int(np.flatnonzero(same)[0])
        raise PredictionError(
            f"person {person[row]!r} of image {image[row]!r} was taken in twice",
            where=protocol.id,
            rule="everybody is evaluated once",
            fix="check that batches and workers do not overlap",
        )

    def column(values: list[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(values)[order]

    def shared(columns: list[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        names = [name for name in columns[0] if all(name in other for other in columns)]
        return {name: column([other[name] for other in columns]) for name in names}

    return Joined(
        image=image,
        person=person,
        pred=column([part.pred for part in parts]),
        gt=column([part.gt for part in parts]),
        labels=shared([part.labels for part in parts]),
        frame=column([part.frame for part in parts]),
        pred_extras=shared([part.pred_extras for part in parts]),
        gt_extras=shared([part.gt_extras for part in parts]),
    )


def _poses(values: Any) -> Floats:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values, np.float64)


__all__ = ["COLUMN_BOUND", "STATIC_MM", "Evaluator", "evaluate"]
