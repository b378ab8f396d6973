"""Vertex errors and silhouettes by hand."""

import numpy as np
import pytest
import torch

from posepile_torch.errors import MetricError
from posepile_torch.metrics import (
    ampvpe,
    mpvpe,
    pa_mpjpe,
    pa_mpvpe,
    part_errors,
    pve_t_sc,
    rigid_mpjpe,
    silhouette_iou,
    silhouette_iou_from_counts,
    similarity_alignment,
)

RNG = np.random.default_rng(0)
GT = RNG.normal(size=(4, 60, 3)) * 300
PRED = GT + RNG.normal(size=GT.shape) * 20


def test_root_alignment_of_meshes():
    pred = GT + [30.0, 40, 0]
    assert ampvpe(pred, GT) == pytest.approx(50)
    roots = GT[:, 0]
    assert mpvpe(pred, GT, pred_root=roots + [30.0, 40, 0], gt_root=roots) == pytest.approx(0)
    assert mpvpe(pred, GT, pred_root=roots, gt_root=roots) == pytest.approx(50)
    per_mesh = mpvpe(pred, GT, pred_root=roots, gt_root=roots, reduce="sample")
    np.testing.assert_allclose(per_mesh, 50)
    with pytest.raises(MetricError, match="one root"):
        mpvpe(pred, GT, pred_root=roots[0], gt_root=roots[0])


def test_pa_from_joints_and_from_vertices_are_two_numbers():
    joints_pred, joints_gt = PRED[:, :24], GT[:, :24]
    found = similarity_alignment(joints_pred, joints_gt)
    by_joints = pa_mpvpe(PRED, GT, alignment=found)
    by_vertices = pa_mpvpe(PRED, GT, alignment=None)
    moved = np.linalg.norm(found.apply(PRED) - GT, axis=-1)
    assert by_joints == pytest.approx(moved.mean())
    assert by_vertices == pytest.approx(pa_mpjpe(PRED, GT))
    assert by_vertices < by_joints
    with pytest.raises(TypeError):
        pa_mpvpe(PRED, GT)  # what is aligned has no default


def test_excluded_and_masked_meshes():
    mask = np.ones((4, 24), bool)
    mask[2, 2:] = False
    found = similarity_alignment(PRED[:, :24], GT[:, :24], mask=mask)
    per_mesh = pa_mpvpe(PRED, GT, alignment=found, reduce="sample")
    assert np.isnan(per_mesh).tolist() == [False, False, True, False]
    holes = GT.copy()
    holes[0, 5] = np.nan
    assert np.isfinite(pa_mpvpe(PRED, holes, alignment=found))


def test_parts_are_aligned_by_themselves():
    parts = {"hand": range(10), "face": range(10, 30)}
    pred = GT.copy()
    pred[:, :10] = 1.5 * GT[:, :10] + 100
    pred[:, 10:30] += [0.0, 0, 30]
    similar = part_errors(pred, GT, parts, align="similarity")
    assert list(similar) == ["hand", "face"]
    assert similar["hand"] == pytest.approx(0, abs=1e-9)
    assert similar["face"] == pytest.approx(0, abs=1e-9)
    # trap 6: without scale it is "rigid", a larger number, and not PA
    rigid = part_errors(pred, GT, parts, align="rigid")
    assert rigid["hand"] == pytest.approx(rigid_mpjpe(pred[:, :10], GT[:, :10]))
    assert rigid["hand"] > 10
    absolute = part_errors(pred, GT, parts, align="none")
    assert absolute["face"] == pytest.approx(30)
    rooted = part_errors(
        pred,
        GT,
        parts,
        align="none",
        pred_roots={"face": pred[:, 10]},
        gt_roots={"face": GT[:, 10]},
        mask=np.arange(60) != 12,
        reduce="sample",
    )
    np.testing.assert_allclose(rooted["face"], 0, atol=1e-9)
    assert rooted["hand"].shape == (4,)
    with pytest.raises(MetricError, match="roots"):
        part_errors(pred, GT, parts, align="none", pred_roots={"face": pred[:, 10]})
    with pytest.raises(MetricError, match="part 'hand'"):
        part_errors(pred, GT, {"hand": [99]}, align="none")


def test_shape_error_is_blind_to_size_and_place_only():
    assert pve_t_sc(2.5 * GT + 100, GT) == pytest.approx(0, abs=1e-9)
    centred = [x - x.mean(1, keepdims=True) for x in (PRED, GT)]
    ratio = [np.sqrt((x**2).mean((1, 2))) for x in centred]
    want = np.linalg.norm((ratio[1] / ratio[0])[:, None, None] * centred[0] - centred[1], axis=-1)
    assert pve_t_sc(PRED, GT) == pytest.approx(want.mean())
    np.testing.assert_allclose(pve_t_sc(PRED, GT, reduce="sample"), want.mean(1))
    assert pve_t_sc(GT @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]), GT) > 100
    assert isinstance(pve_t_sc(torch.from_numpy(PRED), torch.from_numpy(GT)), torch.Tensor)
    with pytest.raises(MetricError, match="coincide"):
        pve_t_sc(0 * PRED, GT)
    broken = GT.copy()
    broken[0, 0] = np.nan
    with pytest.raises(MetricError, match="not finite"):
        pve_t_sc(PRED, broken)


def test_trap_25_pooled_and_mean_silhouette_overlap():
    gt = np.zeros((3, 8, 8), bool)
    pred = np.zeros((3, 8, 8), bool)
    gt[0, :4], pred[0, :2] = True, True  # 16 of 32
    gt[1, 0, :4], pred[1, 0, :4] = True, True  # 4 of 4
    assert silhouette_iou(pred, gt, reduce="pooled") == pytest.approx(20 / 36)
    per_image = silhouette_iou(pred, gt, reduce="image")
    np.testing.assert_array_equal(per_image, [0.5, 1, np.nan])
    assert silhouette_iou(pred, gt, reduce="image_mean") == 0.75
    counts = (np.array([16, 4, 0]), np.array([32, 4, 0]))
    assert silhouette_iou_from_counts(*counts, reduce="pooled") == pytest.approx(20 / 36)
    tensors = silhouette_iou(torch.from_numpy(pred), torch.from_numpy(gt), reduce="image")
    assert isinstance(tensors, torch.Tensor)
    assert silhouette_iou(pred[0], gt[0], reduce="image") == 0.5
    for call in (
        lambda: silhouette_iou(pred, gt[:2], reduce="pooled"),
        lambda: silhouette_iou(pred, gt, reduce="mean"),
        lambda: silhouette_iou(pred[2:], gt[2:], reduce="pooled"),
        lambda: silhouette_iou(pred[2:], gt[2:], reduce="image_mean"),
        lambda: silhouette_iou_from_counts(np.array([3]), np.array([2]), reduce="pooled"),
    ):
        with pytest.raises(MetricError):
            call()
