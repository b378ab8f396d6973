"""Marks are found where they were drawn, or not at all."""

import itertools

import cv2
import numpy as np
import pytest

from posepile_torch.errors import UnknownNameError
from posepile_torch.images import decode_jpeg, encode_jpeg
from posepile_torch.mannequin import MARK_COLOURS, find_marks
from posepile_torch.mannequin.body import JOINTS
from posepile_torch.mannequin.marks import DISC_PX, RING_PX, with_marks
from posepile_torch.skeleton import Skeleton


def scene(rng, size=(320, 240)):
    """A busy, colourful picture to draw on."""
    width, height = size
    picture = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)


def spread(rng, size=(320, 240), gap=2 * RING_PX + 1):
    """One position per joint, none near another one or the border."""
    places = []
    while len(places) < len(JOINTS):
        place = rng.uniform((9, 9), np.array(size) - 10)
        if all(np.linalg.norm(place - other) > gap for other in places):
            places.append(place)
    return np.array(places)


def drawn(rng, places, size=(320, 240)):
    return with_marks(scene(rng, size), places[None], np.ones((1, len(places))))


@pytest.mark.parametrize("seed", range(4))
def test_marks_are_found_exactly_in_raw_pixels(seed):
    rng = np.random.default_rng(seed)
    places = spread(rng)
    found = find_marks(drawn(rng, places), JOINTS)
    assert np.linalg.norm(found - places, axis=1).max() < 0.05


@pytest.mark.parametrize(("quality", "subsampling"), [(95, "420"), (85, "420"), (95, "444")])
def test_marks_survive_jpeg(quality, subsampling):
    errors = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        places = spread(rng)
        data = encode_jpeg(drawn(rng, places), quality, subsampling=subsampling)
        errors.append(np.linalg.norm(find_marks(decode_jpeg(data), JOINTS) - places, axis=1))
    assert np.isfinite(errors).mean() > 0.97
    assert np.nanmax(errors) < 0.2


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.3, 1.7])
def test_marks_are_found_in_resized_crops(scale):
    rng = np.random.default_rng(1)
    places = spread(rng, gap=13)
    image = drawn(rng, places)
    matrix = np.array([[scale, 0, 3.3], [0, scale, -2.6]])
    size = (int(320 * scale), int(240 * scale))
    crop = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC)
    wanted = places * scale + matrix[:, 2]
    error = np.linalg.norm(find_marks(crop, JOINTS, near=wanted + 1.5) - wanted, axis=1)
    assert np.isfinite(error).mean() > 0.85
    assert np.nanmax(error) < 0.2


def test_a_mark_that_is_touched_or_cut_is_exact_or_absent():
    """Over many distances between two marks, no wrong position is ever reported."""
    rng = np.random.default_rng(0)
    for gap, angle in itertools.product(np.arange(0.5, 12, 0.5), (0.1, 0.9, 2.2)):
        pair = np.array([[60.2, 60.7], [60.2 + gap * np.cos(angle), 60.7 + gap * np.sin(angle)]])
        places = np.concatenate([pair, np.full((len(JOINTS) - 2, 2), np.nan)])
        image = with_marks(scene(rng, (120, 120)), places[None], np.arange(19.0)[None])
        found = find_marks(image, JOINTS, near=places)
        error = np.linalg.norm(found[:2] - pair, axis=1)
        assert not error[0] > 0.1  # on top
        assert not error[1] > 0.3  # below
        if gap > DISC_PX + RING_PX + 1:
            assert np.isfinite(error).all()
    for x in np.arange(-3, 9, 0.7):
        places = np.full((len(JOINTS), 2), np.nan)
        places[0] = x, 50.3
        image = with_marks(scene(rng, (120, 120)), places[None], np.ones((1, 19)))
        error = np.linalg.norm(find_marks(image, JOINTS, near=places)[0] - places[0])
        assert not error > 0.1


def test_nearer_marks_are_drawn_over_farther_ones():
    places = np.full((2, len(JOINTS), 2), np.nan)
    places[0, 3] = places[1, 7] = 40.0, 40.0
    depth = np.full((2, len(JOINTS)), 9.0)
    for near_person, near_joint in ((0, 3), (1, 7)):
        depth[:] = 9
        depth[near_person] = 1
        image = with_marks(np.zeros((80, 80, 3), np.uint8), places, depth)
        assert tuple(image[40, 40]) == MARK_COLOURS[JOINTS[near_joint]]


def test_two_people_are_told_apart_by_rough_positions():
    rng = np.random.default_rng(3)
    places = spread(rng, (640, 480), gap=40).reshape(1, -1, 2)
    people = np.concatenate([places, places + (14, 9)])
    image = with_marks(scene(rng, (660, 500)), people, np.ones(people.shape[:2]))
    for person in people:
        found = find_marks(image, JOINTS, near=person + (2, -2))
        assert np.linalg.norm(found - person, axis=1).max() < 0.1
    found = find_marks(image, JOINTS, near=people)
    assert np.linalg.norm(found - people, axis=-1).max() < 0.1


def test_marks_of_one_joint_in_one_place_are_nobodys():
    rng = np.random.default_rng(4)
    places = spread(rng)
    people = np.stack([places, places + (0, 300)])
    people[1, 5] = places[5] + (4, 3)
    image = with_marks(scene(rng), people, np.ones(people.shape[:2]))
    found = find_marks(image, JOINTS, near=people)
    assert np.isnan(found[:, 5]).all()
    assert np.isfinite(found[0]).all(axis=-1).sum() >= len(JOINTS) - 2


def test_joints_come_in_the_order_of_the_skeleton():
    rng = np.random.default_rng(6)
    places = spread(rng)
    skeleton = Skeleton.parse("few", "rwri htop pelv lwri")
    found = find_marks(drawn(rng, places), skeleton)
    wanted = places[[JOINTS.index(name) for name in skeleton.joints]]
    assert np.allclose(found, wanted, atol=0.05)


def test_an_image_without_marks_has_none():
    rng = np.random.default_rng(8)
    nowhere = np.full((1, len(JOINTS), 2), np.nan)
    image = with_marks(scene(rng), nowhere, np.ones((1, len(JOINTS))))
    assert np.isnan(find_marks(image, JOINTS)).all()
    assert np.isnan(find_marks(image, JOINTS, near=np.full((19, 2), 50.0))).all()
    assert np.isnan(find_marks(image, JOINTS, near=np.full((19, 2), -500.0))).all()


def test_colours_are_distinct_bright_and_colourful():
    colours = np.array([MARK_COLOURS[name] for name in JOINTS], float)
    luma = colours @ (0.299, 0.587, 0.114)
    assert luma.min() > 80
    assert np.ptp(colours, axis=1).min() > 100
    pairs = itertools.combinations(range(len(JOINTS)), 2)
    assert min(np.abs(colours[a] - colours[b]).max() for a, b in pairs) >= 60


def test_an_unmarked_joint_is_named():
    with pytest.raises(UnknownNameError, match="lfoo"):
        find_marks(np.zeros((50, 50, 3), np.uint8), ["lfoo"])
