"""Mirroring: every function undoes itself, and all of them agree with the mirrored camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toy_crops

from posepile_torch import skeletons
from posepile_torch.camera import Camera, Lens
from posepile_torch.errors import RecipeError
from posepile_torch.transforms import flip, heatmaps
from posepile_torch.transforms.families import HeatmapNumbers

SKELETON = skeletons.get("coco_17")
MIRROR = SKELETON.mirror
RANDOM = np.random.default_rng(0)

CASES = {
    "images": (flip.flipped_images, (2, 3, 8, 10), ()),
    "points": (flip.flipped_points, (2, 17, 2), (10, MIRROR)),
    "joints3d": (flip.flipped_joints3d, (2, 17, 3), (MIRROR,)),
    "flags": (flip.flipped_flags, (2, 17), (MIRROR,)),
    "heatmaps": (flip.flipped_maps, (2, 17, 8, 10), (MIRROR,)),
    "offsets": (flip.flipped_offsets, (2, 17, 2, 8, 10), (MIRROR,)),
    "intrinsics": (flip.flipped_intrinsics, (2, 3, 3), (10,)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("is_torch", [False, True], ids=["numpy", "torch"])
def test_row_58_unflipping_undoes_flipping(name, is_torch):
    function, shape, arguments = CASES[name]
    values = RANDOM.normal(size=shape)
    given = torch.from_numpy(values) if is_torch else values
    before = values.copy()
    there = function(given, *arguments)
    back = function(there, *arguments)
    assert type(back) is type(given)
    np.testing.assert_allclose(np.asarray(back), before, atol=1e-12)
    np.testing.assert_array_equal(np.asarray(given), before)  # nothing was changed in place
    assert np.abs(np.asarray(there) - before).max() > 0.01
    other = function(torch.from_numpy(before), *arguments)
    np.testing.assert_allclose(np.asarray(there), np.asarray(other), atol=1e-12)


@pytest.mark.parametrize("model", ["none", "brown-conrady"])
def test_row_58_projection_commutes_with_flipping(model):
    lens = Lens.none()
    if model == "brown-conrady":  # with a sideways (x tangential) term
        lens = Lens("brown-conrady", (-0.2, 0.05, 0.001, 0.004, 0.0))
    K = np.array([[400.0, 2.0, 180.0], [0, 410.0, 140.0], [0, 0, 1]])
    camera = Camera(R=np.eye(3), t=np.zeros(3), K=K, size=(400, 300), lens=lens)
    joints = RANDOM.normal(0, 300, (17, 3)) + (0, 0, 3000)
    mirrored = camera.flipped()
    expected = flip.flipped_points(camera.project_camera(joints), 400, MIRROR)
    found = mirrored.project_camera(flip.flipped_joints3d(joints, MIRROR))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(flip.flipped_intrinsics(K, 400), mirrored.K)


def test_row_58_heatmaps_of_flipped_points_are_flipped_heatmaps():
    numbers = HeatmapNumbers(size=(48, 64))
    points = RANDOM.uniform(0, 190, (17, 2))
    known = np.ones(17, bool)

    def draw(places):
        on_grid = heatmaps.to_grid(places, (192, 256), numbers)
        return heatmaps.drawn_heatmaps(on_grid, known, numbers)

    np.testing.assert_allclose(
        draw(flip.flipped_points(points, 192, MIRROR)),
        flip.flipped_maps(draw(points), MIRROR),
        atol=1e-6,
    )


def test_row_58_offsets_of_flipped_points_are_flipped_offsets():
    from posepile_torch.transforms.targets import offset_maps

    points, known = RANDOM.uniform(5, 25, (17, 2)), np.ones(17, bool)
    there, _ = offset_maps(points, known, map_size=(30, 30), radius=4.0)
    mirrored, _ = offset_maps(
        flip.flipped_points(points, 30, MIRROR), known, map_size=(30, 30), radius=4.0
    )
    np.testing.assert_allclose(flip.flipped_offsets(there, MIRROR), mirrored, atol=1e-5)


def test_left_and_right_trade_places():
    left, right = SKELETON.index("lwri"), SKELETON.index("rwri")
    points = np.zeros((17, 2))
    points[left] = (3, 7)
    flipped = flip.flipped_points(points, 10, MIRROR)
    assert flipped[right].tolist() == [6, 7]
    maps = np.zeros((17, 4, 5))
    maps[left, 1, 0] = 1
    assert flip.flipped_maps(maps, MIRROR)[right, 1, 4] == 1


def test_images_with_channels_last():
    image = toy_crops.picture()
    assert (flip.flipped_images(image, channels_last=True) == image[:, ::-1]).all()


def test_a_pair_at_test_time_is_averaged():
    image = torch.rand(2, 3, 8, 8)
    network = lambda batch: batch.mean(dim=1, keepdim=True)  # noqa: E731  symmetric on purpose
    pair = flip.merged(network(image), flip.flipped_images(network(flip.flipped_images(image))))
    torch.testing.assert_close(pair, network(image))


def test_maps_may_be_moved_by_a_column():
    maps = RANDOM.normal(size=(1, 17, 4, 6))
    moved = flip.flipped_maps(maps, MIRROR, shift_px=1)
    plain = flip.flipped_maps(maps, MIRROR)
    np.testing.assert_array_equal(moved[..., 1:], plain[..., :-1])
    np.testing.assert_array_equal(moved[..., 0], plain[..., 0])
    same = flip.flipped_maps(torch.from_numpy(maps), MIRROR, shift_px=1)
    np.testing.assert_array_equal(same.numpy(), moved)
    for shift in (-1, 6):
        with pytest.raises(RecipeError, match="shift"):
            flip.flipped_maps(maps, MIRROR, shift_px=shift)
