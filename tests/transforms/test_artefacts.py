"""Erasing, borders, JPEG artefacts, noise and the marker."""

from __future__ import annotations

import math

import numpy as np
import pytest

from posepile_torch.transforms import artefacts, recipes
from posepile_torch.transforms.families import Artefacts, Occlusion
from posepile_torch.transforms.streams import RandomKey

SIDE = 200


def keys(count: int) -> list[RandomKey]:
    return [RandomKey(4, 0, slot) for slot in range(count)]


def test_row_53_area_and_aspect_of_erased_rectangles_stay_within_bounds():
    numbers = recipes.metrabs().occlusion
    areas, aspects = [], []
    for key in keys(400):
        image = np.full((SIDE, SIDE, 3), 77, np.uint8)
        x, y, w, h = artefacts.erased(image, numbers, key)
        changed = (image != 77).any(axis=2)
        outside = changed.copy()
        outside[y : y + h, x : x + w] = False
        assert not outside.any()
        assert changed.sum() >= 0.97 * w * h - 1  # noise may be 77 by chance
        areas.append(w * h / SIDE**2)
        if min(w, h) > 20:
            aspects.append(w / h)
    assert max(areas) <= 1 / 3 + 0.01
    assert max(areas) > 0.25
    assert min(areas) < 0.01
    assert 0.28 < min(aspects) < 0.4
    assert 2.6 < max(aspects) < 3.5


def test_row_53_the_rectangle_holds_noise():
    numbers = Occlusion(erase_area=(0.2, 0.2), erase_aspect=(1.0, 1.0))
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    x, y, w, h = artefacts.erased(image, numbers, RandomKey(1))
    noise = image[y : y + h, x : x + w]
    assert (w, h) == (89, 89)
    assert noise.mean() == pytest.approx(127.5, abs=2)
    assert noise.std() == pytest.approx(73.9, abs=1.5)
    assert noise.max() == 255


def test_a_rectangle_that_can_never_fit_erases_nothing():
    numbers = Occlusion(erase_area=(1.0, 1.0), erase_aspect=(3.0, 3.0))
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    assert artefacts.erased(image, numbers, RandomKey(1)).tolist() == [0, 0, 0, 0]
    assert not image.any()


def test_jpeg_artefacts_come_with_their_probability_and_quality():
    numbers = recipes.nlf().artefacts
    assert (numbers.jpeg_probability, numbers.jpeg_quality) == (0.25, (15, 59))
    y, x = np.mgrid[:64, :64]
    image = np.stack([(x * 37 + y * 11) % 256, (x * y) % 256, x * 4], -1).astype(np.uint8)
    results = [artefacts.poorly_stored(image, numbers, key) for key in keys(600)]
    errors = np.array([np.abs(result.astype(int) - image).mean() for result in results])
    assert np.mean(errors > 0) == pytest.approx(0.25, abs=0.06)
    assert results[int(errors.argmin())] is image
    assert len(np.unique(errors[errors > 0].round(6))) > 25  # many qualities


def test_noise_has_the_stated_size():
    numbers = Artefacts(noise_probability=1.0, noise_levels=12.0)
    image = np.full((64, 64, 3), 128, np.uint8)
    deviations = [artefacts.noisy(image, numbers, key).std() for key in keys(60)]
    assert max(deviations) < 12.5
    assert max(deviations) > 10
    assert np.mean(deviations) == pytest.approx(6, abs=1.2)
    assert artefacts.noisy(image, Artefacts(), RandomKey(0)) is image
    assert artefacts.noisy(image, numbers, RandomKey(0)).mean() == pytest.approx(128, abs=0.5)


def test_borders_are_black_and_shallow():
    numbers = Artefacts(border_probability=1.0)
    for key in keys(50):
        image = np.full((100, 160, 3), 255, np.uint8)
        artefacts.bordered(image, numbers, key)
        assert set(np.unique(image)) <= {0, 255}
        # The depth is 8 % at most in the middle of a side, the tilt adds to it at the ends.
        assert image[9:-9, 80].min() == 255
        assert image[50, 14:-14].min() == 255
        assert image.min() == 0
    counts = []
    for key in keys(300):
        image = np.full((100, 100, 3), 255, np.uint8)
        artefacts.bordered(image, Artefacts(border_probability=0.2, border_tilt_rad=0.0), key)
        edges = (image[0, 50], image[-1, 50], image[50, 0], image[50, -1])
        counts.append(sum(int(edge[0] == 0) for edge in edges))
    assert np.mean(counts) / 4 == pytest.approx(0.2, abs=0.05)


def test_borders_tilt_by_the_stated_angle():
    numbers = Artefacts(border_probability=1.0, border_depth=0.5, border_tilt_rad=math.radians(8))
    slopes = []
    for key in keys(200):
        image = np.full((101, 401, 3), 255, np.uint8)
        artefacts.bordered(image, numbers, key)
        depth = (image[:50, 100:300, 0] == 0).sum(axis=0)
        if depth.min() > 0 and depth.max() < 50:
            slopes.append((depth[-1] - depth[0]) / 199)
    assert len(slopes) > 10
    assert np.abs(slopes).max() <= math.tan(math.radians(8)) + 0.02


def test_the_marker_names_a_person_by_a_dot():
    image = np.zeros((100, 100, 3), np.uint8)
    artefacts.marked(image, (40.2, 60.4), 14)
    rows, columns = np.nonzero(image[..., 0] == 255)
    assert rows.mean() == pytest.approx(60, abs=0.5)
    assert columns.mean() == pytest.approx(40, abs=0.5)
    assert np.ptp(rows) + 1 in (14, 15)
    artefacts.marked(image, (-5, 50), 14)
    artefacts.marked(image, (np.nan, 50), 14)
    assert image[:, :20].max() == 0
