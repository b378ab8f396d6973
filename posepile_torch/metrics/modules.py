"""Metrics for the training loop as torchmetrics modules (the ``metrics`` extra).

``update`` takes batches of poses, ``compute`` returns the value over everything seen since
``reset``, on all ranks together. Distances are in mm, percentages 0..100. States are integers (one
distance is 2^-60 mm exact), so that the result does not depend on batch size, order, number of
ranks or the device's order of summation. Import this module by name: ``posepile_torch.metrics``
itself does not need torchmetrics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from posepile_torch.errors import JointCountError, MetricError, require
from posepile_torch.metrics.choices import Align, OnMissing, Root
from posepile_torch.metrics.coco_ap import COCO_RULES, summarised
from posepile_torch.metrics.joints import joint_distances
from posepile_torch.metrics.keypoint_tables import KeypointDetections, KeypointPersons
from posepile_torch.metrics.oks_matching import Matches, OksRules, match
from posepile_torch.metrics.thresholds import auc_31, auc_199, auc_real, cps, pck
from posepile_torch.skeleton import Skeleton

if TYPE_CHECKING:
    from torchmetrics import Metric
else:
    Metric = require("torchmetrics", extra="metrics").Metric

COARSE_BITS, FINE_BITS = 20, 40  # a sum is coarse * 2^-20 + fine * 2^-60


class JointMetric(Metric):  # type: ignore[misc]
    """Base: one number per sample and joint, averaged over joints, groups of joints and samples.

    Without ``per_joint``, ``joint_groups`` and ``sample_groups``, ``compute`` returns the mean
    over all evaluated (sample, joint) pairs as a scalar. With any it returns a dict: this mean
    under ``name``, and ``name/joint/<joint>``, ``name/group/<group>``, ``name/samples/<label>``,
    ``name/samples_mean`` (unweighted mean over the labels that occur) and the counts
    ``name/n_evaluated`` and ``name/n_missing``. NaN where nothing was evaluated.

    Args:
        skeleton: Skeleton of the poses; joints are named by it.
        name: Key of the result in dicts.
        align: What is fitted to the ground truth, see :data:`posepile_torch.metrics.Align`.
        root: Joint name, several names (their midpoint), ``"centroid"`` or None.
        joints: Names of the evaluated joints; None for all. Alignment uses all valid joints.
        on_missing: What a non-finite prediction means.
        per_joint: Whether to return the mean of each joint.
        joint_groups: Group → joint names, pooled.
        sample_groups: Labels that samples may have, such as activities.
        settings: What else makes this metric differ from others of its name. A
            ``MetricCollection`` shares the states of metrics that agree on the first batch; the
            settings are a state, too, and keep apart what only happens to agree.
        options: Those of ``torchmetrics.Metric``.
    """

    full_state_update = False

    def __init__(
        self,
        skeleton: Skeleton,
        *,
        name: str,
        align: Align,
        root: str | Sequence[str] | None = None,
        joints: Sequence[str] | None = None,
        on_missing: OnMissing = "error",
        per_joint: bool = False,
        joint_groups: Mapping[str, Sequence[str]] | None = None,
        sample_groups: Sequence[str] = (),
        settings: Sequence[object] = (),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.skeleton, self.name = skeleton, name
        self.align, self.root = align, _root(skeleton, root)
        self.on_missing = on_missing
        self.joints = tuple(skeleton.joints if joints is None else joints)
        self.indices = [skeleton.index(joint) for joint in self.joints]
        self.per_joint = per_joint
        self.joint_groups = {
            group: [_position(self.joints, member, group) for member in members]
            for group, members in (joint_groups or {}).items()
        }
        self.sample_groups = tuple(sample_groups)
        shape = (max(1, len(self.sample_groups)), self._columns())
        for state in ("coarse", "fine", "count"):
            self.add_state(state, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")
        chosen = (type(self).__name__, skeleton.digest, align, self.root, self.indices, on_missing)
        self.add_state("settings", _fingerprint(chosen, settings), dist_reduce_fx="max")
        self.add_state("missing", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        pred: Tensor,
        gt: Tensor,
        mask: Tensor | None = None,
        groups: Sequence[str] | None = None,
    ) -> None:
        """Take in a batch.

        Args:
            pred: ``[N, J, 3]`` mm, all joints of the skeleton.
            gt: ``[N, J, 3]`` mm; joints that are not finite are not valid.
            mask: Bool ``[N, J]``; None for all joints.
            groups: ``[N]`` one of ``sample_groups`` per sample; required if these were named.
        """
        if gt.ndim != 3 or gt.shape[1] != len(self.skeleton):
            found = gt.shape[1] if gt.ndim == 3 else f"an array of shape {list(gt.shape)}"
            raise JointCountError.of(len(self.skeleton), found, where=type(self).__name__)
        distances = joint_distances(
            pred.detach(),
            gt.detach(),
            align=self.align,
            root=self.root,
            mask=mask,
            # Infinity marks what is missing; skipping it comes after counting it.
            on_missing="error" if self.on_missing == "error" else "count_as_wrong",
        )[:, self.indices]
        missing = torch.isinf(distances)
        if self.on_missing == "skip":
            distances = distances.masked_fill(missing, torch.nan)
        self._add(self._values(distances), self._rows(groups, len(gt)))
        self.missing += missing.sum()

    def compute(self) -> Any:
        """Return the mean, or all means; see the class."""
        total, count = self._totals(), self.count
        overall = _mean(total.sum(), count.sum())
        if not (self.per_joint or self.joint_groups or self.sample_groups):
            return overall
        found = {self.name: overall}
        if self.per_joint:
            means = _mean(total.sum(0), count.sum(0))
            found |= {f"{self.name}/joint/{j}": m for j, m in zip(self.joints, means, strict=True)}
        for group, members in self.joint_groups.items():
            found[f"{self.name}/group/{group}"] = _mean(
                total[:, members].sum(), count[:, members].sum()
            )
        if self.sample_groups:
            means = _mean(total.sum(1), count.sum(1))
            for label, mean in zip(self.sample_groups, means, strict=True):
                found[f"{self.name}/samples/{label}"] = mean
            found[f"{self.name}/samples_mean"] = means.nanmean()
        found[f"{self.name}/n_evaluated"] = count.sum()
        found[f"{self.name}/n_missing"] = self.missing
        return found

    def _columns(self) -> int:
        return len(self.joints)

    def _values(self, distances: Tensor) -> Tensor:
        """Return what is averaged, ``[N, columns]``; values that are not finite are left out."""
        return distances

    def _rows(self, groups: Sequence[str] | None, count: int) -> Tensor:
        if not self.sample_groups:
            if groups is not None:
                raise MetricError(
                    "samples have groups, but none were named",
                    where=type(self).__name__,
                    rule="labels are known when the metric is made, so that all ranks agree",
                    fix="pass sample_groups=(...)",
                )
            return torch.zeros(count, dtype=torch.int64, device=self.count.device)
        labels = list(groups or ())
        unknown = sorted(set(labels) - set(self.sample_groups))
        if len(labels) != count or unknown:
            raise MetricError(
                f"{len(labels)} labels for {count} samples, unknown ones: {unknown}",
                where=type(self).__name__,
                rule=f"every sample has one of the labels {', '.join(self.sample_groups)}",
            )
        numbers = [self.sample_groups.index(label) for label in labels]
        return torch.tensor(numbers, dtype=torch.int64, device=self.count.device)

    def _add(self, values: Tensor, rows: Tensor) -> None:
        finite = torch.isfinite(values)
        scaled = values.masked_fill(~finite, 0.0) * 2.0**COARSE_BITS
        coarse = scaled.floor()
        fine = ((scaled - coarse) * 2.0**FINE_BITS).round().to(torch.int64)
        self.count.index_add_(0, rows, finite.to(torch.int64))
        self.coarse.index_add_(0, rows, coarse.to(torch.int64))
        self.fine.index_add_(0, rows, fine)
        carry = self.fine >> FINE_BITS
        self.coarse += carry
        self.fine -= carry << FINE_BITS

    def _totals(self) -> Tensor:
        carry = self.fine >> FINE_BITS  # fine parts of several ranks have been added up
        coarse: Tensor = (self.coarse + carry).double()
        fine: Tensor = (self.fine - (carry << FINE_BITS)).double()
        return (coarse + fine * 2.0**-FINE_BITS) * 2.0**-COARSE_BITS


class MPJPE(JointMetric):
    """Mean per-joint position error in mm after moving both poses to their root.

    Args:
        skeleton: As for :class:`JointMetric`.
        root: Joint name, several names (their midpoint), ``"centroid"``.
        options: As for :class:`JointMetric`.
    """

    higher_is_better = False

    def __init__(self, skeleton: Skeleton, *, root: str | Sequence[str], **options: Any) -> None:
        super().__init__(skeleton, **{"name": "mpjpe_mm", "align": "none", "root": root} | options)


class AMPJPE(JointMetric):
    """Absolute mean per-joint position error in mm, without any alignment."""

    higher_is_better = False

    def __init__(self, skeleton: Skeleton, **options: Any) -> None:
        super().__init__(skeleton, **{"name": "ampjpe_mm", "align": "none"} | options)


class PAMPJPE(JointMetric):
    """Mean per-joint position error in mm after a similarity (Procrustes) alignment."""

    higher_is_better = False

    def __init__(self, skeleton: Skeleton, **options: Any) -> None:
        super().__init__(skeleton, **{"name": "pa_mpjpe_mm", "align": "similarity"} | options)


class NMPJPE(JointMetric):
    """Mean per-joint position error in mm after the root and the best scale are removed."""

    higher_is_better = False

    def __init__(self, skeleton: Skeleton, *, root: str | Sequence[str], **options: Any) -> None:
        chosen = {"name": "n_mpjpe_mm", "align": "scale", "root": root}
        super().__init__(skeleton, **chosen | options)


class PCK3D(JointMetric):
    """Percentage of joints closer to the truth than a threshold.

    Args:
        skeleton: As for :class:`JointMetric`.
        threshold_mm: Distance at which a joint stops being correct.
        strict: Whether a joint exactly at the threshold is wrong (True) or correct (False).
        align: As for :class:`JointMetric`.
        options: As for :class:`JointMetric`; ``on_missing="count_as_wrong"`` by default.
    """

    higher_is_better = True

    def __init__(
        self,
        skeleton: Skeleton,
        *,
        threshold_mm: float,
        strict: bool,
        align: Align = "none",
        **options: Any,
    ) -> None:
        chosen = {"name": f"pck_{threshold_mm:g}", "on_missing": "count_as_wrong"}
        settings = (threshold_mm, strict)
        super().__init__(skeleton, align=align, settings=settings, **chosen | options)
        self.threshold_mm, self.strict = threshold_mm, strict

    def _values(self, distances: Tensor) -> Tensor:
        return pck(distances, self.threshold_mm, strict=self.strict, reduce="none")


class AUC3D(JointMetric):
    """Area under the PCK curve in percent, in one of its definitions.

    Args:
        skeleton: As for :class:`JointMetric`.
        kind: ``"31"`` (MPI-INF-3DHP, MuPoTS), ``"199"`` (3DPW challenge) or ``"real"`` (all
            thresholds up to ``limit_mm``).
        limit_mm: For ``"real"`` only.
        align: As for :class:`JointMetric`.
        options: As for :class:`JointMetric`; ``on_missing="count_as_wrong"`` by default.
    """

    higher_is_better = True

    def __init__(
        self,
        skeleton: Skeleton,
        *,
        kind: Literal["31", "199", "real"],
        limit_mm: float = 150.0,
        align: Align = "none",
        **options: Any,
    ) -> None:
        if kind not in ("31", "199", "real"):
            raise MetricError(
                f"kind={kind!r}", where="AUC3D", fix='choose one of "31", "199", "real"'
            )
        name = f"auc_real_{limit_mm:g}" if kind == "real" else f"auc_{kind}"
        chosen = {"name": name, "on_missing": "count_as_wrong"}
        settings = (kind, limit_mm)
        super().__init__(skeleton, align=align, settings=settings, **chosen | options)
        self.kind, self.limit_mm = kind, limit_mm

    def _values(self, distances: Tensor) -> Tensor:
        if self.kind == "real":
            return auc_real(distances, self.limit_mm, reduce="none")
        return (auc_31 if self.kind == "31" else auc_199)(distances, reduce="none")


class CPS(JointMetric):
    """Percentage of poses whose worst joint is within a threshold.

    Args:
        skeleton: As for :class:`JointMetric`.
        threshold_mm: Distance at which a pose stops being correct.
        strict: Whether a pose exactly at the threshold is wrong (True) or correct (False).
        align: ``"none"`` for CPS, ``"similarity"`` for NCPS.
        options: As for :class:`JointMetric`, without ``per_joint`` and ``joint_groups``.
    """

    higher_is_better = True

    def __init__(
        self,
        skeleton: Skeleton,
        *,
        threshold_mm: float,
        strict: bool,
        align: Align,
        **options: Any,
    ) -> None:
        if options.get("per_joint") or options.get("joint_groups"):
            raise MetricError(
                "values per joint were asked for",
                where="CPS",
                rule="a pose is correct or wrong as a whole",
                fix="use PCK3D for values per joint",
            )
        chosen = {"name": f"cps_{threshold_mm:g}", "on_missing": "count_as_wrong"}
        settings = (threshold_mm, strict)
        super().__init__(skeleton, align=align, settings=settings, **chosen | options)
        self.threshold_mm, self.strict = threshold_mm, strict

    def _columns(self) -> int:
        return 1

    def _values(self, distances: Tensor) -> Tensor:
        return cps(distances, self.threshold_mm, strict=self.strict, reduce="none")[:, None]


class OksAP(Metric):  # type: ignore[misc]
    """Keypoint AP and AR of COCO and its relatives, over all ranks.

    ``compute`` returns a dict of scalars: AP, AP50, AP75, AP_M, AP_L, AR, ... as fractions. An
    image that samplers give to several ranks to fill their batches is counted once.

    Args:
        rules: See :func:`posepile_torch.metrics.oks_sets.oks_rules`.
        options: Those of ``torchmetrics.Metric``.
    """

    full_state_update = False
    higher_is_better = True

    def __init__(self, rules: OksRules = COCO_RULES, **options: Any) -> None:
        super().__init__(**options)
        self.rules = rules
        for state in ("image", "positives", "row_image", "rank", "score", "hit", "skipped"):
            self.add_state(state, [], dist_reduce_fx="cat")
        self.add_state("settings", _fingerprint(rules), dist_reduce_fx="max")

    def update(self, persons: KeypointPersons, detections: KeypointDetections) -> None:
        """Take in a batch of images, each with all its persons and detections.

        Args:
            persons: Annotated persons; image ids are integers.
            detections: Detected persons.
        """
        part = match(persons, detections, self.rules)
        if part.image.dtype.kind not in "iu":
            raise MetricError(
                "image ids are strings",
                where="OksAP",
                rule="ranks exchange tensors, so that image ids are integers here",
                fix="number the images, or use OksEvaluator and merge",
            )
        for state in ("image", "positives", "row_image", "rank", "score", "hit", "skipped"):
            value = torch.from_numpy(np.ascontiguousarray(getattr(part, state)))
            getattr(self, state).append(value.to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """Return the statistics; -1 where there is nothing to find."""
        stats = summarised(self._matches(), self.rules).stats
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in stats.items()}

    def _matches(self) -> Matches:
        image = self._gathered("image")
        if image is None:
            return Matches.joined([], self.rules)
        _, first = np.unique(image, return_index=True)
        columns = {s: self._gathered(s) for s in ("row_image", "rank", "score", "hit", "skipped")}
        keys = np.stack([columns["row_image"], columns["rank"]], axis=1)
        _, rows = np.unique(keys, axis=0, return_index=True)
        positives = self._gathered("positives")
        return Matches(
            image=image[first],
            positives=positives[first],
            **{name: column[rows] for name, column in columns.items()},
            n_over_limit=0,
        )

    def _gathered(self, state: str) -> Any:
        value = getattr(self, state)
        if isinstance(value, Tensor):  # after a synchronisation
            return value.cpu().numpy()
        return torch.cat(value).cpu().numpy() if value else None


def _fingerprint(*settings: object) -> Tensor:
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=16).digest()
    return torch.tensor(list(digest), dtype=torch.int64)


def _root(skeleton: Skeleton, root: str | Sequence[str] | None) -> Root:
    if root is None or root == "centroid":
        return root  # type: ignore[return-value]
    if isinstance(root, str):
        return skeleton.index(root)
    return [skeleton.index(joint) for joint in root]


def _position(joints: Sequence[str], joint: str, group: str) -> int:
    if joint not in joints:
        raise MetricError(
            f"joint {joint!r} is not evaluated",
            where=f"joint group {group!r}",
            rule="groups consist of evaluated joints",
            fix=f"evaluated joints: {', '.join(joints)}",
        )
    return list(joints).index(joint)


def _mean(total: Tensor, count: Tensor) -> Tensor:
    return torch.where(count > 0, total / count.clamp_min(1), torch.nan)


__all__ = [
    "AMPJPE",
    "AUC3D",
    "CPS",
    "MPJPE",
    "NMPJPE",
    "PAMPJPE",
    "PCK3D",
    "JointMetric",
    "OksAP",
]
