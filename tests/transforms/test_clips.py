"""Clips: one view and one look for all frames."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import toy_crops

from posepile_torch.errors import RecipeError
from posepile_torch.images import encode_jpeg
from posepile_torch.transforms import RandomKey, apply_recipe, apply_recipe_to_clip, recipes

JPEG = toy_crops.jpeg()
KEY = RandomKey(2, 5, 7)


def clip(records, recipe, key=KEY, jpegs=None, **more):
    return apply_recipe_to_clip(
        jpegs or [JPEG] * len(records), records, recipe, key, skeleton=toy_crops.SKELETON, **more
    )


@pytest.mark.parametrize("recipe", [recipes.posewarper(), recipes.metrabs()], ids=lambda r: r.name)
@pytest.mark.parametrize("with_camera", [True, False])
def test_row_57_all_frames_go_through_equal_matrices(recipe, with_camera):
    frames = []
    for number in range(5):
        record = toy_crops.record(with_camera=with_camera, id=f"toy/{number}")
        moved = record.joints2d + 3.0 * number
        frames.append(
            record.with_changes(joints2d=moved, box=record.box + (3.0 * number, 0, 0, 0))
        )
    prepared = clip(frames, recipe, key_frame=2)
    for image in prepared:
        np.testing.assert_array_equal(image.view.homography, prepared[2].view.homography)
        assert image.camera == prepared[2].camera
        assert image.is_flipped == prepared[2].is_flipped
    alone = apply_recipe(JPEG, frames[2], recipe, KEY, skeleton=toy_crops.SKELETON)
    np.testing.assert_array_equal(alone.image, prepared[2].image)
    # Equal pixels in, equal pixels out: colours, occluders and background are shared.
    np.testing.assert_array_equal(prepared[0].image, prepared[4].image)
    assert prepared[0].box[0] != prepared[4].box[0]


def test_row_57_crops_of_one_camera_share_the_direction():
    first = toy_crops.record()
    other_camera = first.camera.cropped((20, 10, 380, 360))
    second = first.with_changes(
        camera=other_camera, image_size=(380, 360), box=first.box - (20, 10, 0, 0)
    )
    recipe = recipes.metrabs().replaced(background={"probability": 0})
    part = encode_jpeg(np.ascontiguousarray(toy_crops.picture()[10:370, 20:400]), 97)
    views = [image.view for image in clip([first, second], recipe, jpegs=[JPEG, part])]
    assert views[0].camera == views[1].camera
    shifted = views[1].points(first.joints2d - (20, 10))
    np.testing.assert_allclose(shifted, views[0].points(first.joints2d), atol=1e-6)


def test_row_57_a_moving_camera_keeps_direction_and_intrinsics():
    first = toy_crops.record()
    moved = first.with_changes(camera=dataclasses.replace(first.camera, t=first.camera.t + 500))
    one, two = clip([first, moved], recipes.metrabs())
    np.testing.assert_array_equal(one.camera.R, two.camera.R)
    np.testing.assert_array_equal(one.camera.K, two.camera.K)
    np.testing.assert_array_equal(two.camera.t, moved.camera.t)
    joints = moved.camera.to_world(moved.camera.back_project(moved.joints2d, 3000.0))
    np.testing.assert_allclose(
        two.camera.project(joints), two.view.points(moved.joints2d), atol=1e-3
    )


def test_sensor_noise_alone_differs_between_frames():
    recipe = recipes.evaluation(side=100).replaced(
        artefacts={"noise_probability": 1.0, "noise_levels": 8.0}, colour={"probability": 1.0}
    )
    frames = [toy_crops.record(), toy_crops.record()]
    one, two = clip(frames, recipe)
    assert not np.array_equal(one.image, two.image)
    assert np.abs(one.image.astype(int) - two.image).mean() < 15
    again, _ = clip(frames, recipe)
    np.testing.assert_array_equal(one.image, again.image)


def test_without_a_key_a_clip_is_not_augmented():
    one, two = clip([toy_crops.record(), toy_crops.record()], recipes.nlf(), key=None)
    np.testing.assert_array_equal(one.image, two.image)
    assert not one.is_flipped


def test_frames_that_cannot_share_a_view_are_named():
    flat = toy_crops.record(with_camera=False)
    smaller = flat.with_changes(image_size=(400, 400), id="toy/odd", person_mask=None)
    with pytest.raises(RecipeError, match="toy/odd"):
        clip([flat, smaller], recipes.posewarper())
    with pytest.raises(RecipeError, match="all have cameras"):
        clip([toy_crops.record(), flat], recipes.metrabs())
