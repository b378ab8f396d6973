import dataclasses
import json
import math
import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.camera import Camera, Lens
from posepile_torch.errors import CameraError
from posepile_torch.rotations import from_quaternion, from_rotvec, to_rotvec

relaxed = settings(deadline=None, max_examples=50)

# Human3.6M, subject 1: focal lengths, principal point | k1 k2 k3, stored tangential pair
# | image height | camera-to-world quaternion wxyz | position | pixel of GOLDEN_POINT.
H36M = """
1145.04944 1143.78113 512.541504 515.451477
-0.207098916 0.247775182 -0.003075150 -0.000975699 -0.001424472
1002 0.1407056451 -0.1500701755 -0.7552407980 0.6223280430
1841.107 4955.285 1563.445 322.054 310.309

1149.67566 1147.59167 508.848633 508.064911
-0.194213629 0.240408540 0.006819976 -0.001619027 -0.002740894
1000 0.6157187819 -0.7648363113 -0.1483382583 0.1179474071
1761.279 -5078.007 1606.265 652.397 284.946

1149.14075 1148.79895 519.815857 501.402649
-0.208338186 0.255488008 -0.002460497 0.001484387 -0.000759999
1000 0.1465147287 -0.1464785188 0.7653023601 -0.6094175577
-1846.778 5215.046 1491.972 534.618 249.153

1145.51135 1144.77393 514.968201 501.882019
-0.198384091 0.218323674 -0.008947807 -0.000587206 -0.001813362
1002 0.5834008455 -0.7853162289 0.1454882324 -0.1474959403
-1794.790 -3722.699 1574.893 721.673 213.889
"""
H36M = [np.array(block.split(), float) for block in H36M.strip().split("\n\n")]
GOLDEN_POINT = [500, -300, 1500]


def h36m_camera(row):
    fx, fy, cx, cy = row[:4]
    return Camera(
        R=from_quaternion(row[10:14]).T,
        t=row[14:17],
        K=[[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
        size=(1000, row[9]),
        lens=Lens.h36m_toolbox(row[4:7], row[7:9]),
    )


def test_h36m_cameras_give_the_known_pixels():
    for row in H36M:
        np.testing.assert_allclose(h36m_camera(row).project(GOLDEN_POINT), row[17:], atol=6e-4)
    np.testing.assert_allclose(
        h36m_camera(H36M[0]).to_camera(GOLDEN_POINT), (-885.65, -954.73, 5265.43), atol=6e-3
    )


LENSES = [
    Lens.none(),
    Lens.brown_conrady((-0.28, 0.09, 0.002, -0.001, 0.01)),
    Lens.brown_conrady((0.5, -0.2, 1e-4, 2e-4, 0.02, 0.8, -0.1, 0.03)),
    Lens.brown_conrady((-0.2, 0.1, 1e-3, 2e-3, 0, 0.1, 0, 0, 2e-3, 1e-3, -1e-3, 5e-4)),
    Lens.brown_conrady((-0.2, 0.1, 1e-3, 2e-3, 0, 0, 0, 0, 1e-3, 0, 1e-3, 0, 0.05, -0.03)),
    Lens.kannala_brandt((-0.02, 0.01, -0.003, 0.0005)),
    Lens.h36m_toolbox((-0.207, 0.248, -0.003), (-0.001, -0.0014)),
]


@st.composite
def cameras(draw, lens=None):
    """A camera anywhere within ten metres, with any orientation and a plausible calibration."""
    number = lambda low, high: draw(st.floats(low, high))  # noqa: E731
    width, height = draw(st.integers(200, 2000)), draw(st.integers(200, 2000))
    focal = number(0.5, 3) * max(width, height)
    return Camera(
        R=from_rotvec([number(-3, 3) for _ in range(3)]),
        t=[number(-1e4, 1e4) for _ in range(3)],
        K=[
            [focal, number(-2, 2), number(0.3, 0.7) * width],
            [0, focal * number(0.9, 1.1), number(0.3, 0.7) * height],
            [0, 0, 1],
        ],
        size=(width, height),
        lens=lens or draw(st.sampled_from(LENSES)),
    )


def pixels_of(camera, count=100, seed=0, margin=0.0):
    """Random pixels of the image whose rays the lens model knows."""
    size = np.array(camera.size)
    pixels = np.random.default_rng(seed).uniform(-margin, 1 + margin, (count, 2)) * size - 0.5
    return pixels[np.isfinite(camera.back_project(pixels)).all(axis=-1)]


def points_of(camera, count=100, seed=0):
    """Random world points, 1 to 20 m away, that the camera sees."""
    pixels = pixels_of(camera, count, seed)
    depths = np.random.default_rng(seed + 1).uniform(1e3, 2e4, len(pixels))
    return camera.to_world(camera.back_project(pixels, depths))


# ---- the published numbers ------------------------------------------------------------------


def test_h36m_formula_differs_from_its_look_alikes_as_measured():
    """The published means over the room are 0.08 px, 0.26 px more when swapped, and 3.3 px."""
    room = np.random.default_rng(0).uniform((-1500, -1500, 0), (1500, 1500, 1800), (4000, 3))
    differences = []
    for row in H36M:
        camera = h36m_camera(row)
        k1, k2, k3, qx, qy = row[4:9]
        right, swapped, bare = (
            dataclasses.replace(camera, lens=lens).project(room)
            for lens in (
                Lens.brown_conrady((k1, k2, qy, qx, k3)),
                Lens.brown_conrady((k1, k2, qx, qy, k3)),
                Lens.none(),
            )
        )
        truth = camera.project(room)
        seen = camera.is_in_view(truth)
        for a, b in ((truth, right), (right, swapped), (truth, bare)):
            differences.append(np.linalg.norm(a - b, axis=-1)[seen].mean())
    formula, order, distortion = np.reshape(differences, (-1, 3)).mean(axis=0)
    assert 0.04 < formula < 0.16
    assert 0.13 < order < 0.52
    assert 1.6 < distortion < 6.6


def test_h36m_lens_covers_the_whole_image_and_stops_where_the_toolbox_clamps():
    camera = h36m_camera(H36M[0])
    corners = np.array([[0, 0], [999, 0], [0, 1001], [999, 1001]])
    assert np.isfinite(camera.back_project(corners)).all()
    assert np.isfinite(camera.project_camera([[0.999, -0.999, 1]])).all()
    assert np.isnan(camera.project_camera([[1.001, 0, 1], [0, -1.001, 1]])).all()


# ---- projection -----------------------------------------------------------------------------


@given(cameras(), st.integers(0, 5))
@relaxed
def test_projection_agrees_with_opencv(camera, seed):
    if camera.lens.model == "h36m-toolbox":
        return
    world = points_of(camera, seed=seed)
    K, skew = camera.K.copy(), camera.K[0, 1]
    K[0, 1] = 0  # cv2.projectPoints ignores it
    rotation = to_rotvec(camera.R)  # cv2.Rodrigues rounds turns below 1e-7 rad to none
    translation = -camera.R @ camera.t
    coefficients = np.array(camera.lens.coefficients)
    if camera.lens.model == "kannala-brandt":
        expected = cv2.fisheye.projectPoints(
            world[:, None], rotation, translation, K, coefficients, alpha=skew / K[0, 0]
        )[0][:, 0]
        skew = 0
    else:
        expected = cv2.projectPoints(world, rotation, translation, K, coefficients)[0][:, 0]
    expected[:, 0] += skew * (expected[:, 1] - K[1, 2]) / K[1, 1]
    np.testing.assert_allclose(camera.project(world), expected, atol=1e-6)


@given(cameras(), st.integers(0, 5))
@relaxed
def test_round_trips(camera, seed):
    pixels = pixels_of(camera, seed=seed, margin=0.2)
    depths = np.random.default_rng(seed).uniform(1, 1e5, len(pixels))
    points = camera.back_project(pixels, depths)
    np.testing.assert_allclose(points[:, 2], depths, rtol=1e-12)
    np.testing.assert_allclose(camera.project_camera(points), pixels, atol=1e-6)
    np.testing.assert_allclose(camera.project(camera.to_world(points)), pixels, atol=1e-6)
    np.testing.assert_allclose(camera.to_camera(camera.to_world(points)), points, atol=1e-6)


def test_pinhole_by_hand():
    camera = Camera(
        R=[[0, -1, 0], [0, 0, -1], [1, 0, 0]],  # looks along the world's x, z is up
        t=[1000, 0, 1500],
        K=[[500, 0, 320], [0, 600, 240], [0, 0, 1]],
        size=(640, 480),
    )
    # Two metres ahead, half a metre to the left, 0.2 m lower.
    np.testing.assert_allclose(camera.to_camera([3000, 500, 1300]), [-500, 200, 2000])
    np.testing.assert_allclose(camera.project([3000, 500, 1300]), [320 - 125, 240 + 60])
    np.testing.assert_allclose(camera.back_project([195, 300]), [-0.25, 0.1, 1])
    np.testing.assert_allclose(camera.to_world([-500, 200, 2000]), [3000, 500, 1300])


def test_points_without_an_image_are_nan_never_wrong():
    for lens in LENSES:
        camera = dataclasses.replace(h36m_camera(H36M[0]), lens=lens)
        points = np.array(
            [[0, 0, -1000], [0, 0, 0], [100, 100, 0], [np.nan, 0, 1000], [0, np.inf, 1000]]
        )
        assert np.isnan(camera.project_camera(points)).all()
        assert np.isnan(camera.back_project([[np.nan, 3.0]])).all()
        assert np.isfinite(camera.project_camera([[0.0, 0.0, 1e-3]])).all()


def test_a_folding_lens_gives_nan_beyond_its_fold():
    camera = Camera.from_fov((1000, 1000), 2.0)
    camera = dataclasses.replace(camera, lens=Lens.brown_conrady((-0.3, 0, 0, 0, 0)))
    radius = camera.lens.valid_radius
    points = np.array([[radius * 0.99, 0, 1], [radius * 1.01, 0, 1], [2, 0, 1]])
    assert np.isfinite(camera.project_camera(points)).all(axis=-1).tolist() == [True, False, False]
    outermost = camera.project_camera([radius, 0, 1])
    assert np.isnan(camera.back_project(outermost + [5, 0])).all()


@pytest.mark.parametrize("shape", [(3,), (0, 3), (4, 3), (2, 5, 3)])
def test_leading_axes_are_kept(shape):
    camera = h36m_camera(H36M[0])
    points = np.ones(shape)
    assert camera.project(points).shape == (*shape[:-1], 2)
    assert camera.to_camera(points).shape == camera.to_world(points).shape == shape
    assert camera.back_project(points[..., :2]).shape == shape
    assert camera.back_project(points[..., :2], points[..., 2]).shape == shape
    assert camera.is_in_view(points[..., :2]).shape == shape[:-1]


def test_view_is_the_area_that_pixels_cover():
    camera = Camera.from_fov((10, 20), 1.0)
    inside = [[-0.5, 0], [9.49, 19.49], [0, -0.5]]
    outside = [[-0.51, 0], [9.5, 0], [0, 19.5], [np.nan, 0], [3, np.nan]]
    assert camera.is_in_view(inside).all()
    assert not camera.is_in_view(outside).any()


def test_world_coordinates_of_ten_thousand_kilometres_keep_their_geometry():
    for row in H36M:
        near = h36m_camera(row)
        offset = np.array([1e7, -1e7, 1e7])
        far = dataclasses.replace(near, t=near.t + offset)
        points = points_of(near)
        np.testing.assert_allclose(far.project(points + offset), near.project(points), atol=1e-6)
        turned_near, turned_far = (
            near.turned_towards(points[0]),
            far.turned_towards(points[0] + offset),
        )
        np.testing.assert_allclose(
            turned_far.project(points + offset), turned_near.project(points), atol=1e-6
        )


# ---- derived cameras ------------------------------------------------------------------------


def up_in_image(camera, world_point):
    """Where world_up points in the image, at the image of a world point."""
    ends = camera.project([world_point, world_point + camera.world_up])
    return (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])


@given(cameras(), st.booleans())
@relaxed
def test_turned_camera_has_its_target_in_the_centre_and_is_level(camera, mirrored):
    if mirrored:
        camera = camera.flipped()
    target = points_of(camera, count=5)[0]
    turned = camera.turned_towards(target)
    np.testing.assert_allclose(turned.project(target), camera.K[:2, 2], atol=1e-6)
    np.testing.assert_allclose(turned.R @ turned.R.T, np.eye(3), atol=1e-12)
    assert turned.is_mirrored == mirrored
    np.testing.assert_array_equal(turned.t, camera.t)
    upright = dataclasses.replace(turned, lens=Lens.none(), K=np.diag([1000, 1000, 1.0]))
    np.testing.assert_allclose(up_in_image(upright, target), [0, -1], atol=1e-3)
    by_pixel = camera.turned_towards(pixel=camera.project(target))
    np.testing.assert_allclose(by_pixel.R, turned.R, atol=1e-9)


def test_turning_keeps_left_and_right():
    camera = Camera.from_fov((100, 100), 1.0)
    assert camera.turned_towards([0, 0, 1000]).project([10, 0, 1000])[0] > 49.5
    mirrored = camera.flipped()
    assert mirrored.turned_towards([0, 0, 1000]).project([10, 0, 1000])[0] < 49.5


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("tilt", [0, 1e-15, 1e-9])
@pytest.mark.parametrize("mirrored", [False, True])
def test_turning_along_the_up_vector_is_safe(sign, tilt, mirrored):
    for rotation in (np.eye(3), from_rotvec([0.3, 1.2, -2]), from_rotvec([math.pi / 2, 0, 0])):
        camera = Camera.from_fov((100, 100), 1.0, R=rotation, world_up=(0, 0, 1))
        if mirrored:
            camera = camera.flipped()
        turned = camera.turned_towards([tilt, 0, sign])
        np.testing.assert_allclose(turned.R @ turned.R.T, np.eye(3), atol=1e-12)
        assert turned.is_mirrored == mirrored
        np.testing.assert_allclose(turned.R[2], [0, 0, sign], atol=1e-8)


def test_turning_without_a_direction_to_keep_still_keeps_the_x_axis_where_it_can():
    camera = Camera.from_fov((100, 100), 1.0)  # its own axes are the world's
    camera = dataclasses.replace(camera, world_up=np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(camera.turned_towards([0, 0, 5]).R, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(camera.flipped().turned_towards([0, 0, 5]).R, np.diag([-1, 1, 1]))


def test_impossible_targets_are_refused():
    camera = h36m_camera(H36M[0])
    for arguments in ({}, {"world_point": [0, 0, 0], "pixel": [0, 0]}):
        with pytest.raises(CameraError, match="one target"):
            camera.turned_towards(**arguments)
    for target in (camera.t, [np.nan, 0, 0], [np.inf, 0, 0], np.ones((2, 3))):
        with pytest.raises(CameraError, match="cannot turn"):
            camera.turned_towards(target)
    folding = dataclasses.replace(camera, lens=Lens.brown_conrady((-0.3, 0, 0, 0, 0)))
    with pytest.raises(CameraError, match="valid region"):
        folding.turned_towards(pixel=[1e4, 0])


@given(cameras(), st.floats(-7, 7))
@relaxed
def test_rolling_turns_content_clockwise_about_the_principal_point(camera, angle):
    camera = dataclasses.replace(camera.undistorted(), K=[[900, 0, 310], [0, 900, 250], [0, 0, 1]])
    points = points_of(camera)
    centre = camera.K[:2, 2]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = (camera.project(points) - centre) @ turn.T + centre
    np.testing.assert_allclose(camera.rolled(angle).project(points), expected, atol=1e-6)


def test_a_quarter_roll_takes_the_right_side_to_the_bottom():
    camera = Camera.from_fov((101, 101), 1.0).rolled(math.pi / 2)
    np.testing.assert_allclose(
        camera.project(Camera.from_fov((101, 101), 1.0).back_project([100, 50])), [50, 100]
    )


@given(cameras())
@relaxed
def test_image_operations_move_pixels_as_documented(camera):
    points = points_of(camera)
    pixels = camera.project(points)
    centre = camera.K[:2, 2]
    width, height = camera.size
    expectations = [
        (camera.zoomed(1.7), (pixels - centre) * 1.7 + centre, (width, height)),
        (camera.shifted(3.5, -7), pixels + [3.5, -7], (width, height)),
        (camera.cropped([10, -20, 50, 70]), pixels - [10, -20], (50, 70)),
        (camera.resized((width * 3, height)), pixels * [3, 1] + [1, 0], (width * 3, height)),
        (camera.flipped(), pixels * [-1, 1] + [width - 1, 0], (width, height)),
        (camera.with_size((7, 8)), pixels, (7, 8)),
    ]
    for other, expected, size in expectations:
        np.testing.assert_allclose(other.project(points), expected, atol=1e-6)
        assert other.size == size
        np.testing.assert_allclose(
            other.back_project(expected),
            other.to_camera(points) / other.to_camera(points)[:, 2:],
            atol=1e-7,
        )


def test_resizing_maps_image_borders_to_image_borders():
    camera = Camera.from_fov((640, 480), 1.0)
    smaller = camera.resized((160, 240))
    rays = camera.back_project([[-0.5, -0.5], [639.5, 479.5]])
    np.testing.assert_allclose(smaller.project_camera(rays), [[-0.5, -0.5], [159.5, 239.5]])


@pytest.mark.parametrize(("divisor", "size"), [(1, (1001, 480)), (2, (501, 240)), (8, (126, 60))])
def test_downscaling_follows_blocks_of_pixels(divisor, size):
    camera = Camera.from_fov((1001, 480), 1.0)
    smaller = camera.downscaled(divisor)
    assert smaller.size == size
    # The first block's centre becomes the first pixel, whatever the size is rounded to.
    middle = (divisor - 1) / 2
    blocks = camera.back_project([[middle, middle], [middle + 5 * divisor, middle]])
    np.testing.assert_allclose(smaller.project_camera(blocks), [[0, 0], [5, 0]], atol=1e-9)


@given(cameras())
@relaxed
def test_flipping_twice_is_nothing_and_mirroring_shows(camera):
    assert not camera.is_mirrored
    assert camera.flipped().is_mirrored
    again = camera.flipped().flipped()
    np.testing.assert_allclose(again.K, camera.K, rtol=1e-14)  # W - 1 - (W - 1 - cx) is rounded
    assert dataclasses.replace(again, K=camera.K) == camera


def test_a_mirrored_real_lens_is_not_the_lens_itself():
    lens = LENSES[4]
    assert lens.mirrored().coefficients[3] == -lens.coefficients[3]  # p2
    assert lens.mirrored().coefficients[2] == lens.coefficients[2]  # p1


def test_square_pixels_centred_and_undistorted():
    camera = dataclasses.replace(h36m_camera(H36M[0]), lens=LENSES[1])
    square = camera.with_square_pixels()
    mean = (camera.K[0, 0] + camera.K[1, 1]) / 2
    np.testing.assert_allclose(square.K[:2, :2], mean * np.eye(2))
    np.testing.assert_array_equal(square.K[:2, 2], camera.K[:2, 2])
    np.testing.assert_array_equal(
        camera.with_centred_principal_point().K[:2, 2], [999 / 2, 1001 / 2]
    )
    assert camera.undistorted().is_pinhole
    assert not camera.is_pinhole
    assert camera.undistorted().lens == Lens.none()


@given(cameras(lens=Lens.none()), st.floats(-0.4, 0.4), st.booleans())
@relaxed
def test_homography_does_what_projection_does(camera, angle, mirrored):
    other = camera.turned_towards(pixel=[30, 40]).rolled(angle).zoomed(1.3).shifted(5, -3)
    if mirrored:
        other = other.flipped()
    points = points_of(camera)
    points = points[other.to_camera(points)[:, 2] > 100]
    pixels = np.concatenate([camera.project(points), np.ones((len(points), 1))], axis=1)
    mapped = pixels @ camera.homography_to(other).T
    assert (mapped[:, 2] > 0).all()
    np.testing.assert_allclose(
        mapped[:, :2] / mapped[:, 2:], other.project(points), rtol=1e-9, atol=1e-6
    )


def test_homographies_between_unfit_cameras_are_refused():
    camera = h36m_camera(H36M[0])
    with pytest.raises(CameraError, match="h36m-toolbox"):
        camera.homography_to(camera.undistorted())
    pinhole = camera.undistorted()
    moved = dataclasses.replace(pinhole, t=pinhole.t + [0, 0.01, 0])
    with pytest.raises(CameraError, match=r"0\.01 mm apart"):
        pinhole.homography_to(moved)
    far = dataclasses.replace(pinhole, t=pinhole.t + 1e9)
    rounded = dataclasses.replace(far, t=np.nextafter(far.t, 0))
    np.testing.assert_allclose(far.homography_to(rounded), np.eye(3), atol=1e-9)


def test_published_rotations_of_few_digits_still_round_trip():
    """R is orthonormal to 1e-4 here: its transpose would be 0.1 px wrong."""
    camera = dataclasses.replace(h36m_camera(H36M[0]), R=np.round(h36m_camera(H36M[0]).R, 4))
    camera.validated()
    points = points_of(camera)
    np.testing.assert_allclose(camera.to_world(camera.to_camera(points)), points, atol=1e-8)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.zoomed(0),
        lambda c: c.zoomed(math.nan),
        lambda c: c.resized((0, 10)),
        lambda c: c.resized((10.5, 10)),
        lambda c: c.with_size((0, 0)),
        lambda c: c.downscaled(0),
        lambda c: c.downscaled(1.5),
        lambda c: c.cropped([0.5, 0, 10, 10]),
        lambda c: c.cropped([0, 0, 10, 0]),
        lambda c: c.cropped([0, 0, np.nan, 10]),
        lambda c: c.cropped([0, 0, 10]),
        lambda c: c.with_size((0, 5)).resized((5, 5)),
        lambda c: Camera.from_fov((10, 10), 0),
        lambda c: Camera.from_fov((10, 10), math.pi),
        lambda c: Camera.from_fov((0, 10), 1),
        lambda c: c.project(np.zeros(2)),
        lambda c: c.back_project(np.zeros(3)),
    ],
)
def test_impossible_changes_are_refused(change):
    with pytest.raises(CameraError, match="rule"):
        change(h36m_camera(H36M[0]))


# ---- construction, storage, identity --------------------------------------------------------


def test_from_extrinsics_takes_the_other_form():
    camera = h36m_camera(H36M[0])
    other = Camera.from_extrinsics(
        R=camera.R, T=-camera.R @ camera.t, K=camera.K, size=camera.size, lens=camera.lens
    )
    np.testing.assert_allclose(other.t, camera.t, atol=1e-7)
    np.testing.assert_allclose(other.project(GOLDEN_POINT), camera.project(GOLDEN_POINT))


def test_from_fov_spans_the_longer_side():
    camera = Camera.from_fov((400, 300), math.radians(60))
    borders = camera.back_project([[-0.5, 149.5], [399.5, 149.5]])
    angles = np.arctan2(borders[:, 0], 1)
    np.testing.assert_allclose(angles, [-math.radians(30), math.radians(30)])
    np.testing.assert_array_equal(camera.world_up, [0, -1, 0])  # level in its own frame
    rotated = Camera.from_fov((400, 300), 1, R=from_rotvec([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(rotated.R @ rotated.world_up, [0, -1, 0], atol=1e-15)


@given(cameras(), st.booleans())
@relaxed
def test_cameras_survive_json_and_pickle_bit_by_bit(camera, mirrored):
    if mirrored:
        camera = camera.flipped()
    for again in (
        Camera.from_dict(json.loads(json.dumps(camera.to_dict()))),
        pickle.loads(pickle.dumps(camera)),
    ):
        assert again == camera
        assert hash(again) == hash(camera)
        assert not again.R.flags.writeable


def test_cameras_cannot_be_changed():
    source = np.eye(3)
    camera = Camera(R=source, t=np.zeros(3), K=np.diag([5, 5, 1.0]), size=(np.int64(4), 4.0))
    source[0, 0] = 7
    assert camera.R[0, 0] == 1
    assert camera.size == (4, 4)
    assert all(type(side) is int for side in camera.size)
    with pytest.raises(ValueError, match="read-only"):
        camera.R[0, 0] = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        camera.t = np.ones(3)
    for name in ("R", "t", "K", "world_up"):
        assert getattr(camera, name).dtype == np.float64


def test_equality_looks_at_values():
    camera = h36m_camera(H36M[0])
    assert camera == h36m_camera(H36M[0])
    assert camera != camera.shifted(1e-9, 0)
    assert camera != camera.undistorted()
    assert camera != "camera"
    assert len({camera, h36m_camera(H36M[0]), camera.flipped()}) == 2


def test_foreign_dictionaries_are_refused():
    data = h36m_camera(H36M[0]).to_dict()
    with pytest.raises(CameraError, match="colour"):
        Camera.from_dict({**data, "colour": "red"})
    del data["size"]
    with pytest.raises(CameraError, match="size"):
        Camera.from_dict(data)
