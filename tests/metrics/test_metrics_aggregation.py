"""Orders of averaging, groups and hypotheses by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import MetricError
from posepile_torch.metrics import (
    aggregate,
    cps_area,
    group_means,
    joint_group_means,
    over_hypotheses,
    pck,
    worst_joint,
)

NAN = np.nan
VALUES = np.array([[1.0, 3, NAN], [5, NAN, NAN], [10, 11, NAN]])


def test_every_order_differs_and_is_right():
    assert aggregate(VALUES) == pytest.approx(30 / 5)
    np.testing.assert_array_equal(aggregate(VALUES, "sample"), [2, 5, 10.5])
    assert aggregate(VALUES, "sample_mean") == pytest.approx(17.5 / 3)
    np.testing.assert_array_equal(aggregate(VALUES, "joint"), [16 / 3, 7, NAN])
    assert aggregate(VALUES, "joint_mean") == pytest.approx((16 / 3 + 7) / 2)
    groups = ["b", "a", "b"]
    np.testing.assert_array_equal(aggregate(VALUES, "group", groups=groups), [5, 25 / 4])
    assert aggregate(VALUES, "group_mean", groups=groups) == pytest.approx((5 + 25 / 4) / 2)
    np.testing.assert_array_equal(aggregate(VALUES, "none"), VALUES)
    tensor = aggregate(torch.from_numpy(VALUES), "joint_mean")
    assert isinstance(tensor, torch.Tensor)


def test_row_90_groups_of_unequal_length():
    # frame-weighted inside an activity, then activities count alike
    errors = np.array([[10.0], [10], [10], [40]])
    activity = ["Walking", "Walking", "Walking", "Sitting"]
    assert aggregate(errors) == 17.5
    assert aggregate(errors, "group_mean", groups=activity) == 25
    table = group_means(errors, activity)
    assert table.to_dict() == {"Sitting": 40.0, "Walking": 10.0}
    assert table.counts.tolist() == [1, 3]
    assert table.empty == ()


def test_trap_11_a_group_without_values_is_named_and_left_out():
    # PosePile's MuPoTS script lets such a sequence poison the mean
    values = np.array([[2.0], [NAN], [4]])
    sequences = np.array([1, 2, 3])
    assert aggregate(values, "group_mean", groups=sequences) == 3
    table = group_means(torch.from_numpy(values), torch.tensor([1, 2, 3]))
    assert table.empty == (2,)
    assert isinstance(table.means, torch.Tensor)


def test_infinite_values_do_not_enter_means():
    values = np.array([[1.0, np.inf], [3, 5]])
    assert aggregate(values) == 3
    np.testing.assert_array_equal(aggregate(values, "joint"), [2, 5])
    np.testing.assert_array_equal(aggregate(values, "group", groups=[0, 1]), [1, 4])


def test_scalars_of_nothing_are_an_error():
    for order in ("pooled", "sample_mean", "joint_mean"):
        with pytest.raises(MetricError, match="nothing to average"):
            aggregate(np.full((2, 3), NAN), order)
        with pytest.raises(MetricError, match="nothing to average"):
            aggregate(np.zeros((0, 3)), order)


@pytest.mark.parametrize(
    ("order", "groups"),
    [("pooled", [0, 1, 2]), ("group", None), ("mean", None), ("group", [0, 1])],
)
def test_settings_that_do_not_fit(order, groups):
    with pytest.raises(MetricError):
        aggregate(VALUES, order, groups=groups)


def test_trap_4_joint_groups_ignore_joints_never_seen():
    # mmpose's JHMDB evaluation averages its placeholder -1 into the group
    per_joint = np.array([80.0, NAN, NAN, 60, 40])
    table = joint_group_means(per_joint, {"elbow": [0, 1], "wrist": [2], "hip": [3, 4]})
    assert table["elbow"] == 80
    assert np.isnan(table["wrist"])
    assert table["hip"] == 50
    weighted = joint_group_means(per_joint, {"hip": [3, 4]}, counts=np.array([1, 1, 1, 3, 1]))
    assert weighted["hip"] == 55
    with pytest.raises(MetricError, match="group 'x'"):
        joint_group_means(per_joint, {"x": [5]})


def test_hypotheses():
    errors = np.array([[3.0, 1, 2, 8], [5, 5, 5, 5]])
    for how, want in (("best", 1), ("worst", 8), ("mean", 3.5), ("median", 2.5)):
        got = over_hypotheses(errors, how, larger_is_better=False)
        np.testing.assert_array_equal(got, [want, 5])
    np.testing.assert_array_equal(
        over_hypotheses(errors[:, :3], "median", larger_is_better=False), [2, 5]
    )
    np.testing.assert_array_equal(
        over_hypotheses(errors, "best", dim=0, larger_is_better=True), [5, 5, 5, 8]
    )
    unknown = np.array([[1.0, NAN, 2]])
    for how in ("best", "median", "mean"):
        assert np.isnan(over_hypotheses(unknown, how, larger_is_better=False)).all()
    with pytest.raises(MetricError):
        over_hypotheses(errors, "first", larger_is_better=False)
    with pytest.raises(MetricError):
        over_hypotheses(errors[:, :0], "best", larger_is_better=False)


def test_best_of_several_per_pose_and_threshold_is_the_smallest_worst_joint():
    distances = np.random.default_rng(0).uniform(0, 350, size=(20, 5, 17)) ** 0.9
    best = cps_area(distances, rule="sum_0_300", hypotheses="best")
    chosen = worst_joint(distances).min(1)
    assert best == pytest.approx(cps_area(chosen[:, None], rule="sum_0_300"))
    worst = cps_area(distances, rule="sum_0_300", hypotheses="worst")
    assert worst <= cps_area(distances, rule="sum_0_300", hypotheses="median") <= best
    per_pose = over_hypotheses(
        pck(distances, 150, strict=True, reduce="sample"), "best", larger_is_better=True
    )
    assert per_pose.shape == (20,)


@pytest.mark.parametrize("how", ["best", "median", "mean", "worst"])
@pytest.mark.parametrize("count", [1, 4, 5])
def test_choosing_areas_is_choosing_per_threshold(how, count):
    distances = np.random.default_rng(count).uniform(0, 330, size=(12, count, 3))
    distances[0] = NAN
    worst = distances[1:].max(-1)
    for rule, start in (("trapezoid_1_300", 1), ("sum_0_300", 0)):
        correct = (worst[..., None] < np.arange(start, 301)).astype(float)
        share = over_hypotheses(correct, how, dim=1, larger_is_better=True).mean(0)
        want = np.trapezoid(share) if start else share.sum()
        assert cps_area(distances, rule=rule, hypotheses=how) == pytest.approx(want)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_vectors_do_not_depend_on_how_a_batch_is_split(seed, cut):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(10, 7))
    values[rng.random(values.shape) < 0.3] = NAN
    whole = aggregate(values, "sample")
    parts = [aggregate(part, "sample") for part in (values[:cut], values[cut:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
