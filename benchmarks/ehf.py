"""EHF: whole SMPL-X meshes and their parts, under three alignments that are told apart by name.

Truth and predictions have the columns ``vertices`` ``[10475, 3]`` and joints of the SMPL-X body.
The truth says which vertices belong to hands and face in the columns ``in_left_hand``,
``in_right_hand`` and ``in_face``; those lists are licensed and come from the user.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from posepile_torch import metrics
from posepile_torch.errors import PredictionError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.joining import join
from posepile_torch.evaluate.predictions import Predictions
from posepile_torch.evaluate.protocol import (
    Align,
    Choice,
    Frames,
    MetricSpec,
    OnMissing,
    Protocol,
    Published,
)
from posepile_torch.evaluate.results import Counts, Result
from posepile_torch.skeleton import Skeleton

from . import _citations as cite
from . import _rows as rows
from . import _specs as specs

FUNCTIONS = ("part_errors",)
PARTS = ("all", "body", "left_hand", "right_hand", "hands", "face")
"""``"body"`` is what is in neither hand nor face, ``"hands"`` the mean of both hands."""

ROOTS = {"all": "pelv", "left_hand": "lwri", "right_hand": "rwri", "face": "neck"}
_FRAMES = Frames(valid="100 frames", expected=100)
_MEAN = Choice("averaging", "mean over vertices, then over images", cite.OSX)
_INDEX = Choice("vertices of hands and face", "the published index files, from the user", cite.OSX)
_NOTES = (
    "the mesh of the truth is in the frame of the scan; rotating it into the camera changes "
    "nothing after alignment, and all of it without",
)


def _part_metrics(prefix: str, parts: tuple[str, ...], align: Align) -> tuple[MetricSpec, ...]:
    return tuple(
        MetricSpec(
            f"{prefix} {part.replace('_', ' ')}",
            "part_errors",
            {"part": part},
            order="sample_mean",
            align=align,
            root=ROOTS.get(part) if align == "none" else None,
            about={
                "none": "after moving the part's own root to the origin",
                "similarity": "rotation, translation and scale fitted to the part's own vertices",
                "rigid": "rotation and translation fitted to the part's own vertices, no scale",
            }[align]
            + ("; mean of left and right" if part == "hands" else ""),
        )
        for part in parts
    )


def _protocol(
    variant: str,
    title: str,
    found: tuple[MetricSpec, ...],
    choice: Choice,
    comparable: tuple[Published, ...],
    not_comparable: tuple[str, ...],
) -> Protocol:
    return Protocol(
        name=f"ehf/{variant}",
        version=1,
        title=f"EHF, {title}",
        benchmark="ehf",
        skeleton="smplx_55",
        root="pelv",
        target="vertices",
        metrics=found,
        frames=_FRAMES,
        evaluator="posepile_torch.benchmarks.ehf:evaluate_parts",
        choices=(choice, _INDEX, _MEAN),
        comparable=comparable,
        not_comparable=not_comparable,
        notes=_NOTES,
    )


PVE = _protocol(
    "pve",
    "vertex errors after translation",
    _part_metrics("MPVPE", ("all", "left_hand", "right_hand", "hands", "face"), "none"),
    Choice("alignment", "own root: pelvis, wrists, neck; translation only", cite.OSX),
    (),
    ("PA-MPVPE", "SMPLer-X prints 62.3 mm for the whole body, with its own training data"),
)
PA_V2V = _protocol(
    "pa-v2v",
    "vertex errors after Procrustes alignment with scale",
    _part_metrics("PA-MPVPE", PARTS, "similarity"),
    Choice("alignment", "similarity with scale, each part on its own vertices", cite.OSX),
    (
        Published(
            "ExPose",
            {
                "PA-MPVPE all": 56.65,
                "PA-MPVPE right hand": 14.6,
                "PA-MPVPE left hand": 14.5,
                "PA-MPVPE face": 6.9,
            },
            "mmhuman3d, model zoo",
        ),
    ),
    ("ehf/rigid: the same without scale, which PosePile's script calls PA",),
)
RIGID = _protocol(
    "rigid",
    "vertex errors after rigid alignment, without scale",
    _part_metrics("rigid MPVPE", PARTS, "rigid"),
    Choice("alignment", "rotation and translation only, each part by itself", cite.POSEPILE),
    (),
    ("PA-MPVPE: it has a scale",),
)

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_LEFT, _RIGHT = (
    (f"{s}wrist", *(f"{s}{finger}{i}" for finger in _FINGERS for i in (1, 2, 3, 4))) for s in "lr"
)
JOINTS56 = Skeleton.parse(
    "ehf_56",
    joints=" ".join((specs.LSP14, *_LEFT, *_RIGHT)),
    edges="rhip-rkne-rank",
    sided=" ".join(("wrist", *_FINGERS)),
)
"""14 body joints of the SMPL-X regressor, then 21 joints per hand: wrist, and from thumb to pinky
three joints and the tip."""

PA_MPJPE = Protocol(
    name="ehf/pa-mpjpe",
    version=1,
    title="EHF, joint errors of body and hands after Procrustes alignment",
    benchmark="ehf",
    skeleton=JOINTS56,
    metrics=(
        specs.pa_mpjpe("PA-MPJPE body", joints=specs.LSP14, fit=specs.LSP14, order="sample_mean"),
        specs.pa_mpjpe("PA-MPJPE left hand", joints=_LEFT, fit=_LEFT, order="sample_mean"),
        specs.pa_mpjpe("PA-MPJPE right hand", joints=_RIGHT, fit=_RIGHT, order="sample_mean"),
    ),
    frames=_FRAMES,
    choices=(
        Choice("body", "14 joints of the SMPL-X regressor, from the user", cite.OSX),
        Choice(
            "hands",
            "wrist, three joints and a tip per finger; tips are the vertices 5361, 4933, 5058, "
            "5169, 5286 (left) and 8079, 7669, 7794, 7905, 8022 (right)",
            cite.OSX,
        ),
        Choice("alignment", "similarity, body and hands each by themselves", cite.OSX),
        _MEAN,
    ),
    comparable=(
        Published(
            "ExPose",
            {
                "PA-MPJPE body": 55.7,
                "PA-MPJPE right hand": 14.6,
                "PA-MPJPE left hand": 14.4,
            },
            "mmhuman3d, model zoo",
        ),
    ),
    not_comparable=("vertex errors",),
)


def evaluate_parts(
    protocol: Protocol, predictions: Predictions, truth: GroundTruth, on_missing: OnMissing
) -> Result:
    """Compute vertex errors of all parts.

    Raises:
        PredictionError: If a mesh is missing under the policy ``"error"``.
    """
    rows.true_column(truth, "vertices", protocol)
    rows.predicted_column(predictions, "vertices", protocol)
    joined = join(predictions, truth)
    data = joined.data
    pred = np.asarray(data.pred_extras["vertices"], np.float64)
    gt = np.asarray(data.gt_extras["vertices"], np.float64)
    if pred.shape != gt.shape:
        raise PredictionError(
            f"meshes of shape {list(pred.shape[1:])}, true ones {list(gt.shape[1:])}",
            where=predictions.where,
            rule="prediction and truth have the same vertices",
        )
    present = np.asarray(np.isfinite(pred).all((1, 2)) & np.isfinite(data.pred).any((1, 2)))
    if on_missing == "error" and not present.all():
        raise PredictionError(
            f"{int((~present).sum())} of {len(present)} images have no usable mesh",
            where=predictions.where,
            rule=f"{protocol.id} needs one per image",
            fix='add them, or choose the policy "skip"',
        )
    parts = vertex_parts(protocol, truth)
    errors: dict[tuple[str, Align], NDArray[np.float64]] = {}
    values = []
    for metric in protocol.metrics:
        part = str(metric.arguments["part"])
        names = ("left_hand", "right_hand") if part == "hands" else (part,)
        for name in names:
            if (name, metric.align) not in errors:
                errors[name, metric.align] = _errors(
                    protocol, name, metric.align, parts, (pred, gt), (data.pred, data.gt), present
                )
        per_image = np.mean([errors[name, metric.align] for name in names], axis=0)
        values.append(
            rows.valued(
                protocol,
                metric,
                float(per_image.mean()) if len(per_image) else float("nan"),
                aggregation="mean of means per person",
                alignment=metric.align,
                n_samples=len(per_image),
            )
        )
    counts = Counts(
        n_expected=len(truth),
        n_evaluated=int(present.sum()),
        n_missing=int((~present).sum()),
        n_duplicates=joined.n_duplicates,
        n_unmatched=joined.n_unmatched,
    )
    return rows.result(
        protocol,
        predictions,
        truth,
        on_missing,
        values=tuple(values),
        counts=counts,
        notes=joined.notes,
    )


def vertex_parts(protocol: Protocol, truth: GroundTruth) -> Mapping[str, NDArray[np.int64]]:
    """Return part → numbers of its vertices, from the columns ``in_...`` of the truth."""
    inside = {
        name: np.asarray(rows.true_column(truth, f"in_{name}", protocol))[0].astype(bool)
        for name in ("left_hand", "right_hand", "face")
    }
    found = {name: np.flatnonzero(mask) for name, mask in inside.items()}
    count = len(inside["face"])
    found["body"] = np.flatnonzero(~np.logical_or.reduce(list(inside.values())))
    found["all"] = np.arange(count)
    return found


def _errors(
    protocol: Protocol,
    part: str,
    align: Align,
    parts: Mapping[str, NDArray[np.int64]],
    vertices: tuple[NDArray[np.float64], NDArray[np.float64]],
    joints: tuple[NDArray[np.float64], NDArray[np.float64]],
    present: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the error of one part per image that is evaluated."""
    roots: list[Mapping[str, object] | None] = [None, None]
    if align == "none":
        at = protocol.named_skeleton.index(ROOTS[part])
        roots = [{part: side[present][:, at]} for side in joints]
    found = metrics.part_errors(
        vertices[0][present],
        vertices[1][present],
        {part: parts[part].tolist()},
        align=align,
        pred_roots=roots[0],
        gt_roots=roots[1],
        reduce="sample",
    )
    return np.asarray(found[part])
