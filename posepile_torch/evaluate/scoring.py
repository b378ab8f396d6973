"""From joined poses to scores: one number per person and joint for every metric of a protocol.

All formulas are functions of :mod:`posepile_torch.metrics`; here they are only given the arrays,
joints, root and alignment that the protocol names. A score that is NaN was not evaluated, one that
is infinite is an error of a missing prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch import metrics
from posepile_torch.errors import PredictionError, ProtocolError
from posepile_torch.evaluate.protocol import (
    MetricSpec,
    OnMissing,
    Protocol,
    RootSpec,
    root_joints,
)
from posepile_torch.evaluate.scores import Floats, Joined, Scores
from posepile_torch.skeleton import Skeleton

ALIGNMENT_OF: Mapping[str, metrics.Align] = {
    "mpjpe": "none",
    "ampjpe": "none",
    "n_mpjpe": "scale",
    "rigid_mpjpe": "rigid",
    "pa_mpjpe": "similarity",
    "pa_mpvpe": "similarity",
}
"""Alignment of the functions that name their own."""

OF_DISTANCES = ("pck", "auc", "auc_31", "auc_real", "auc_199", "auc_199_coarse")
"""Functions of distances that score every joint."""

OF_POSES = ("cps", "cps_auc", "cps_ramp")
"""Functions of distances that score every pose."""

OF_IMAGES = ("pck_2d", "pckh", "epe", "nme", "auc_2d", "pck_curve_area")
"""Functions of keypoints in an image."""

OF_TIME = (
    "mpjve",
    "acceleration_error",
    "acceleration_error_mps2",
    "jitter",
    "emdb_jitter",
    "w_mpjpe",
    "wa_mpjpe",
    "rte",
    "foot_sliding",
)
"""Functions that compare the frames of one person in one video."""

OF_MESHES = ("mpvpe", "ampvpe", "pa_mpvpe", "pve_t_sc")
"""Functions of mesh vertices."""

JOINT_ERRORS = ("mpjpe", "ampjpe", "n_mpjpe", "rigid_mpjpe", "pa_mpjpe")
"""Functions that are means of distances."""

KNOWN = (
    *JOINT_ERRORS, *OF_DISTANCES, *OF_POSES, *OF_IMAGES, *OF_TIME, *OF_MESHES, "cps_area", "mpjae"
)  # fmt: skip
"""Functions of :mod:`posepile_torch.metrics` that a protocol without an evaluator may name."""

_FIT_OPTIONS = ("scale", "allow_reflection", "align_masked_joints")
_BLOCK = 256  # meshes that are compared at once


class Scorer:
    """Computes the scores of a protocol's metrics; distances are shared between them.

    Args:
        protocol: What is computed.
        data: The poses.
        on_missing: Policy for joints without a prediction.
    """

    def __init__(self, protocol: Protocol, data: Joined, on_missing: OnMissing) -> None:
        self.protocol, self.data, self.on_missing = protocol, data, on_missing
        self.skeleton: Skeleton = protocol.named_skeleton
        self._distances: dict[tuple[Any, ...], Floats] = {}

    def scores(self, metric: MetricSpec) -> Scores:
        """Return the scores of one metric."""
        function, arguments = metric.function, self._arguments(metric)
        if function in JOINT_ERRORS:
            return Scores(self.distances(metric), per_joint=True)
        if function in OF_DISTANCES:
            found = getattr(metrics, function)(self.distances(metric), reduce="none", **arguments)
            return Scores(found, per_joint=True)
        if function in OF_POSES:
            found = getattr(metrics, function)(self.distances(metric), reduce="none", **arguments)
            return Scores(found[:, None])
        if function == "cps_area":
            return self._cps_area(metric, arguments)
        if function in OF_IMAGES:
            return self._image_scores(metric, arguments)
        if function in OF_TIME:
            return self._time_scores(metric, arguments)
        if function in OF_MESHES:
            return self._mesh_scores(metric, arguments)
        if function == "mpjae":
            return self._angles(metric, arguments)
        raise ProtocolError(
            f"metric {metric.name!r} names the function {function!r}",
            where=self.protocol.id,
            rule=f"without an evaluator of its own a protocol uses {', '.join(KNOWN)}",
        )

    def distances(self, metric: MetricSpec) -> Floats:
        """Return the distances ``[N, joints of the metric]`` under its alignment."""
        root = self.protocol.root_of(metric)
        if metric.function == "ampjpe":
            root = None
        align = ALIGNMENT_OF.get(metric.function, metric.align)
        fits = align in ("rigid", "similarity")
        options = {k: v for k, v in metric.arguments.items() if k in _FIT_OPTIONS}
        joints, fit = self.protocol.joints_of(metric), self.protocol.fit_of(metric)
        # Evaluated joints outside the fit are moved along by the same transform.
        key = (align, None if fits else root, joints, fit, tuple(options.items()))
        if key not in self._distances:
            if fits and not set(joints) <= set(fit):
                found = self._carried(metric, align, options)
            else:
                found = self._direct(metric, align, None if fits else root, options)
            self._distances[key] = found
        return self._distances[key]

    def _direct(
        self, metric: MetricSpec, align: metrics.Align, root: RootSpec, options: dict[str, Any]
    ) -> Floats:
        joints = self.protocol.joints_of(metric)
        pred, gt = self.data.pred, self.data.gt
        if align == "scale" and root not in (None, "centroid"):
            # moved beforehand, so that the joints of the root have no say in the scale
            pred, gt = self._relative(root, pred, pred), self._relative(root, gt, gt)
            root = None
        # a fit and a centroid are those of all joints, whichever of them are scored
        of_all = align != "none" or root == "centroid"
        involved = self.protocol.fit_of(metric) if of_all else joints
        number, members = self._root(root, involved)
        columns = self.skeleton.indices([*involved, *members])
        own = [self.skeleton.joints[column] for column in columns]
        unfitted = [joint for joint in joints if self._own(joint) not in own]
        if unfitted:
            raise ProtocolError(
                f"metric {metric.name!r} scores {', '.join(unfitted)}, which its "
                f"{'alignment' if align != 'none' else 'centroid'} leaves out",
                where=self.protocol.id,
                rule="with a scale or a centroid, scored joints are among those it is made from",
                fix="add them to the joints of the protocol, or to fit",
            )
        return np.asarray(
            metrics.joint_distances(
                pred[:, columns],
                gt[:, columns],
                align=align,
                root=number,
                joints=[own.index(self._own(joint)) for joint in joints],
                min_valid_joints=self.protocol.min_valid_joints,
                on_missing=self.on_missing,
                **options,
            )
        )

    def _carried(
        self, metric: MetricSpec, align: metrics.Align, options: dict[str, Any]
    ) -> Floats:
        alignment = self._alignment(metric, align, options)
        columns = self.skeleton.indices(list(self.protocol.joints_of(metric)))
        pred, gt = self.data.pred[:, columns], self.data.gt[:, columns]
        moved = np.asarray(alignment.apply(np.where(np.isfinite(pred), pred, 0.0)))
        moved = np.where(np.isfinite(pred), moved, np.nan)
        excluded = np.asarray(alignment.excluded)
        return np.asarray(
            metrics.joint_distances(
                moved,
                np.where(excluded[:, None, None], np.nan, gt),
                align="none",
                on_missing=self.on_missing,
            )
        )

    def _alignment(
        self, metric: MetricSpec, align: metrics.Align, options: dict[str, Any] | None = None
    ) -> metrics.Alignment[Any]:
        columns = self.skeleton.indices(list(self.protocol.fit_of(metric)))
        pred, gt = self.data.pred[:, columns], self.data.gt[:, columns]
        least = self.protocol.min_valid_joints or 3
        if align == "rigid":
            return metrics.rigid_alignment(
                pred, gt, min_valid_joints=least, on_missing=self.on_missing, **(options or {})
            )
        return metrics.similarity_alignment(
            pred, gt, min_valid_joints=least, on_missing=self.on_missing, **(options or {})
        )

    def _arguments(self, metric: MetricSpec) -> dict[str, Any]:
        return {k: v for k, v in metric.arguments.items() if k not in _FIT_OPTIONS}

    def _own(self, joint: str) -> str:
        return self.skeleton.joints[self.skeleton.index(joint)]

    def _root(
        self, root: RootSpec, involved: tuple[str, ...]
    ) -> tuple[metrics.Root, tuple[str, ...]]:
        """Return the root in joint numbers, and the root joints to put behind ``involved``."""
        if root is None or root == "centroid":
            return ("centroid" if root == "centroid" else None), ()
        names = [self._own(name) for name in ((root,) if isinstance(root, str) else root)]
        own = [self._own(name) for name in involved]
        more = [name for name in names if name not in own]
        order = [*own, *more]
        numbers = [order.index(name) for name in names]
        return (numbers[0] if isinstance(root, str) else numbers), tuple(more)

    def _cps_area(self, metric: MetricSpec, arguments: dict[str, Any]) -> Scores:
        distances = self.distances(metric)

        def whole(rows: NDArray[np.int64]) -> float:
            return float(metrics.cps_area(distances[rows], **arguments))

        # one value per pose, which ranks poses; the area itself is computed by `whole`
        worst = metrics.worst_joint(distances)
        return Scores(np.clip(300.0 - worst, 0.0, None)[:, None], whole=whole)

    def _image_scores(self, metric: MetricSpec, arguments: dict[str, Any]) -> Scores:
        columns = self.skeleton.indices(list(self.protocol.joints_of(metric)))
        pred, gt = self.data.pred[:, columns], self.data.gt[:, columns]
        # a text names the true column that holds the norm or the boxes
        given: dict[str, Any] = {
            name: self._true(value, metric) if name in ("norm", "head_boxes") else value
            for name, value in arguments.items()
        }
        if metric.function in ("auc_2d", "pck_curve_area"):
            distances = metrics.keypoint_distances(
                pred, gt, norm=given.pop("norm", None), on_missing=self.on_missing
            )
            found = getattr(metrics, metric.function)(distances, reduce="none", **given)
        else:
            given["on_missing"] = self.on_missing
            found = getattr(metrics, metric.function)(pred, gt, reduce="none", **given)
        return Scores(np.asarray(found), per_joint=True)

    def _time_scores(self, metric: MetricSpec, arguments: dict[str, Any]) -> Scores:
        order, track = self._timeline()
        pred, gt, per_joint = self._moving(metric)
        if metric.function in ("acceleration_error_mps2", "jitter", "emdb_jitter"):
            arguments = {"fps": self.protocol.fps} | arguments
        found = []
        for rows in np.split(order, np.flatnonzero(track[1:] != track[:-1]) + 1):
            if len(rows):
                values = self._track_scores(metric, arguments, pred[rows], gt[rows], rows)
                found.append((rows[: len(values)], values))
        width = max((values.shape[1] for _, values in found), default=1)
        scores = np.full((len(self.data), width), np.nan)
        for rows, values in found:
            scores[rows] = values
        return Scores(scores, per_joint=per_joint and width == pred.shape[1])

    def _track_scores(
        self,
        metric: MetricSpec,
        arguments: dict[str, Any],
        pred: Floats,
        gt: Floats,
        rows: NDArray[np.int64],
    ) -> Floats:
        """Scores of one person in one video, in order of time."""
        function = getattr(metrics, metric.function)
        step = self.protocol.frames.step
        known = bool((self.data.frame[rows] >= 0).all())
        timeline = metrics.Timeline(frame=self.data.frame[rows] // step if known else None)
        if metric.function in ("jitter", "emdb_jitter"):
            found = function(pred, timeline=timeline, reduce="none", **arguments)
        elif metric.function in ("w_mpjpe", "wa_mpjpe", "rte", "foot_sliding"):
            found = function(pred, gt, on_missing=self.on_missing, reduce="none", **arguments)
        else:
            found = function(
                pred,
                gt,
                timeline=timeline,
                reduce="none",
                on_missing=self.on_missing,
                **arguments,
            )
        found = np.asarray(found)
        return found[:, None] if found.ndim == 1 else found

    def _timeline(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return rows in order of time and the number of the track of each."""
        data = self.data
        unknown = np.full(len(data), "")
        parts = [data.labels.get(name, unknown) for name in ("sequence", "camera")]
        parts.append(np.asarray(data.gt_extras.get("track", data.person), dtype=str))
        if not (parts[0] != "").all():
            raise ProtocolError(
                "not every annotated person has a sequence",
                where=self.protocol.id,
                rule="differences in time never cross the border of a sequence",
                fix="give the table of ground truth a column 'sequence'",
            )
        names = ["\x00".join(texts) for texts in zip(*(p.tolist() for p in parts), strict=True)]
        track = np.unique(names, return_inverse=True)[1].reshape(-1)
        order = np.lexsort((np.arange(len(data)), data.frame, track))
        return order, track[order]

    def _moving(self, metric: MetricSpec) -> tuple[Floats, Floats, bool]:
        """Return what a temporal metric looks at: joints, the root's path, or foot vertices."""
        if metric.function == "foot_sliding":
            return self._predicted("vertices", metric), self._true("vertices", metric), False
        if metric.function == "rte":
            members = root_joints(self.protocol.root_of(metric))
            names = members or self.protocol.joints_of(metric)[:1]
            columns = self.skeleton.indices(list(names))
            pred, gt = (poses[:, columns].mean(1) for poses in (self.data.pred, self.data.gt))
            return pred, gt, False
        columns = self.skeleton.indices(list(self.protocol.joints_of(metric)))
        pred, gt = self.data.pred[:, columns], self.data.gt[:, columns]
        root = self.protocol.root_of(metric)
        if root is None or metric.function in ("jitter", "emdb_jitter", "w_mpjpe", "wa_mpjpe"):
            return pred, gt, True
        return (
            self._relative(root, pred, self.data.pred),
            self._relative(root, gt, self.data.gt),
            True,
        )

    def _relative(self, root: RootSpec, chosen: Floats, poses: Floats) -> Floats:
        if root == "centroid":
            return np.asarray(chosen - chosen.mean(1, keepdims=True))
        columns = self.skeleton.indices(list(root_joints(root)))
        return np.asarray(chosen - poses[:, columns].mean(1, keepdims=True))

    def _mesh_scores(self, metric: MetricSpec, arguments: dict[str, Any]) -> Scores:
        pred, gt = self._predicted("vertices", metric), self._true("vertices", metric)
        if pred.shape != gt.shape:
            raise PredictionError(
                f"meshes of shape {list(pred.shape[1:])}, true ones {list(gt.shape[1:])}",
                where=self.protocol.id,
                rule="prediction and truth have the same vertices",
            )
        from_joints = arguments.pop("fit_to", "vertices") == "joints"
        alignment = None
        if metric.function == "pa_mpvpe" and from_joints:
            alignment = self._alignment(metric, "similarity")
        scores = np.full((len(self.data), 1), np.nan)
        for start in range(0, len(self.data), _BLOCK):
            part = slice(start, start + _BLOCK)
            given = dict(arguments)
            if metric.function != "pve_t_sc":
                given["on_missing"] = self.on_missing
            if metric.function == "pa_mpvpe":
                given["alignment"] = None if alignment is None else _part(alignment, part)
            if metric.function == "mpvpe":
                given |= self._mesh_roots(metric, part)
            p, g = np.asarray(pred[part], np.float64), np.asarray(gt[part], np.float64)
            found = getattr(metrics, metric.function)(p, g, reduce="sample", **given)
            scores[part, 0] = found
        return Scores(scores)

    def _mesh_roots(self, metric: MetricSpec, part: slice) -> dict[str, Floats]:
        root = self.protocol.root_of(metric)
        if root is None or root == "centroid":
            raise ProtocolError(
                f"metric {metric.name!r} has no root joint",
                where=self.protocol.id,
                rule="mpvpe subtracts a joint or a midpoint of joints from both meshes",
                fix="name a root, or use ampvpe",
            )
        columns = self.skeleton.indices([root] if isinstance(root, str) else list(root))
        return {
            "pred_root": self.data.pred[part][:, columns].mean(1),
            "gt_root": self.data.gt[part][:, columns].mean(1),
        }

    def _angles(self, metric: MetricSpec, arguments: dict[str, Any]) -> Scores:
        pred, gt = self._predicted("rotations", metric), self._true("rotations", metric)
        aligned = metric.align in ("rigid", "similarity")
        found = metrics.mpjae(
            np.asarray(pred, np.float64),
            np.asarray(gt, np.float64),
            alignment=self._alignment(metric, metric.align) if aligned else None,
            joints=self.skeleton.indices(list(self.protocol.joints_of(metric))).tolist(),
            reduce="none",
            on_missing=self.on_missing,
            **arguments,
        )
        return Scores(np.asarray(found), per_joint=True)

    def _predicted(self, name: str, metric: MetricSpec) -> NDArray[Any]:
        if name not in self.data.pred_extras:
            raise PredictionError(
                f"the predictions have no column {name!r}",
                where=self.protocol.id,
                rule=f"metric {metric.name!r} compares {name}",
                fix=f"store {name} beside the joints",
            )
        return self.data.pred_extras[name]

    def _true(self, name: str, metric: MetricSpec) -> NDArray[Any]:
        if name not in self.data.gt_extras:
            raise ProtocolError(
                f"the ground truth has no column {name!r}",
                where=self.protocol.id,
                rule=f"metric {metric.name!r} needs it",
                fix=f"pass a table of ground truth with {name}; it has "
                f"{', '.join(self.data.gt_extras) or 'none'}",
            )
        return self.data.gt_extras[name]


def _part(alignment: metrics.Alignment[Any], part: slice) -> metrics.Alignment[Any]:
    return metrics.Alignment(
        scale=alignment.scale[part],
        rotation=alignment.rotation[part],
        translation=alignment.translation[part],
        n_joints=alignment.n_joints[part],
        degenerate=alignment.degenerate[part],
        excluded=alignment.excluded[part],
    )


__all__ = [
    "ALIGNMENT_OF",
    "JOINT_ERRORS",
    "KNOWN",
    "OF_DISTANCES",
    "OF_IMAGES",
    "OF_MESHES",
    "OF_POSES",
    "OF_TIME",
    "Scorer",
]
