"""Heatmaps: golden sums of the reference systems, sub-pixel places, blending, weights, torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import RecipeError
from posepile_torch.transforms import heatmaps, recipes
from posepile_torch.transforms.families import HeatmapNumbers

HG3D = recipes.hg3d(published=True).heatmaps
POSEWARPER = recipes.posewarper(published=True).heatmaps


def draw(points, numbers, is_drawn=None):
    points = np.asarray(points, np.float64)
    is_drawn = np.ones(points.shape[:-1], bool) if is_drawn is None else np.asarray(is_drawn)
    return heatmaps.drawn_heatmaps(points, is_drawn, numbers)


def test_row_43_golden_sums_of_the_reference_systems():
    (heatmap,) = draw([[30.7, 20.2]], HG3D)
    assert heatmap.shape == (64, 64)
    assert heatmap.dtype == np.float32
    assert heatmap.sum() == pytest.approx(25.0813, abs=1e-4)
    assert heatmap[20, 30] == 1  # rounded down
    assert heatmap[20, 36] == pytest.approx(0.0111090, abs=1e-7)
    assert heatmap[14, 36] == pytest.approx(1.2341e-4, abs=1e-8)
    assert np.count_nonzero(heatmap) == 13 * 13
    (heatmap,) = draw([[30.7, 40.2]], POSEWARPER)
    assert heatmap.shape == (96, 72)
    assert heatmap.sum() == pytest.approx(56.383, abs=1e-3)
    assert heatmap[40, 31] == 1  # rounded to the nearest
    assert np.count_nonzero(heatmap) == 19 * 19


@settings(deadline=None, max_examples=50)
@given(x=st.floats(12, 50), y=st.floats(12, 40), sigma=st.floats(0.8, 2.5))
def test_row_43_the_centroid_of_an_exact_heatmap_is_the_point(x, y, sigma):
    numbers = HeatmapNumbers(size=(64, 52), sigma_px=sigma, window_sigmas=0.0)
    (heatmap,) = draw([[x, y]], numbers)
    rows, columns = np.mgrid[:52, :64]
    total = heatmap.sum()
    assert (heatmap * columns).sum() / total == pytest.approx(x, abs=1e-3)
    assert (heatmap * rows).sum() / total == pytest.approx(y, abs=1e-3)
    (cut,) = draw([[x, y]], HeatmapNumbers(size=(64, 52), sigma_px=sigma))
    assert (cut * columns).sum() / cut.sum() == pytest.approx(x, abs=0.02 * sigma + 0.01)


def test_row_43_any_size_and_sigma():
    for size, sigma in (((17, 200), 0.5), ((384, 288), 7.0)):
        numbers = HeatmapNumbers(size=size, sigma_px=sigma)
        (heatmap,) = draw([[8.0, 100.0]], numbers)
        assert heatmap.shape == (size[1], size[0])
        assert heatmap[100, 8] == 1
        assert heatmap[100, 9] == pytest.approx(np.exp(-0.5 / sigma**2), rel=1e-6)


def test_row_43_blending_by_maximum_or_by_overwriting():
    points = np.array([[[20.0, 20.0]], [[24.0, 20.0]]])  # two people, one joint
    drawn = np.ones((2, 1), bool)
    first, second = (draw(person, HG3D)[0] for person in points)
    (mixed,) = heatmaps.drawn_people(points, drawn, HG3D)
    np.testing.assert_array_equal(mixed, np.maximum(first, second))
    numbers = HeatmapNumbers(blend="overwrite", place="nearest")
    (mixed,) = heatmaps.drawn_people(points, drawn, numbers)
    np.testing.assert_array_equal(mixed[14:27, 18:31], second[14:27, 18:31])
    np.testing.assert_array_equal(mixed[:, :18], first[:, :18])
    # A person without the joint overwrites nothing.
    (alone,) = heatmaps.drawn_people(points, np.array([[True], [False]]), numbers)
    np.testing.assert_array_equal(alone, first)


def test_windows_are_cut_at_the_border():
    for place in ([-3.0, 20.0], [66.0, 20.0], [20.0, -5.9], [20.0, 68.9]):
        (heatmap,) = draw([place], HeatmapNumbers())
        assert 0 < heatmap.sum() < 13
    (heatmap,) = draw([[-6.5, 20.0]], HeatmapNumbers(place="nearest"))
    assert heatmap[20, 0] == pytest.approx(np.exp(-36 / 8))


def targets(points, known, visible, numbers, **more):
    return heatmaps.heatmap_targets(
        np.asarray(points, np.float64),
        np.asarray(known, bool),
        np.asarray(visible, np.int8),
        (256, 256),
        numbers,
        **more,
    )


def test_row_44_an_unannotated_joint_at_the_origin_has_no_weight():
    result = targets([[0, 0], [0, 0], [128, 128]], [False, True, True], [-1, 1, 1], HG3D)
    assert result.weights.tolist() == [0, 1, 1]
    assert result.heatmaps[0].max() == 0
    assert result.heatmaps[1].max() == 1


def test_row_44_annotated_visible_and_inside_are_told_apart():
    points = [[128, 128], [128, 128], [300, 128], [128, 128]]
    known, visible = [True, True, True, False], [1, 0, 1, 1]
    assert targets(points, known, visible, HG3D).weights.tolist() == [1, 1, 0, 0]
    numbers = HeatmapNumbers(needs_visible=True)
    assert targets(points, known, visible, numbers).weights.tolist() == [1, 0, 0, 0]
    # Nothing said about visibility is not the same as occluded.
    assert targets(points, known, [-1] * 4, numbers).weights.tolist() == [1, 1, 0, 0]


def test_row_44_the_window_may_reach_in_where_the_point_does_not():
    inside, beyond = [256 + 20, 128], [256 + 60, 128]  # 5 and 15 heatmap pixels outside
    assert targets([inside, beyond], [1, 1], [1, 1], HG3D).weights.tolist() == [0, 0]
    numbers = HeatmapNumbers(weight="in_window")
    assert targets([inside, beyond], [1, 1], [1, 1], numbers).weights.tolist() == [1, 0]
    assert targets([[-8, 9], [-40, 9]], [1, 1], [1, 1], numbers).weights.tolist() == [1, 0]


def test_row_44_joint_weights_multiply():
    result = targets(
        [[9, 9], [9, 9]], [1, 0], [1, 1], HG3D, joint_weights=np.array([1.5, 2.0], np.float32)
    )
    assert result.weights.tolist() == [1.5, 0]
    assert result.weights.dtype == np.float32
    assert result.heatmaps[0].max() == 1


def test_points_that_are_nan_are_never_drawn():
    result = targets([[np.nan, 3], [3, 3]], [False, True], [1, 1], HeatmapNumbers())
    assert np.isfinite(result.heatmaps).all()
    assert result.heatmaps[0].max() == 0
    assert targets([[np.nan, 3]], [True], [1], HeatmapNumbers()).weights.tolist() == [0]


@pytest.mark.parametrize("grid", ["exact", "scaled"])
def test_the_grid_can_be_left_again(grid):
    numbers = HeatmapNumbers(size=(48, 64), grid=grid)
    points = np.random.default_rng(0).uniform(-50, 300, (20, 2))
    there = heatmaps.to_grid(points, (192, 256), numbers)
    np.testing.assert_allclose(heatmaps.from_grid(there, (192, 256), numbers), points, atol=1e-9)
    corner = heatmaps.to_grid(np.array([[-0.5, -0.5], [191.5, 255.5]]), (192, 256), numbers)
    if grid == "exact":  # outer edges stay outer edges
        np.testing.assert_allclose(corner, [[-0.5, -0.5], [47.5, 63.5]])
    else:
        np.testing.assert_allclose(
            heatmaps.to_grid(np.array([8.0, 4]), (192, 256), numbers), [2, 1]
        )


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    numbers=st.builds(
        HeatmapNumbers,
        size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
        sigma_px=st.floats(0.5, 4),
        window_sigmas=st.sampled_from([0.0, 3.0]),
        place=st.sampled_from(["exact", "nearest", "down"]),
        grid=st.sampled_from(["exact", "scaled"]),
        weight=st.sampled_from(["in_map", "in_window"]),
        needs_visible=st.booleans(),
    ),
)
def test_row_43_torch_batches_equal_numpy_samples(seed, numbers):
    random = np.random.default_rng(seed)
    points = random.uniform(-40, 300, (3, 5, 2))
    known, visible = random.random((3, 5)) < 0.8, random.integers(-1, 2, (3, 5)).astype(np.int8)
    whole = heatmaps.heatmap_targets(
        *(torch.from_numpy(array) for array in (points, known, visible)), (256, 192), numbers
    )
    assert whole.heatmaps.dtype == whole.weights.dtype == torch.float32
    for sample in range(3):
        single = heatmaps.heatmap_targets(
            points[sample], known[sample], visible[sample], (256, 192), numbers
        )
        for one, many in zip(single, whole, strict=True):
            np.testing.assert_allclose(many[sample].numpy(), one, atol=1e-6)


def test_float32_batches_stay_on_their_device():
    points = torch.zeros((2, 3, 2), device="meta")
    known = torch.ones((2, 3), dtype=torch.bool, device="meta")
    visible = torch.ones((2, 3), dtype=torch.int8, device="meta")
    result = heatmaps.heatmap_targets(points, known, visible, (256, 256), HeatmapNumbers())
    assert all(tensor.device.type == "meta" for tensor in result)
    assert result.heatmaps.shape == (2, 3, 64, 64)


def test_lists_are_refused():
    with pytest.raises(RecipeError, match="NumPy array or a torch tensor"):
        heatmaps.to_grid([[1.0, 2.0]], (256, 256), HeatmapNumbers())
