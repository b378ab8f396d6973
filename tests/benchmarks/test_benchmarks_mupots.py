"""MuPoTS-3D protocols on sequences of one frame each."""

from __future__ import annotations

import numpy as np
import pytest
from benchmark_toys import body, truth_of
from posepile_torch.benchmarks.mupots_raw import fitted_intrinsics, truth_from_raw

from posepile_torch.errors import PredictionError, ProtocolError
from posepile_torch.evaluate import Predictions, evaluate
from posepile_torch.registry import load_protocol

K = np.array([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]])


def projected(joints):
    plane = joints @ K.T
    return plane[..., :2] / plane[..., 2:]


def two_sequences(protocol):
    """Three people: two in TS1, one in TS2; 1 m to either side."""
    gt = body(protocol, 3) + np.array([[-900, 0, 0], [900, 0, 0], [0, 0, 0]])[:, None]
    return truth_of(
        protocol,
        gt,
        image=["TS1/img_000000", "TS1/img_000000", "TS2/img_000000"],
        person=["0", "1", "0"],
        sequence=["TS1", "TS1", "TS2"],
        joints2d=projected(gt),
        intrinsics=np.broadcast_to(K, (3, 3, 3)),
    )


def detections(truth, rows, joints=None):
    rows = list(rows)
    return Predictions(
        image=truth.image[rows],
        joints=truth.joints[rows] if joints is None else joints,
        skeleton=truth.skeleton,
        space="camera",
    )


def test_a_missed_person_lowers_all_only_and_per_sequence():
    protocol = load_protocol("mupots/all-univ-rescaled")
    truth = two_sequences(protocol)
    whole = evaluate(protocol, detections(truth, [2, 1, 0]), truth)
    assert whole["PCK@150 (all)"].value == whole["PCK@150 (matched)"].value == 100
    missed = evaluate(protocol, detections(truth, [1, 2]), truth)
    # TS1: 1 of 2, TS2: 1 of 1; the mean over sequences is 75, a pooled share would be 66.7
    assert missed["PCK@150 (all)"].value == pytest.approx(75)
    assert missed["PCK@150 (matched)"].value == 100
    assert missed["AUC-31 (all)"].value == pytest.approx(75 * 30 / 31)
    assert (missed.counts.n_expected, missed.counts.n_missing) == (3, 1)
    cells = {c.label: c.value for c in missed["PCK@150 (all)"].breakdowns["sequence"]}
    assert cells == {"TS1": 50, "TS2": 100}


def test_a_sequence_without_match_counts_zero_for_all_and_is_left_out_of_matched():
    protocol = load_protocol("mupots/all-metric")
    truth = two_sequences(protocol)
    result = evaluate(protocol, detections(truth, [0, 1]), truth)
    assert result["PCK@150 (all)"].value == pytest.approx(50)
    assert result["PCK@150 (matched)"].value == 100
    assert any("TS2" in note for note in result.notes)


def test_rescaling_gives_bones_the_true_length_and_absolute_scores_see_depth():
    raw, rescaled = (load_protocol(f"mupots/all-univ{x}") for x in ("", "-rescaled"))
    truth = two_sequences(raw)
    pelvis = truth.joints[:, 14:15]
    larger = pelvis + 2 * (truth.joints - pelvis)
    given = Predictions(
        image=truth.image,
        joints=larger,
        skeleton=truth.skeleton,
        space="camera",
        extras={"joints2d": projected(truth.joints)},
    )
    assert evaluate(raw, given, truth)["PCK@150 (all)"].value < 50
    assert evaluate(rescaled, given, truth)["PCK@150 (all)"].value == 100
    # along the viewing ray 2D stays, only absolute scores change
    farther = detections(truth, [0, 1, 2], truth.joints * 1.1)
    result = evaluate(rescaled, farther, truth)
    assert result["PCK@150 (all)"].value == 100
    assert result["APCK@150 (all)"].value < 5


def test_detected_poses_report_joint_sets_and_recall():
    protocol = load_protocol("mupots/detected")
    truth = two_sequences(protocol)
    joints = truth.joints[[0, 2]].copy()
    joints[:, 16, 2] += 34  # the head, along its viewing direction nearly
    result = evaluate(protocol, detections(truth, [0, 2], joints), truth)
    assert result["MPJPE-14"].value == pytest.approx(0, abs=1e-9)
    assert result["MPJPE-16"].value == pytest.approx(34 / 16)
    assert result["MPJPE-17"].value == pytest.approx(2)
    assert result["recall"].value == pytest.approx(100 * 2 / 3)


def test_wacv_table_pools_matched_people_and_has_no_recall_factor():
    protocol = load_protocol("mupots/wacv23")
    truth = two_sequences(protocol)
    joints = truth.joints[[1, 0]].copy()
    joints[0, 15, 2] += 170
    result = evaluate(protocol, detections(truth, [1, 0], joints), truth)
    assert result["MPJPE"].value == pytest.approx(170 / 34)
    assert result["PCK@150"].value == pytest.approx(100 * 33 / 34)
    assert (result.counts.n_evaluated, result.counts.n_missing) == (2, 1)


def test_surplus_predictions_cost_nothing_and_misuse_is_refused():
    protocol = load_protocol("mupots/all-metric")
    truth = two_sequences(protocol)
    extra = np.concatenate([truth.joints, truth.joints[:1] + [0, 3000, 0]])
    given = Predictions(
        image=np.append(truth.image, "TS9/img_000000"),
        joints=extra,
        skeleton=truth.skeleton,
        space="camera",
    )
    assert evaluate(protocol, given, truth)["PCK@150 (all)"].value == 100
    with pytest.raises(ProtocolError, match="skip"):
        evaluate(protocol, given, truth, on_missing="skip")
    twice = Predictions(
        image=truth.image[[0, 0]],
        person=np.array(["a", "a"]),
        joints=truth.joints[[0, 0]],
        skeleton=truth.skeleton,
        space="camera",
    )
    with pytest.raises(PredictionError, match="2 times"):
        evaluate(protocol, twice, truth)
    world = Predictions(
        image=truth.image, joints=truth.joints, skeleton=truth.skeleton, space="world"
    )
    with pytest.raises(PredictionError, match="camera space"):
        evaluate(protocol, world, truth)


def test_raw_files_leave_out_invalid_people_and_give_a_camera(tmp_path):
    savemat = pytest.importorskip("scipy.io").savemat
    protocol = load_protocol("mupots/all-univ-rescaled")
    metric = body(protocol, 4)
    for number in range(1, 21):
        folder = tmp_path / f"TS{number}"
        folder.mkdir()
        table = np.empty((2, 2), dtype=object)
        for i in range(4):
            table[i // 2, i % 2] = {
                "annot2": projected(metric[i]).T,
                "annot3": metric[i].T,
                "univ_annot3": metric[i].T * 1.2,
                "isValidFrame": i != 2,
            }
        savemat(folder / "annot.mat", {"annotations": _struct(table)})
    truth = truth_from_raw(protocol, tmp_path, None)
    assert len(truth) == 60
    assert truth.image[:3].tolist() == ["TS1/img_000000", "TS1/img_000000", "TS1/img_000001"]
    assert truth.person[:3].tolist() == ["0", "1", "1"]
    np.testing.assert_allclose(truth.joints[2], metric[3] * 1.2)
    np.testing.assert_allclose(truth.extras["intrinsics"][0], K, atol=1e-6)
    np.testing.assert_allclose(fitted_intrinsics(metric[0], projected(metric[0])), K, atol=1e-6)
    given = Predictions(
        image=truth.image,
        joints=truth.joints / 1.2,
        skeleton=truth.skeleton,
        space="camera",
    )
    assert evaluate(protocol, given, truth)["PCK@150 (all)"].value == 100
    with pytest.raises(ProtocolError, match="TS1"):
        truth_from_raw(protocol, tmp_path / "TS1", None)


def _struct(table):
    fields = list(table[0, 0])
    array = np.empty(table.shape, dtype=[(name, object) for name in fields])
    for position in np.ndindex(table.shape):
        array[position] = tuple(table[position][name] for name in fields)
    return array
