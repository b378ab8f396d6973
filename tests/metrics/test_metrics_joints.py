"""MPJPE and relatives by hand, masks, missing predictions, and input gates."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import MetricError
from posepile_torch.metrics import (
    aggregate,
    ampjpe,
    coverage,
    cps,
    joint_distances,
    mpjpe,
    mpjve,
    n_mpjpe,
    pa_mpjpe,
    pck,
    rigid_mpjpe,
    weighted_mpjpe,
)

# Root, and two joints on the axes; the prediction is off by the vectors below.
GT = np.array([[[0.0, 0, 0], [300, 0, 0], [0, 400, 0]]])
PRED = GT + np.array([[[10.0, 0, 0], [10, 30, 40], [10, 0, 0]]])


def test_row_89_mpjpe_pa_n_mpjpe_and_velocity_in_closed_form():
    gt = np.random.default_rng(0).normal(size=(4, 17, 3)) * 300
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    offset = gt + [3.0, 4, 0]
    assert ampjpe(offset, gt) == pytest.approx(5)
    assert mpjpe(offset, gt, root=0) == pytest.approx(0, abs=1e-9)
    assert mpjpe(offset, gt, root="centroid") == pytest.approx(0, abs=1e-9)

    relative = gt - gt[:, :1]
    scaled = 1.25 * relative
    mean_size = np.linalg.norm(relative, axis=-1).mean()
    assert mpjpe(scaled, gt, root=0) == pytest.approx(0.25 * mean_size)
    assert n_mpjpe(scaled, gt, root=0) == pytest.approx(0, abs=1e-9)
    assert rigid_mpjpe(scaled, gt) > 10
    assert pa_mpjpe(scaled, gt) == pytest.approx(0, abs=1e-9)

    rotated = gt @ turn.T
    across = np.linalg.norm(relative[..., :2], axis=-1).mean()
    assert mpjpe(rotated, gt, root=0) == pytest.approx(np.sqrt(2) * across)
    assert rigid_mpjpe(rotated, gt) == pytest.approx(0, abs=1e-9)
    assert n_mpjpe(rotated, gt, root=0) > 10

    mirrored = gt * [-1, 1, 1]
    width = np.abs(relative[..., 0]).mean()
    assert mpjpe(mirrored, gt, root=0) == pytest.approx(2 * width)
    assert pa_mpjpe(mirrored, gt) > 10
    assert joint_distances(mirrored, gt, align="similarity", allow_reflection=True).max() < 1e-6

    drift = gt + 7 * np.arange(4)[:, None, None] * [0, 0, 1]
    assert mpjve(drift, gt) == pytest.approx(7)

    mask = np.ones((4, 17), bool)
    mask[:, 5] = False
    assert ampjpe(np.where(mask[..., None], offset, 1e9), gt, mask=mask) == pytest.approx(5)


def test_roots_by_hand():
    assert ampjpe(PRED, GT) == pytest.approx((10 + np.sqrt(2600) + 10) / 3)
    # the root's own zero error counts
    assert mpjpe(PRED, GT, root=0) == pytest.approx((0 + 50 + 0) / 3)
    assert mpjpe(PRED, GT, root=0, joints=[1, 2]) == pytest.approx(25)
    # midpoint of joints 1 and 2: errors minus (0, 15, 20)
    assert mpjpe(PRED, GT, root=(1, 2)) == pytest.approx((25 + 25 + 25) / 3)
    assert mpjpe(PRED, GT, root=-1) == pytest.approx(50 / 3)
    # centroid: errors minus (0, 10, 40/3)
    third = np.sqrt(10**2 + (40 / 3) ** 2)
    assert mpjpe(PRED, GT, root="centroid") == pytest.approx((third + 2 * third + third) / 3)
    np.testing.assert_allclose(mpjpe(PRED, GT, root=0, reduce="joint"), [0, 50, 0], atol=1e-12)


def test_root_outside_the_evaluated_joints_is_still_used():
    pred = PRED.copy()
    assert mpjpe(pred, GT, root=0, joints=[2, 1], reduce="none").tolist() == [[0, 50]]


def test_n_mpjpe_by_hand():
    gt = np.array([[[0.0, 0, 0], [3, 0, 0], [0, 4, 0]]])
    pred = np.array([[[0.0, 0, 0], [6, 0, 0], [0, 4, 0]]])
    s = (18 + 16) / (36 + 16)
    assert n_mpjpe(pred, gt, root=0) == pytest.approx((abs(6 * s - 3) + abs(4 * s - 4)) / 3)


def test_weights_are_not_normalised():
    pred, gt = np.repeat(PRED, 2, 0), np.repeat(GT, 2, 0)
    assert weighted_mpjpe(pred, gt, [1, 3], root=0) == pytest.approx((1 * 50 + 3 * 50) / 6)
    per_joint = np.array([[1, 2, 1], [1, 4, 1]])
    assert weighted_mpjpe(pred, gt, per_joint, root=0) == pytest.approx((2 * 50 + 4 * 50) / 6)
    with pytest.raises(MetricError, match="weights"):
        weighted_mpjpe(pred, gt, [1, 2, 3], root=0)


def test_an_unknown_root_excludes_the_sample_and_is_counted():
    pred, gt = np.repeat(PRED, 3, 0), np.repeat(GT, 3, 0)
    gt[1, 0] = np.nan
    per_sample = mpjpe(pred, gt, root=0, reduce="sample")
    assert np.isnan(per_sample).tolist() == [False, True, False]
    counted = coverage(pred, gt, align="none", root=0)
    assert (counted.n_samples, counted.n_excluded, counted.n_joints) == (3, 1, 8)
    assert (counted.n_evaluated, counted.n_missing) == (6, 0)
    assert counted.fraction == 6 / 8


def missing_case():
    pred, gt = np.repeat(PRED, 3, 0), np.repeat(GT, 3, 0)
    pred[1, 2] = np.nan
    return pred, gt


def test_fault_70_missing_predictions_are_an_error_by_default():
    pred, gt = missing_case()
    for metric in (ampjpe, pa_mpjpe, rigid_mpjpe):
        with pytest.raises(MetricError, match=r"1 of 9 valid joints.*\[1, 2\]"):
            metric(pred, gt)
    pred[1, 2] = np.inf
    with pytest.raises(MetricError, match="on_missing"):
        mpjpe(pred, gt, root=0)
    # a masked joint needs no prediction
    mask = np.ones((3, 3), bool)
    mask[1, 2] = False
    assert np.isfinite(mpjpe(pred, gt, root=0, mask=mask))


def test_fault_70_missing_predictions_are_counted_and_fail_thresholds():
    pred, gt = missing_case()
    skipped = joint_distances(pred, gt, align="none", root=0, on_missing="skip")
    wrong = joint_distances(pred, gt, align="none", root=0, on_missing="count_as_wrong")
    assert np.isnan(skipped[1, 2])
    assert np.isposinf(wrong[1, 2])
    assert pck(skipped, 1, strict=False) == pytest.approx(100 * 5 / 8)
    assert pck(wrong, 1, strict=False) == pytest.approx(100 * 5 / 9)
    assert cps(wrong, 60, strict=False) == pytest.approx(200 / 3)
    assert cps(skipped, 60, strict=False) == 100
    # the mean error leaves it out under both
    assert aggregate(wrong) == aggregate(skipped) == pytest.approx(150 / 8)
    counted = coverage(pred, gt, align="none", root=0)
    assert (counted.n_joints, counted.n_evaluated, counted.n_missing) == (9, 8, 1)


def test_a_missing_root_makes_the_whole_sample_missing():
    pred, gt = np.repeat(PRED, 3, 0), np.repeat(GT, 3, 0)
    pred[1, 0] = np.nan
    wrong = joint_distances(pred, gt, align="none", root=0, on_missing="count_as_wrong")
    assert np.isposinf(wrong[1]).all()
    assert np.isfinite(wrong[[0, 2]]).all()
    counted = coverage(pred, gt, align="none", root=0)
    assert (counted.n_excluded, counted.n_missing) == (0, 3)


def test_too_few_predicted_joints_to_align_make_the_sample_missing():
    gt = np.random.default_rng(1).normal(size=(3, 6, 3)) * 300
    pred = gt.copy()
    pred[1, :4] = np.nan
    pred[2, :3] = np.nan
    wrong = joint_distances(pred, gt, align="similarity", on_missing="count_as_wrong")
    assert np.isposinf(wrong[1]).all()
    assert np.isposinf(wrong[2]).tolist() == [True] * 3 + [False] * 3
    np.testing.assert_allclose(wrong[2, 3:], 0, atol=1e-9)
    assert coverage(pred, gt, align="similarity").n_missing == 6 + 3
    skipped = joint_distances(pred, gt, align="similarity", on_missing="skip")
    assert np.isnan(skipped[1]).all()


def test_whole_prediction_missing_is_no_nan_in_a_mean():
    pred, gt = np.full((2, 3, 3), np.nan), np.repeat(GT, 2, 0)
    wrong = joint_distances(pred, gt, align="none", root="centroid", on_missing="count_as_wrong")
    assert pck(wrong, 150, strict=True) == 0
    with pytest.raises(MetricError, match="nothing to average"):
        mpjpe(pred, gt, root="centroid", on_missing="skip")


def test_fault_69_different_joint_sets_empty_and_invalid_inputs():
    with pytest.raises(MetricError, match=r"\[1, 3, 3\].*\[1, 2, 3\]"):
        mpjpe(PRED, GT[:, :2], root=0)
    with pytest.raises(MetricError, match="broadcast"):
        mpjpe(np.repeat(PRED, 4, 0), GT, root=0)
    with pytest.raises(MetricError, match="nothing to average"):
        mpjpe(PRED, GT, root=0, mask=np.zeros((1, 3), bool))
    with pytest.raises(MetricError, match="nothing to average"):
        mpjpe(PRED[:0], GT[:0], root=0)
    assert mpjpe(PRED[:0], GT[:0], root=0, reduce="sample").shape == (0,)
    all_masked = mpjpe(PRED, GT, root=0, mask=np.zeros((1, 3), bool), reduce="sample")
    assert np.isnan(all_masked).all()
    no_joints = np.zeros((2, 0, 3))
    assert coverage(no_joints, no_joints, align="none").n_excluded == 2
    with pytest.raises(MetricError, match="joints"):
        mpjpe(PRED[..., :2], GT[..., :2], root=0)


@pytest.mark.parametrize(
    ("pred", "gt", "match"),
    [
        (torch.from_numpy(PRED), GT, "mixed"),
        (PRED.astype(str), GT, "element type"),
        (PRED + 1j, GT, "element type"),
        (PRED[0, 0], GT[0, 0], "shape"),
    ],
)
def test_input_gates(pred, gt, match):
    with pytest.raises(MetricError, match=match):
        ampjpe(pred, gt)


def test_mask_gates():
    with pytest.raises(MetricError, match="boolean"):
        ampjpe(PRED, GT, mask=np.ones((1, 3)))
    with pytest.raises(MetricError, match="does not fit"):
        ampjpe(PRED, GT, mask=np.ones((1, 4), bool))
    with pytest.raises(MetricError, match="on_missing"):
        ampjpe(PRED, GT, on_missing="ignore")
    with pytest.raises(MetricError, match="twice"):
        ampjpe(PRED, GT, joints=[1, 1])
    # one entry per joint, per sample, integers, another kind of array
    for mask in ([True, True, False], [[True, True, False]], torch.tensor([1, 1, 0])):
        assert mpjpe(PRED, GT, root=0, mask=mask) == pytest.approx(25)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32, ">f8"])
def test_other_element_types_and_layouts(dtype):
    pred, gt = PRED.astype(dtype), GT.astype(dtype)
    assert mpjpe(pred, gt, root=0) == pytest.approx(50 / 3)
    reversed_views = pred[:, ::-1][:, ::-1]
    assert mpjpe(reversed_views, gt, root=0) == pytest.approx(50 / 3)
    pred.flags.writeable = False
    assert mpjpe(pred, gt, root=0) == pytest.approx(50 / 3)
    assert mpjpe(pred.tolist(), gt.tolist(), root=0) == pytest.approx(50 / 3)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_inputs_are_never_changed(seed):
    rng = np.random.default_rng(seed)
    gt = rng.normal(size=(3, 6, 3))
    gt[rng.random((3, 6)) < 0.2] = np.nan
    pred = rng.normal(size=(3, 6, 3))
    mask = rng.random((3, 6)) < 0.8
    before = [x.copy() for x in (pred, gt, mask)]
    for align in ("none", "scale", "rigid", "similarity"):
        joint_distances(pred, gt, align=align, root="centroid", mask=mask)
    for x, y in zip((pred, gt, mask), before, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("joints", [17, 500])
def test_memory_that_is_already_in_the_order_of_work_is_not_changed(joints):
    base = np.random.default_rng(0).normal(size=(joints, 3, 64)) + 5
    kept = base.copy()
    one = base[..., :1].transpose(2, 0, 1).copy()
    many = torch.from_numpy(base).permute(2, 0, 1)
    for align in ("similarity", "rigid"):
        joint_distances(many, many.clone(), align=align)
        joint_distances(one, one.copy(), align=align)
    np.testing.assert_array_equal(base, kept)
    np.testing.assert_array_equal(one[0], kept[..., 0])


def test_double_precision_whatever_comes_in():
    gt = np.array([[[0.0, 0, 4000], [0, 0, 4100]]], np.float32)
    pred = gt + np.float32(1e-3)
    exact = np.linalg.norm(pred.astype(float) - gt.astype(float), axis=-1).mean()
    assert ampjpe(pred, gt) == pytest.approx(exact, rel=1e-15)
    assert ampjpe(torch.from_numpy(pred), torch.from_numpy(gt)).dtype == torch.float64
