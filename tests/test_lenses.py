import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import CameraError
from posepile_torch.lens_maths import MAX_LOCAL_SCALE, MIN_LOCAL_SCALE
from posepile_torch.lenses import LENS_MODELS, Lens

FOCAL_PX = 1500
relaxed = settings(deadline=None, max_examples=60)


def _numbers(*limits):
    return st.tuples(*(st.floats(-limit, limit) for limit in limits))


# As strong as real calibrations get, and stronger: many of these fold inside a wide image.
BROWN = (0.5, 0.5, 0.02, 0.02, 0.3, 0.5, 0.5, 0.3, 0.02, 0.02, 0.02, 0.02, 0.2, 0.2)
brown_lenses = st.sampled_from([5, 8, 12, 14]).flatmap(
    lambda count: _numbers(*BROWN[:count]).map(Lens.brown_conrady)
)
fisheye_lenses = _numbers(0.3, 0.1, 0.05, 0.02).map(Lens.kannala_brandt)
toolbox_lenses = _numbers(0.5, 0.5, 0.3, 0.02, 0.02).map(lambda c: Lens.h36m_toolbox(c[:3], c[3:]))
lenses = st.one_of(brown_lenses, fisheye_lenses, toolbox_lenses)


def points_in_disk(radius, count=200, seed=0):
    rng = np.random.default_rng(seed)
    r = radius * np.sqrt(rng.uniform(0, 1, count))
    angle = rng.uniform(0, 2 * np.pi, count)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)


def wide(lens):
    """A radius that covers the valid region and more, or a wide image."""
    return min(lens.valid_radius, 3.0)


@given(brown_lenses)
@relaxed
def test_brown_conrady_agrees_with_opencv(lens):
    ideal = points_in_disk(wide(lens))
    ideal = ideal[lens.is_valid(ideal)]
    rays = np.concatenate([ideal, np.ones((len(ideal), 1))], axis=1)
    expected = cv2.projectPoints(
        rays, np.zeros(3), np.zeros(3), np.eye(3), np.array(lens.coefficients)
    )[0]
    np.testing.assert_allclose(
        FOCAL_PX * lens.distort(ideal), FOCAL_PX * expected[:, 0], rtol=1e-9, atol=1e-7
    )


@given(fisheye_lenses)
@relaxed
def test_kannala_brandt_agrees_with_opencv(lens):
    ideal = points_in_disk(min(lens.valid_radius, 20.0))
    rays = np.concatenate([ideal, np.ones((len(ideal), 1))], axis=1)[:, None]
    expected = cv2.fisheye.projectPoints(
        rays, np.zeros(3), np.zeros(3), np.eye(3), np.array(lens.coefficients)
    )[0]
    np.testing.assert_allclose(
        FOCAL_PX * lens.distort(ideal), FOCAL_PX * expected[:, 0], rtol=1e-9, atol=1e-7
    )


@given(toolbox_lenses)
@relaxed
def test_toolbox_model_follows_its_published_formula(lens):
    ideal = points_in_disk(1.5, seed=1)
    k, q = np.array(lens.coefficients[:3]), np.array(lens.coefficients[3:])
    clamped = np.clip(ideal, -1, 1)
    s = np.sum(clamped**2, axis=-1, keepdims=True)
    factor = 1 + k[0] * s + k[1] * s**2 + k[2] * s**3 + (clamped @ q)[:, None]
    expected = clamped * factor + q * s
    distorted = lens.distort(ideal)
    valid = np.isfinite(distorted).all(axis=-1)
    np.testing.assert_allclose(distorted[valid], expected[valid], atol=1e-12)
    # Where the published formula clamps, it maps many rays to one point: no value is given there.
    assert not valid[(np.abs(ideal) > 1).any(axis=-1)].any()


def test_toolbox_cross_term_has_no_factor_two():
    lens = Lens.h36m_toolbox((0, 0, 0), (0.01, -0.02))
    opencv = Lens.brown_conrady((0, 0, -0.02, 0.01, 0))
    point = np.array([0.3, -0.2])
    # They differ by one more x (q.u) in OpenCV.
    np.testing.assert_allclose(
        opencv.distort(point) - lens.distort(point), point * (point @ [0.01, -0.02])
    )


@given(lenses, st.integers(0, 10))
@relaxed
def test_round_trips_inside_the_valid_region(lens, seed):
    ideal = points_in_disk(0.999 * wide(lens), seed=seed)
    ideal = ideal[lens.is_valid(ideal)]
    distorted = lens.distort(ideal)
    again = lens.undistort(distorted)
    assert np.isfinite(again).all()
    assert FOCAL_PX * np.abs(lens.distort(again) - distorted).max(initial=0) < 1e-6
    assert FOCAL_PX * np.abs(again - ideal).max(initial=0) < 1e-6


@given(lenses, st.integers(0, 10))
@relaxed
def test_undistort_never_invents_a_point(lens, seed):
    distorted = points_in_disk(3.0, seed=seed)
    ideal = lens.undistort(distorted)
    found = np.isfinite(ideal).all(axis=-1)
    assert lens.is_valid(ideal[found]).all()
    np.testing.assert_allclose(lens.distort(ideal[found]), distorted[found], atol=1e-10)
    assert np.isnan(ideal[~found]).all()


@given(lenses)
@relaxed
def test_outside_the_valid_radius_there_is_nothing(lens):
    if math.isinf(lens.valid_radius):
        return
    ideal = points_in_disk(1.0)
    ideal *= (lens.valid_radius * 1.001 / np.linalg.norm(ideal, axis=-1))[:, None]
    assert np.isnan(lens.distort(ideal)).all()
    assert np.isnan(lens.jacobian(ideal)).all()
    assert not lens.is_valid(ideal).any()


@given(st.one_of(brown_lenses, toolbox_lenses))
@relaxed
def test_inside_the_valid_radius_the_map_does_not_fold(lens):
    if len(lens.coefficients) == 14:
        lens = Lens.brown_conrady(lens.coefficients[:12])  # the tilt is one-to-one by itself
    jacobian = lens.jacobian(points_in_disk(wide(lens), count=2000))
    jacobian = jacobian[np.isfinite(jacobian).all(axis=(-1, -2))]
    smallest = np.linalg.eigvalsh((jacobian + np.swapaxes(jacobian, -1, -2)) / 2)[..., 0]
    assert (smallest >= MIN_LOCAL_SCALE - 1e-9).all()  # strictly monotone, hence one-to-one


@given(st.one_of(st.builds(Lens.brown_conrady, _numbers(0.5, 0.5, 0, 0, 0.3)), fisheye_lenses))
@relaxed
def test_valid_radius_reaches_the_fold(lens):
    """For radial lenses the bound is exact: one percent further out the lens has folded."""
    radius = lens.valid_radius
    if radius >= 1e6:
        return
    rim = [radius * (1 - 1e-9), 0.0]
    scales = [lens.jacobian(rim)[0, 0], lens.distort(rim)[0] / radius]
    if lens.model == "kannala-brandt":
        scales = [scales[0] * (1 + radius**2)]  # the derivative by the angle
    at_fold = min(scales) == pytest.approx(MIN_LOCAL_SCALE, abs=1e-4)
    assert at_fold or max(scales) == pytest.approx(MAX_LOCAL_SCALE, rel=1e-4)


def test_valid_radius_by_hand():
    # f(r) = r (1 + k r^2) has the slope 1 + 3 k r^2.
    lens = Lens.brown_conrady((-0.3, 0, 0, 0, 0))
    assert lens.valid_radius == pytest.approx(math.sqrt((1 - MIN_LOCAL_SCALE) / 0.9))
    assert math.isinf(Lens.none().valid_radius)
    # A lens that magnifies a hundredfold is no lens either: 1 + 3 k r^2 = 100.
    strong = Lens.brown_conrady((0.3, 0, 0, 0, 0))
    assert strong.valid_radius == pytest.approx(math.sqrt((MAX_LOCAL_SCALE - 1) / 0.9))
    assert math.isinf(Lens.kannala_brandt((0, 0, 0, 0)).valid_radius)
    # theta (1 + k theta^2) folds at theta^2 = -1 / (3 k), here within one percent.
    assert math.atan(Lens.kannala_brandt((-1 / 3, 0, 0, 0)).valid_radius) == pytest.approx(
        math.sqrt(1 - MIN_LOCAL_SCALE)
    )


def test_a_point_past_the_fold_has_no_image_although_the_formula_has_one():
    lens = Lens.brown_conrady((-0.3, 0, 0, 0, 0))
    past_the_fold = np.array([1.5, 0.0])
    folded = past_the_fold * (1 - 0.3 * 1.5**2)  # what the formula says: a pixel near the centre
    assert np.isnan(lens.distort(past_the_fold)).all()
    np.testing.assert_allclose(lens.distort(lens.undistort(folded)), folded, atol=1e-15)
    assert np.hypot(*lens.undistort(folded)) < lens.valid_radius


@given(lenses)
@relaxed
def test_jacobian_is_the_derivative(lens):
    ideal = points_in_disk(0.9 * min(wide(lens), 1.0), count=50)
    step = 1e-6
    differences = [
        (lens.distort(ideal + offset) - lens.distort(ideal - offset)) / (2 * step)
        for offset in np.eye(2) * step
    ]
    expected = np.stack(differences, axis=-1)
    known = np.isfinite(expected).all(axis=(-1, -2))
    np.testing.assert_allclose(lens.jacobian(ideal)[known], expected[known], atol=2e-7)


@pytest.mark.parametrize("scale", [0, 1e-12, 1e-6, 1e-4, 1e-3])
def test_fisheye_is_smooth_at_the_centre(scale):
    lens = Lens.kannala_brandt((0.1, -0.05, 0.02, 0.01))
    point = np.array([0.6, 0.8]) * scale
    curvature = 0.1 - 1 / 3
    np.testing.assert_allclose(lens.distort(point), point * (1 + curvature * scale**2), atol=1e-14)
    np.testing.assert_allclose(
        lens.jacobian(point),
        (1 + curvature * scale**2) * np.eye(2) + 2 * curvature * np.outer(point, point),
        atol=1e-11,
    )
    np.testing.assert_allclose(lens.undistort(lens.distort(point)), point, atol=1e-15)


@given(lenses, st.integers(0, 10))
@relaxed
def test_mirrored_lens_distorts_the_mirrored_point(lens, seed):
    ideal = points_in_disk(wide(lens), seed=seed)
    mirror = np.array([-1.0, 1.0])
    np.testing.assert_allclose(
        lens.mirrored().distort(ideal * mirror), lens.distort(ideal) * mirror, atol=1e-12
    )
    assert lens.mirrored().mirrored() == lens


def test_shapes_nans_and_identity():
    lens = Lens.brown_conrady((0.1, 0, 0.01, 0, 0))
    assert lens.distort(np.zeros((0, 2))).shape == (0, 2)
    assert lens.undistort(np.zeros((0, 2))).shape == (0, 2)
    assert lens.jacobian(np.zeros((3, 4, 2))).shape == (3, 4, 2, 2)
    points = np.array([[np.nan, 0.1], [0.1, np.inf], [0.1, 0.2]])
    for model in (lens, Lens.kannala_brandt((0.1, 0, 0, 0)), Lens.h36m_toolbox([0.1] * 3, [0, 0])):
        assert model.is_valid(points).tolist() == [False, False, True]
        assert np.isnan(model.undistort(points)[:2]).all()
    for identity in (Lens.none(), Lens.brown_conrady(np.zeros(8))):
        assert identity.is_ideal
        np.testing.assert_array_equal(identity.distort(points), points)
        np.testing.assert_array_equal(identity.jacobian([0.3, 0.4]), np.eye(2))
    assert not Lens.kannala_brandt(np.zeros(4)).is_ideal
    inside = points_in_disk(1.0)
    np.testing.assert_allclose(Lens.h36m_toolbox([0] * 3, [0, 0]).undistort(inside), inside)


@pytest.mark.parametrize("model", [*LENS_MODELS, "fisheye"])
@pytest.mark.parametrize("count", [0, 2, 4, 5, 7, 8, 12, 14])
def test_only_known_numbers_of_coefficients_pass(model, count):
    if count in LENS_MODELS.get(model, ()):
        assert Lens.from_dict(Lens(model, (0.01,) * count).to_dict()).model == model
        return
    with pytest.raises(CameraError) as caught:
        Lens(model, (0.01,) * count)
    for known in LENS_MODELS:
        assert known in str(caught.value)
    assert "5, 8, 12, 14" in str(caught.value)


def test_four_coefficients_are_never_guessed():
    with pytest.raises(CameraError, match="append k3 = 0"):
        Lens.brown_conrady((0.1, 0.1, 0, 0))


@pytest.mark.parametrize("values", [(0.1, math.nan, 0, 0, 0), (math.inf, 0, 0, 0, 0)])
def test_infinite_coefficients_are_refused(values):
    with pytest.raises(CameraError, match="finite"):
        Lens.brown_conrady(values)


@pytest.mark.parametrize("values", [None, "abc", [[1, 2], [3]], 5.0])
def test_things_that_are_no_coefficients_are_refused(values):
    with pytest.raises(CameraError, match="numbers"):
        Lens.brown_conrady(values)


def test_opencv_array_shapes_are_flattened():
    assert Lens.brown_conrady(np.zeros((1, 5))) == Lens("brown-conrady", (0.0,) * 5)


def test_points_of_wrong_shape_and_foreign_dictionaries_are_refused():
    with pytest.raises(CameraError, match=r"\(3,\)"):
        Lens.none().distort(np.zeros(3))
    with pytest.raises(CameraError, match="keys"):
        Lens.from_dict({"model": "none"})
