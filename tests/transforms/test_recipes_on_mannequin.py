"""Recipes through the Dataset class on rendered people: what training sees, checked in pixels."""

from __future__ import annotations

import numpy as np
import pytest

from posepile_torch.mannequin import find_marks
from posepile_torch.sample import Sample3D
from posepile_torch.sources import Mannequin
from posepile_torch.transforms import RandomKey, recipes
from posepile_torch.transforms.recipes import Recipe

ALL = [
    recipes.evaluation(),
    recipes.metrabs(),
    recipes.nlf(),
    recipes.hg3d(),
    recipes.hg3d(data="3d", published=True),
    recipes.posewarper(),
]


def source(archives, recipe: Recipe, **options) -> Mannequin:
    return Mannequin(archives, split="train", recipe=recipe, **options)


def in_true_colours(recipe: Recipe) -> Recipe:
    """The marks are told apart by their colours, so these stay and nothing is pasted."""
    return recipe.replaced(
        colour={"probability": 0.0},
        occlusion={"probability": 0.0},
        artefacts={"jpeg_probability": 0.0},
    )


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.name)
def test_marks_lie_at_joints2d_after_any_recipe(mannequin_archives, recipe):
    data = source(mannequin_archives, in_true_colours(recipe))
    errors, seen_flips = [], set()
    for index in range(len(data)):
        for step in range(3):
            sample = data.sample(index, RandomKey(6, step, index))
            mirrored = sample.camera.is_mirrored
            seen_flips.add(mirrored)
            # A mark keeps the colour of the joint that it was painted on.
            joints2d = sample.joints2d[list(data.skeleton.mirror)] if mirrored else sample.joints2d
            found = find_marks(sample.image, data.skeleton, near=joints2d)
            errors += list(np.linalg.norm(found - joints2d, axis=-1))
    found = np.isfinite(errors)
    assert found.sum() > 3 * len(data), found.sum()
    assert np.nanmean(errors) < 0.5
    if recipe.geometry.flip_probability:
        assert seen_flips == {False, True}


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.name)
def test_projected_joints3d_equal_joints2d_after_any_recipe(mannequin_archives, recipe):
    data = source(mannequin_archives, recipe)
    for index in range(len(data)):
        sample = data.sample(index, RandomKey(2, 0, index))
        assert isinstance(sample, Sample3D)
        known = sample.known3d
        projected = sample.camera.project_camera(sample.joints3d[known].astype(np.float64))
        np.testing.assert_allclose(projected, sample.joints2d[known], atol=1e-3)


def test_left_and_right_are_exchanged_under_flip(mannequin_archives):
    """The joint called left is the one that looks left: on the left side of the mirrored body."""
    flips = recipes.evaluation().replaced(geometry={"flip_probability": 1.0})
    plain = source(mannequin_archives, recipes.evaluation())
    mirrored = source(mannequin_archives, flips)
    mirror = list(plain.skeleton.mirror)
    for index in range(len(plain)):
        one, other = plain[index], mirrored[index]
        assert other.camera.is_mirrored
        difference = np.abs(other.image[:, ::-1].astype(int) - one.image)
        assert difference.mean() < 0.5
        np.testing.assert_allclose(
            other.joints3d[mirror], one.joints3d * (-1, 1, 1), rtol=1e-5, atol=0.01
        )
        width = one.image.shape[1]
        expected = one.joints2d * (-1, 1) + (width - 1, 0)
        np.testing.assert_allclose(other.joints2d[mirror], expected, atol=1e-3)
        np.testing.assert_array_equal(other.visible[mirror], one.visible)
        # With the camera undone, the mirrored person stands in the world where the person does.
        world = [s.joints3d.astype(np.float64) @ s.camera.R + s.camera.t for s in (one, other)]
        np.testing.assert_allclose(world[1][mirror], world[0], atol=0.05)


def test_a_flip_in_a_mapped_skeleton_exchanges_its_own_sides(mannequin_archives):
    flips = recipes.evaluation().replaced(geometry={"flip_probability": 1.0})
    mapped = source(mannequin_archives, flips, skeleton="coco_17")
    native = source(mannequin_archives, flips)
    one, other = native[0], mapped[0]
    for name in ("lsho", "rsho", "lank"):
        np.testing.assert_array_equal(
            one.joints3d[native.skeleton.index(name)], other.joints3d[mapped.skeleton.index(name)]
        )


def test_the_mask_keeps_people_and_gives_up_the_room(mannequin_archives):
    plain = source(mannequin_archives, recipes.evaluation())
    swapped = source(
        mannequin_archives, recipes.evaluation().replaced(background={"probability": 1.0})
    )
    changed_somewhere = 0
    for index in range(len(plain)):
        record, sample = plain.record(index), plain[index]
        mask = record.scene_mask or record.person_mask
        assert mask is not None
        stored_to_image = record.camera.homography_to(sample.camera)
        alpha = mask.to_alpha(stored_to_image, (256, 256))
        other = swapped[index].image
        np.testing.assert_array_equal(other[alpha == 255], sample.image[alpha == 255])
        outside = (other != sample.image).any(axis=2)[alpha == 0]
        changed_somewhere += outside.mean() > 0.9
    assert changed_somewhere == len(plain)


def test_the_seed_and_the_epoch_decide_what_is_drawn(mannequin_archives):
    data = source(mannequin_archives, recipes.nlf(side=64), seed=3)
    first = data[1].image
    np.testing.assert_array_equal(data[1].image, first)
    np.testing.assert_array_equal(data[1 - len(data)].image, first)
    data.epoch = 1
    assert not np.array_equal(data[1].image, first)
    other = source(mannequin_archives, recipes.nlf(side=64), seed=4)
    assert not np.array_equal(other[1].image, first)
    np.testing.assert_array_equal(data.sample(1, RandomKey(3, 0, 1)).image, first)
    plain = source(mannequin_archives, recipes.evaluation(side=64))
    np.testing.assert_array_equal(data.sample(1).image, plain[1].image)
