"""MPJAE by hand."""

import math

import numpy as np
import pytest
import torch

from posepile_torch.errors import MetricError
from posepile_torch.metrics import (
    SMPL24_ORIENTATION_JOINTS,
    global_rotations,
    mpjae,
    rigid_alignment,
    rotation_angles_rad,
    similarity_alignment,
)


def about_z(angle):
    c, s = np.cos(angle), np.sin(angle)
    zero, one = np.zeros_like(c), np.ones_like(c)
    return np.stack(
        [np.stack([c, -s, zero], -1), np.stack([s, c, zero], -1), np.stack([zero, zero, one], -1)],
        -2,
    )


IDENTITY = np.broadcast_to(np.eye(3), (5, 3, 3))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 0.5, 3.0, math.pi])
def test_angles_keep_their_digits(angle):
    got = rotation_angles_rad(about_z(np.array(angle)), np.eye(3))
    assert got == pytest.approx(angle, rel=1e-7, abs=1e-16)


def test_mean_angle_in_degrees():
    pred = about_z(np.array([0.0, 0.1, -0.2, 0.3, 1.0]))
    assert mpjae(pred, IDENTITY) == pytest.approx(math.degrees(1.6 / 5))
    assert mpjae(pred, IDENTITY, joints=[1, 2]) == pytest.approx(math.degrees(0.15))
    np.testing.assert_allclose(
        mpjae(pred, IDENTITY, reduce="none"), np.degrees([0, 0.1, 0.2, 0.3, 1]), atol=1e-12
    )
    mask = np.array([True, True, False, False, False])
    assert mpjae(pred, IDENTITY, mask=mask) == pytest.approx(math.degrees(0.05))
    assert len(SMPL24_ORIENTATION_JOINTS) == 9


def test_aligned_angle_uses_the_rotation_of_the_pose():
    # The whole prediction is turned by 0.7 rad: positions and rotations alike.
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(3, 24, 3)) * 300
    turn = about_z(np.array(0.7))
    gt = about_z(rng.uniform(-1, 1, (3, 24)))
    pred = turn @ gt
    found = similarity_alignment(joints @ turn.T, joints)
    assert mpjae(pred, gt) == pytest.approx(math.degrees(0.7))
    assert mpjae(pred, gt, alignment=found) == pytest.approx(0, abs=1e-9)
    assert mpjae(pred, gt, alignment=rigid_alignment(joints @ turn.T, joints)) == pytest.approx(
        0, abs=1e-9
    )
    np.testing.assert_allclose(found.rotate(pred), gt, atol=1e-12)
    mask = np.ones((3, 24), bool)
    mask[1, 2:] = False
    partial = similarity_alignment(joints @ turn.T, joints, mask=mask)
    per_sample = mpjae(pred, gt, alignment=partial, reduce="sample")
    assert np.isnan(per_sample).tolist() == [False, True, False]


def test_global_rotations_chain_from_the_root():
    angles = np.array([0.1, 0.2, 0.3, 0.4])
    parents = (-1, 0, 1, 0)
    got = global_rotations(about_z(angles), parents)
    np.testing.assert_allclose(got, about_z(np.array([0.1, 0.3, 0.6, 0.5])), atol=1e-12)
    tensor = global_rotations(torch.from_numpy(about_z(angles))[None], parents)
    assert tensor.shape == (1, 4, 3, 3)
    with pytest.raises(MetricError, match="parent"):
        global_rotations(about_z(angles), (-1, 2, 0, 0))


def test_missing_rotations_follow_the_policy():
    pred = about_z(np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    pred[2] = np.nan
    with pytest.raises(MetricError, match="no finite prediction"):
        mpjae(pred, IDENTITY)
    got = mpjae(pred, IDENTITY, on_missing="skip")
    assert got == pytest.approx(math.degrees(0.3))


def test_what_is_no_rotation_is_refused():
    with pytest.raises(MetricError, match="1 predicted matrices"):
        mpjae(IDENTITY * np.array([1, 1, 2, 1, 1.0])[:, None, None], IDENTITY)
    with pytest.raises(MetricError, match="true matrices"):
        mpjae(IDENTITY, IDENTITY * [1, 1, -1])
    with pytest.raises(MetricError, match="shape"):
        mpjae(np.zeros((5, 3)), np.zeros((5, 3)))
    with pytest.raises(MetricError):
        rotation_angles_rad(np.zeros(3), np.zeros(3))
    found = similarity_alignment(
        np.random.default_rng(0).normal(size=(2, 5, 3)), np.ones((2, 5, 3))
    )
    with pytest.raises(MetricError, match="one transform per pose"):
        mpjae(IDENTITY, IDENTITY, alignment=found)
    # float32 rotations of a network pass
    assert mpjae(IDENTITY.astype(np.float32), IDENTITY) == 0
