"""Protocols of meshes, shapes and trajectories against numbers worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from benchmark_toys import body, moved, predictions_of, truth_of

from posepile_torch.errors import PredictionError, ProtocolError
from posepile_torch.evaluate import Predictions, evaluate
from posepile_torch.registry import load_protocol

QUARTER = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


def at(protocol, *names):
    return [protocol.named_skeleton.index(name) for name in names]


def ehf_truth(protocol, n=2):
    """40 vertices: ten per hand, ten of the face, ten of the body."""
    inside = np.zeros((3, n, 40), bool)
    for part in range(3):
        inside[part, :, 10 * part : 10 * part + 10] = True
    vertices = np.random.default_rng(5).normal(0, 300, (n, 40, 3))
    return truth_of(
        protocol,
        body(protocol, n),
        vertices=vertices,
        in_left_hand=inside[0],
        in_right_hand=inside[1],
        in_face=inside[2],
    )


# --- EHF ---------------------------------------------------------------------------------------


def test_ehf_three_alignments_have_three_names():
    pve, pa, rigid = (load_protocol(f"ehf/{name}") for name in ("pve", "pa-v2v", "rigid"))
    truth = ehf_truth(pve)
    vertices = truth.extras["vertices"]
    larger = predictions_of(truth, truth.joints, vertices=1.1 * vertices @ QUARTER.T)
    assert evaluate(pa, larger, truth)["PA-MPVPE all"].value == pytest.approx(0, abs=1e-9)
    remaining = evaluate(rigid, larger, truth)["rigid MPVPE all"].value
    centred = vertices - vertices.mean(1, keepdims=True)
    assert remaining == pytest.approx(0.1 * np.linalg.norm(centred, axis=-1).mean(), rel=1e-6)
    assert evaluate(pve, larger, truth)["MPVPE all"].value > remaining
    assert not any(metric.name.startswith("PA") for metric in rigid.metrics)


def test_ehf_parts_are_aligned_by_themselves_and_hands_are_the_mean_of_both():
    pve, pa = load_protocol("ehf/pve"), load_protocol("ehf/pa-v2v")
    truth = ehf_truth(pve)
    vertices = moved(truth.extras["vertices"], list(range(10)), [12, 0, 0])
    given = predictions_of(truth, truth.joints, vertices=vertices)
    result = evaluate(pve, given, truth)
    assert result["MPVPE left hand"].value == pytest.approx(12)
    assert result["MPVPE right hand"].value == pytest.approx(0, abs=1e-9)
    assert result["MPVPE hands"].value == pytest.approx(6)
    assert result["MPVPE all"].value == pytest.approx(3)
    # a wrist that moves along takes its hand with it
    joints = moved(truth.joints, at(pve, "lwri"), [12, 0, 0])
    result = evaluate(pve, predictions_of(truth, joints, vertices=vertices), truth)
    assert result["MPVPE left hand"].value == pytest.approx(0, abs=1e-9)
    result = evaluate(pa, given, truth)
    assert result["PA-MPVPE left hand"].value == pytest.approx(0, abs=1e-9)
    assert result["PA-MPVPE body"].value == pytest.approx(0, abs=1e-9)
    assert result["PA-MPVPE all"].value > 1


def test_ehf_missing_meshes_and_columns_are_said():
    protocol = load_protocol("ehf/pve")
    truth = ehf_truth(protocol)
    vertices = truth.extras["vertices"].copy()
    vertices[1] = np.nan
    given = predictions_of(truth, truth.joints, vertices=vertices)
    with pytest.raises(PredictionError, match="1 of 2 images"):
        evaluate(protocol, given, truth)
    result = evaluate(protocol, given, truth, on_missing="skip")
    assert (result.counts.n_evaluated, result.counts.n_missing) == (1, 1)
    with pytest.raises(PredictionError, match="vertices"):
        evaluate(protocol, predictions_of(truth, truth.joints), truth)
    bare = dataclasses.replace(
        truth, extras={k: v for k, v in truth.extras.items() if k != "in_face"}
    )
    with pytest.raises(ProtocolError, match="in_face"):
        evaluate(protocol, predictions_of(truth, truth.joints, vertices=bare.extras["vertices"]),
                 bare)  # fmt: skip


# --- SSP-3D ------------------------------------------------------------------------------------


def test_ssp3d_corrects_the_scale_and_has_both_averages_of_overlaps():
    protocol = load_protocol("ssp3d/silhouette")
    vertices = np.random.default_rng(5).normal(0, 300, (2, 40, 3))
    true = np.zeros((2, 4, 10), np.int64)
    true[0, :, :] = 1  # 40 px
    true[1, 0, :] = 1  # 10 px
    drawn = true.copy()
    drawn[1, 0, 5:] = 0  # 5 of 10 px
    truth = truth_of(protocol, body(protocol, 2), vertices=vertices, silhouette=true)
    given = predictions_of(truth, truth.joints, vertices=1.3 * vertices, silhouette=drawn)
    result = evaluate(protocol, given, truth)
    assert result["PVE-T-SC"].value == pytest.approx(0, abs=1e-9)
    assert result["mIoU (pooled)"].value == pytest.approx(45 / 50)
    assert result["mIoU (per image)"].value == pytest.approx((1 + 0.5) / 2)
    shape = load_protocol("ssp3d/shape")
    turned = predictions_of(truth, truth.joints, vertices=vertices @ QUARTER.T)
    assert evaluate(shape, turned, truth)["PVE-T-SC"].value > 100  # nothing is turned


# --- EMDB, RICH --------------------------------------------------------------------------------


def smpl_truth(protocol, joints, **more):
    n = len(joints)
    columns = {
        "vertices": joints[:, :10],
        "rotations": np.broadcast_to(np.eye(3), (n, 24, 3, 3)),
        "sequence": ["a"] * n,
        "frame": np.arange(n),
        "space": protocol.space,
    }
    return truth_of(protocol, joints, **(columns | more))


def predicted(truth, joints, vertices=None):
    return predictions_of(
        truth,
        joints,
        vertices=joints[:, :10] if vertices is None else vertices,
        rotations=truth.extras["rotations"],
    )


def test_emdb1_jitter_is_a_mean_of_sequences_over_24_joints_of_which_9_are_zeroed():
    protocol = load_protocol("emdb1")
    still = body(protocol, 1).repeat(10, axis=0)
    shaking = still.copy()
    # the short sequence has one third difference, of 1 mm
    joint = at(protocol, "lkne")[0]
    shaking[3, joint, 0] += 1.0
    truth = smpl_truth(
        protocol, still, sequence=["a"] * 4 + ["b"] * 6, frame=[*range(4), *range(6)]
    )
    value = evaluate(protocol, predicted(truth, shaking, truth.extras["vertices"]), truth)[
        "Jitter"
    ]
    # sequence a: 1 mm/frame³ * 30³ / 1e4 (units of 10 m/s³) over 24 joints; b: nothing
    assert value.value == pytest.approx(27000 / 1e4 / 24 / 2)
    zeroed = still.copy()
    zeroed[3, at(protocol, "lhan")[0], 0] += 1.0
    value = evaluate(protocol, predicted(truth, zeroed, truth.extras["vertices"]), truth)["Jitter"]
    assert value.value == pytest.approx(0, abs=1e-9)


def test_emdb1_is_relative_to_the_midpoint_of_the_hips():
    protocol = load_protocol("emdb1")
    gt = body(protocol, 4)
    truth = smpl_truth(protocol, gt)
    pred = moved(gt, at(protocol, "pelv"), [24, 0, 0])
    result = evaluate(protocol, predicted(truth, pred, truth.extras["vertices"]), truth)
    assert result["MPJPE"].value == pytest.approx(1)
    assert result["MVE"].value == pytest.approx(0, abs=1e-9)


def test_emdb2_camera_acceleration_is_in_metres_and_without_the_ends():
    protocol = load_protocol("emdb2/camera")
    gt = body(protocol, 1).repeat(6, axis=0)
    truth = smpl_truth(protocol, gt)
    pred = gt.copy()
    pred[0, at(protocol, "lwri")[0], 0] += 240  # seen by the first acceleration only
    result = evaluate(protocol, predicted(truth, pred, truth.extras["vertices"]), truth)
    assert result["Accel"].value == pytest.approx(0, abs=1e-9)
    pred = gt.copy()
    pred[2, at(protocol, "lwri")[0], 0] += 240  # accelerations 0, 1, 2 by 1, -2, 1 times 240
    result = evaluate(protocol, predicted(truth, pred, truth.extras["vertices"]), truth)
    # of the four accelerations the inner two count: (480 + 240) mm / 2 * 900 over 24 joints
    assert result["Accel"].value == pytest.approx(0.36 * 900 / 24)


def test_emdb2_world_errors_forgive_a_drift_by_chunk_and_rte_is_a_share_of_the_path():
    protocol = load_protocol("emdb2")
    n = 120
    walk = body(protocol, 1) + (np.arange(n) * 10.0)[:, None, None] * np.array([1.0, 0, 0])
    vertices = np.zeros((n, 6890, 3), np.float32)
    truth = smpl_truth(protocol, walk, vertices=vertices)
    shifted = walk + [0, 500, 0]
    result = evaluate(protocol, predicted(truth, shifted, vertices), truth)
    for name in ("W-MPJPE", "WA-MPJPE", "RTE", "Foot sliding"):
        assert result[name].value == pytest.approx(0, abs=1e-6)
    # the second chunk alone is displaced: chunks are aligned, the path as a whole is not
    jump = walk.copy()
    jump[100:] += [0, 500, 0]
    result = evaluate(protocol, predicted(truth, jump, vertices), truth)
    assert result["WA-MPJPE"].value == pytest.approx(0, abs=1e-6)
    assert result["RTE"].value > 1
    sliding = vertices.copy()
    sliding[:, 3216, 0] = np.arange(n) * 8.0
    result = evaluate(protocol, predicted(truth, walk, sliding), truth)
    assert result["Foot sliding"].value == pytest.approx(8 / 4)


def test_rich_is_marked_as_a_community_protocol():
    protocol = load_protocol("rich/wham")
    assert "community" in protocol.title
    assert "community" in protocol.choices[0].value


# --- AGORA -------------------------------------------------------------------------------------


def agora_truth(protocol, valid=(True, True, True)):
    gt = body(protocol, 3)
    joints2d = gt[..., :2] / gt[..., 2:] * 1000 + np.array([500, 1500, 2500])[:, None, None]
    return truth_of(
        protocol, gt, image=["a", "a", "a"], person=["0", "1", "2"], vertices=gt[:, :10],
        joints2d=joints2d, valid=np.array(valid), group=["adult", "adult", "kid"],
    )  # fmt: skip


def agora_predictions(truth, rows, joints):
    return Predictions(
        image=truth.image[rows], joints=joints, skeleton=truth.skeleton, space="camera",
        extras={"joints2d": truth.extras["joints2d"][rows], "vertices": joints[:, :10]},
    )  # fmt: skip


def test_agora_divides_errors_of_matched_people_by_f1():
    protocol = load_protocol("agora/smpl")
    truth = agora_truth(protocol)
    joints = moved(truth.joints[[0, 1]], at(protocol, "lwri"), [48, 0, 0])
    result = evaluate(protocol, agora_predictions(truth, [0, 1], joints), truth)
    assert (result["precision"].value, result["recall"].value) == (1, pytest.approx(2 / 3))
    assert result["F1"].value == pytest.approx(0.8)
    assert result["MPJPE body"].value == pytest.approx(2)
    assert result["NMJE body"].value == pytest.approx(2.5)
    assert result.counts.n_missing == 1


def test_agora_tool_rounds_before_it_divides():
    plain, tool = load_protocol("agora/smpl"), load_protocol("agora/smpl-tool")
    truth = agora_truth(plain)
    joints = moved(truth.joints[[0]], at(plain, "lwri"), [50, 0, 0])
    given = agora_predictions(truth, [0], joints)
    exact = evaluate(plain, given, truth)
    assert exact["F1"].value == pytest.approx(0.5)
    assert exact["NMJE body"].value == pytest.approx(50 / 24 / 0.5)
    assert evaluate(tool, given, truth)["NMJE body"].value == pytest.approx(4.2)


def test_agora_people_who_are_not_valid_neither_count_nor_take_a_prediction():
    protocol = load_protocol("agora/smpl")
    truth = agora_truth(protocol, valid=(True, True, False))
    result = evaluate(protocol, agora_predictions(truth, [0, 1], truth.joints[:2]), truth)
    assert (result["F1"].value, result.counts.n_expected) == (1, 2)
