import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import MetricError
from posepile_torch.metrics.agora import (
    AgoraEvaluator,
    AgoraPart,
    AgoraRules,
    agora_valid,
    match_agora,
)
from posepile_torch.metrics.bones import TDHP17_BONES, bone_lengths
from posepile_torch.metrics.multiperson import MUPOTS_SCORES, MupotsEvaluator, match_mupots

RANDOM = np.random.default_rng(0)
BODY = RANDOM.normal(size=(17, 3)) * 300 + [0, 0, 3000]
BODY2D = RANDOM.uniform(100, 300, (17, 2))


def moved(pose, x, y=0.0):
    shift = np.zeros(pose.shape[-1])
    shift[:2] = x, y
    return pose + shift


FRAMES = itertools.count()


def one_frame(evaluator, sequence, people, predictions):
    """People and predictions are (x in px, error in mm); all have the same body."""
    evaluator.update(
        sequence,
        next(FRAMES),
        gt3d=np.array([BODY for _ in people]),
        gt2d=np.array([moved(BODY2D, x) for x in people]),
        pred3d=np.array([BODY + [e, 0, 0] for _, e in predictions]),
        pred2d=np.array([moved(BODY2D, x) for x, _ in predictions]),
    )


def test_matching_needs_less_than_40_px_in_both_directions():
    for shift, found in (
        ((39.9, -39.9), 0), ((40.0, 0.0), -1), ((0.0, -40.0), -1), ((39.0, 41.0), -1),
    ):  # fmt: skip
        gt = np.round(BODY2D)[None]
        assert match_mupots(gt + shift, gt).tolist() == [found]


def test_matching_takes_the_most_joints_and_the_first_of_equals():
    near, half = BODY2D, BODY2D.copy()
    half[8:] += 500
    assert match_mupots(np.stack([half, near]), near[None]).tolist() == [1]
    assert match_mupots(np.stack([near, near]), near[None]).tolist() == [0]
    # People choose in their order; a taken prediction is not free any more.
    assert match_mupots(np.stack([half, near]), np.stack([near, near])).tolist() == [1, 0]
    assert match_mupots(near[None], np.stack([near, near])).tolist() == [0, -1]
    assert match_mupots([], near[None]).tolist() == [-1]
    assert match_mupots(near[None], []).tolist() == []


def test_head_top_pelvis_spine_and_joints_at_the_origin_do_not_match():
    only_outer = BODY2D + 500
    only_outer[[0, 14, 15, 16]] = BODY2D[[0, 14, 15, 16]]
    assert match_mupots(only_outer[None], BODY2D[None]).tolist() == [-1]
    nearly_zero = BODY2D * 0.05
    assert match_mupots(np.zeros((1, 17, 2)), nearly_zero[None]).tolist() == [-1]
    on_axis = np.zeros((1, 17, 2))
    on_axis[..., 1] = 1e-9
    assert match_mupots(on_axis, nearly_zero[None]).tolist() == [0]


def test_capability_row_95_a_missed_person_lowers_all_only():
    seen, missed = (MupotsEvaluator(align="absolute", rescale=False) for _ in range(2))
    one_frame(seen, "TS1", [0, 500], [(0, 12), (500, 12)])
    one_frame(missed, "TS1", [0, 500], [(0, 12)])
    assert seen.compute().matched == missed.compute().matched
    assert seen.compute().annotated["pck_150"] == 100
    result = missed.compute()
    assert result.matched["pck_150"] == 100
    assert result.annotated["pck_150"] == 50
    assert result.annotated["auc_31"] == pytest.approx(50 * 28 / 31)  # 12 < 15, 20, ..., 150
    assert result.recall == 50
    # A surplus prediction costs nothing.
    one_frame(missed, "TS1", [], [(0, 10), (90, 10)])
    assert missed.compute().matched == result.matched
    # Universal or metric ground truth is the array that is passed; bones can be rescaled to it.
    short = BODY[14] + 0.5 * (BODY - BODY[14])
    for rescale, error in ((True, 0.0), (False, None)):
        evaluator = MupotsEvaluator(align="root", rescale=rescale)
        evaluator.update(
            "TS1", 0, gt3d=BODY[None], gt2d=BODY2D[None], pred3d=short[None], pred2d=BODY2D[None]
        )
        found = evaluator.compute().matched["mpjpe_17_mm"]
        if rescale:
            assert found == pytest.approx(error, abs=1e-9)
        else:
            assert found == pytest.approx(0.5 * np.linalg.norm(BODY - BODY[14], axis=-1).mean())
    assert bone_lengths(short, TDHP17_BONES).sum() < bone_lengths(BODY, TDHP17_BONES).sum()


def test_sequences_count_equally_and_pooled_does_not():
    evaluator = MupotsEvaluator(align="absolute", rescale=False)
    one_frame(evaluator, "a", [0], [(0, 100)])
    for _ in range(3):
        one_frame(evaluator, "b", [0], [(0, 200)])
    result = evaluator.compute()
    assert result.matched["mpjpe_17_mm"] == pytest.approx(150)
    assert result.pooled["mpjpe_17_mm"] == pytest.approx(175)
    assert result.matched["pck_150"] == 50
    assert result.pooled["pck_150"] == 25
    assert result.sequences["b"].n_matched == 3


def test_a_sequence_without_any_match_is_named_and_counts_zero_in_all():
    evaluator = MupotsEvaluator(align="absolute", rescale=False)
    one_frame(evaluator, "a", [0], [(0, 10)])
    one_frame(evaluator, "b", [0, 500], [(200, 10)])
    result = evaluator.compute()
    assert result.without_match == ("b",)
    assert result.matched["pck_150"] == 100  # NaN in the script that follows the definition
    assert result.annotated["pck_150"] == 50
    assert result.recall == pytest.approx(100 / 3)
    assert np.isnan(result.sequences["b"].matched["pck_150"])


def test_root_relative_errors_subtract_the_pelvis_and_150_mm_is_wrong():
    evaluator = MupotsEvaluator(align="root", rescale=False)
    one_frame(evaluator, "a", [0], [(0, 1000)])
    matched = evaluator.compute().matched
    assert matched["mpjpe_17_mm"] == pytest.approx(0, abs=1e-9)
    for error, percent in ((149.0, 100), (150.0, 0), (151.0, 0)):
        evaluator = MupotsEvaluator(align="absolute", rescale=False)
        flat = np.zeros((1, 17, 3))
        evaluator.update(
            "a", 0, gt3d=flat, pred3d=flat + [error, 0, 0], gt2d=BODY2D[None], pred2d=BODY2D[None]
        )
        assert evaluator.compute().matched["pck_150"] == percent


def test_prediction_equal_to_truth_is_perfect_in_mupots():
    evaluator = MupotsEvaluator(align="root", rescale=True)
    one_frame(evaluator, "a", [0, 500], [(0, 0), (500, 0)])
    result = evaluator.compute()
    assert result.annotated == {"pck_150": 100, "auc_31": pytest.approx(100 * 30 / 31)}
    assert result.matched["mpjpe_17_mm"] == pytest.approx(0, abs=1e-9)
    assert set(result.pooled) == set(MUPOTS_SCORES)


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 300)), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
def test_mupots_does_not_depend_on_order_or_on_the_split(frames):
    whole = MupotsEvaluator(align="absolute", rescale=False)
    first, second = (MupotsEvaluator(align="absolute", rescale=False) for _ in range(2))
    for sequence, error in frames:
        one_frame(whole, sequence, [0], [(0, error)])
    for number, (sequence, error) in enumerate(reversed(frames)):
        one_frame((first, second)[number % 2], sequence, [0], [(0, error)])
    second.merge(first)
    assert second.compute().matched == whole.compute().matched
    assert second.compute().pooled == whole.compute().pooled


def test_bad_mupots_input_is_named():
    evaluator = MupotsEvaluator(align="root", rescale=False)
    with pytest.raises(MetricError, match="choose one of root, absolute"):
        MupotsEvaluator(align="pelvis", rescale=False)
    with pytest.raises(MetricError, match="different variants"):
        evaluator.merge(MupotsEvaluator(align="root", rescale=True))
    one_frame(evaluator, "a", [0], [(0, 10)])
    with pytest.raises(MetricError, match="of sequence 'a' was given twice"):
        evaluator.merge(evaluator)
    with pytest.raises(MetricError, match="people, 17, 3"):
        evaluator.update("a", 0, gt3d=BODY, gt2d=BODY2D, pred3d=BODY, pred2d=BODY2D)
    with pytest.raises(MetricError, match="a 2D and a 3D pose"):
        evaluator.update("a", 0, gt3d=BODY[None], gt2d=[], pred3d=BODY[None], pred2d=BODY2D[None])


PERSON = np.random.default_rng(1).uniform(0, 200, (24, 2))
SQUARE = np.tile([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]], (6, 1))
HERE = np.array([True])


def test_agora_takes_the_smallest_discrepancy_first():
    people = np.stack([PERSON, PERSON + 1000])
    found = match_agora(np.stack([PERSON + 1020, PERSON + 30, PERSON + 1001]), people, [True] * 2)
    assert found.prediction.tolist() == [1, 2]
    assert found.n_false_positives == 1
    assert not found.missed.any()


def test_agora_cost_is_the_spectral_norm_and_not_the_mean_distance():
    # All joints a little off against one joint far off: the two costs disagree.
    all_off = SQUARE + [6.0, 0.0]
    one_off = SQUARE.copy()
    one_off[3, 0] += 35
    both = np.stack([all_off, one_off])
    spectral = match_agora(both, SQUARE[None], HERE)
    mean = match_agora(both, SQUARE[None], HERE, AgoraRules(cost="mean_distance"))
    assert spectral.prediction.tolist() == [0]  # sqrt(24) * 6 = 29.4 < 35
    assert mean.prediction.tolist() == [1]  # 6 > 35 / 24
    with pytest.raises(MetricError, match="choose one of spectral"):
        AgoraRules(cost="frobenius")


def test_agora_boxes_have_one_pixel_more():
    # Boxes of 100 px side by side share one column of 101: IoU 101 / (2 * 101² - 101) = 0.005.
    beside = SQUARE + [100.0, 0.0]
    shared = 1 / (2 * 101 - 1)
    for limit, prediction in ((shared * 0.999, 0), (shared * 1.001, -1)):
        found = match_agora(beside[None], SQUARE[None], HERE, AgoraRules(min_iou=limit))
        assert found.prediction.tolist() == [prediction]


def test_pairs_with_low_overlap_end_the_matching_early_only_in_the_reference():
    # A tiny prediction inside a large person costs less than the right pair elsewhere, but their
    # boxes hardly overlap.
    large = SQUARE * 10
    tiny = np.full((24, 2), 500.0) + SQUARE * 1e-3
    pred = np.stack([tiny, large + 50_000 + 700])
    gt = np.stack([large, large + 10, large + 50_000])
    patient, hasty = (
        match_agora(pred, gt, [True] * 3, AgoraRules(min_iou=0.03, stop_early=stop))
        for stop in (False, True)
    )
    assert patient.prediction.tolist() == [-1, -1, 1]
    assert hasty.prediction.tolist() == [-1, -1, -1]
    assert (patient.n_false_positives, hasty.n_false_positives) == (1, 2)


def test_a_person_that_is_not_valid_is_taken_out_of_the_way():
    people = np.stack([PERSON, PERSON + 3])
    found = match_agora(PERSON[None], people, [False, True])
    assert found.prediction.tolist() == [-1, 0]
    found = match_agora(PERSON[None], people[:1], [False])
    assert (found.n_false_positives, found.missed.tolist()) == (1, [False])
    assert agora_valid([1, 1, 1, 0], [0, 90, 90.5, 10]).tolist() == [True, True, False, False]


def points(offsets, count):
    """Part of ``count`` people whose prediction is off by so many mm; roots coincide."""
    gt = np.random.default_rng(2).normal(size=(count, 5, 3)) * 100
    pred = gt[: len(offsets)] + np.array(offsets)[:, None, None] * [1, 0, 0]
    zero = np.zeros((count, 3))
    return AgoraPart(pred=pred, gt=gt, pred_root=zero[: len(offsets)], gt_root=zero)


def agora_image(evaluator, image, *, missed=1, groups=None):
    people = np.stack([PERSON + 1000 * i for i in range(2 + missed)])
    evaluator.update(
        image,
        pred2d=np.stack([people[0], people[1], PERSON - 5000]),
        gt2d=people,
        valid=np.ones(len(people), bool),
        parts={
            name: points([a, b, 0.0], 3)
            for name, a, b in (
                ("mpjpe_body", 60, 80), ("mpjpe_left_hand", 30, 30),
                ("mpjpe_right_hand", 30, 30), ("mpjpe_face", 15, 15),
            )
        },
        groups=groups,
    )  # fmt: skip


def test_agora_errors_of_matched_people_and_f1_by_hand():
    evaluator = AgoraEvaluator()
    agora_image(evaluator, 1, groups=["adult", "kid", "kid"])
    result = evaluator.compute()
    assert (result.n_matched, result.n_false_positives, result.n_missed) == (2, 1, 1)
    assert result.precision == result.recall == result.f1 == pytest.approx(2 / 3)
    assert result.mean_mm["mpjpe_body"] == pytest.approx(70)
    assert result.normalised_mm["mpjpe_body"] == pytest.approx(105)
    assert result.mean_mm["mpjpe_full"] == pytest.approx(70 + (30 + 30 + 15) / 3)
    assert "mve_full" not in result.mean_mm
    assert result.groups["adult"]["mpjpe_body"] == pytest.approx(60)
    assert result.groups["kid"]["mpjpe_body"] == pytest.approx(80)
    assert result.group_recall == {"adult": 1.0, "kid": 0.5}


def test_agora_parity_counts_missed_hands_as_zero_and_rounds():
    evaluator = AgoraEvaluator(AgoraRules.reference())
    agora_image(evaluator, 1)
    result = evaluator.compute()
    assert result.f1 == 0.67
    assert result.mean_mm["mpjpe_body"] == 70.0
    assert result.mean_mm["mpjpe_left_hand"] == 20.0  # 30 * 2 / 3
    assert result.normalised_mm["mpjpe_body"] == 104.5  # 70.0 / 0.67


def test_agora_roots_are_subtracted():
    part = points([10.0], 1)
    shifted = AgoraPart(
        pred=part.pred + 500, gt=part.gt, pred_root=part.pred_root + 500, gt_root=part.gt_root
    )
    errors = shifted.errors_mm(np.array([0]), np.array([0]))
    np.testing.assert_allclose(errors, [10])


def test_agora_merges_to_the_same_bits():
    whole, first, second = (AgoraEvaluator() for _ in range(3))
    for image in range(5):
        for evaluator in (whole, (first, second)[image % 2]):
            agora_image(evaluator, image, missed=1, groups=["a", "b", "b"])
    second.merge(first)
    assert second.compute().__dict__ == whole.compute().__dict__
    with pytest.raises(MetricError, match="given twice"):
        whole.merge(second)
    with pytest.raises(MetricError, match="different rules"):
        whole.merge(AgoraEvaluator(AgoraRules.reference()))


def test_agora_without_any_match_has_no_numbers_and_says_so():
    evaluator = AgoraEvaluator()
    evaluator.update(
        1, pred2d=np.zeros((0, 24, 2)), gt2d=PERSON[None], valid=HERE,
        parts={"mve_body": points([], 1)},
    )  # fmt: skip
    result = evaluator.compute()
    assert (result.n_missed, result.recall, result.f1) == (1, 0.0, 0.0)
    assert np.isnan(result.mean_mm["mve_body"])
    assert np.isnan(result.precision)


def test_bad_agora_input_is_named():
    with pytest.raises(MetricError, match="has a flag"):
        match_agora(PERSON[None], PERSON[None], [True, True])
    with pytest.raises(MetricError, match="not finite"):
        match_agora(PERSON[None] * np.nan, PERSON[None], HERE)
    part = points([np.nan], 1)
    with pytest.raises(MetricError, match="not finite"):
        part.errors_mm(np.array([0]), np.array([0]))
    uneven = AgoraPart(
        pred=part.pred[:, :3], gt=part.gt, pred_root=part.pred_root, gt_root=part.gt_root
    )
    with pytest.raises(MetricError, match="the same points"):
        uneven.errors_mm(np.array([0]), np.array([0]))
