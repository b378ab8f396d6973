"""Object keypoint similarity, and the non-maximum suppression built on it.

OKS of one person is the mean over labelled keypoints of ``exp(-d² / (2 s² k²))`` with
``k = 2 sigma`` and ``s²`` the area of the person in square pixels. Values are fractions, 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posepile_torch.errors import MetricError, UnknownNameError
from posepile_torch.metrics._arrays import (
    ArrayT,
    check_same_kind,
    check_shape,
    real,
    returned,
    truths,
)
from posepile_torch.metrics.choices import OnMissing

EPSILON = float(np.spacing(1))  # pycocotools adds it to the area

_COCO = (
    .026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087,
    .089, .089,
)  # fmt: skip
_FOOT = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
_FACE = (
    .042, .043, .044, .043, .04, .035, .031, .025, .02, .023, .029, .032, .037, .038, .043, .041,
    .045, .013, .012, .011, .011, .012, .012, .011, .011, .013, .015, .009, .007, .007, .007, .012,
    .009, .008, .016, .01, .017, .011, .009, .011, .009, .007, .013, .008, .011, .012, .01, .034,
    .008, .008, .009, .008, .008, .007, .01, .008, .009, .009, .009, .007, .007, .008, .011, .008,
    .008, .008, .01, .008,
)  # fmt: skip
_HAND = (
    .029, .022, .035, .037, .047, .026, .025, .024, .035, .018, .024, .022, .026, .017, .021, .021,
    .032, .02, .019, .022, .031,
)  # fmt: skip

_AIC = (
    .01388152, .01515228, .01057665, .01417709, .01497891, .01402144, .03909642, .03686941,
    .01981803, .03843971, .03412318, .02415081, .01291456, .01236173,
)  # fmt: skip
_MPII = (
    .089, .083, .107, .107, .083, .089, .026, .026, .026, .026, .062, .072, .179, .179, .072, .062,
)  # fmt: skip

OKS_SIGMAS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "coco_17": _COCO,
        "posetrack18_17": _COCO,
        "crowdpose_14": (*_COCO[5:], 0.079, 0.079),
        "aic_14": _AIC,
        "mpii_16": _MPII,
        "coco_wholebody_133": (*_COCO, *_FOOT, *_FACE, *_HAND, *_HAND),
        "halpe_136": (*_COCO, *(0.08,) * 3, *(0.089,) * 6, *(0.015,) * 110),
    }
)
"""Sigmas by keypoint set. OCHuman and Human-Art use ``coco_17``; ``posetrack18_17`` and
``mpii_16`` serve non-maximum suppression only. The whole body is body 17, foot 6, face 68, left
and right hand 21."""


def oks_sigmas(name: str) -> NDArray[np.float64]:
    """Return the sigmas of a keypoint set of :data:`OKS_SIGMAS`, ``[K]``."""
    if name not in OKS_SIGMAS:
        raise UnknownNameError.among("keypoint set", name, OKS_SIGMAS)
    return np.array(OKS_SIGMAS[name])


def oks(
    pred: ArrayT,
    gt: ArrayT,
    *,
    labelled: object,
    area: object,
    sigmas: Sequence[float] | NDArray[np.float64],
    box: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Object keypoint similarity of predictions with their ground truth, ``[...]``.

    Predicted visibilities and scores are not used. A ground truth without any labelled keypoint
    (a box alone) is compared by the distance of all predicted keypoints, per axis, to its box
    enlarged to three times its size about its centre.

    Args:
        pred: ``[..., K, 2]`` pixels.
        gt: ``[..., K, 2]`` pixels; keypoints that are not labelled are not read.
        labelled: Bool ``[..., K]``: ground-truth visibility > 0.
        area: ``[...]`` area of the person in px² (COCO: of the annotation; CrowdPose and AIC:
            0.53 times that of the box).
        sigmas: ``[K]``, see :func:`oks_sigmas`.
        box: ``[..., 4]`` x, y, width, height of the ground truth; needed only where nothing is
            labelled.
        on_missing: What a non-finite predicted keypoint means where it is compared, see
            :data:`OnMissing`; counted as wrong its term is 0.
    """
    where = "oks"
    p, g = _keypoints(pred, gt, where)
    if p.shape != g.shape:
        raise MetricError(
            f"the prediction has shape {list(p.shape)}, the ground truth {list(g.shape)}",
            where=where,
            rule="there is one prediction per person; oks_matrix compares all with all",
        )
    person = _Persons.of(g, labelled, area, sigmas, box, where)
    return returned(_similarity(p, person, on_missing, where), pred)


def oks_matrix(
    pred: ArrayT,
    gt: ArrayT,
    *,
    labelled: object,
    area: object,
    sigmas: Sequence[float] | NDArray[np.float64],
    box: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Object keypoint similarity of every prediction with every person of an image, ``[D, G]``.

    Args:
        pred: ``[D, K, 2]`` pixels.
        gt: ``[G, K, 2]`` pixels.
        labelled: Bool ``[G, K]``.
        area: ``[G]`` px².
        sigmas: ``[K]``.
        box: ``[G, 4]`` or None.
        on_missing: As for :func:`oks`.
    """
    where = "oks_matrix"
    p, g = _keypoints(pred, gt, where)
    if p.ndim != 3 or g.ndim != 3:
        raise MetricError(
            f"keypoints of shape {list(p.shape)} and {list(g.shape)}",
            where=where,
            rule="predictions are [D, K, 2], persons [G, K, 2]",
        )
    person = _Persons.of(g, labelled, area, sigmas, box, where)
    return returned(_similarity(p[:, None], person, on_missing, where), pred)


def pairwise_oks(
    keypoints: ArrayT, areas: object, sigmas: Sequence[float] | NDArray[np.float64]
) -> ArrayT:
    """Similarity of detections with each other over all keypoints, ``[N, N]``.

    The area of a pair is the mean of both, as in mmpose and PoseWarper.

    Args:
        keypoints: ``[N, K, 2]`` pixels.
        areas: ``[N]`` px².
        sigmas: ``[K]``.
    """
    where = "pairwise_oks"
    x = real(keypoints, name="keypoints", where=where)
    if x.ndim != 3 or x.shape[-1] != 2 or not bool(torch.isfinite(x).all()):
        raise MetricError(
            f"keypoints of shape {list(x.shape)}",
            where=where,
            rule="keypoints are [N, K, 2] and finite",
        )
    k = _falloff(sigmas, x, where)
    a = _areas(areas, x.shape[:1], x.device, where)
    d = x[:, None] - x[None]
    squares = d[..., 0] * d[..., 0] + d[..., 1] * d[..., 1]
    pair = (a[:, None] + a[None]) / 2 + EPSILON
    return returned(torch.exp(-squares / k / pair[..., None] / 2).mean(-1), keypoints)


def oks_nms(
    keypoints: ArrayT,
    scores: object,
    areas: object,
    *,
    sigmas: Sequence[float] | NDArray[np.float64],
    threshold: float = 0.9,
) -> ArrayT:
    """Greedy non-maximum suppression: return the kept detections, best first.

    From the best score down, a detection is kept if its OKS with every kept one is at most the
    threshold. Of equal scores the earlier detection goes first.

    Args:
        keypoints: ``[N, K, 2]`` pixels.
        scores: ``[N]``.
        areas: ``[N]`` px² (mmpose: box enlarged by 1.25 in both directions).
        sigmas: ``[K]``.
        threshold: Largest similarity of two kept detections.

    Returns:
        Positions of the kept detections, int64.
    """
    similarity = real(pairwise_oks(keypoints, areas, sigmas), name="oks", where="oks_nms")
    similarity = similarity.detach().cpu()
    order = _scores(scores, len(similarity), "oks_nms").argsort(descending=True, stable=True)
    free = torch.ones(len(similarity), dtype=torch.bool)
    kept = []
    for i in order.tolist():
        if free[i]:
            kept.append(i)
            free &= similarity[i] <= threshold
    return returned(torch.tensor(kept, dtype=torch.int64), keypoints)


def soft_oks_nms(
    keypoints: ArrayT,
    scores: object,
    areas: object,
    *,
    sigmas: Sequence[float] | NDArray[np.float64],
    threshold: float = 0.9,
    max_keep: int = 20,
) -> tuple[ArrayT, ArrayT]:
    """Soft non-maximum suppression: rank detections under decaying scores.

    Repeatedly takes the best remaining score (the earlier one of equals) and multiplies the
    others by ``exp(-oks² / threshold)``. It changes only which detections come first; tools write
    the original scores to their results.

    Args:
        keypoints: ``[N, K, 2]`` pixels.
        scores: ``[N]``.
        areas: ``[N]`` px².
        sigmas: ``[K]``.
        threshold: Width of the decay.
        max_keep: Largest number of detections to return.

    Returns:
        Positions of the kept detections (int64), and their decayed scores.
    """
    similarity = real(pairwise_oks(keypoints, areas, sigmas), name="oks", where="soft_oks_nms")
    decay = torch.exp(-(similarity.detach().cpu() ** 2) / threshold)
    remaining = _scores(scores, len(decay), "soft_oks_nms").clone()
    kept, final = [], []
    for _ in range(min(max_keep, len(decay))):
        i = int(remaining.argmax())
        kept.append(i)
        final.append(float(remaining[i]))
        remaining = remaining * decay[i]
        remaining[kept] = -torch.inf
    positions = torch.tensor(kept, dtype=torch.int64)
    return returned(positions, keypoints), returned(
        torch.tensor(final, dtype=torch.float64), keypoints
    )


class _Persons:
    """Ground truth of OKS, checked."""

    def __init__(
        self, points: Tensor, labelled: Tensor, spread: Tensor, box: Tensor | None
    ) -> None:
        self.points, self.labelled, self.spread, self.box = points, labelled, spread, box

    @classmethod
    def of(
        cls,
        points: Tensor,
        labelled: object,
        area: object,
        sigmas: Sequence[float] | NDArray[np.float64],
        box: object,
        where: str,
    ) -> _Persons:
        lead, device = points.shape[:-2], points.device
        labels = truths(labelled, points.shape[:-1], device, where=where)
        if not bool((torch.isfinite(points).all(-1) | ~labels).all()):
            raise MetricError(
                "a labelled keypoint of the ground truth is not finite",
                where=where,
                rule="labelled keypoints have coordinates",
            )
        # 2 s² k², with k² = (2 sigma)² per keypoint
        k = _falloff(sigmas, points, where)
        spread = 2 * k * (_areas(area, lead, device, where) + EPSILON)[..., None]
        boxes = None
        if box is not None:
            boxes = real(box, name="box", where=where, device=device)
            check_shape(boxes, where=where, dims=4, axes=1)
        elif not bool(labels.any(-1).all()):
            raise MetricError(
                "a person has no labelled keypoint, and no box is given",
                where=where,
                rule="such a person is compared by its box",
                fix="pass box=, or leave such persons out",
            )
        return cls(points.masked_fill(~labels[..., None], 0.0), labels, spread, boxes)


def _similarity(pred: Tensor, person: _Persons, on_missing: OnMissing, where: str) -> Tensor:
    delta = pred - person.points
    compared = person.labelled
    if person.box is not None:
        x, y, w, h = person.box[..., None].unbind(-2)
        low = torch.stack((x - w, y - h), dim=-1)
        high = torch.stack((x + 2 * w, y + 2 * h), dim=-1)
        outside = (low - pred).clamp_min(0) + (pred - high).clamp_min(0)
        bare = ~person.labelled.any(-1)
        delta = torch.where(bare[..., None, None], outside, delta)
        compared = compared | bare[..., None]
    compared = compared.expand(delta.shape[:-1])
    missing = compared & ~torch.isfinite(pred).all(-1)
    if on_missing == "error" and bool(missing.any()):
        raise MetricError(
            f"{int(missing.sum())} compared keypoints have no finite prediction",
            where=where,
            rule="a non-finite prediction of a labelled keypoint is a missing prediction",
            fix='pass on_missing="count_as_wrong" or "skip"',
        )
    delta = delta.masked_fill((missing | ~compared)[..., None], 0.0)
    squares = delta[..., 0] * delta[..., 0] + delta[..., 1] * delta[..., 1]
    terms = torch.exp(-squares / person.spread)
    terms = terms.masked_fill(missing | ~compared, 0.0)
    counted = compared & ~missing if on_missing == "skip" else compared
    return terms.sum(-1) / counted.sum(-1).clamp_min(1)


def _keypoints(pred: object, gt: object, where: str) -> tuple[Tensor, Tensor]:
    check_same_kind(pred, gt, where=where)
    p, g = (real(x, name="keypoints", where=where) for x in (pred, gt))
    for points in (p, g):
        check_shape(points, where=where, dims=2)
    if p.shape[-2] != g.shape[-2]:
        raise MetricError(
            f"{p.shape[-2]} predicted and {g.shape[-2]} true keypoints",
            where=where,
            rule="both have the same keypoints",
        )
    return p, g


def _falloff(sigmas: Sequence[float] | NDArray[np.float64], points: Tensor, where: str) -> Tensor:
    """Return k² = (2 sigma)² of each keypoint."""
    values = real(sigmas, name="sigmas", where=where, device=points.device)
    if values.shape != points.shape[-2:-1] or not bool((values > 0).all()):
        raise MetricError(
            f"{values.numel()} sigmas for {points.shape[-2]} keypoints",
            where=where,
            rule="there is one positive sigma per keypoint",
            fix=f"named sets: {', '.join(OKS_SIGMAS)}",
        )
    return (2 * values) ** 2


def _areas(area: object, lead: Sequence[int], device: torch.device, where: str) -> Tensor:
    values = real(area, name="area", where=where, device=device)
    if tuple(values.shape) != tuple(lead) or not bool((values >= 0).all()):
        raise MetricError(
            f"areas of shape {list(values.shape)}",
            where=where,
            rule=f"there is one area per person, shape {list(lead)}, none negative or NaN",
        )
    return values


def _scores(scores: object, count: int, where: str) -> Tensor:
    values = real(scores, name="scores", where=where).detach().cpu()
    if values.shape != (count,) or not bool(torch.isfinite(values).all()):
        raise MetricError(
            f"scores of shape {list(values.shape)} for {count} detections",
            where=where,
            rule="there is one finite score per detection",
        )
    return values
