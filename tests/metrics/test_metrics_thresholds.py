"""Every PCK, AUC and CPS variant by hand, and against the formulas of the reference tools."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import MetricError
from posepile_torch.metrics import (
    auc,
    auc_31,
    auc_199,
    auc_199_coarse,
    auc_real,
    cps,
    cps_area,
    cps_auc,
    cps_ramp,
    joint_distances,
    pck,
    pck_curve,
    worst_joint,
)

lengths = st.lists(st.floats(0, 400), min_size=1, max_size=30)
some = settings(max_examples=50, deadline=None)


def test_row_91_strict_and_inclusive_at_the_threshold():
    d = np.array([149.0, 150, 151])
    assert pck(d, 150, strict=True) == pytest.approx(100 / 3)
    assert pck(d, 150, strict=False) == pytest.approx(200 / 3)
    assert pck(d, 150, strict=True, reduce="none").tolist() == [100, 0, 0]


def test_a_float32_step_from_the_threshold_is_decided_in_float64():
    d = np.array([np.nextafter(50.0, 0), 50.0, np.nextafter(50.0, 100)])
    assert pck(d, 50, strict=True, reduce="none").tolist() == [100, 0, 0]
    assert pck(d, 50, strict=False, reduce="none").tolist() == [100, 100, 0]


def test_auc_31_of_a_perfect_prediction_is_30_of_31():
    assert auc_31(np.zeros((4, 14))) == pytest.approx(100 * 30 / 31)
    assert auc_31(np.array([149.0, 151, 150, 5])) == pytest.approx(100 * (1 + 0 + 0 + 29) / 31 / 4)


@given(lengths)
@some
def test_auc_31_is_the_floor_formula_and_the_mean_of_31_pcks(values):
    d = np.array([*values, 0.0, 5.0, 75.0, 150.0])
    floor = np.mean([max(0, 1 - math.floor(x / 150 * 30 + 1) / 31) for x in d])
    grid = np.mean([pck(d, 5 * i, strict=True) for i in range(31)])
    assert auc_31(d) == pytest.approx(grid, rel=1e-12)
    assert auc_31(d) == pytest.approx(100 * floor, rel=1e-12)


@given(lengths)
@some
def test_auc_199_is_the_trapezoid_of_the_challenge_curve(values):
    d = np.array([*values, 0.0, 1.0, 199.0])
    curve = np.array([np.mean(d <= t) for t in range(200)])
    assert auc_199(d) == pytest.approx(100 * np.trapezoid(curve) / 199, rel=1e-12)


def test_trap_10_coarse_and_full_auc_of_3dpw_are_both_there_and_differ():
    assert auc_199(np.array([0.0])) == 100
    assert auc_199(np.array([1.0])) == pytest.approx(100 * 198.5 / 199)
    assert auc_199(np.array([0.5])) == pytest.approx(100 * 198.5 / 199)
    assert auc_199(np.array([199.5])) == 0
    assert auc_199_coarse(np.array([0.0])) == pytest.approx(99)
    assert auc_199_coarse(np.array([3.97])) == pytest.approx(99)
    assert auc_199_coarse(np.array([3.98])) == pytest.approx(97)
    assert auc_199_coarse(np.array([198.0, 250.0])) == pytest.approx(0.5)


def test_auc_real_is_the_mean_of_a_ramp():
    d = np.array([0.0, 75, 150, 300])
    assert auc_real(d, 150) == pytest.approx(100 * (1 + 0.5) / 4)
    assert auc_real(np.zeros(3), 50) == 100


@given(lengths, st.integers(2, 40), st.booleans())
@some
def test_auc_of_any_grid_is_the_area_of_its_curve(values, count, strict):
    d = np.array(values)
    grid = np.cumsum(np.random.default_rng(count).uniform(0.1, 20, count))
    curve = pck_curve(d, grid, strict=strict)
    assert auc(d, grid, strict=strict, rule="mean") == pytest.approx(curve.mean(), abs=1e-9)
    area = np.trapezoid(curve, grid) / (grid[-1] - grid[0])
    assert auc(d, grid, strict=strict, rule="trapezoid") == pytest.approx(area, abs=1e-9)


@given(lengths, st.booleans())
@some
def test_pck_is_monotone_and_the_curve_is_pck(values, strict):
    d = np.array(values)
    grid = np.arange(0, 401, 10.0)
    curve = pck_curve(d, grid, strict=strict)
    assert (np.diff(curve) >= 0).all()
    for t, value in zip(grid[::7], curve[::7], strict=True):
        assert value == pytest.approx(pck(d, t, strict=strict), abs=1e-9)
    assert pck(d, 100, strict=True) <= pck(d, 100, strict=False)


def test_curve_per_joint():
    d = np.array([[10.0, np.nan, 99], [30, np.nan, np.inf]])
    curve = pck_curve(d, [20, 40], strict=True, reduce="joint")
    np.testing.assert_array_equal(curve, [[50, 100], [np.nan, np.nan], [0, 0]])


def test_row_92_one_bad_joint_flips_cps_only():
    d = np.full((10, 17), 40.0)
    d[3, 16] = 151
    assert pck(d, 150, strict=True) == pytest.approx(100 * 169 / 170)
    assert cps(d, 150, strict=True) == 90
    assert cps(d, 150, strict=True, reduce="none").tolist() == [100] * 3 + [0] + [100] * 6
    d[3, 16] = 150
    assert cps(d, 150, strict=True) == 90
    assert cps(d, 150, strict=False) == 100
    # wrists alone
    assert pck(d[:, [13, 16]], 100, strict=True) == 95


def test_cps_scores_of_the_worst_joint():
    d = np.array([[10.0, 75], [0, 0], [200, np.nan], [60, 100]])
    assert worst_joint(d).tolist() == [75, 0, 200, 100]
    assert cps_auc(d, 300) == pytest.approx(100 * (0.75 + 1 + 1 / 3 + 2 / 3) / 4)
    # METRABS: 1 up to 50 mm, 0 from 150 mm
    assert cps_ramp(d, full=50, zero=150) == pytest.approx(100 * (0.75 + 1 + 0 + 0.5) / 4)


def test_trap_26_a_pose_without_valid_joints_is_no_correct_pose():
    d = np.array([[10.0, 20], [np.nan, np.nan], [500, 500]])
    assert cps(d, 150, strict=False) == 50
    assert cps_auc(d, 100) == pytest.approx(40)
    assert np.isnan(cps(d, 150, strict=False, reduce="none")).tolist() == [False, True, False]
    with pytest.raises(MetricError):
        cps(d[1:2], 150, strict=False)
    with pytest.raises(MetricError):
        cps_area(d[1:2], rule="sum_0_300")


def test_published_cps_areas():
    d = np.array([[0.0, 0.0], [10.5, 3.0], [20.0, 1.0], [400.0, 1.0]])
    t1, t0 = np.arange(1, 301), np.arange(301)
    worst = d.max(1)
    share = [(worst < t).mean() for t in t1]
    assert cps_area(d, rule="trapezoid_1_300") == pytest.approx(np.trapezoid(share))
    assert cps_area(d, rule="sum_0_300") == pytest.approx(sum((worst < t).mean() for t in t0))
    perfect = np.zeros((3, 16))
    assert cps_area(perfect, rule="trapezoid_1_300") == 299
    assert cps_area(perfect, rule="sum_0_300") == 300


def test_canonpose_and_wehrbein_conventions_are_not_interchangeable():
    gt = np.random.default_rng(0).normal(size=(5, 17, 3)) * 300
    mirrored = gt * [-1, 1, 1]
    wehrbein = cps_area(joint_distances(mirrored, gt, align="similarity"), rule="trapezoid_1_300")
    canonpose = cps_area(
        joint_distances(
            mirrored, gt, align="similarity", scale="norm_ratio", allow_reflection=True
        ),
        rule="sum_0_300",
    )
    assert canonpose == 300
    assert wehrbein < 100


def test_groups_and_orders_of_percentages():
    d = np.array([[10.0, 10], [200, 10], [200, 200]])
    labels = ["TS1", "TS1", "TS2"]
    assert pck(d, 150, strict=True, reduce="group_mean", groups=labels) == pytest.approx(37.5)
    assert pck(d, 150, strict=True, reduce="joint").tolist() == pytest.approx([100 / 3, 200 / 3])
    assert cps(d, 150, strict=True, reduce="group", groups=labels).tolist() == [50, 0]
    assert auc_31(d, reduce="sample").shape == (3,)


def test_torch_in_torch_out():
    d = torch.tensor([[10.0, 160.0]])
    for value in (
        pck(d, 150, strict=True),
        auc_31(d),
        auc_199(d),
        auc_real(d, 150),
        cps(d, 150, strict=True),
        cps_area(d, rule="sum_0_300"),
        pck_curve(d, [1.0, 2.0], strict=True),
    ):
        assert isinstance(value, torch.Tensor)


def test_settings_that_do_not_fit():
    d = np.array([[1.0]])
    for call in (
        lambda: auc(d, [2, 1], strict=True, rule="mean"),
        lambda: auc(d, [1], strict=True, rule="mean"),
        lambda: auc(d, [1, 2], strict=True, rule="simpson"),
        lambda: cps_area(d, rule="0_300"),
        lambda: auc_real(d, 0),
        lambda: cps_ramp(d, full=150, zero=50),
        lambda: cps(d, 1, strict=True, reduce="pooled"),
        lambda: pck_curve(d, [1, 2], strict=True, reduce="sample"),
        lambda: pck_curve(np.array([[np.nan]]), [1, 2], strict=True),
        lambda: pck(np.array([[np.nan]]), 1, strict=True),
    ):
        with pytest.raises(MetricError):
            call()
    with pytest.raises(TypeError):
        pck(d, 150)  # strict has no default


TABLE = {
    "3DPCK@150": lambda a, r, p: pck(r[:, :14], 150, strict=True),
    "PCK@50": lambda a, r, p: pck(r[:, :12], 50, strict=False),
    "PCK@150 ASPset": lambda a, r, p: pck(p, 150, strict=False),
    "PCK@100 WACV23": lambda a, r, p: pck(r, 100, strict=True),
    "APCK@300": lambda a, r, p: pck(a, 300, strict=True),
    "AUC-31": lambda a, r, p: auc_31(r[:, :14]),
    "AUC-real": lambda a, r, p: auc_real(r, 100),
    "AUC-199 coarse": lambda a, r, p: auc_199_coarse(r[:, :12]),
    "AUC challenge": lambda a, r, p: auc_199(r[:, :12]),
    "CPS@200": lambda a, r, p: cps(r, 200, strict=True),
    "CPS-AUC": lambda a, r, p: cps_auc(r, 150),
    "NCPS@125": lambda a, r, p: cps(p[:, :12], 125, strict=False),
    "NCPS-AUC PosePile": lambda a, r, p: cps_auc(p[:, :12], 300),
    "NCPS-AUC METRABS": lambda a, r, p: cps_ramp(p, full=50, zero=150),
    "CPS 0..300": lambda a, r, p: cps_area(p[:, :16], rule="trapezoid_1_300"),
}


@pytest.mark.parametrize("name", TABLE)
def test_all_rows_of_the_table_of_variants(name):
    rng = np.random.default_rng(0)
    gt = rng.normal(size=(20, 17, 3)) * 300
    pred = gt + rng.normal(size=gt.shape) * rng.uniform(1, 300, (20, 1, 1))
    distances = (
        joint_distances(pred, gt, align="none"),
        joint_distances(pred, gt, align="none", root=14),
        joint_distances(pred, gt, align="similarity"),
    )
    value = TABLE[name](*distances)
    assert 0 < value < (300 if "0..300" in name else 100)
    same = tuple(np.zeros_like(d) for d in distances)
    best = {"AUC-31": 100 * 30 / 31, "AUC-199 coarse": 99, "CPS 0..300": 299}
    assert TABLE[name](*same) == pytest.approx(best.get(name, 100))
