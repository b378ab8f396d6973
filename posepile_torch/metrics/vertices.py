"""Errors of mesh vertices: MPVPE and its aligned, part-wise and shape-only forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import (
    ArrayT,
    check_same_kind,
    joint_indices,
    length,
    real,
    returned,
)
from posepile_torch.metrics._validity import compare
from posepile_torch.metrics.aggregation import reduced
from posepile_torch.metrics.alignment import Alignment
from posepile_torch.metrics.choices import Align, OnMissing, Reduce
from posepile_torch.metrics.joints import joint_distances


def mpvpe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    pred_root: object,
    gt_root: object,
    mask: object = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Mean per-vertex position error after subtracting a root from both meshes (MVE, PVE).

    The root is a joint or midpoint that is not a vertex, so its position is given.

    Args:
        pred: ``[..., V, 3]`` in mm.
        gt: ``[..., V, 3]`` in mm.
        pred_root: ``[..., 3]`` pelvis or mid-hip of the prediction.
        gt_root: ``[..., 3]`` the same point of the ground truth.
        mask: Bool ``[..., V]`` or broadcastable; None for all vertices.
        reduce: Order of averaging, see :data:`Reduce`; ``"sample"`` gives one value per mesh.
        groups: Labels for the group orders.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.
    """
    where = "mpvpe"
    p, g = _without_roots(pred, gt, pred_root, gt_root, where)
    distances = joint_distances(p, g, align="none", mask=mask, on_missing=on_missing)
    return returned(reduced(distances, reduce, groups=groups, where=where), pred)


def ampvpe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    mask: object = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Absolute mean per-vertex position error: no alignment (AMVE). Arguments as for mpvpe."""
    distances = joint_distances(pred, gt, align="none", mask=mask, on_missing=on_missing)
    tensor = real(distances, name="distances", where="ampvpe")
    return returned(reduced(tensor, reduce, groups=groups, where="ampvpe"), pred)


def pa_mpvpe(
    pred: ArrayT,
    gt: ArrayT,
    *,
    alignment: Alignment[ArrayT] | None,
    mask: object = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> ArrayT:
    """Mean per-vertex position error after Procrustes alignment (PA-MVE, PA-V2V).

    Benchmarks disagree on what is aligned, so it has no default: pass the
    :func:`similarity_alignment` of the *joints* (3DPW in PosePile, EMDB), or None to align the
    vertices themselves (EHF, mmhuman3d).

    Args:
        pred: ``[..., V, 3]`` in mm.
        gt: ``[..., V, 3]`` in mm.
        alignment: Alignment of the joints of the same meshes, or None.
        mask: Bool ``[..., V]`` or broadcastable; None for all vertices.
        reduce: Order of averaging, see :data:`Reduce`.
        groups: Labels for the group orders.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.
    """
    where = "pa_mpvpe"
    if alignment is None:
        distances = joint_distances(pred, gt, align="similarity", mask=mask, on_missing=on_missing)
        tensor = real(distances, name="distances", where=where)
        return returned(reduced(tensor, reduce, groups=groups, where=where), pred)
    check_same_kind(alignment.scale, pred, where=where)
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where=where)
    aligned = alignment.apply(returned(compared.pred, pred))
    moved = real(aligned, name="vertices", where=where)
    excluded = torch.isnan(real(alignment.scale, name="alignment", where=where))
    errors = length(moved.masked_fill(excluded[..., None, None], 0.0) - compared.gt)
    marked = compared.marked(errors, excluded)
    return returned(reduced(marked, reduce, groups=groups, where=where), pred)


def part_errors(
    pred: ArrayT,
    gt: ArrayT,
    parts: Mapping[str, Sequence[int]],
    *,
    align: Align,
    pred_roots: Mapping[str, object] | None = None,
    gt_roots: Mapping[str, object] | None = None,
    mask: object = None,
    reduce: Reduce = "pooled",
    groups: object = None,
    on_missing: OnMissing = "error",
) -> dict[str, ArrayT]:
    """Vertex or joint errors of body parts, each aligned by itself (EHF, AGORA).

    ``align="similarity"`` is PA on the part's own vertices; ``"rigid"`` is the same without
    scale and must not be called PA; ``"none"`` with roots aligns a part by its own root, such as
    a wrist or the neck.

    Args:
        pred: ``[..., V, 3]`` in mm, the whole body.
        gt: ``[..., V, 3]`` in mm.
        parts: Name → numbers of the part's vertices.
        align: What is fitted per part, see :data:`Align`.
        pred_roots: Name → ``[..., 3]`` point subtracted from the predicted part.
        gt_roots: Name → ``[..., 3]`` the same point of the ground truth.
        mask: Bool ``[..., V]`` or broadcastable; None for all vertices.
        reduce: Order of averaging, see :data:`Reduce`.
        groups: Labels for the group orders.
        on_missing: What a non-finite prediction means, see :data:`OnMissing`.

    Returns:
        Name → error, in the order of ``parts``.
    """
    where = "part_errors"
    roots = (pred_roots or {}, gt_roots or {})
    if set(roots[0]) != set(roots[1]) or set(roots[0]) - set(parts):
        raise MetricError(
            f"roots for {sorted(roots[0])} and {sorted(roots[1])}",
            where=where,
            rule="a part with a root has one in the prediction and one in the ground truth",
        )
    compared = compare(pred, gt, mask=mask, on_missing=on_missing, where=where)
    p, g = (real(x, name="vertices", where=where) for x in (pred, gt))
    valid = compared.valid
    errors = {}
    for name, vertices in parts.items():
        chosen = joint_indices(vertices, g.shape[-2], where=f"{where}, part {name!r}")
        part_pred, part_gt = p[..., chosen, :], g[..., chosen, :]
        if name in roots[0]:
            part_pred, part_gt = _without_roots(
                part_pred, part_gt, roots[0][name], roots[1][name], where
            )
        distances = joint_distances(
            part_pred,
            part_gt,
            align=align,
            mask=None if valid is None else valid[..., chosen],
            on_missing=on_missing,
        )
        errors[name] = returned(reduced(distances, reduce, groups=groups, where=where), pred)
    return errors


def pve_t_sc(
    pred: ArrayT, gt: ArrayT, *, reduce: Reduce = "sample_mean", groups: object = None
) -> ArrayT:
    """PVE-T-SC of SSP-3D: shape error of meshes in the neutral (T) pose, scale-corrected.

    Both meshes are centred on the mean of their vertices; the prediction is scaled so that its
    root mean square size equals the ground truth's; no rotation. This ratio of norms is not the
    least-squares scale.

    Args:
        pred: ``[..., V, 3]`` predicted mesh in T-pose, mm.
        gt: ``[..., V, 3]`` true mesh in T-pose, mm.
        reduce: Order of averaging, see :data:`Reduce`.
        groups: Labels for the group orders.

    Raises:
        MetricError: If a mesh is not finite, or all its predicted vertices coincide.
    """
    where = "pve_t_sc"
    compared = compare(pred, gt, on_missing="error", where=where)
    if compared.valid is not None:
        raise MetricError(
            "a ground-truth mesh has vertices that are not finite",
            where=where,
            rule="the size of a mesh needs all its vertices",
        )
    p, g = (x - x.mean(-2, keepdim=True) for x in (compared.pred, compared.gt))
    size = (p * p).sum((-1, -2))
    if bool((size == 0).any()):
        raise MetricError(
            "all vertices of a predicted mesh coincide", where=where, rule="a mesh has a size"
        )
    ratio = ((g * g).sum((-1, -2)) / size).sqrt()
    errors = length(ratio[..., None, None] * p - g)
    return returned(reduced(errors, reduce, groups=groups, where=where), pred)


def _without_roots(
    pred: object, gt: object, pred_root: object, gt_root: object, where: str
) -> tuple[Tensor, Tensor]:
    moved = []
    check_same_kind(pred, gt, where=where)
    for points, root in ((pred, pred_root), (gt, gt_root)):
        x = real(points, name="vertices", where=where)
        origin = real(root, name="the root", where=where, device=x.device)
        if origin.shape != (*x.shape[:-2], 3):
            raise MetricError(
                f"a root of shape {list(origin.shape)} for vertices of shape {list(x.shape)}",
                where=where,
                rule="there is one root [..., 3] per mesh",
            )
        moved.append(x - origin[..., None, :])
    return moved[0], moved[1]
