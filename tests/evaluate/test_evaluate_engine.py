"""The engine: orders of averaging, policies for what is missing, independence of order."""

import dataclasses
import pickle

import evaluation_toys as toys
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch import metrics
from posepile_torch.errors import PosepileError, PredictionError, ProtocolError
from posepile_torch.evaluate import Evaluator, MetricSpec, Predictions, Result, evaluate
from posepile_torch.evaluate.results import Counts, MetricValue
from posepile_torch.skeletons import get


def moved(gt: np.ndarray, distances: np.ndarray, joint: int = 5) -> np.ndarray:
    """Predictions that are off by ``distances[n]`` mm at one joint and right elsewhere."""
    pred = gt.copy()
    pred[:, joint, 0] += distances
    return pred


def test_capability_90_action_wise_and_frame_wise_means_are_both_printed_with_the_protocol():
    gt = toys.poses(5)
    # three frames of walking with 70 mm at one of seven joints, two of sitting with 140 mm
    pred = moved(gt, np.array([70, 70, 70, 140, 140.0]))
    labels = {"activity": ["walk"] * 3 + ["sit"] * 2, "subject": ["s1", "s1", "s2", "s2", "s2"]}
    result = evaluate(toys.PROTOCOL, toys.predictions(pred), toys.truth(gt, **labels))
    value = result["MPJPE"]
    assert result.protocol == "toy/pelvis@3"
    assert value.aggregation == "pooled"
    assert value.value == pytest.approx((3 * 10 + 2 * 20) / 5)
    assert value.also["mean of means per activity"] == pytest.approx(15)
    assert {c.label: (c.value, c.n_samples) for c in value.breakdowns["activity"]} == {
        "sit": (pytest.approx(20), 2),
        "walk": (pytest.approx(10), 3),
    }
    subjects = {cell.label: cell.value for cell in value.breakdowns["subject"]}
    assert subjects == {"s1": pytest.approx(10), "s2": pytest.approx(50 / 3)}
    joints = {cell.label: cell.value for cell in value.breakdowns["joint"]}
    assert joints["lwri"] == pytest.approx(98)
    assert joints["rwri"] == pytest.approx(0)


def test_fault_69_different_joint_sets_name_the_joints_that_lack():
    hands = dataclasses.replace(
        toys.predictions(toys.poses(2)), skeleton=toys.SKELETON.select("pelv lhip rhip neck head"),
        joints=toys.poses(2)[:, :5],
    )  # fmt: skip
    with pytest.raises(PredictionError, match="has no lwri, rwri"):
        evaluate(toys.PROTOCOL, hands, toys.truth(toys.poses(2)))


def test_fault_69_nothing_to_evaluate_is_an_error():
    nobody = toys.poses(0)
    with pytest.raises(PredictionError, match="nothing to evaluate"):
        evaluate(toys.PROTOCOL, toys.predictions(nobody), toys.truth(nobody))
    unknown = np.full((3, 7, 3), np.nan)
    with pytest.raises(PredictionError, match="nothing to average"):
        evaluate(toys.PROTOCOL, toys.predictions(toys.poses(3)), toys.truth(unknown))


def test_fault_69_collinear_and_coincident_points_give_defined_numbers_and_are_counted():
    gt = toys.poses(3)
    gt[0] = np.linspace(0, 700, 7)[:, None] * [1, 0, 0]
    pred = toys.poses(3, seed=1)
    pred[1] = pred[1, :1]  # all joints at one point
    result = evaluate(toys.PROTOCOL, toys.predictions(pred), toys.truth(gt))
    assert all(np.isfinite(value.value) for value in result.values)
    assert result.counts == Counts(n_expected=3, n_evaluated=3, n_degenerate=1)
    assert result["PA-MPJPE"].n_samples == 3
    assert result["PA-MPJPE"].n_values == 21


def test_fault_69_people_with_too_few_labels_are_excluded_and_counted():
    gt = toys.poses(4)
    gt[0, 2:] = np.nan  # two joints cannot be aligned
    gt[1, 0] = np.nan  # no root
    gt[2, 6] = np.nan
    pred = toys.poses(4, seed=1)
    result = evaluate(toys.PROTOCOL, toys.predictions(pred), toys.truth(gt))
    # counts are those of the headline, which needs a root and one joint
    assert result.counts.n_excluded == 1
    assert result.counts.n_evaluated == 3
    assert result["PA-MPJPE"].n_values == 7 + 6 + 6  # the one without a root can be aligned
    assert result["MPJPE"].n_values == 7 + 6 + 2


def with_problems():
    """Twelve people: one absent, one predicted twice, one all NaN, one with a NaN wrist."""
    gt = toys.poses(12)
    pred = gt + 1.0
    pred[2] = np.nan
    pred[3, 5] = np.nan
    full = toys.predictions(pred)
    rows = np.array([1, 1, *range(2, 12)])  # person 0 is absent, person 1 twice
    return toys.shuffled(full, rows), toys.truth(gt, activity=["a", "b", "c"] * 4)


def test_fault_70_missing_nan_and_duplicate_predictions_are_errors_by_default():
    given_, truth = with_problems()
    with pytest.raises(PredictionError) as caught:
        evaluate(toys.PROTOCOL, given_, truth)
    assert "3 of 12 annotated people have no usable prediction (1 predicted twice)" in str(
        caught.value
    )
    assert "1 joints of others are not finite" in str(caught.value)
    assert "first: i000 person 0; i001 person 0; i002 person 0" in str(caught.value)


@pytest.mark.parametrize("policy", ["skip", "count_as_wrong"])
def test_fault_70_missing_nan_and_duplicate_predictions_are_counted(policy):
    given_, truth = with_problems()
    result = evaluate(toys.PROTOCOL, given_, truth, on_missing=policy)
    assert result.counts == Counts(
        n_expected=12, n_evaluated=9, n_missing=3, n_duplicates=1, n_nan_joints=1
    )
    assert result.counts.coverage == 0.75
    assert result["MPJPE"].value == pytest.approx(0, abs=1e-9)
    assert result["MPJPE"].n_values == 9 * 7 - 1
    expected = 100.0 if policy == "skip" else 100 * 62 / 84
    assert result["PCK@150"].value == pytest.approx(expected)
    expected = 100.0 if policy == "skip" else 100 * 8 / 12
    assert result["CPS@150"].value == pytest.approx(expected)


def test_predictions_for_other_frames_are_counted_and_not_used():
    gt = toys.poses(3)
    more = toys.predictions(np.concatenate([gt, gt + 500]))
    result = evaluate(toys.PROTOCOL, more, toys.truth(gt))
    assert result["MPJPE"].value == 0
    assert result.counts.n_unmatched == 3
    assert any("3 predictions have no annotation" in note for note in result.notes)
    strange = dataclasses.replace(more, image=np.char.add("x", more.image))
    with pytest.raises(PredictionError, match="not one of 6 predictions has the key"):
        evaluate(toys.PROTOCOL, strange, toys.truth(gt))


def test_images_alone_identify_single_people_only():
    gt = toys.poses(3)
    without = dataclasses.replace(toys.predictions(gt), person=None)
    assert evaluate(toys.PROTOCOL, without, toys.truth(gt))["MPJPE"].value == 0
    pairs = toys.truth(gt, image=np.array(["a", "a", "b"]), person=np.array(["0", "1", "0"]))
    with pytest.raises(PredictionError, match="1 images have several annotated people"):
        evaluate(toys.PROTOCOL, without, pairs)


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_order_and_parts_change_nothing(random, parts):
    gt, pred = toys.poses(9), toys.poses(9, seed=2)
    gt[4, 5] = np.nan
    keys, names = [f"i{i:03d}" for i in range(9)], list("abcabcabc")
    whole = evaluate(toys.PROTOCOL, toys.predictions(pred), toys.truth(gt, activity=names))
    order = list(range(9))
    random.shuffle(order)
    evaluators = [Evaluator(toys.PROTOCOL) for _ in range(parts)]
    for i, row in enumerate(order):
        evaluators[i % parts].update(
            [keys[row]], ["0"], torch.from_numpy(pred[row : row + 1]), gt[row : row + 1],
            labels={"activity": [names[row]]},
        )  # fmt: skip
    for other in evaluators[1:]:
        evaluators[0].merge(other)
    merged = pickle.loads(pickle.dumps(evaluators[0]))  # as it comes from another process
    assert merged.compute(name="toy", truth="toy truth").values == whole.values


def test_one_person_is_taken_in_once():
    evaluator = Evaluator(toys.PROTOCOL)
    for _ in range(2):
        evaluator.update(["i"], ["0"], toys.poses(1), toys.poses(1))
    with pytest.raises(PredictionError, match="taken in twice"):
        evaluator.compute()
    other = Evaluator(toys.PROTOCOL, on_missing="skip")
    with pytest.raises(ProtocolError, match="cannot be merged"):
        evaluator.merge(other)
    with pytest.raises(PredictionError, match="1 images, but"):
        other.update(["i"], ["0"], toys.poses(2), toys.poses(1))


def test_masked_joints_never_matter():
    gt, pred = toys.poses(4), toys.poses(4, seed=1)
    mask = np.ones((4, 7), bool)
    mask[:, 6] = False
    results = []
    for junk in (0.0, 1e6, np.nan):
        changed = pred.copy()
        changed[:, 6] = junk
        evaluator = Evaluator(toys.PROTOCOL)
        evaluator.update(list("abcd"), ["0"] * 4, changed, gt, mask=mask)
        results.append(evaluator.compute())
    assert results[0].values == results[1].values == results[2].values


def test_world_and_camera_space_give_the_same_numbers():
    rng = np.random.default_rng(3)
    gt, pred = toys.poses(6), toys.poses(6, seed=1)
    turn = np.linalg.qr(rng.normal(size=(6, 3, 3)))[0]
    turn *= np.linalg.det(turn)[:, None, None]
    position = rng.normal(0, 2000, (6, 3))

    def world(points):
        return np.einsum("nji,nkj->nki", turn, points) + position[:, None]

    truth = toys.truth(world(gt), space="world", rotation=turn, position=position)
    in_camera = evaluate(toys.PROTOCOL, toys.predictions(pred), truth)
    in_world = evaluate(toys.PROTOCOL, toys.predictions(world(pred), space="world"), truth)
    for first, second in zip(in_camera.values, in_world.values, strict=True):
        assert first.value == pytest.approx(second.value, abs=1e-9)
    with pytest.raises(ProtocolError, match="exchanged through the benchmark's cameras"):
        evaluate(toys.PROTOCOL, toys.predictions(pred, space="world"), toys.truth(gt))


def test_an_approximate_mapping_of_joints_is_stated_in_the_result():
    target = get("h36m_17")
    rng = np.random.default_rng(0)
    gt = rng.normal(0, 400, (3, 17, 3))
    protocol = dataclasses.replace(
        toys.protocol(MetricSpec("MPJPE", "mpjpe"), breakdowns=()),
        skeleton=target,
        joints="lkne rkne lank rank lelb relb lwri rwri",
        root=("lhip", "rhip"),
    )
    source = get("smpl_24")
    joints = np.zeros((3, 24, 3))
    for name in ("lhip", "rhip", *protocol.joints):
        joints[:, source.index(name)] = gt[:, target.index(name)]
    given_ = toys.predictions(joints, skeleton=source)
    truth = toys.truth(gt, skeleton=target)
    result = evaluate(protocol, given_, truth)
    assert result["MPJPE"].value == pytest.approx(0, abs=1e-9)
    assert result["MPJPE"].root == "midpoint of lhip and rhip"
    assert any("smpl_24 -> h36m_17" in note for note in result.notes)
    assert any(note.startswith("lkne: ") for note in result.notes)


def test_alignment_joints_scored_joints_and_root_are_three_choices():
    gt, pred = toys.poses(5), toys.poses(5, seed=1)
    body, wrists = ("pelv", "lhip", "rhip", "neck"), ("lwri", "rwri")
    protocol = toys.protocol(
        MetricSpec("PA wrists, whole", "pa_mpjpe", joints=wrists),
        MetricSpec("PA wrists, body", "pa_mpjpe", joints=wrists, fit=body),
        MetricSpec("hips", "mpjpe", joints=wrists, root=("lhip", "rhip")),
        MetricSpec("absolute", "ampjpe"),
        MetricSpec("centroid", "mpjpe", root="centroid"),
        breakdowns=(),
    )
    result = evaluate(protocol, toys.predictions(pred), toys.truth(gt))
    whole = metrics.pa_mpjpe(pred, gt, joints=[5, 6])
    aligned = metrics.similarity_alignment(pred[:, :4], gt[:, :4]).apply(pred)
    assert result["PA wrists, whole"].value == pytest.approx(whole)
    expected = metrics.ampjpe(aligned, gt, joints=[5, 6])
    assert result["PA wrists, body"].value == pytest.approx(expected)
    expected = metrics.mpjpe(pred, gt, root=[1, 2], joints=[5, 6])
    assert result["hips"].value == pytest.approx(expected)
    assert result["absolute"].value == pytest.approx(metrics.ampjpe(pred, gt))
    assert result["centroid"].value == pytest.approx(metrics.mpjpe(pred, gt, root="centroid"))


def test_scale_and_centroid_are_those_of_all_joints_whichever_are_scored():
    gt, pred = toys.poses(5), 0.8 * toys.poses(5, seed=1)
    wrists, limbs = ("lwri", "rwri"), "neck head lwri rwri"
    protocol = toys.protocol(
        MetricSpec("N, hips", "n_mpjpe", root=("lhip", "rhip")),
        MetricSpec("N wrists", "n_mpjpe", joints=wrists, root=("lhip", "rhip")),
        MetricSpec("centred wrists", "mpjpe", joints=wrists, root="centroid"),
        joints=limbs,
        breakdowns=(),
    )
    result = evaluate(protocol, toys.predictions(pred), toys.truth(gt))
    p, g = (poses[:, 3:] - poses[:, 1:3].mean(1, keepdims=True) for poses in (pred, gt))
    p *= ((p * g).sum((1, 2)) / (p * p).sum((1, 2)))[:, None, None]
    assert result["N, hips"].value == pytest.approx(np.linalg.norm(p - g, axis=-1).mean())
    assert result["N wrists"].value == pytest.approx(np.linalg.norm(p - g, axis=-1)[:, 2:].mean())
    p, g = (poses[:, 3:] - poses[:, 3:].mean(1, keepdims=True) for poses in (pred, gt))
    expected = np.linalg.norm(p - g, axis=-1)[:, 2:].mean()
    assert result["centred wrists"].value == pytest.approx(expected)
    stray = MetricSpec("hip", "mpjpe", joints="lhip", root="centroid")
    with pytest.raises(ProtocolError, match="scores lhip, which its centroid leaves out"):
        evaluate(
            dataclasses.replace(protocol, metrics=(stray,)), toys.predictions(pred), toys.truth(gt)
        )


def test_time_stops_at_the_border_of_a_sequence_and_at_gaps():
    frames = np.array([0, 1, 2, 3, 0, 1, 2, 5])
    gt = toys.poses(8)
    pred = gt.copy()
    pred[4:] += 1000.0  # a jump between sequences, and none inside
    pred[2, :, 0] += 8.0
    protocol = toys.protocol(
        MetricSpec("accel", "acceleration_error", unit="mm/frame²", root=None),
        MetricSpec("velocity", "mpjve", unit="mm/frame", root=None),
        breakdowns=("sequence",),
    )
    truth = toys.truth(gt, sequence=["a"] * 4 + ["b"] * 4, frame=frames)
    result = evaluate(protocol, toys.predictions(pred), truth)
    # second differences: two in a, one in b (frame 5 does not follow frame 2)
    assert result["accel"].n_samples == 3
    assert result["accel"].value == pytest.approx((8 + 16 + 0) / 3)
    assert result["velocity"].n_samples == 5
    assert result["velocity"].value == pytest.approx((8 + 8) / 5)
    cells = {c.label: c.value for c in result["accel"].breakdowns["sequence"]}
    assert cells == {"a": pytest.approx(12), "b": pytest.approx(0)}
    with pytest.raises(ProtocolError, match="has a sequence"):
        evaluate(protocol, toys.predictions(pred), toys.truth(gt))


def test_jitter_rate_and_trajectory_are_those_of_the_functions():
    rng = np.random.default_rng(5)
    gt = toys.poses(30) + np.arange(30)[:, None, None] * [20.0, 0, 0]
    pred = gt + rng.normal(0, 5, gt.shape)
    protocol = toys.protocol(
        MetricSpec("jitter", "jitter", unit="10 m/s³"),
        MetricSpec("W", "w_mpjpe", {"chunk_frames": 10}),
        MetricSpec("RTE", "rte", unit="%"),
        breakdowns=(),
        fps=25.0,
    )
    truth = toys.truth(gt, sequence=["a"] * 30, frame=np.arange(30))
    result = evaluate(protocol, toys.predictions(pred), truth)
    assert result["jitter"].value == pytest.approx(metrics.jitter(pred, fps=25))
    assert result["W"].value == pytest.approx(metrics.w_mpjpe(pred, gt, chunk_frames=10))
    assert result["RTE"].value == pytest.approx(metrics.rte(pred[:, 0], gt[:, 0]))


def test_meshes_and_rotations_come_from_precomputed_columns():
    rng = np.random.default_rng(7)
    gt, pred = toys.poses(5), toys.poses(5, seed=1)
    v_gt, v_pred = rng.normal(0, 400, (2, 5, 40, 3))
    identity = np.tile(np.eye(3), (5, 7, 1, 1))
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned = identity @ quarter
    protocol = toys.protocol(
        MetricSpec("MVE", "mpvpe"),
        MetricSpec("PA-MVE joints", "pa_mpvpe", {"fit_to": "joints"}),
        MetricSpec("PA-V2V", "pa_mpvpe"),
        MetricSpec("MPJAE", "mpjae", unit="deg", joints="pelv lhip rhip"),
        breakdowns=(),
    )
    given_ = toys.predictions(pred, extras={"vertices": v_pred, "rotations": turned})
    truth = toys.truth(gt, extras={"vertices": v_gt, "rotations": identity})
    result = evaluate(protocol, given_, truth)
    expected = metrics.mpvpe(v_pred, v_gt, pred_root=pred[:, 0], gt_root=gt[:, 0])
    assert result["MVE"].value == pytest.approx(expected)
    alignment = metrics.similarity_alignment(pred, gt)
    expected = metrics.pa_mpvpe(v_pred, v_gt, alignment=alignment)
    assert result["PA-MVE joints"].value == pytest.approx(expected)
    expected = metrics.pa_mpvpe(v_pred, v_gt, alignment=None)
    assert result["PA-V2V"].value == pytest.approx(expected)
    assert result["MPJAE"].value == pytest.approx(90)
    assert result["MPJAE"].n_values == 15
    with pytest.raises(ProtocolError, match="ground truth has no column 'vertices'"):
        evaluate(protocol, given_, toys.truth(gt))
    with pytest.raises(PredictionError, match="predictions have no column 'vertices'"):
        evaluate(protocol, toys.predictions(pred), truth)


def test_image_metrics_take_their_norm_from_the_truth():
    gt = toys.poses(2)[:, :, :2]
    pred = gt.copy()
    pred[0, 5, 0] += 12.0
    pred[1, 5, 0] += 12.0
    protocol = dataclasses.replace(
        toys.protocol(
            MetricSpec("PCKh", "pckh", {"head_boxes": "head_box"}, unit="%"),
            MetricSpec("EPE", "epe", unit="px"),
            MetricSpec("NME", "nme", {"norm": "size"}, unit=""),
            MetricSpec("AUC", "auc_2d", unit="%", order="joint_mean"),
            breakdowns=("joint",),
        ),
        target="joints2d",
        space="image",
        root=None,
    )
    boxes = np.array([[0, 0, 30, 40.0], [0, 0, 3, 4]])  # head sizes 30 px and 3 px
    truth = toys.truth(gt, extras={"head_box": boxes, "size": np.array([100.0, 200.0])})
    result = evaluate(protocol, toys.predictions(pred), truth)
    assert result["PCKh"].value == pytest.approx(100 * 13 / 14)
    assert result["EPE"].value == pytest.approx(24 / 14)
    assert result["NME"].value == pytest.approx((0.12 + 0.06) / 14)
    distances = metrics.keypoint_distances(pred, gt)
    assert result["AUC"].value == pytest.approx(metrics.auc_2d(distances))
    assert {c.label: c.value for c in result["PCKh"].breakdowns["joint"]}["lwri"] == 50


def test_cps_area_is_that_of_the_function_in_every_group():
    gt, pred = toys.poses(6), toys.poses(6, seed=1)
    metric = MetricSpec(
        "CPS", "cps_area", {"rule": "trapezoid_1_300"}, align="similarity", higher_is_better=True
    )
    protocol = toys.protocol(metric, breakdowns=("activity",))
    truth = toys.truth(gt, activity=["a", "a", "b", "b", "b", "b"])
    value = evaluate(protocol, toys.predictions(pred), truth)["CPS"]
    distances = metrics.joint_distances(pred, gt, align="similarity")
    assert value.value == metrics.cps_area(distances, rule="trapezoid_1_300")
    for cell, rows in zip(value.breakdowns["activity"], (slice(0, 2), slice(2, 6)), strict=True):
        assert cell.value == metrics.cps_area(distances[rows], rule="trapezoid_1_300")


def test_a_group_without_anything_is_said_and_left_out_of_its_mean():
    gt = toys.poses(4)
    gt[3] = np.nan
    pred = moved(gt, np.array([70, 70, 140, 0.0]))
    pred[3] = toys.poses(1)[0]
    metric = MetricSpec("MPJPE", "mpjpe", order="group_mean", over="activity")
    protocol = toys.protocol(metric, breakdowns=("activity",))
    truth = toys.truth(gt, activity=["a", "a", "b", "c"])
    result = evaluate(protocol, toys.predictions(pred), truth)
    assert result["MPJPE"].value == pytest.approx(15)
    assert [c.value for c in result["MPJPE"].breakdowns["activity"]][2] is None
    assert any("nothing was evaluated for activity c" in note for note in result.notes)
    with pytest.raises(ProtocolError, match="does not say the activity"):
        evaluate(protocol, toys.predictions(pred[:3]), toys.truth(gt[:3]))


def counting_evaluator(protocol, predictions, truth, on_missing):
    """An evaluator of its own, as a benchmark with matching has."""
    value = MetricValue(
        metric="people", value=float(len(predictions)), unit="", higher_is_better=True,
        aggregation="sum",
    )  # fmt: skip
    counts = Counts(n_expected=len(truth), n_evaluated=len(truth))
    return Result(protocol=protocol.id, values=(value,), counts=counts, on_missing=on_missing)


def no_evaluator(protocol, predictions, truth, on_missing):
    return 3


def test_a_protocol_may_bring_its_own_evaluator():
    metric = MetricSpec("people", "count", unit="", higher_is_better=True)
    own = toys.protocol(metric, breakdowns=(), evaluator=f"{__name__}:counting_evaluator")
    gt = toys.poses(2)
    crowd = toys.predictions(np.concatenate([gt, gt, gt]))
    result = evaluate(own, crowd, toys.truth(gt, notes=("half of them",), fingerprint="f0"))
    assert result["people"].value == 6
    assert (result.name, result.truth) == ("toy", "toy truth")
    assert (result.truth_fingerprint, result.notes) == ("f0", ("half of them",))
    with pytest.raises(ProtocolError, match="evaluator of its own"):
        Evaluator(own)
    wrong = dataclasses.replace(own, evaluator=f"{__name__}:no_evaluator")
    with pytest.raises(ProtocolError, match="returned int"):
        evaluate(wrong, crowd, toys.truth(gt))
    with pytest.raises(ProtocolError, match="names the function 'count'"):
        evaluate(dataclasses.replace(own, evaluator=None), toys.predictions(gt), toys.truth(gt))


def test_temporal_metrics_change_space_only_under_static_cameras():
    gt = toys.poses(6)
    pred = gt + np.random.default_rng(0).normal(0, 10, gt.shape)
    metric = MetricSpec("velocity", "mpjve", unit="mm/frame", root=None)
    protocol = toys.protocol(metric, breakdowns=(), space="camera")
    still = np.tile([100.0, 0, 0], (6, 1))
    columns = {"sequence": ["a"] * 6, "frame": np.arange(6), "space": "world"}
    in_world = toys.predictions(pred, space="world")
    result = evaluate(protocol, in_world, toys.truth(gt, position=still, **columns))
    assert result["velocity"].value == pytest.approx(metrics.mpjve(pred, gt))
    walking = still + np.arange(6)[:, None] * [0.0, 30.0, 0.0]
    for position in (walking, None):
        with pytest.raises(PredictionError, match="defined in camera space"):
            evaluate(protocol, in_world, toys.truth(gt, position=position, **columns))


def test_columns_are_never_compared_across_spaces():
    gt = toys.poses(2)
    turn = np.tile(np.eye(3), (2, 1, 1))
    truth = toys.truth(gt, space="world", rotation=turn, position=np.zeros((2, 3)))
    protocol = toys.protocol(MetricSpec("AMVE", "ampvpe"), breakdowns=())
    with pytest.raises(PredictionError, match="AMVE compares columns that are not moved"):
        evaluate(protocol, toys.predictions(gt), truth)


def test_every_error_of_the_engine_is_deliberate():
    assert issubclass(PredictionError, PosepileError)
    with pytest.raises(PredictionError, match="joints of shape"):
        Predictions(image=["a"], joints=np.zeros((1, 7, 2)), skeleton=toys.SKELETON, space="world")
