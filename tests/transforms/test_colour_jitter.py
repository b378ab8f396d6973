"""Colour jitter: both ways to compute it, their ranges and their order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.transforms import recipes
from posepile_torch.transforms.colour import (
    STEPS,
    ColourChange,
    colour_matrix,
    drawn_colour,
    recoloured,
)
from posepile_torch.transforms.families import Colour
from posepile_torch.transforms.streams import RandomKey

PUBLISHED = recipes.metrabs().colour
GREY = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
CHANGES = st.builds(
    ColourChange,
    order=st.permutations(STEPS).map(tuple),
    brightness=st.floats(-0.125, 0.125),
    contrast=st.floats(0.5, 1.5),
    saturation=st.floats(0.5, 1.5),
    hue_rad=st.floats(-1.2566, 1.2566),
)


def pixel(r: int, g: int, b: int) -> np.ndarray:
    return np.full((4, 4, 3), (r, g, b), np.uint8)


@settings(deadline=None, max_examples=40)
@given(change=CHANGES, method=st.sampled_from(["matrix", "hsv"]))
def test_row_51_grey_stays_grey(change, method):
    result = recoloured(GREY, change, method)
    assert np.ptp(result.astype(int), axis=2).max() <= 1


@settings(deadline=None, max_examples=30)
@given(change=CHANGES)
def test_row_51_grey_goes_the_same_way_in_both_methods(change):
    # Without colour, hue and saturation do nothing, and both are the same affine map; only the
    # clipping between the steps can differ.
    middle = GREY[5:12]
    difference = recoloured(middle, change).astype(int) - recoloured(middle, change, "hsv")
    values = recoloured(middle, change, "hsv")
    inside = (values > 0) & (values < 255)
    assert np.abs(difference[inside]).max(initial=0) <= 1


def test_row_51_numbers_stay_within_their_ranges_and_all_orders_occur():
    changes = [drawn_colour(PUBLISHED, RandomKey(2, 0, slot)) for slot in range(3000)]
    assert all(change is not None for change in changes)
    assert len({change.order for change in changes}) == 24
    for name, low, high in (
        ("brightness", -0.125, 0.125),
        ("contrast", 0.5, 1.5),
        ("saturation", 0.5, 1.5),
        ("hue_rad", -math.radians(72), math.radians(72)),
    ):
        values = np.array([getattr(change, name) for change in changes])
        assert low <= values.min() < low + 0.01 * (high - low), name
        assert high - 0.01 * (high - low) < values.max() <= high, name
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))


def test_row_51_the_probability_is_kept():
    half = Colour(probability=0.5, brightness=0.1)
    drawn = [drawn_colour(half, RandomKey(2, 0, slot)) for slot in range(2000)]
    assert np.mean([change is None for change in drawn]) == pytest.approx(0.5, abs=0.04)
    assert drawn_colour(Colour(), RandomKey(0)) is None


@pytest.mark.parametrize("method", ["matrix", "hsv"])
def test_each_step_does_what_it_says(method):
    def apply(image, **change):
        return recoloured(image, ColourChange(**change), method)[0, 0].astype(int)

    np.testing.assert_allclose(apply(pixel(100, 60, 30), brightness=0.1), [126, 86, 56], atol=1)
    np.testing.assert_allclose(apply(pixel(100, 160, 30), contrast=0.5), [114, 144, 79], atol=1)
    grey = apply(pixel(200, 100, 50), saturation=0.0)
    assert np.ptp(grey) <= 1
    more = apply(pixel(150, 100, 100), saturation=1.5)
    assert more[0] - more[1] == pytest.approx(75, abs=2)
    # A third of a turn takes red towards green, and back towards blue.
    assert apply(pixel(180, 80, 80), hue_rad=2 * math.pi / 3).argmax() == 1
    assert apply(pixel(180, 80, 80), hue_rad=-2 * math.pi / 3).argmax() == 2


def test_exact_hue_is_a_permutation_of_the_primaries():
    third = ColourChange(hue_rad=2 * math.pi / 3)
    result = recoloured(pixel(210, 40, 90), third, "hsv")[0, 0]
    np.testing.assert_allclose(result, [90, 210, 40], atol=1)


def test_the_order_of_steps_matters_and_is_kept():
    change = {"brightness": 0.1, "contrast": 0.5}
    first = recoloured(pixel(0, 0, 0), ColourChange(**change, order=("brightness", "contrast")))
    last = recoloured(pixel(0, 0, 0), ColourChange(**change, order=("contrast", "brightness")))
    assert first[0, 0, 0] == round(0.5 * 25.5 + 63.75)
    assert last[0, 0, 0] == round(63.75 + 25.5)


@settings(deadline=None, max_examples=30)
@given(change=CHANGES, colour=st.tuples(*[st.integers(60, 190)] * 3))
def test_the_matrix_is_applied_to_a_grey_level(change, colour):
    expected = colour_matrix(change) @ (*colour, 1)
    result = recoloured(pixel(*colour), change)[0, 0]
    np.testing.assert_allclose(result, np.clip(expected, 0, 255), atol=0.75)


def test_no_change_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    np.testing.assert_array_equal(recoloured(image, ColourChange()), image)
    difference = recoloured(image, ColourChange(), "hsv").astype(int) - image
    assert np.abs(difference).max() <= 1
