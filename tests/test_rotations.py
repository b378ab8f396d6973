import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import CameraError
from posepile_torch.rotations import from_quaternion, from_rotvec, levelled, to_rotvec

vectors = st.lists(st.floats(-3, 3), min_size=3, max_size=3).map(np.array)


@given(vectors)
@settings(deadline=None, max_examples=100)
def test_rotvec_agrees_with_opencv_and_comes_back(vector):
    rotation = from_rotvec(vector)
    np.testing.assert_allclose(rotation, cv2.Rodrigues(vector)[0], atol=1e-12)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    again = to_rotvec(rotation)
    assert np.linalg.norm(again) <= np.pi + 1e-12
    np.testing.assert_allclose(from_rotvec(again), rotation, atol=1e-12)


@pytest.mark.parametrize("angle", [0, 1e-300, 1e-14, 1e-9, 1e-4, np.pi - 1e-9, np.pi])
def test_rotvec_is_accurate_for_tiny_and_half_turns(angle):
    vector = angle * np.array([0.6, 0.0, 0.8])
    again = to_rotvec(from_rotvec(vector))
    np.testing.assert_allclose(again * np.sign(again[2] or 1), vector, atol=1e-12)


def test_quaternions_by_hand_and_against_rotvec():
    np.testing.assert_allclose(
        from_quaternion([1, 0, 0, 1]), [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-15
    )
    half = 0.35
    axis = np.array([2, -1, 2]) / 3
    quaternion = 7 * np.array([np.cos(half), *(np.sin(half) * axis)])
    np.testing.assert_allclose(from_quaternion(quaternion), from_rotvec(2 * half * axis))


def test_batches_keep_their_shape():
    vectors = np.random.default_rng(0).normal(size=(2, 5, 3))
    rotations = from_rotvec(vectors)
    assert rotations.shape == (2, 5, 3, 3)
    np.testing.assert_allclose(rotations[1, 3], from_rotvec(vectors[1, 3]))
    np.testing.assert_allclose(to_rotvec(rotations)[1, 3], to_rotvec(rotations[1, 3]))
    assert from_quaternion(np.ones((2, 5, 4))).shape == (2, 5, 3, 3)


def test_levelled_axes_by_hand():
    # Looking along x with z up: right is -y, down is -z.
    expected = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    up = np.array([0, 0, 3.0])
    np.testing.assert_allclose(levelled(np.array([5.0, 0, 0]), up, like=np.eye(3)), expected)
    mirrored = levelled(np.array([5.0, 0, 0]), up, like=np.diag([-1.0, 1, 1]))
    np.testing.assert_allclose(mirrored, np.diag([-1, 1, 1]) @ expected)
    # Straight up there is no level: the old x axis stays.
    np.testing.assert_allclose(levelled(up, up, like=np.eye(3)), np.eye(3))


def test_impossible_inputs_are_refused():
    with pytest.raises(CameraError, match="reflection"):
        to_rotvec(np.diag([-1.0, 1, 1]))
    with pytest.raises(CameraError, match=r"\(3, 4\)"):
        from_rotvec(np.ones((3, 4)))
    with pytest.raises(CameraError, match="zero"):
        from_quaternion([0, 0, 0, 0])
    with pytest.raises(CameraError, match="shape"):
        to_rotvec(np.ones(3))
