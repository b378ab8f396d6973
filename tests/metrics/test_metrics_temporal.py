"""Velocity, acceleration, jitter and smoothing by hand; borders of sequences."""

import numpy as np
import pytest
import torch

from posepile_torch.errors import MetricError
from posepile_torch.metrics import (
    EMDB_STILL_JOINTS,
    Timeline,
    acceleration_error,
    acceleration_error_mps2,
    emdb_jitter,
    jitter,
    mpjve,
    smooth_track,
)

T = np.arange(6.0)
STILL = np.zeros((6, 2, 3))


def along_x(values, joints=2):
    poses = np.zeros((len(values), joints, 3))
    poses[..., 0] = np.asarray(values)[:, None]
    return poses


def test_differences_of_polynomials():
    assert mpjve(along_x(3 * T), STILL) == pytest.approx(3)
    assert mpjve(along_x(T**2), STILL) == pytest.approx(np.mean([1, 3, 5, 7, 9]))
    assert acceleration_error(along_x(7 * T + 100), STILL) == pytest.approx(0)
    assert acceleration_error(along_x(5 * T**2), STILL) == pytest.approx(10)
    assert acceleration_error(along_x(5 * T**2), along_x(4 * T**2)) == pytest.approx(2)
    # 6 a mm/frame^3, 30 fps: times 27000 / 10000
    assert jitter(along_x(2 * T**3), fps=30) == pytest.approx(12 * 2.7)
    assert acceleration_error(along_x(T**2), STILL, reduce="none").shape == (4, 2)


def test_acceleration_in_metres_is_900_times_that_in_metres_per_frame():
    pred = along_x(1000 * 0.002 * T**2)
    per_frame = acceleration_error(pred, STILL)
    assert acceleration_error_mps2(pred, STILL, fps=30) == pytest.approx(per_frame / 1000 * 900)
    for fps in (0, -5, float("inf"), float("nan")):
        with pytest.raises(MetricError, match="fps"):
            acceleration_error_mps2(pred, STILL, fps=fps)


def test_trap_19_no_acceleration_across_sequences():
    first, second = along_x(T**2), along_x(1000 + T**2)
    joined = np.concatenate([first, second])
    truth = np.concatenate([STILL, STILL + 500])
    timeline = Timeline(sequence=["a"] * 6 + ["b"] * 6)
    assert acceleration_error(joined, truth, timeline=timeline) == pytest.approx(2)
    # what VIBE computes: borders included
    assert acceleration_error(joined, truth) > 50
    values = acceleration_error(joined, truth, timeline=timeline, reduce="none")
    assert np.isnan(values[:, 0]).tolist() == [False] * 4 + [True] * 2 + [False] * 4
    alone = [
        acceleration_error(x, y, reduce="sample") for x, y in ((first, STILL), (second, STILL))
    ]
    per_step = acceleration_error(joined, truth, timeline=timeline, reduce="sample")
    np.testing.assert_allclose(per_step[~np.isnan(per_step)], np.concatenate(alone))


def test_frames_left_out_are_gaps():
    frame = np.array([0, 1, 2, 5, 6, 7])
    pred = along_x(frame.astype(float) ** 2)
    assert acceleration_error(pred, STILL, timeline=Timeline(frame=frame)) == pytest.approx(2)
    assert acceleration_error(pred, STILL) == pytest.approx((2 + 18 + 10 + 2) / 4)
    assert mpjve(along_x(4.0 * frame), STILL, timeline=Timeline(frame=frame)) == pytest.approx(4)


def test_a_value_needs_all_its_frames():
    mask = np.ones((6, 2), bool)
    mask[2, 0] = False
    pred = along_x(T**2)
    pred[2, 0] = 1e6
    values = acceleration_error(pred, STILL, mask=mask, reduce="none")
    assert np.isnan(values[:, 0]).tolist() == [True, True, True, False]
    assert np.isfinite(values[:, 1]).all()
    assert acceleration_error(pred, STILL, mask=mask) == pytest.approx(2)
    per_frame = np.array([True, True, True, True, True, False])
    assert mpjve(along_x(3 * T), STILL, mask=per_frame[:, None]) == pytest.approx(3)
    gap = along_x(2 * T**3)
    gap[0] = np.nan
    assert jitter(gap, fps=10, reduce="none").shape == (3, 2)
    assert jitter(gap, fps=10) == pytest.approx(1.2)
    assert jitter(along_x(2 * T**3), fps=10, mask=mask) == pytest.approx(1.2)


def test_missing_predictions_mark_the_differences_they_enter():
    pred = along_x(T**2)
    pred[2, 0] = np.nan
    with pytest.raises(MetricError):
        mpjve(pred, STILL)
    values = mpjve(pred, STILL, on_missing="count_as_wrong", reduce="none")
    assert np.isposinf(values[:, 0]).tolist() == [False, True, True, False, False]
    rooted = acceleration_error(pred, STILL, root=0, on_missing="count_as_wrong", reduce="none")
    assert np.isposinf(rooted).tolist() == [[True] * 2] * 3 + [[False] * 2]


def test_root_and_trim_of_wham():
    pred = along_x(T**2)
    assert acceleration_error(pred, STILL, root=0) == pytest.approx(0)
    labels = np.repeat([1, 2], 6)
    joined, truth = np.concatenate([pred, pred]), np.concatenate([STILL, STILL])
    values = acceleration_error(
        joined, truth, timeline=Timeline(sequence=labels), trim=1, reduce="none"
    )
    kept = np.isfinite(values[:, 0])
    assert np.flatnonzero(kept).tolist() == [1, 2, 7, 8]
    short = Timeline(sequence=np.repeat([1, 2, 3, 4, 5, 6], 2))
    with pytest.raises(MetricError, match="nothing to average"):
        acceleration_error(joined, truth, timeline=short, trim=1)


def test_trap_28_differences_are_pooled_unless_asked_otherwise():
    slow, fast = along_x(1.0 * np.arange(3)), along_x(5.0 * np.arange(9))
    joined, truth = np.concatenate([slow, fast]), np.zeros((12, 2, 3))
    timeline = Timeline(sequence=[0] * 3 + [1] * 9)
    assert mpjve(joined, truth, timeline=timeline) == pytest.approx((2 * 1 + 8 * 5) / 10)
    assert mpjve(joined, truth, timeline=timeline, frame_weighted=True) == pytest.approx(
        (3 * 1 + 9 * 5) / 12
    )
    assert mpjve(joined, truth, timeline=timeline, reduce="group_mean") == pytest.approx(3)
    assert mpjve(fast, truth[:9], frame_weighted=True) == pytest.approx(5)
    with pytest.raises(MetricError, match="frame_weighted"):
        mpjve(joined, truth, timeline=timeline, frame_weighted=True, reduce="joint")


def test_trap_22_emdb_jitter_divides_by_all_24_joints():
    poses = along_x(2 * np.arange(8.0) ** 3, joints=24)
    everything = jitter(poses, fps=30)
    assert emdb_jitter(poses) == pytest.approx(everything * 15 / 24)
    assert emdb_jitter(poses, only_moving=True) == pytest.approx(everything)
    shaking = poses.copy()
    shaking[:, list(EMDB_STILL_JOINTS)] *= 1e3
    assert emdb_jitter(shaking) == pytest.approx(emdb_jitter(poses))
    labels = np.repeat([0, 1], 8)
    twice = np.concatenate([poses, 3 * poses])
    mean = emdb_jitter(twice, timeline=Timeline(sequence=labels), reduce="group_mean")
    assert mean == pytest.approx(2 * emdb_jitter(poses))
    with pytest.raises(MetricError, match="24"):
        emdb_jitter(poses[:, :17])


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_sequences_too_short_for_a_difference(frames):
    poses = np.zeros((frames, 24, 3))
    assert acceleration_error(poses, poses, reduce="none").shape == (max(0, frames - 2), 24)
    assert jitter(poses, fps=30, reduce="none").shape == (0, 24)
    with pytest.raises(MetricError, match="nothing to average"):
        jitter(poses, fps=30)


def test_leading_axes_and_torch():
    pred = torch.from_numpy(along_x(T**2)).expand(3, 6, 2, 3)
    truth = torch.zeros_like(pred)
    values = mpjve(pred, truth, reduce="none", timeline=Timeline(sequence=torch.arange(6) // 3))
    assert values.shape == (3, 5, 2)
    assert torch.isnan(values[:, 2]).all()
    assert isinstance(jitter(pred, fps=30), torch.Tensor)
    for timeline in (Timeline(sequence=[0, 1]), Timeline(frame=[0, 1])):
        with pytest.raises(MetricError, match="one entry per frame"):
            mpjve(pred, truth, timeline=timeline)
    with pytest.raises(MetricError, match="shape"):
        mpjve(truth[0, 0], truth[0, 0])


@pytest.mark.parametrize("frames", [1, 2, 4, 30])
def test_smoothing_equals_a_convolution_with_mirrored_ends(frames):
    poses = np.random.default_rng(0).normal(size=(frames, 3, 3))
    padded = np.pad(poses, ((5, 5), (0, 0), (0, 0)), mode="symmetric")

    def weighted(weights):
        parts = [w * padded[5 + k : 5 + k + frames] for k, w in weights.items()]
        return sum(parts) / sum(weights.values())

    symmetric = dict(zip(range(-5, 6), (1, 2, 4, 8, 16, 32, 16, 8, 4, 2, 1), strict=True))
    np.testing.assert_allclose(smooth_track(poses, "symmetric"), weighted(symmetric))
    causal = {0: 6, -1: 2, -2: 1, -3: 1, -4: 0.5}
    np.testing.assert_allclose(smooth_track(poses, "causal"), weighted(causal))
    ahead = {k + 1: w for k, w in causal.items()}
    np.testing.assert_allclose(smooth_track(poses, "posepile_causal"), weighted(ahead))


def test_trap_9_causal_smoothing_does_not_look_ahead():
    impulse = np.zeros((20, 1, 3))
    impulse[10] = 1
    causal = smooth_track(impulse, "causal")[:, 0, 0]
    assert (causal[:10] == 0).all()
    np.testing.assert_allclose(causal[10:15], np.array([6, 2, 1, 1, 0.5]) / 10.5)
    parity = smooth_track(torch.from_numpy(impulse), "posepile_causal")[:, 0, 0]
    assert parity[9] == pytest.approx(6 / 10.5)
    with pytest.raises(MetricError, match="kind"):
        smooth_track(impulse, "acausal")
    impulse[3] = np.nan
    with pytest.raises(MetricError, match="not finite"):
        smooth_track(impulse, "causal")
    with pytest.raises(MetricError, match="empty"):
        smooth_track(impulse[:0], "causal")
