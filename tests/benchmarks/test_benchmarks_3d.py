"""Protocols of single-person 3D benchmarks against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from benchmark_toys import body, moved, predictions_of, truth_of
from posepile_torch.benchmarks._specs import SMPL24_MAJOR

from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate import evaluate, load_truth
from posepile_torch.metrics import joint_distances
from posepile_torch.registry import load_protocol


def index(protocol, *names):
    return [protocol.named_skeleton.index(name) for name in names]


def shifted_by(protocol, errors_mm, joint):
    """Truth and predictions in which one joint of sample i is off by errors_mm[i]."""
    gt = body(protocol, len(errors_mm))
    pred = gt.copy()
    pred[:, index(protocol, joint)[0], 0] += errors_mm
    return gt, pred


# --- Human3.6M ---------------------------------------------------------------------------------


def test_h36m_lifting_is_a_mean_over_activities_and_prints_the_pooled_mean_beside_it():
    protocol = load_protocol("h36m/lifting-p1")
    # 3 frames of Walking with one joint off by 17 mm (1 mm per pose), 1 of Eating off by 85 mm
    gt, pred = shifted_by(protocol, [17.0, 17.0, 17.0, 85.0], "rwri")
    truth = truth_of(protocol, gt, activity=["Walking"] * 3 + ["Eating"])
    value = evaluate(protocol, predictions_of(truth, pred), truth)["MPJPE"]
    assert value.value == pytest.approx((1 + 5) / 2)
    assert value.also["pooled"] == pytest.approx((3 * 1 + 5) / 4)
    cells = {cell.label: cell.value for cell in value.breakdowns["activity"]}
    assert cells == pytest.approx({"Walking": 1.0, "Eating": 5.0})


def test_h36m_image_protocol_turns_the_two_averages_around():
    protocol = load_protocol("h36m/image-p2-step64")
    gt, pred = shifted_by(protocol, [17.0, 17.0, 17.0, 85.0], "rwri")
    truth = truth_of(protocol, gt, activity=["Walking"] * 3 + ["Eating"])
    value = evaluate(protocol, predictions_of(truth, pred), truth)["MPJPE"]
    assert value.value == pytest.approx(2.0)
    assert value.also["mean of means per activity"] == pytest.approx(3.0)


def test_h36m_protocols_called_one_and_two_differ_in_frames_subjects_and_joints():
    lifting, image2, image1, mesh1, mesh2 = (
        load_protocol(f"h36m/{name}")
        for name in ("lifting-p1", "image-p2-step64", "image-p1-step64", "mesh-p1", "mesh-p2")
    )
    assert [p.frames.step for p in (lifting, image2, image1, mesh1)] == [1, 64, 64, 5]
    assert {p.frames.offset for p in (lifting, image2, image1, mesh1)} == {0}
    assert image1.frames.subjects == ("S11",)
    assert image2.frames.subjects == ("S9", "S11")
    assert mesh2.frames.cameras == ("60457274",)
    assert mesh1.frames.cameras == ()
    assert [len(p.joints) for p in (lifting, image2, image1, mesh1, mesh2)] == [17, 17, 17, 14, 14]
    assert [p.metrics[0].function for p in (image1, mesh1, mesh2)] == [
        "pa_mpjpe",
        "mpjpe",
        "pa_mpjpe",
    ]


@pytest.mark.parametrize("name", ["p1", "protocol-1", "p2"])
def test_an_unqualified_protocol_number_cannot_exist(name):
    with pytest.raises(ProtocolError, match="variant says"):
        dataclasses.replace(load_protocol("h36m/lifting-p1"), name=f"h36m/{name}")


def test_h36m_only_absolute_numbers_ask_for_a_value_of_the_s9_correction():
    switch = {
        name: [
            (s.name, s.value)
            for s in load_protocol(f"h36m/{name}").switches
            if s.name == "correct_s9"
        ]
        for name in ("wacv23", "wacv23-s9-corrected", "lifting-p1", "image-p2-step64")
    }
    assert switch == {
        "wacv23": [("correct_s9", False)],
        "wacv23-s9-corrected": [("correct_s9", True)],
        "lifting-p1": [],
        "image-p2-step64": [],
    }
    # why: a displacement of the truth by 200 mm changes absolute errors only
    protocol = load_protocol("h36m/wacv23")
    gt = body(protocol, 4)
    truth = truth_of(protocol, gt, space="world")
    result = evaluate(protocol, predictions_of(truth, gt + [200, 0, 0]), truth)
    assert result["MPJPE"].value == pytest.approx(0, abs=1e-9)
    assert result["PA-MPJPE"].value == pytest.approx(0, abs=1e-9)
    assert result["AMPJPE"].value == pytest.approx(200)
    assert result["APCK@150"].value == 0
    assert result["APCK@300"].value == 100
    assert result["AAUC-real(300)"].value == pytest.approx(100 / 3)


def test_h36m_mmpose_variant_leaves_out_the_displaced_sequences():
    assert load_protocol("h36m/lifting-p1-mmpose").frames.exclude_sequences == (
        "S9/Greeting",
        "S9/SittingDown",
        "S9/Waiting 1",
    )


def test_h36m_velocity_never_crosses_the_border_of_a_recording():
    protocol = load_protocol("h36m/lifting-velocity")
    gt = np.repeat(body(protocol, 1), 4, axis=0)
    pred = gt.copy()
    # a constant offset in each recording: no velocity error inside, a jump in between
    pred[2:, index(protocol, "rwri")[0], 0] += 170
    truth = truth_of(
        protocol,
        gt,
        activity=["Walking"] * 4,
        sequence=["S9/Walking", "S9/Walking", "S9/Walking 1", "S9/Walking 1"],
        frame=[0, 1, 0, 1],
    )
    result = evaluate(protocol, predictions_of(truth, pred), truth)
    assert result["MPJVE"].value == pytest.approx(0, abs=1e-9)


def test_h36m_published_cps_come_in_two_kinds():
    wehrbein, canonpose = (load_protocol(f"h36m/cps-{n}") for n in ("wehrbein", "canonpose"))
    gt = body(wehrbein, 3)
    truth = truth_of(wehrbein, gt)
    assert "spin" not in wehrbein.joints
    assert len(wehrbein.joints) == 16
    for protocol, best, mirrored in ((wehrbein, 299, False), (canonpose, 300, True)):
        result = evaluate(protocol, predictions_of(truth, gt), truth)
        # correct from t = 1 on: 299 steps of one mm, or 300 thresholds
        assert result["CPS"].value == pytest.approx(best)
        flipped = evaluate(protocol, predictions_of(truth, gt * [-1, 1, 1]), truth)
        assert (flipped["CPS"].value == pytest.approx(best)) == mirrored


# --- MPI-INF-3DHP ------------------------------------------------------------------------------


def test_row_91_3dhp_pck_and_auc_by_scene_and_activity():
    protocol = load_protocol("3dhp/official-univ")
    # one of 14 scored joints is off by 149 mm in the first frame, by 151 mm in the second
    gt, pred = shifted_by(protocol, [149.0, 151.0], "lank")
    truth = truth_of(
        protocol,
        gt,
        activity=["Sports", "On Floor"],
        scene=["green screen", "outdoor"],
        sequence=["TS1", "TS5"],
    )
    result = evaluate(protocol, predictions_of(truth, pred), truth)
    assert result["PCK@150"].value == pytest.approx(100 * 27 / 28)
    activity = {c.label: c.value for c in result["PCK@150"].breakdowns["activity"]}
    assert activity == pytest.approx({"Sports": 100.0, "On Floor": 100 * 13 / 14})
    scene = {c.label: c.value for c in result["PCK@150"].breakdowns["scene"]}
    assert scene == pytest.approx({"green screen": 100.0, "outdoor": 100 * 13 / 14})
    # 26 perfect joints pass 30 of 31 thresholds, 149 mm passes one (150), 151 mm none
    assert result["AUC-31"].value == pytest.approx(100 * (27 * 30 - 29) / (28 * 31))
    sequence = {c.label: c.value for c in result["AUC-31"].breakdowns["sequence"]}
    assert sequence["TS5"] == pytest.approx(100 * 13 * 30 / (14 * 31))
    # MPJPE over 17 joints, the root's zero included
    assert result["MPJPE"].value == pytest.approx((149 + 151) / 34)


def test_3dhp_threshold_is_strict_and_unscored_joints_do_not_matter():
    protocol = load_protocol("3dhp/metric")
    gt = body(protocol, 1)
    at = index(protocol, "neck")[0]
    truth = truth_of(protocol, np.round(gt))
    exact = evaluate(protocol, predictions_of(truth, moved(truth.joints, at, [150, 0, 0])), truth)
    assert exact["PCK@150"].value == pytest.approx(100 * 13 / 14)
    other = moved(truth.joints, index(protocol, "spin", "head"), [500, 0, 0])
    result = evaluate(protocol, predictions_of(truth, other), truth)
    assert result["PCK@150"].value == 100
    assert result["AUC-31"].value == pytest.approx(100 * 30 / 31)
    assert result["MPJPE"].value == pytest.approx(1000 / 17)


def test_3dhp_groups_of_the_official_table_and_its_joint_weighted_total():
    protocol = load_protocol("3dhp/official-univ")
    gt = body(protocol, 1)
    truth = truth_of(protocol, gt)
    pred = moved(gt, index(protocol, "htop"), [200, 0, 0])
    pred = moved(pred, index(protocol, "rwri"), [200, 0, 0])
    value = evaluate(protocol, predictions_of(truth, pred), truth)["PCK@150"]
    cells = {cell.label: cell.value for cell in value.breakdowns["joint"]}
    groups = {name: cells[name] for name in protocol.groups}
    assert groups == {"Head": 0, "Neck": 100, "Shoulder": 100, "Elbow": 100, "Wrist": 50,
                      "Hip": 100, "Knee": 100, "Ankle": 100}  # fmt: skip
    weights = [len(members) for members in protocol.groups.values()]
    assert value.value == pytest.approx(np.average(list(groups.values()), weights=weights))


def test_3dhp_universal_and_metric_truth_are_different_protocols():
    assert load_protocol("3dhp/official-univ").target == "joints3d_univ"
    assert load_protocol("3dhp/metric").target == "joints3d"
    assert len(load_protocol("3dhp/wacv23").metrics) == 19
    outdoor = load_protocol("3dhp/wacv23-outdoor").frames.exclude_sequences
    assert outdoor == ("TS1", "TS2", "TS3", "TS4")


# --- CPS, absolute PCK, wrists (MeTRAbs, WACV'23) ----------------------------------------------


def test_row_92_cps_ncps_absolute_pck_and_wrists():
    # one bad joint flips CPS of its pose, and hardly moves PCK
    protocol = load_protocol("h36m/wacv23")
    gt, pred = shifted_by(protocol, [0.0, 0.0, 0.0, 180.0], "rank")
    truth = truth_of(protocol, gt, space="world")
    result = evaluate(protocol, predictions_of(truth, pred), truth)
    assert result["CPS@150"].value == 75
    assert result["CPS@200"].value == 100
    assert result["PCK@150"].value == pytest.approx(100 * 67 / 68)
    assert result["CPS-AUC(200)"].value == pytest.approx(100 * (3 + 0.1) / 4)
    away = predictions_of(truth, pred + [0, 0, 250])
    result = evaluate(protocol, away, truth)
    assert (result["APCK@150"].value, result["APCK@300"].value) == (
        0,
        pytest.approx(100 * (68 - (np.hypot(180, 250) >= 300)) / 68),
    )
    # wrists have scores of their own while training
    training = load_protocol("h36m/metrabs-training")
    gt, pred = shifted_by(training, [0.0, 151.0], "lwri")
    truth = truth_of(training, gt)
    result = evaluate(training, predictions_of(truth, pred), truth)
    assert result["pck_wrists"].value == 75
    assert result["pck"].value == pytest.approx(100 * 33 / 34)
    # NCPS: worst joint after similarity alignment
    assert result["ncps"].value == 100
    wide, far = shifted_by(training, [0.0, 2000.0], "lwri")
    truth = truth_of(training, wide)
    assert evaluate(training, predictions_of(truth, far), truth)["ncps"].value == 50


def test_ncps_leaves_out_a_pose_without_valid_joints():
    protocol = load_protocol("h36m/metrabs-training")
    gt = body(protocol, 2)
    gt[1] = np.nan
    truth = truth_of(protocol, gt)
    pred = np.nan_to_num(gt)
    pred[0, index(protocol, "lwri")[0], 0] += 3000
    result = evaluate(protocol, predictions_of(truth, pred), truth)
    assert result["ncps"].value == 0  # the empty pose does not count as correct
    assert result.counts.n_excluded == 1


# --- 3DPW --------------------------------------------------------------------------------------


def test_row_96_3dpw_two_documented_numbers_for_one_prediction():
    pelvis, midhip = (load_protocol(f"3dpw/14lsp-{name}") for name in ("pelvis", "midhip"))
    gt = body(pelvis, 3)
    # the predicted pelvis alone is off by 30 mm
    pred = moved(gt, index(pelvis, "pelv"), [30, 0, 0])
    truth = truth_of(pelvis, gt)
    given = predictions_of(truth, pred)
    first, second = evaluate(pelvis, given, truth), evaluate(midhip, given, truth)
    assert first["MPJPE"].value == pytest.approx(30)
    assert second["MPJPE"].value == pytest.approx(0, abs=1e-9)
    assert first["PA-MPJPE"].value == pytest.approx(second["PA-MPJPE"].value)
    assert (first["MPJPE"].root, second["MPJPE"].root) == ("pelv", "midpoint of lhip and rhip")
    # and 24 joints give a third number: only the spine is wrong
    all24 = load_protocol("3dpw/24j-test")
    gt = body(all24, 3)
    truth = truth_of(all24, gt)
    result = evaluate(
        all24, predictions_of(truth, moved(gt, index(all24, "spin"), [48, 0, 0])), truth
    )
    assert result["MPJPE"].value == pytest.approx(2)
    assert "spin" not in midhip.joints
    gender = [c.value for c in midhip.choices if c.topic == "gender"]
    assert "neutral" in gender[0]


def test_3dpw_midhip_is_the_hips_not_the_third_and_fourth_joint():
    protocol = load_protocol("3dpw/14lsp-midhip")
    gt = body(protocol, 2)
    truth = truth_of(protocol, gt)
    # knees are wrong by 70 mm: with a root at the knees, 12 others would be wrong as well
    pred = moved(gt, index(protocol, "lkne", "rkne"), [70, 0, 0])
    assert evaluate(protocol, predictions_of(truth, pred), truth)["MPJPE"].value == pytest.approx(
        10
    )


def test_3dpw_regressor_rows_are_named_left_before_right():
    skeleton = load_protocol("3dpw/14lsp-midhip").named_skeleton
    assert skeleton.joints[1:7] == ("lhip", "lkne", "lank", "rhip", "rkne", "rank")
    rows = skeleton.indices(list(load_protocol("3dpw/14lsp-midhip").joints))
    assert list(rows) == [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]


def test_3dpw_pck_is_inclusive_and_both_aucs_exist_under_their_names():
    joints, challenge = load_protocol("3dpw/24j-all"), load_protocol("3dpw/challenge")
    gt = np.round(body(joints, 1))
    at = index(joints, "lwri")[0]
    truth = truth_of(joints, gt)
    result = evaluate(joints, predictions_of(truth, moved(gt, at, [50, 0, 0])), truth)
    assert result["PCK@50 (major)"].value == 100
    assert result["PCK@50"].value == pytest.approx(100 * 23 / 24)  # strict in WACV'23 tables
    coarse = result["AUC-199 coarse (major)"].value
    assert coarse == pytest.approx(100 * (11 * (1 - 0.5 / 50) + 1 - 12.5 / 50) / 12)
    exact = truth_of(
        challenge, gt, rotations=np.broadcast_to(np.eye(3), (1, 24, 3, 3)), sequence=["a"]
    )
    given = predictions_of(
        exact, moved(gt, at, [50, 0, 0]), rotations=np.broadcast_to(np.eye(3), (1, 24, 3, 3))
    )
    # correct from 50 mm on: the curve rises between 49 and 50, area 149.5 of 199
    value = evaluate(challenge, given, exact)["AUC"].value
    assert value == pytest.approx(100 * (11 + 149.5 / 199) / 12)


def test_3dpw_ncps_fits_24_joints_and_looks_at_12():
    protocol = load_protocol("3dpw/24j-all")
    gt = body(protocol, 2)
    truth = truth_of(protocol, gt)
    pred = moved(gt, index(protocol, "lhan"), [100, 0, 0])  # a minor joint
    result = evaluate(protocol, predictions_of(truth, pred), truth)
    assert result["NCPS@50"].value == 100
    distances = joint_distances(pred, gt, align="similarity")  # fitted to all 24
    worst = distances[:, index(protocol, *SMPL24_MAJOR.split())].max(1)
    assert worst.max() < distances.max()
    assert result["NCPS-AUC"].value == pytest.approx(100 * (1 - worst / 300).mean())


def test_3dpw_mesh_errors_use_the_transform_of_the_joints():
    protocol = load_protocol("3dpw/smpl24")
    gt = body(protocol, 2)
    vertices = np.random.default_rng(1).normal(0, 300, (2, 30, 3)) + [0, 0, 4000]
    eye = np.broadcast_to(np.eye(3), (2, 24, 3, 3))
    truth = truth_of(protocol, gt, vertices=vertices, rotations=eye)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    given = predictions_of(
        truth, gt @ quarter.T, vertices=vertices @ quarter.T, rotations=quarter @ eye
    )
    result = evaluate(protocol, given, truth)
    assert result["MPJPE"].value > 100
    assert result["MPJPE-PA"].value == pytest.approx(0, abs=1e-9)
    assert result["MVE-PA"].value == pytest.approx(0, abs=1e-9)
    assert result["MPJAE"].value == pytest.approx(90)
    assert result["MPJAE-PA"].value == pytest.approx(0, abs=1e-5)
    # shifted vertices with correct joints: a fit to the vertices would hide it
    given = predictions_of(truth, gt, vertices=vertices + [7, 0, 0], rotations=eye)
    result = evaluate(protocol, given, truth)
    assert result["MVE-PA"].value == pytest.approx(7)
    assert result["MVE"].value == pytest.approx(7)


def test_3dpw_acceleration_stays_inside_a_track():
    protocol = load_protocol("3dpw/14lsp-midhip-mesh")
    gt = np.repeat(body(protocol, 1), 6, axis=0)
    pred = gt + 100 * np.repeat([0, 1], 3)[:, None, None]
    truth = truth_of(
        protocol,
        gt,
        vertices=gt[:, :5],
        sequence=["a"] * 3 + ["b"] * 3,
        frame=[0, 1, 2] * 2,
    )
    result = evaluate(protocol, predictions_of(truth, pred, vertices=pred[:, :5]), truth)
    assert result["Accel"].value == pytest.approx(0, abs=1e-9)


# --- ASPset-510, 3DOH50K -----------------------------------------------------------------------


def test_aspset_means_per_pose_then_over_poses_with_inclusive_thresholds():
    protocol = load_protocol("aspset/test")
    gt = np.round(body(protocol, 2))
    gt[1, 2:16] = np.nan  # three labelled joints, one of them the root
    pred = np.nan_to_num(gt)
    pred[0, 0, 0] += 150
    pred[1, 0, 0] += 151
    truth = truth_of(protocol, gt)
    result = evaluate(protocol, predictions_of(truth, pred), truth)
    assert result["MPJPE"].value == pytest.approx((150 / 17 + 151 / 3) / 2)
    assert result["PCK@150"].value == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert (protocol.frames.step, protocol.fps) == (5, 10.0)


def test_aspset_reflection_is_punished_by_the_constrained_optimum():
    protocol = load_protocol("aspset/test")
    gt = body(protocol, 4)
    truth = truth_of(protocol, gt)
    result = evaluate(protocol, predictions_of(truth, gt * [-1, 1, 1]), truth)
    assert (
        50
        < result["PA-MPJPE"].value
        < evaluate(protocol, predictions_of(truth, np.zeros_like(gt) + gt[:, :1]), truth)[
            "PA-MPJPE"
        ].value
        + 1e-9
    )


def test_aspset_universal_scale_brings_the_truth_to_910_mm():
    protocol = load_protocol("aspset/universal-scale")
    gt = np.zeros((1, 17, 3))
    skeleton = protocol.named_skeleton
    for name, height in (("lhip", 400), ("rhip", 400), ("pelv", 400), ("spin", 650),
                         ("neck", 855), ("htop", 1100)):  # fmt: skip
        gt[0, skeleton.index(name), 1] = height
    truth = truth_of(protocol, gt)
    # from knee (0) to neck: 400 + 250 + 205 = 855 mm
    scaled = gt * 910 / 855
    result = evaluate(protocol, predictions_of(truth, scaled), truth)
    assert result["AMPJPE"].value == pytest.approx(0, abs=1e-9)
    broken = truth_of(protocol, np.full_like(gt, np.nan))
    with pytest.raises(ProtocolError, match="height"):
        evaluate(protocol, predictions_of(broken, scaled), broken)


def test_3doh_reads_its_own_unit_and_roots_at_the_hips(tmp_path):
    protocol = load_protocol("3doh/test")
    (tmp_path / "testset").mkdir()
    joints = [[float(j), 0.0, 7.0] for j in range(14)]
    entries = {name: {"lsp_joints_3d": joints} for name in ("00002", "00001")}
    (tmp_path / "testset" / "annots.json").write_text(json.dumps(entries))
    truth = load_truth(protocol, tmp_path)
    assert truth.image.tolist() == ["00001", "00002"]
    np.testing.assert_allclose(truth.joints[0, 7], [1000, 0, 1000])
    assert protocol.root == ("lhip", "rhip")
    result = evaluate(protocol, predictions_of(truth, truth.joints + [5, 5, 5]), truth)
    assert result["MPJPE"].value == pytest.approx(0, abs=1e-9)
    with pytest.raises(ProtocolError, match="annots"):
        load_truth(protocol, _empty(tmp_path))


def _empty(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def test_3dhp_raw_files_give_valid_frames_of_the_right_skeleton(tmp_path):
    h5py = pytest.importorskip("h5py")
    protocol = load_protocol("3dhp/official-univ")
    for number in range(1, 7):
        (tmp_path / f"TS{number}").mkdir()
        with h5py.File(tmp_path / f"TS{number}" / "annot_data.mat", "w") as file:
            # as h5py shows what MATLAB stores as [3, 17, 1, T]
            poses = np.arange(4 * 17 * 3, dtype=float).reshape(4, 1, 17, 3)
            file["annot3"], file["univ_annot3"] = poses, poses + 0.5
            file["valid_frame"] = np.array([[1.0], [0], [1], [1]])
            file["activity_annotation"] = np.array([[1.0], [2], [3], [7]])
            for name in file:
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
    truth = load_truth(protocol, tmp_path)
    assert len(truth) == 18
    assert truth.image[:3].tolist() == ["TS1/img_000001", "TS1/img_000003", "TS1/img_000004"]
    assert truth.labels["activity"][:3].tolist() == ["Stand/Walk", "Sit on Chair", "Misc."]
    assert truth.labels["scene"][[0, 8, 17]].tolist() == [
        "green screen",
        "no green screen",
        "outdoor",
    ]
    np.testing.assert_array_equal(truth.joints[1, 1], [2 * 51 + 3.5, 2 * 51 + 4.5, 2 * 51 + 5.5])
    assert any("2929" in note for note in truth.notes)
    outdoor = load_truth(load_protocol("3dhp/wacv23-outdoor"), tmp_path)
    assert set(outdoor.labels["sequence"]) == {"TS5", "TS6"}
