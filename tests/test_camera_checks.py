import dataclasses

import numpy as np
import pytest

from posepile_torch.camera import Camera, Lens
from posepile_torch.camera_checks import compare_with_evidence
from posepile_torch.errors import CameraError
from posepile_torch.rotations import from_quaternion


def real_camera():
    """The first camera of Human3.6M's subject 1."""
    return Camera(
        R=from_quaternion([0.1407056451, -0.1500701755, -0.7552407980, 0.6223280430]).T,
        t=[1841.107, 4955.285, 1563.445],
        K=[[1145.04944, 0, 512.541504], [0, 1143.78113, 515.451477], [0, 0, 1]],
        size=(1000, 1002),
        lens=Lens.h36m_toolbox((-0.207098916, 0.247775182, -0.003), (-0.0009757, -0.0014245)),
    )


def points_of(camera, count):
    """Random world points, 1 to 20 m away, that the camera sees."""
    rng = np.random.default_rng(0)
    rays = camera.back_project(rng.uniform(0, camera.size, (count, 2)))
    return camera.to_world(rays * rng.uniform(1e3, 2e4, (count, 1)))


# ---- the gate -------------------------------------------------------------------------------


def broken(**changes):
    return dataclasses.replace(real_camera(), **changes)


def K_with(**entries):
    K = real_camera().K.copy()
    for place, value in entries.items():
        K[int(place[1]), int(place[2])] = value
    return K


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        (lambda: broken(K=K_with(_00=0)), "focal lengths"),
        (lambda: broken(K=K_with(_11=-1145)), "focal lengths"),
        (lambda: broken(K=K_with(_00=np.nan)), "finite"),
        (lambda: broken(K=K_with(_02=np.inf)), "finite"),
        (lambda: broken(t=[0, np.nan, 0]), "finite"),
        (lambda: broken(world_up=[0, 0, 0]), "world_up"),
        (lambda: broken(K=K_with(_22=2)), "divide K"),
        (lambda: broken(K=K_with(_10=3)), "K is"),
        (lambda: broken(K=K_with().T), "transposed"),
        (lambda: broken(R=real_camera().R * 1.001), "not a rotation"),
        (lambda: broken(R=np.zeros((3, 3))), "not a rotation"),
        (lambda: broken(R=np.diag([-1, 1, 1.0])), "reflection"),
        (lambda: broken(size=(0, 0)), "with_size"),
        (lambda: broken(size=(1000, 204)), "principal point"),
        (lambda: broken(K=K_with(_02=1501)), "principal point"),
        (lambda: broken(K=K_with(_12=-503)), "principal point"),
    ],
)
def test_the_gate_refuses_and_says_where(camera, message):
    with pytest.raises(CameraError, match=message) as caught:
        camera().validated(where="h36m S1 54138969")
    assert "h36m S1 54138969" in str(caught.value)
    assert caught.value.rule
    assert caught.value.fix


def test_the_gate_passes_real_cameras_and_documented_mirrors():
    camera = real_camera()
    assert camera.validated(where="S1") is camera
    broken(K=K_with(_10=1e-14)).validated()
    assert camera.flipped().validated(allow_mirror=True).is_mirrored
    with pytest.raises(CameraError, match="allow_mirror"):
        camera.flipped().validated()


@pytest.mark.parametrize("name", ["R", "t", "K"])
@pytest.mark.parametrize("value", [None, [], [[1, 2], [3]], "none", {}, np.eye(4)])
def test_missing_matrices_are_refused_by_name(name, value):
    camera = real_camera()
    with pytest.raises(CameraError, match=f"{name} is"):
        dataclasses.replace(camera, **{name: value})


@pytest.mark.parametrize("size", [None, 5, (1, 2, 3), (1.5, 2), (np.nan, 1), (np.inf, 1), "ab"])
def test_sizes_that_are_none_are_refused(size):
    with pytest.raises(CameraError, match="image size"):
        broken(size=size)


def test_bare_coefficients_are_no_lens():
    with pytest.raises(CameraError, match="never guessed"):
        broken(lens=(0.1, 0.2, 0, 0))


def test_a_singular_matrix_is_reported_when_it_is_needed():
    with pytest.raises(CameraError, match="K has no inverse"):
        broken(K=np.zeros((3, 3))).back_project([1, 2])


# ---- evidence -------------------------------------------------------------------------------


def mistakes():
    true = real_camera()
    T = -true.R @ true.t
    flip = np.diag
    return {
        "R looks transposed: pass R.T": {"R": true.R.T},
        "t looks like T": {"t": T},
        "R looks transposed and t looks like T": {"R": true.R.T, "t": T},
        "OpenGL": {"R": flip([1.0, -1, -1]) @ true.R},
        "other way": {"R": flip([-1.0, 1, -1]) @ true.R},
        "upside down": {"R": flip([-1.0, -1, 1]) @ true.R},
        "mirrored": {"R": flip([-1.0, 1, 1]) @ true.R},
        "t looks like metres": {"t": true.t / 1000},
    }


@pytest.mark.parametrize("explanation", mistakes())
def test_common_mistakes_are_recognised_from_labelled_points(explanation):
    true = real_camera()
    world = points_of(true, count=20)
    pixels = true.project(world)
    true.validated(evidence=(world, pixels))
    wrong = dataclasses.replace(true, **mistakes()[explanation])
    with pytest.raises(CameraError, match=explanation) as caught:
        wrong.validated(where="S1", allow_mirror=True, evidence=(world, pixels))
    assert "S1" in str(caught.value)


def test_points_in_metres_are_recognised():
    true = real_camera()
    world = points_of(true, count=20)
    with pytest.raises(CameraError, match="points look like metres"):
        true.validated(evidence=(world / 1000, true.project(world)))


def test_noise_gaps_and_unexplained_differences():
    true = real_camera()
    rng = np.random.default_rng(0)
    world = points_of(true, count=50)
    pixels = true.project(world) + rng.normal(0, 5, (50, 2))
    world[3], pixels[4] = np.nan, np.nan
    true.validated(evidence=(world, pixels))
    report = compare_with_evidence(true, world, pixels)
    assert (report.pairs, report.behind, report.outside_lens, report.hint) == (48, 0, 0, None)
    assert 4 < report.median_px < 8
    with pytest.raises(CameraError, match="compare units"):
        true.validated(evidence=(world, rng.permutation(pixels)))


def test_joints_behind_the_camera_are_reported():
    true = real_camera()
    world = points_of(true, count=10)
    behind = 2 * true.t - world
    with pytest.raises(CameraError, match="all 10 points lie behind"):
        true.validated(evidence=(behind, np.zeros((10, 2))))
    fold = dataclasses.replace(true, lens=Lens.brown_conrady((-30, 0, 0, 0, 0)))
    with pytest.raises(CameraError, match="outside the valid region"):
        fold.validated(evidence=(world, true.project(world)))


def test_useless_evidence_is_refused():
    camera = real_camera()
    with pytest.raises(CameraError, match="no pair"):
        camera.validated(evidence=(np.full((3, 3), np.nan), np.zeros((3, 2))))
    with pytest.raises(CameraError, match="shapes"):
        camera.validated(evidence=(np.zeros((3, 3)), np.zeros((2, 2))))
