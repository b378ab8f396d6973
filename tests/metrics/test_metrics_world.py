"""World-grounded metrics by hand."""

import numpy as np
import pytest
import torch

from posepile_torch.errors import MetricError
from posepile_torch.metrics import (
    foot_sliding,
    pa_mpjpe,
    rte,
    similarity_alignment,
    w_mpjpe,
    wa_mpjpe,
)

RNG = np.random.default_rng(0)
TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


def walk(frames=30, joints=8):
    body = RNG.normal(size=(1, joints, 3)) * 300
    swing = RNG.normal(size=(frames, joints, 3)) * 30
    return body + swing + 40 * np.arange(frames)[:, None, None] * [1, 0, 0]


def test_chunks_are_aligned_on_two_frames_or_as_a_whole():
    gt = walk()
    pred = 0.9 * gt @ TURN.T + 500
    assert w_mpjpe(pred, gt) == pytest.approx(0, abs=1e-9)
    assert wa_mpjpe(pred, gt) == pytest.approx(0, abs=1e-9)
    drift = gt + 3.0 * np.arange(30)[:, None, None] * [0, 1, 0]
    by_hand = []
    for start in (0, 12, 24):
        rows = slice(start, min(start + 12, 30))
        found = similarity_alignment(
            drift[start : start + 2].reshape(-1, 3), gt[start : start + 2].reshape(-1, 3)
        )
        moved = found.apply(drift[rows].reshape(-1, 3)).reshape(drift[rows].shape)
        by_hand.append(np.linalg.norm(moved - gt[rows], axis=-1).mean(-1))
    by_hand = np.concatenate(by_hand)
    np.testing.assert_allclose(w_mpjpe(drift, gt, chunk_frames=12, reduce="sample"), by_hand)
    assert w_mpjpe(drift, gt, chunk_frames=12) == pytest.approx(by_hand.mean())
    assert wa_mpjpe(drift, gt, chunk_frames=12) < w_mpjpe(drift, gt, chunk_frames=12)


def test_a_chunk_of_everything_is_pa_on_all_points():
    gt = walk(20)
    pred = gt + RNG.normal(size=gt.shape) * 20
    assert wa_mpjpe(pred, gt) == pytest.approx(pa_mpjpe(pred.reshape(-1, 3), gt.reshape(-1, 3)))


def test_the_last_chunk_may_be_a_single_frame():
    gt = walk(101)
    pred = 2 * gt
    per_frame = w_mpjpe(pred, gt, reduce="sample")
    assert per_frame.shape == (101,)
    np.testing.assert_allclose(per_frame, 0, atol=1e-8)


def test_masks_and_missing_joints_in_chunks():
    gt = walk(10)
    pred = gt + 100
    mask = np.ones((10, 8), bool)
    mask[:2, 2:] = False
    mask[0, 1] = False
    kept = w_mpjpe(pred, gt, mask=mask, chunk_frames=5, reduce="sample")
    np.testing.assert_allclose(kept, 0, atol=1e-9)
    mask[:2, 1:] = False  # two joints are not enough to align the first chunk
    partly = w_mpjpe(pred, gt, mask=mask, chunk_frames=5, reduce="sample")
    assert np.isnan(partly).tolist() == [True] * 5 + [False] * 5
    pred[:2] = np.nan
    with pytest.raises(MetricError, match="no finite prediction"):
        w_mpjpe(pred, gt)
    wrong = w_mpjpe(pred, gt, chunk_frames=5, on_missing="count_as_wrong", reduce="none")
    assert np.isposinf(wrong[:5]).all()
    np.testing.assert_allclose(wrong[5:], 0, atol=1e-9)
    assert wa_mpjpe(pred, gt, chunk_frames=5, on_missing="skip") == pytest.approx(0, abs=1e-9)


def test_root_trajectory_error_is_a_percentage_of_the_path():
    # a path of 300 mm; the prediction is a rigid copy, then one frame is off by 30 mm in z
    gt = np.array([[0.0, 0, 0], [100, 0, 0], [100, 100, 0], [200, 100, 0]])
    pred = gt @ TURN.T + 1000
    assert rte(pred, gt) == pytest.approx(0, abs=1e-9)
    assert rte(torch.from_numpy(pred), torch.from_numpy(gt)).item() == pytest.approx(0, abs=1e-9)
    stretched = 1.1 * gt  # no scale is fitted
    centred = gt - gt.mean(0)
    want = 100 * 0.1 * np.linalg.norm(centred, axis=-1).mean() / 300
    assert rte(stretched, gt) == pytest.approx(want)
    assert rte(stretched, gt, reduce="none").shape == (4,)
    masked = rte(pred, gt, mask=[True, True, True, False])
    assert masked == pytest.approx(0, abs=1e-9)


def test_trajectories_without_a_meaning_are_refused():
    still = np.zeros((5, 3))
    with pytest.raises(MetricError, match="does not move"):
        rte(still, still)
    with pytest.raises(MetricError, match="2 valid frames"):
        rte(np.eye(3)[:2], np.eye(3)[:2])
    for function, points in ((rte, np.zeros((2, 5, 3))), (w_mpjpe, np.zeros((2, 5, 4, 3)))):
        with pytest.raises(MetricError, match="one sequence"):
            function(points, points)
    with pytest.raises(MetricError, match="at least one frame"):
        w_mpjpe(np.zeros((0, 5, 3)), np.zeros((0, 5, 3)))
    with pytest.raises(MetricError, match="chunk"):
        w_mpjpe(walk(), walk(), chunk_frames=0)


def test_foot_sliding_counts_while_the_true_foot_stands():
    gt = np.zeros((4, 2, 3))
    gt[2:, 1] = [0, 0, 50]  # the second foot moves once
    pred = gt + 6.0 * np.arange(4)[:, None, None] * [1, 0, 0]
    values = foot_sliding(pred, gt, vertices=None, reduce="none")
    np.testing.assert_allclose(values, [[6, 6], [6, np.nan], [6, 6]])
    assert foot_sliding(pred, gt, vertices=None) == pytest.approx(6)
    assert foot_sliding(pred, gt, vertices=[1], reduce="joint").tolist() == [6]
    moved = gt.copy()
    moved[:, :, 0] += 10.0 * np.arange(4)[:, None]  # exactly at the limit: not standing
    with pytest.raises(MetricError, match="nothing to average"):
        foot_sliding(moved, moved, vertices=None)
    with pytest.raises(MetricError, match="joint 3216"):
        foot_sliding(pred, gt)
    unknown = gt.copy()
    unknown[0, 0] = np.nan
    assert np.isnan(foot_sliding(pred, unknown, vertices=None, reduce="none")[0, 0])
