"""Object keypoint similarity and suppression, against loops written from the definition."""

import math

import numpy as np
import pytest
import torch

from posepile_torch.errors import MetricError, UnknownNameError
from posepile_torch.metrics import (
    OKS_SIGMAS,
    oks,
    oks_matrix,
    oks_nms,
    oks_sigmas,
    pairwise_oks,
    soft_oks_nms,
)

SIGMAS = oks_sigmas("coco_17")


def persons(n, seed=0, joints=17):
    rng = np.random.default_rng(seed)
    gt = rng.uniform(0, 200, (n, joints, 2))
    return gt, rng.random((n, joints)) < 0.7, rng.uniform(1e3, 1e4, n)


def definition(pred, gt, labelled, area, box=None):
    terms = []
    for j, sigma in enumerate(SIGMAS):
        if labelled.any() and not labelled[j]:
            continue
        dx, dy = pred[j] - gt[j]
        if not labelled.any():
            x0, x1 = box[0] - box[2], box[0] + 2 * box[2]
            y0, y1 = box[1] - box[3], box[1] + 2 * box[3]
            dx = max(0, x0 - pred[j, 0]) + max(0, pred[j, 0] - x1)
            dy = max(0, y0 - pred[j, 1]) + max(0, pred[j, 1] - y1)
        k2 = (2 * sigma) ** 2
        terms.append(math.exp(-(dx * dx + dy * dy) / k2 / (area + np.spacing(1)) / 2))
    return sum(terms) / len(terms)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("coco_17", 17),
        ("posetrack18_17", 17),
        ("crowdpose_14", 14),
        ("aic_14", 14),
        ("mpii_16", 16),
        ("coco_wholebody_133", 133),
        ("halpe_136", 136),
    ],
)
def test_sigma_tables_have_their_length(name, count):
    assert len(oks_sigmas(name)) == count == len(OKS_SIGMAS[name])
    assert (oks_sigmas(name) > 0).all()


def test_sigma_tables_by_spot_check():
    assert oks_sigmas("coco_17")[[0, 5, 16]].tolist() == [0.026, 0.079, 0.089]
    assert oks_sigmas("crowdpose_14")[[0, 6, 12, 13]].tolist() == [0.079, 0.107, 0.079, 0.079]
    whole = oks_sigmas("coco_wholebody_133")
    assert whole[[17, 22, 23, 90, 91, 111, 112, 132]].tolist() == [
        0.068, 0.094, 0.042, 0.008, 0.029, 0.031, 0.029, 0.031,
    ]  # fmt: skip
    halpe = oks_sigmas("halpe_136")
    assert halpe[[16, 17, 19, 20, 25, 26, 135]].tolist() == [
        0.089, 0.08, 0.08, 0.089, 0.089, 0.015, 0.015,
    ]  # fmt: skip
    assert oks_sigmas("aic_14")[7] == 0.03686941
    with pytest.raises(UnknownNameError, match="coco_17"):
        oks_sigmas("coco17")


def test_one_keypoint_by_hand():
    # d = k s: one standard deviation
    area, sigma = 2500.0, 0.1
    pred = np.array([[2 * sigma * math.sqrt(area), 0.0]])
    got = oks(pred, np.zeros((1, 2)), labelled=[True], area=area, sigmas=[sigma])
    assert got == pytest.approx(math.exp(-0.5))
    assert oks(pred, pred, labelled=[True], area=area, sigmas=[sigma]) == 1


def test_pairs_and_matrix_follow_the_definition():
    gt, labelled, area = persons(5)
    pred = gt + np.random.default_rng(1).normal(size=gt.shape) * 8
    pairs = oks(pred, gt, labelled=labelled, area=area, sigmas=SIGMAS)
    want = [definition(p, g, v, a) for p, g, v, a in zip(pred, gt, labelled, area, strict=True)]
    np.testing.assert_allclose(pairs, want, rtol=1e-12)
    table = oks_matrix(pred[:3], gt, labelled=labelled, area=area, sigmas=SIGMAS)
    assert table.shape == (3, 5)
    for d in range(3):
        for i in range(5):
            assert table[d, i] == pytest.approx(
                definition(pred[d], gt[i], labelled[i], area[i]), rel=1e-12
            )
    tensors = oks_matrix(
        torch.from_numpy(pred[:3]),
        torch.from_numpy(gt),
        labelled=labelled,
        area=area,
        sigmas=SIGMAS,
    )
    np.testing.assert_array_equal(tensors.numpy(), table)


def test_a_person_without_labels_is_compared_by_its_box():
    gt, labelled, area = persons(3)
    labelled[1] = False
    gt[1] = np.nan
    box = np.array([[0.0, 0, 10, 10], [50, 60, 20, 30], [0, 0, 5, 5]])
    pred = np.random.default_rng(2).uniform(0, 200, gt.shape)
    got = oks(pred, gt, labelled=labelled, area=area, sigmas=SIGMAS, box=box)
    for i in range(3):
        assert got[i] == pytest.approx(
            definition(pred[i], gt[i], labelled[i], area[i], box[i]), rel=1e-12
        )
    inside = np.tile([55.0, 100], (3, 17, 1))
    assert oks(inside, gt, labelled=labelled, area=area, sigmas=SIGMAS, box=box)[1] == 1
    with pytest.raises(MetricError, match="no labelled keypoint"):
        oks(pred, gt, labelled=labelled, area=area, sigmas=SIGMAS)


def test_missing_predicted_keypoints_count_as_zero_or_are_refused():
    gt, labelled, area = persons(1)
    labelled[:] = True
    pred = gt.copy()
    pred[0, 3] = np.nan
    arguments = {"labelled": labelled, "area": area, "sigmas": SIGMAS}
    with pytest.raises(MetricError, match="1 compared keypoints"):
        oks(pred, gt, **arguments)
    assert oks(pred, gt, **arguments, on_missing="count_as_wrong")[0] == pytest.approx(16 / 17)
    assert oks(pred, gt, **arguments, on_missing="skip")[0] == 1
    labelled[0, 3] = False
    assert oks(pred, gt, **arguments)[0] == 1


def suppress(keypoints, scores, areas, threshold):
    """Greedy suppression by the textbook."""
    left = sorted(range(len(scores)), key=lambda i: -scores[i])
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [i for i in left if pair_oks(keypoints, areas, best, i) <= threshold]
    return kept


def pair_oks(keypoints, areas, i, j):
    d2 = ((keypoints[i] - keypoints[j]) ** 2).sum(-1)
    area = (areas[i] + areas[j]) / 2 + np.spacing(1)
    return np.exp(-d2 / (2 * SIGMAS) ** 2 / area / 2).mean()


def detections(seed):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 400, (4, 1, 2)) + rng.uniform(0, 80, (4, 17, 2))
    keypoints = np.repeat(centres, 5, 0) + rng.normal(size=(20, 17, 2)) * rng.uniform(
        0, 6, (20, 1, 1)
    )
    return keypoints, rng.random(20), rng.uniform(3e3, 8e3, 20)


@pytest.mark.parametrize("seed", range(5))
def test_greedy_suppression(seed):
    keypoints, scores, areas = detections(seed)
    similarity = pairwise_oks(keypoints, areas, SIGMAS)
    assert similarity[3, 11] == pytest.approx(pair_oks(keypoints, areas, 3, 11))
    np.testing.assert_allclose(np.diag(similarity), 1)
    for threshold in (0.5, 0.9, 1.0):
        kept = oks_nms(keypoints, scores, areas, sigmas=SIGMAS, threshold=threshold)
        assert kept.tolist() == suppress(keypoints, scores, areas, threshold)
    assert len(oks_nms(keypoints, scores, areas, sigmas=SIGMAS, threshold=1.0)) == 20


@pytest.mark.parametrize("seed", range(3))
def test_soft_suppression(seed):
    keypoints, scores, areas = detections(seed)
    kept, decayed = soft_oks_nms(
        keypoints, scores, areas, sigmas=SIGMAS, threshold=0.9, max_keep=12
    )
    left, current, want = list(range(20)), scores.copy(), []
    while left and len(want) < 12:
        best = max(left, key=lambda i: current[i])
        want.append(best)
        left.remove(best)
        for i in left:
            current[i] *= math.exp(-(pair_oks(keypoints, areas, best, i) ** 2) / 0.9)
    assert kept.tolist() == want
    np.testing.assert_allclose(decayed, current[want], rtol=1e-9)
    everything, _ = soft_oks_nms(keypoints[:5], scores[:5], areas[:5], sigmas=SIGMAS)
    assert sorted(everything.tolist()) == [0, 1, 2, 3, 4]


def test_equal_scores_keep_their_order():
    keypoints = np.arange(3)[:, None, None] * 1e4 + np.zeros((3, 17, 2))
    scores, areas = np.full(3, 0.5), np.full(3, 1e3)
    assert oks_nms(keypoints, scores, areas, sigmas=SIGMAS).tolist() == [0, 1, 2]
    assert soft_oks_nms(keypoints, scores, areas, sigmas=SIGMAS)[0].tolist() == [0, 1, 2]
    same = np.zeros((3, 17, 2))
    assert oks_nms(same, scores, areas, sigmas=SIGMAS).tolist() == [0]
    empty = np.zeros((0, 17, 2))
    assert oks_nms(empty, np.zeros(0), np.zeros(0), sigmas=SIGMAS).tolist() == []
    kept, decayed = soft_oks_nms(torch.zeros(0, 17, 2), [], [], sigmas=SIGMAS)
    assert isinstance(kept, torch.Tensor)
    assert len(kept) == len(decayed) == 0


def test_inputs_that_do_not_fit():
    gt, labelled, area = persons(2)
    good = {"labelled": labelled, "area": area, "sigmas": SIGMAS}
    for change, match in (
        ({"sigmas": SIGMAS[:5]}, "sigmas"),
        ({"area": -area}, "area"),
        ({"area": area[:1]}, "area"),
        ({"labelled": labelled[:, :3]}, "mask"),
    ):
        with pytest.raises(MetricError, match=match):
            oks(gt, gt, **(good | change))
    with pytest.raises(MetricError, match="one prediction per person"):
        oks(gt[:1], gt, **good)
    with pytest.raises(MetricError, match="keypoints"):
        oks_matrix(gt[:, :3], gt, **good)
    with pytest.raises(MetricError, match="D, K, 2"):
        oks_matrix(gt[0], gt, **good)
    broken = gt.copy()
    broken[labelled] = np.nan
    with pytest.raises(MetricError, match="not finite"):
        oks(gt, broken, **good)
    with pytest.raises(MetricError, match="score"):
        oks_nms(gt, [0.5, np.nan], area, sigmas=SIGMAS)
    with pytest.raises(MetricError, match="finite"):
        pairwise_oks(broken, area, SIGMAS)
