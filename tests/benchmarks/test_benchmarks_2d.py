"""Protocols of 2D benchmarks against numbers worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmark_toys import body, moved, predictions_of, truth_of

from posepile_torch.errors import PredictionError, ProtocolError
from posepile_torch.evaluate import Predictions, evaluate, load_truth
from posepile_torch.registry import load_protocol


def at(protocol, name):
    return protocol.named_skeleton.index(name)


# --- MPII --------------------------------------------------------------------------------------


def mpii_truth(protocol, n=1):
    gt = np.round(body(protocol, n))
    # diagonal 50, norm 30 px
    return truth_of(protocol, gt, head_box=np.tile([60.0, 60, 30, 40], (n, 1)))


def test_mpii_official_comparison_is_inclusive_and_mmposes_is_strict():
    official, mmpose = (load_protocol(f"mpii/{n}") for n in ("pckh", "pckh-mmpose"))
    truth = mpii_truth(official)
    pred = moved(truth.joints, at(official, "lwri"), [15, 0])  # exactly half a head
    given = predictions_of(truth, pred)
    assert evaluate(official, given, truth)["PCKh@0.5"].value == 100
    assert evaluate(mmpose, given, truth)["PCKh@0.5"].value == pytest.approx(100 * 13 / 14)


def test_mpii_at_01_is_01_and_hrnets_value_is_at_011():
    protocol = load_protocol("mpii/pckh")
    truth = mpii_truth(protocol)
    pred = moved(truth.joints, at(protocol, "lwri"), [3.2, 0])  # 0.1067 heads
    result = evaluate(protocol, predictions_of(truth, pred), truth)
    assert result["PCKh@0.1"].value == pytest.approx(100 * 13 / 14)
    assert result["PCKh@0.11 (HRNet's 0.1)"].value == 100


def test_mpii_has_two_head_columns_and_leaves_out_pelvis_and_thorax():
    protocol = load_protocol("mpii/pckh")
    truth = mpii_truth(protocol)
    pred = moved(truth.joints, [at(protocol, n) for n in ("htop", "pelv", "thor")], [100, 0])
    value = evaluate(protocol, predictions_of(truth, pred), truth)["PCKh@0.5"]
    cells = {cell.label: cell.value for cell in value.breakdowns["joint"]}
    assert (cells["Head"], cells["Head (head top alone)"]) == (50, 0)
    assert value.value == pytest.approx(100 * 13 / 14)


def test_mpii_mean_is_weighted_by_visible_counts():
    protocol = load_protocol("mpii/pckh")
    truth = mpii_truth(protocol, 2)
    truth.joints[1] = np.nan
    truth.joints[1, at(protocol, "lwri")] = [10, 10]
    pred = np.nan_to_num(truth.joints)
    pred[1, at(protocol, "lwri")] = [300, 300]
    value = evaluate(protocol, predictions_of(truth, pred), truth)["PCKh@0.5"]
    assert value.value == pytest.approx(100 * 14 / 15)


def test_mpii_area_is_a_trapezoid_of_inclusive_values():
    protocol = load_protocol("mpii/pckh")
    truth = mpii_truth(protocol)
    pred = moved(truth.joints, at(protocol, "lwri"), [7.5, 0])  # 0.25 heads
    # correct from 0.25 on: 25.5 of 50 steps
    value = evaluate(protocol, predictions_of(truth, pred), truth)["AUC"].value
    assert value == pytest.approx(100 * (13 + 25.5 / 50) / 14)


def test_mpii_raw_truth_counts_from_one_and_marks_missing_joints(tmp_path):
    savemat = pytest.importorskip("scipy.io").savemat
    protocol = load_protocol("mpii/pckh")
    points = np.arange(16 * 2 * 2, dtype=float).reshape(16, 2, 2)
    missing = np.zeros((16, 2))
    missing[3, 1] = 1
    boxes = np.array([[[10.0, 20], [11, 21]], [[40, 50], [51, 61]]])  # corner, axis, person
    (tmp_path / "annot").mkdir()
    savemat(
        tmp_path / "annot" / "gt_valid.mat",
        {"pos_gt_src": points, "jnt_missing": missing, "headboxes_src": boxes},
    )
    truth = load_truth(protocol, tmp_path)
    np.testing.assert_array_equal(truth.joints[0, 0], points[0, :, 0] - 1)
    assert np.isnan(truth.joints[1, 3]).all()
    np.testing.assert_array_equal(truth.extras["head_box"], [[9, 10, 30, 40], [19, 20, 30, 40]])
    result = evaluate(protocol, predictions_of(truth, np.nan_to_num(truth.joints)), truth)
    assert result["PCKh@0.5"].value == 100
    (tmp_path / "no").mkdir()
    with pytest.raises(ProtocolError, match="gt_valid"):
        load_truth(protocol, tmp_path / "no")


# --- LSP, FLIC, JHMDB --------------------------------------------------------------------------


def torso_truth(protocol, length=100.0):
    gt = np.round(body(protocol, 1))
    gt[0, at(protocol, "rhip")] = [200, 200]
    gt[0, at(protocol, "lsho")] = [200, 200 - length]
    return truth_of(protocol, gt, box=np.array([[100.0, 100, 150, 250]]))


def test_lsp_norm_is_the_torso_and_the_comparison_inclusive():
    protocol = load_protocol("lsp/pck-torso")
    truth = torso_truth(protocol)
    for error, expected in ((20.0, 100.0), (20.5, 100 * 13 / 14)):
        pred = moved(truth.joints, at(protocol, "lank"), [error, 0])
        result = evaluate(protocol, predictions_of(truth, pred), truth)
        assert result["PCK@0.2"].value == pytest.approx(expected)


def test_flic_scores_elbows_and_wrists_and_radius_20_is_pck_02():
    protocol = load_protocol("flic/pck-torso")
    truth = torso_truth(protocol)
    pred = moved(truth.joints, at(protocol, "lwri"), [15, 0])
    pred = moved(pred, at(protocol, "nose"), [500, 0])
    result = evaluate(protocol, predictions_of(truth, pred), truth)
    assert (result["PCK@0.2"].value, result["PCK@0.1"].value) == (100, 75)
    cells = {cell.label: cell.value for cell in result["PCK@0.1"].breakdowns["joint"]}
    assert (cells["Elbow"], cells["Wrist"]) == (100, 50)


def test_jhmdb_unseen_joints_have_no_value_instead_of_minus_one():
    protocol = load_protocol("jhmdb/pck")
    truth = torso_truth(protocol)
    truth.joints[0, [at(protocol, n) for n in ("lwri", "rwri")]] = np.nan
    pred = moved(np.nan_to_num(truth.joints), at(protocol, "lkne"), [50, 0])  # 0.2 of 250
    value = evaluate(protocol, predictions_of(truth, pred), truth)["PCK@0.2 (box)"]
    assert value.value == pytest.approx(100 * 12 / 13)  # strict: 50 is not within 50
    cells = {cell.label: cell.value for cell in value.breakdowns["joint"]}
    assert cells["Wrist"] is None
    assert cells["Knee"] == 50


def test_jhmdb_torso_below_one_pixel_is_measured_in_the_prediction():
    protocol = load_protocol("jhmdb/pck")
    truth = torso_truth(protocol, length=0.5)
    pred = moved(truth.joints, at(protocol, "lsho"), [0, -100])  # predicted torso 100.5 px
    pred = moved(pred, at(protocol, "lank"), [19, 0])
    value = evaluate(protocol, predictions_of(truth, pred), truth)["PCK@0.2 (torso)"].value
    assert value == pytest.approx(100 * 14 / 15)  # the shoulder alone is wrong


def test_hands_and_faces():
    hand, face = (load_protocol(f"coco-wholebody/{n}-crops") for n in ("hand", "face"))
    truth = truth_of(hand, np.round(body(hand, 1)), box=np.array([[0.0, 0, 50, 100]]))
    pred = moved(truth.joints, at(hand, "wrist"), [15.5, 0])
    result = evaluate(hand, predictions_of(truth, pred), truth)
    assert result["PCK@0.2 (box)"].value == 100
    assert result["EPE"].value == pytest.approx(15.5 / 21)
    # 15.5 / 30 = 0.517 passes the thresholds 0.55 ... 0.95: 9 of 20
    assert result["AUC"].value == pytest.approx(100 * (20 * 19 + 9) / (21 * 20))
    gt = np.round(body(face, 1))
    gt[0, [at(face, "face37"), at(face, "face46")]] = [[100, 100], [150, 100]]
    truth = truth_of(face, gt)
    pred = moved(gt, at(face, "face1"), [34, 0])
    value = evaluate(face, predictions_of(truth, pred), truth)["NME"].value
    assert value == pytest.approx(34 / 50 / 68)


# --- OKS ---------------------------------------------------------------------------------------


def coco_file(folder, name, images, annotations):
    (folder / "annotations").mkdir(exist_ok=True)
    text = json.dumps({"images": images, "annotations": annotations})
    (folder / "annotations" / name).write_text(text)


def person(protocol, image, number, offset, **more):
    keypoints = body(protocol, 1, seed=number)[0] + offset
    flat = np.concatenate([keypoints, np.full((len(keypoints), 1), 2)], axis=1).ravel().tolist()
    return {
        "id": number, "image_id": image, "keypoints": flat, "bbox": [0, 0, 400, 400],
        "area": 160000, "iscrowd": 0, "num_keypoints": len(keypoints), **more,
    }  # fmt: skip


def detections(truth, rows, score):
    return Predictions(
        image=truth.image[rows],
        joints=truth.joints[rows],
        skeleton=truth.skeleton,
        space="image",
        extras={"score": np.asarray(score, float)},
    )


def test_coco_false_alarms_on_empty_images_count_and_an_empty_result_is_ap_0(tmp_path):
    protocol = load_protocol("coco/oks")
    coco_file(
        tmp_path,
        "person_keypoints_val2017.json",
        [{"id": i} for i in (1, 2, 3)],
        [person(protocol, 1, 0, 0), person(protocol, 2, 5, 0)],  # id 0 is a person like others
    )
    truth = load_truth(protocol, tmp_path)
    assert truth.image.tolist() == ["1", "2", "3"]
    assert evaluate(protocol, detections(truth, [0, 1], [0.5, 0.4]), truth)["AP"].value == 1
    alarm = detections(truth, [0, 1, 0], [0.5, 0.4, 0.9])
    alarm = Predictions(
        image=np.array(["1", "2", "3"]),
        joints=alarm.joints,
        skeleton=alarm.skeleton,
        space="image",
        extras=alarm.extras,
    )
    result = evaluate(protocol, alarm, truth)
    # the false alarm ranks first: precision 1/2 and 2/3, made monotone 2/3 everywhere
    assert result["AP"].value == pytest.approx(2 / 3)
    assert result["AR"].value == 1
    none = detections(truth, [], [])
    assert evaluate(protocol, none, truth)["AP"].value == 0
    assert evaluate(protocol, detections(truth, [0], [1.0]), truth)["AR"].value == 0.5


def test_coco_people_without_keypoints_and_crowds_are_ignored(tmp_path):
    protocol = load_protocol("coco/oks")
    unlabelled = person(protocol, 1, 2, 0, num_keypoints=0)
    unlabelled["keypoints"] = [0] * 51
    coco_file(
        tmp_path,
        "person_keypoints_val2017.json",
        [{"id": 1}],
        [person(protocol, 1, 1, 0), unlabelled, person(protocol, 1, 3, 900, iscrowd=1)],
    )
    truth = load_truth(protocol, tmp_path)
    result = evaluate(protocol, detections(truth, [0], [1.0]), truth)
    assert result["AP"].value == 1
    assert (result.counts.n_expected, result.counts.n_evaluated) == (3, 1)


def test_ap_does_not_depend_on_ids_of_people_or_order_and_needs_scores():
    protocol = load_protocol("coco/oks")
    gt = body(protocol, 3)
    truth = truth_of(
        protocol, gt, image=["1", "1", "2"], person=["0", "1", "0"], area=np.full(3, 3e4),
        box=np.tile([0.0, 0, 300, 300], (3, 1)),
    )  # fmt: skip
    given = detections(truth, [2, 1, 0], [0.3, 0.2, 0.1])
    assert evaluate(protocol, given, truth)["AP"].value == 1
    bare = Predictions(image=truth.image, joints=gt, skeleton=truth.skeleton, space="image")
    with pytest.raises(PredictionError, match="score"):
        evaluate(protocol, bare, truth)
    with pytest.raises(ProtocolError, match="skip"):
        evaluate(protocol, given, truth, on_missing="skip")


def test_crowdpose_takes_half_the_box_as_area_and_divides_images_by_crowding(tmp_path):
    protocol = load_protocol("crowdpose/oks")
    coco_file(
        tmp_path,
        "crowdpose_test.json",
        [{"id": 1, "crowdIndex": 0.1}, {"id": 2, "crowdIndex": 0.8}],
        [person(protocol, 1, 1, 0), person(protocol, 2, 2, 0)],
    )
    truth = load_truth(protocol, tmp_path)
    result = evaluate(protocol, detections(truth, [0], [1.0]), truth)
    assert result["AP_easy"].value == 1
    assert result["AP_hard"].value == 0
    assert result["AP_medium"].value == -1
    # an offset whose OKS is exp(-d² / (2 (2σ)² 0.53·160000)) per joint: 0.62 at sigma 0.079
    one = detections(truth, [0, 1], [1.0, 0.9])
    sigma = 2 * 0.079
    distance = np.sqrt(-2 * np.log(0.62) * sigma**2 * 0.53 * 160000)
    joints = one.joints.copy()
    joints[:, at(protocol, "lsho"), 0] += distance
    lsho_only = truth_of(
        protocol,
        np.where((np.arange(14) == at(protocol, "lsho"))[:, None], truth.joints, np.nan),
        image=["1", "2"],
        person=["1", "2"],
        box=truth.extras["box"],
        crowd_index=[0.1, 0.8],
    )
    given = Predictions(
        image=one.image, joints=joints, skeleton=one.skeleton, space="image",
        extras={"score": np.array([1.0, 0.9])},
    )  # fmt: skip
    found = evaluate(protocol, given, lsho_only)
    assert (found["AP50"].value, found["AP75"].value) == (1, 0)
    assert found["AP"].value == pytest.approx(0.3)  # at 0.50, 0.55 and 0.60


def test_wholebody_parts_have_their_own_visibility(tmp_path):
    protocol = load_protocol("coco-wholebody/oks")
    one = person(protocol, 1, 1, 0)
    flat = np.array(one.pop("keypoints")).reshape(133, 3)
    sizes = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21,
             "righthand_kpts": 21}  # fmt: skip
    start = 0
    for field, size in sizes.items():
        one[field] = flat[start : start + size].ravel().tolist()
        start += size
    one["foot_kpts"] = [0] * 18  # no foot is labelled
    coco_file(tmp_path, "coco_wholebody_val_v1.0.json", [{"id": 1}], [one])
    truth = load_truth(protocol, tmp_path)
    given = Predictions(
        image=truth.image,
        joints=np.nan_to_num(truth.joints),
        skeleton=truth.skeleton,
        space="image",
        extras={"score": np.ones(1)},
    )
    result = evaluate(protocol, given, truth)
    assert result["body AP"].value == result["wholebody AP"].value == 1
    assert result["foot AP"].value == -1


# --- PoseTrack ---------------------------------------------------------------------------------


def posetrack_truth(protocol, n=3, **more):
    gt = np.round(body(protocol, 1)).repeat(n, axis=0)
    return truth_of(
        protocol, gt, sequence=["a"] * n, frame=np.arange(n), head_size=np.full(n, 20.0),
        track=["1"] * n, **more,
    )  # fmt: skip


def test_posetrack_half_a_head_is_a_hit_and_missed_frames_cost():
    protocol = load_protocol("posetrack18")
    truth = posetrack_truth(protocol, 2)
    pred = moved(truth.joints, at(protocol, "lwri"), [10, 0])
    pred = moved(pred, at(protocol, "rwri"), [10.5, 0])
    score = np.array([0.9, 0.8])
    result = evaluate(protocol, predictions_of(truth, pred, score=score), truth)
    assert result["mAP"].value == pytest.approx(100 * 14 / 15)
    assert result["AP Wri"].value == pytest.approx(50)
    half = Predictions(
        image=truth.image[:1], joints=truth.joints[:1], skeleton=truth.skeleton, space="image",
        extras={"score": score[:1]},
    )  # fmt: skip
    assert evaluate(protocol, half, truth)["mAP"].value == pytest.approx(50)


def test_posetrack_tied_scores_do_not_depend_on_the_order_of_rows():
    protocol = load_protocol("posetrack17")
    truth = posetrack_truth(protocol, 3)
    pred = truth.joints.copy()
    pred[1] += 500
    one = predictions_of(truth, pred, score=np.ones(3))
    backwards = Predictions(
        image=truth.image[::-1], joints=pred[::-1], skeleton=truth.skeleton, space="image",
        extras={"score": np.ones(3)},
    )  # fmt: skip
    assert (
        evaluate(protocol, one, truth)["mAP"].value
        == evaluate(protocol, backwards, truth)["mAP"].value
    )


def test_posetrack_tracking_counts_a_switch_and_the_last_frame():
    protocol = load_protocol("posetrack18/tracking")
    truth = posetrack_truth(protocol, 4)
    score = np.ones(4)
    switched = predictions_of(truth, truth.joints, score=score, track=["5", "5", "6", "6"])
    assert evaluate(protocol, switched, truth)["MOTA"].value == pytest.approx(75)
    missed = Predictions(
        image=truth.image[:3], joints=truth.joints[:3], skeleton=truth.skeleton, space="image",
        extras={"score": score[:3], "track": np.array(["5"] * 3)},
    )  # fmt: skip
    result = evaluate(protocol, missed, truth)  # the tool would not look at the last frame
    assert (result["MOTA"].value, result["recall"].value) == (75, 75)
    near = moved(truth.joints, list(range(15)), [5, 0])
    result = evaluate(protocol, predictions_of(truth, near, score=score, track=["5"] * 4), truth)
    assert result["MOTP"].value == pytest.approx(75)  # a quarter of a head


def test_posetrack_raw_files_and_ignore_regions(tmp_path):
    protocol = load_protocol("posetrack18")
    (tmp_path / "annotations" / "val").mkdir(parents=True)
    slots = np.concatenate([body(protocol, 1)[0], [[0, 0], [0, 0]]])[:17]
    keypoints = np.concatenate([slots, np.ones((17, 1))], axis=1)
    keypoints[3:5] = 0  # ears
    inside = keypoints[0, :2]
    box = [
        [inside[0] - 1, inside[1] - 1], [inside[0] + 1, inside[1] - 1],
        [inside[0] + 1, inside[1] + 1], [inside[0] - 1, inside[1] + 1],
    ]  # fmt: skip
    data = {
        "images": [
            {
                "id": 10, "file_name": "images/val/1/000000.jpg", "vid_id": "1", "frame_id": 0,
                "is_labeled": True, "ignore_regions_x": [[p[0] for p in box]],
                "ignore_regions_y": [[p[1] for p in box]],
            },
            {"id": 11, "file_name": "images/val/1/000001.jpg", "is_labeled": False},
        ],
        "annotations": [
            {
                "image_id": 10, "track_id": 3, "bbox_head": [0, 0, 30, 40],
                "keypoints": keypoints.ravel().tolist(),
            },
            {"image_id": 11, "track_id": 3, "bbox_head": [0, 0, 3, 4], "keypoints": [0] * 51},
        ],
    }  # fmt: skip
    (tmp_path / "annotations" / "val" / "1.json").write_text(json.dumps(data))
    truth = load_truth(protocol, tmp_path)
    assert truth.image.tolist() == ["images/val/1/000000"]
    assert truth.extras["head_size"].tolist() == [30]
    nose = at(protocol, "nose")
    np.testing.assert_allclose(truth.joints[0, nose], inside)
    # the nose is in the ignored region: wherever it is predicted, nothing is lost
    pred = moved(truth.joints, nose, [500, 500])
    result = evaluate(protocol, predictions_of(truth, pred, score=np.ones(1)), truth)
    assert result["mAP"].value == 100  # noses are not annotated any more, and left out
