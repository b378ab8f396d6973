"""2D keypoint metrics by hand, and the traps of the MPII, JHMDB and mmpose tools."""

import numpy as np
import pytest
import torch

from posepile_torch.errors import MetricError
from posepile_torch.metrics import (
    MPII_SCORED_JOINTS,
    auc_2d,
    box_norm,
    epe,
    head_norm,
    heatmap_pck,
    heatmap_peaks,
    joint_group_means,
    keypoint_distances,
    mpii_table,
    nme,
    pck_2d,
    pck_curve_area,
    pckh,
    torso_norm,
)


def off_by(distances):
    """Keypoints at the origin and predictions at the given distances along x."""
    distances = np.asarray(distances, dtype=float)
    gt = np.zeros((*distances.shape, 2))
    pred = gt.copy()
    pred[..., 0] = distances
    return pred, gt


def test_row_93_a_point_at_half_the_head_size():
    # head box 30 x 40: diagonal 50, head size 30, half of it 15
    pred, gt = off_by([[15.0, 14.99, 15.01]])
    box = np.array([[100.0, 50, 30, 40]])
    assert head_norm(box).tolist() == [30]
    inclusive = pckh(pred, gt, box, reduce="none")
    strict = pckh(pred, gt, box, reduce="none", strict=True)
    assert inclusive.tolist() == [[100, 100, 0]]
    assert strict.tolist() == [[0, 100, 0]]
    assert pckh(pred, gt, box) == pytest.approx(200 / 3)


def test_trap_1_a_tenth_is_a_tenth():
    # HRNet prints the entry at 0.11 under this name
    pred, gt = off_by([[0.5, 0.95, 1.05, 1.5]])
    box = np.array([[0.0, 0, 8, 6]]) / 0.6
    np.testing.assert_allclose(head_norm(box), 10)
    assert pckh(pred, gt, box, threshold=0.1) == 50
    assert pckh(pred, gt, box, threshold=0.11) == 75


def mpii_case():
    rng = np.random.default_rng(0)
    gt = rng.uniform(0, 500, (50, 16, 2))
    pred = gt + rng.normal(size=gt.shape) * rng.uniform(2, 40, (1, 16, 1))
    visible = rng.random((50, 16)) < 0.8
    return pred, gt, visible, np.full((50, 4), 30.0)


def test_trap_27_both_head_columns_and_the_pooled_mean():
    pred, gt, visible, box = mpii_case()
    d = keypoint_distances(pred, gt, norm=head_norm(box), mask=visible)
    table = mpii_table(d)
    hit = np.linalg.norm(pred - gt, axis=-1) / (0.6 * np.sqrt(1800)) <= 0.5
    per_joint = [100 * hit[visible[:, j], j].mean() for j in range(16)]
    assert table["head_top"] == pytest.approx(per_joint[9])
    assert table["head"] == pytest.approx((per_joint[8] + per_joint[9]) / 2)
    assert table["head"] != table["head_top"]
    assert table["ankle"] == pytest.approx((per_joint[0] + per_joint[5]) / 2)
    scored = list(MPII_SCORED_JOINTS)
    assert 6 not in scored
    assert 7 not in scored
    pooled = 100 * hit[:, scored][visible[:, scored]].mean()
    assert table["mean"] == pytest.approx(pooled)
    assert pckh(pred, gt, box, mask=visible, joints=scored) == pytest.approx(pooled)
    assert mpii_table(torch.from_numpy(d)) == table
    with pytest.raises(MetricError, match="16"):
        mpii_table(d[:, :14])


def test_trap_4_joints_never_visible_are_nan_and_stay_out_of_groups():
    pred, gt = off_by([[1.0, 1, 9], [1, 9, 9]])
    visible = np.array([[True, False, True], [True, False, True]])
    norm = np.array([10.0, 10])
    per_joint = pck_2d(
        pred, gt, norm=norm, threshold=0.2, strict=True, reduce="joint", mask=visible
    )
    np.testing.assert_array_equal(per_joint, [100, np.nan, 0])
    table = joint_group_means(per_joint, {"pair": [0, 1], "unseen": [1]})
    assert table["pair"] == 100
    assert np.isnan(table["unseen"])
    mean = pck_2d(
        pred, gt, norm=norm, threshold=0.2, strict=True, reduce="joint_mean", mask=visible
    )
    assert mean == 50


def test_trap_5_float64_and_no_change_of_the_norm():
    pred, gt = off_by([[2.0], [2.0], [2.0]])
    pred, gt = pred.astype(np.float32), gt.astype(np.float32)
    norm = np.array([10.0, 0.0, np.nan])
    kept = norm.copy()
    d = keypoint_distances(pred, gt, norm=norm)
    np.testing.assert_array_equal(norm, kept)
    # a person without a norm is not evaluated
    np.testing.assert_array_equal(d, [[0.2], [np.nan], [np.nan]])
    assert d.dtype == np.float64
    inclusive = pck_2d(pred, gt, norm=norm, threshold=0.2, strict=False, reduce="pooled")
    assert inclusive == 100
    with pytest.raises(MetricError, match="norm"):
        keypoint_distances(pred, gt, norm=-np.ones(3))
    with pytest.raises(MetricError, match="one norm per person"):
        keypoint_distances(pred, gt, norm=np.ones(2))


def test_norms():
    boxes = np.array([[5.0, 6, 30, 40], [0, 0, 80, 10]])
    assert box_norm(boxes).tolist() == [40, 80]
    gt = np.zeros((2, 6, 2))
    gt[0, 4] = [30, 40]
    gt[1, 4] = [0.5, 0]
    pred = np.zeros((2, 6, 2))
    pred[:, 5] = [6, 8]
    assert torso_norm(gt, ends=(4, 5)).tolist() == [50, 0.5]
    # JHMDB: a torso below one pixel is measured on the prediction
    assert torso_norm(gt, ends=(4, 5), fallback=pred, minimum_px=1).tolist() == [50, 10]
    assert torso_norm(gt, ends=(4, 5), minimum_px=1).tolist() == [50, 0]
    with pytest.raises(MetricError):
        box_norm(boxes[:, :3])


def test_flic_and_lsp_are_pck_under_the_torso_norm():
    # MODEC scales the torso to 100 px; radius 20 is PCK@0.2
    pred, gt = off_by([[20.0, 20.1, 10.0]])
    d = keypoint_distances(pred, gt, norm=np.array([100.0]))
    radius = 100 * d
    assert (radius <= 20).mean() == pytest.approx(2 / 3)
    lsp = pck_2d(pred, gt, norm=np.array([100.0]), threshold=0.2, strict=False, reduce="pooled")
    assert lsp == pytest.approx(200 / 3)


def test_area_of_the_pckh_curve():
    d = np.array([[0.0, 0.25, 0.5, 0.6]])
    grid = np.arange(51) / 100
    curve = [(d <= t + 1e-12).mean() for t in grid]
    assert pck_curve_area(d, limit=0.5, step=0.01) == pytest.approx(
        100 * np.trapezoid(curve, grid) / 0.5
    )
    assert pck_curve_area(np.zeros((1, 3)), limit=0.2, step=0.01) == 100


def test_auc_of_hands_is_a_left_riemann_sum():
    d = np.array([[0.0, 3.0, 29.0, 31.0]])
    want = np.mean([[x / 30 < i / 20 for x in d[0]] for i in range(20)])
    assert auc_2d(d) == pytest.approx(100 * want)
    assert auc_2d(np.zeros((2, 3))) == pytest.approx(95)
    assert auc_2d(d, norm_factor_px=60, thresholds=10, reduce="joint").shape == (4,)


def test_epe_and_nme_are_pooled():
    pred, gt = off_by([[3.0, 5], [7, np.nan]])
    gt[1, 1] = np.nan
    assert epe(pred, gt) == pytest.approx(5)
    assert nme(pred, gt, norm=np.array([10.0, 20])) == pytest.approx((0.3 + 0.5 + 0.35) / 3)
    assert epe(pred, gt, joints=[0], reduce="sample").tolist() == [3, 7]
    assert isinstance(epe(torch.from_numpy(pred), torch.from_numpy(gt)), torch.Tensor)


def test_missing_keypoints_follow_the_policy():
    pred, gt = off_by([[1.0, np.nan]])
    norm = np.array([10.0])
    with pytest.raises(MetricError, match="on_missing"):
        pck_2d(pred, gt, norm=norm, threshold=0.2, strict=True, reduce="pooled")
    wrong = pck_2d(
        pred,
        gt,
        norm=norm,
        threshold=0.2,
        strict=True,
        reduce="pooled",
        on_missing="count_as_wrong",
    )
    assert wrong == 50


def test_heatmap_accuracy():
    gt = np.zeros((1, 4, 64, 48))
    pred = np.zeros((1, 4, 64, 48))
    gt[0, 0, 10, 20] = gt[0, 1, 10, 20] = gt[0, 3, 5, 5] = 1
    # joint 2 has no target; a tenth of the map is (4.8, 6.4) pixels, half of it (2.4, 3.2)
    pred[0, 0, 13, 20] = 1
    pred[0, 1, 10, 23] = 1
    pred[0, 2, 1, 1] = 1
    np.testing.assert_array_equal(
        heatmap_peaks(gt)[0], [[20, 10], [20, 10], [np.nan, np.nan], [5, 5]]
    )
    per_joint = heatmap_pck(pred, gt, reduce="joint")
    np.testing.assert_array_equal(per_joint, [100, 0, np.nan, 0])
    assert heatmap_pck(pred, gt) == pytest.approx(100 / 3)
    assert heatmap_pck(gt, gt) == 100
    ties = np.zeros((1, 2, 2))
    ties[0, 0, 1] = ties[0, 1, 0] = 2
    assert heatmap_peaks(torch.from_numpy(ties)).tolist() == [[1, 0]]
    with pytest.raises(MetricError, match="equal shape"):
        heatmap_pck(pred, gt[..., :32])


def test_shapes_that_do_not_fit():
    pred, gt = off_by([[1.0]])
    with pytest.raises(MetricError, match="joints, 2"):
        epe(np.zeros((1, 1, 3)), np.zeros((1, 1, 3)))
    with pytest.raises(MetricError, match="joint 5"):
        epe(pred, gt, joints=[5])
