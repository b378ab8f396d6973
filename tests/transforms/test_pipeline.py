"""Whole recipes on a marked crop: pixels, points and cameras stay together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import toy_crops
from torch.utils.data import DataLoader, Dataset

from posepile_torch import boxes
from posepile_torch.errors import BoxError, ImageError, RecipeError
from posepile_torch.hints import Hints
from posepile_torch.images import decode_jpeg
from posepile_torch.masks import Mask
from posepile_torch.record import BodyParameters
from posepile_torch.transforms import (
    PreparedImage,
    RandomKey,
    apply_recipe,
    evaluation,
    plan_view,
    recipes,
    render,
)
from posepile_torch.transforms.backgrounds import BackgroundBank
from posepile_torch.transforms.families import Background, Sampling
from posepile_torch.transforms.recipes import Recipe

JPEG = toy_crops.jpeg()
RECORD = toy_crops.record()
ALONE = Hints(single_person=True)
ALL = [
    evaluation(side=256),
    recipes.metrabs(side=256),
    recipes.metrabs(side=160).replaced(colour={"method": "hsv"}),
    recipes.nlf(side=256),
    recipes.hg3d(),
    recipes.hg3d(data="3d", published=True),
    recipes.hg3d(data="coco"),
    recipes.posewarper(),
    recipes.posewarper(published=True),
]


def make(recipe: Recipe, slot: int | None = 0, record=RECORD, **more) -> PreparedImage:
    key = None if slot is None else RandomKey(11, 0, slot)
    return apply_recipe(JPEG, record, recipe, key, skeleton=toy_crops.SKELETON, **more)


@pytest.mark.parametrize("with_camera", [True, False], ids=["camera", "flat"])
@pytest.mark.parametrize("recipe", ALL, ids=lambda r: f"{r.name}-{r.digest[:4]}")
def test_marks_lie_where_the_points_say_after_every_recipe(recipe, with_camera):
    shown = recipe.replaced(occlusion={"probability": 0.0, "probability_2d": 0.0})
    shown = shown.replaced(artefacts={"marker_px": 0.0})
    record = toy_crops.record(with_camera=with_camera)
    errors = []
    for slot in (None, *range(12)):
        prepared = make(shown, slot, record, hints=ALONE)
        points = prepared.view.points(record.joints2d)
        assert prepared.image.shape == (recipe.image_size[1], recipe.image_size[0], 3)
        assert prepared.image.dtype == np.uint8
        scale = np.sqrt(abs(np.linalg.det(prepared.view.homography[:2, :2])))
        errors += list(toy_crops.mark_errors(prepared.image, points, max(1.2, 2.5 * scale)))
    found = np.isfinite(errors)
    assert found.sum() > 60
    assert np.nanmean(errors) < 0.25


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: f"{r.name}-{r.digest[:4]}")
def test_the_samples_own_camera_projects_3d_onto_2d(recipe):
    for slot in range(15):
        prepared = make(recipe, slot)
        points = prepared.view.points(RECORD.joints2d)
        joints = prepared.camera.to_camera(RECORD.joints3d)
        np.testing.assert_allclose(prepared.camera.project_camera(joints), points, atol=1e-3)
        # Also in float32, although the world is kilometres away.
        small = joints.astype(np.float32).astype(np.float64)
        np.testing.assert_allclose(prepared.camera.project_camera(small), points, atol=1e-3)


def only(**families) -> Recipe:
    return evaluation(side=200).replaced(**families)


def test_row_54_the_mask_interior_is_unchanged_and_the_exterior_replaced():
    plain = make(only())
    swapped = make(only(background={"probability": 1.0}))
    alpha = RECORD.person_mask.to_alpha(plain.view.homography, (200, 200))
    np.testing.assert_array_equal(swapped.image[alpha == 255], plain.image[alpha == 255])
    outside = np.abs(swapped.image.astype(int) - plain.image)[alpha == 0].max(axis=1)
    assert np.mean(outside > 0) > 0.95
    # Soft edges: pixels that the person covers in part are mixed accordingly.
    edge = (alpha > 0) & (alpha < 255)
    assert edge.sum() > 100
    draws = tuple(RandomKey(11, 0, 0).uniforms("background", 5)[1:])
    back = BackgroundBank.builtin().picture(Background(), (200, 200), draws)
    share = alpha[edge][:, None] / 255
    mixed = share * plain.image[edge] + (1 - share) * back[edge]
    assert np.abs(swapped.image[edge] - mixed).max() <= 0.5 + 1e-6
    np.testing.assert_array_equal(swapped.image[alpha == 0], back[alpha == 0])
    other = make(only(background={"probability": 1.0}), record=toy_crops.record(person_mask=None))
    np.testing.assert_array_equal(other.image, plain.image)  # no mask, no swap


def test_row_54_frequencies_follow_the_hints():
    recipe = recipes.metrabs(side=64).replaced(geometry={"flip_probability": 0.0})
    recipe = recipe.replaced(colour={"probability": 0.0}, occlusion={"probability": 0.0})
    bare = recipe.replaced(background={"probability": 0.0})
    for hints, expected in ((Hints(), 0.7), (Hints(realistic_background=True), 0.2)):
        swapped = 0
        for slot in range(150):
            image = make(recipe, slot, hints=hints).image
            swapped += not np.array_equal(image, make(bare, slot).image)
        assert swapped / 150 == pytest.approx(expected, abs=0.09)
    blank = Hints(blank_background=True)
    always = [make(recipe, slot, hints=blank).image for slot in range(20)]
    assert all(not np.array_equal(a, make(bare, s).image) for s, a in enumerate(always))


def test_scene_masks_keep_what_is_worth_keeping():
    everything = Mask.from_array(np.ones((toy_crops.SIZE[1], toy_crops.SIZE[0]), np.uint8))
    record = toy_crops.record(scene_mask=everything)
    recipe = only(background={"probability": 1.0})
    np.testing.assert_array_equal(
        make(recipe, record=record).image[80:120, 80:120], make(only()).image[80:120, 80:120]
    )
    nobody = toy_crops.record(person_mask=Mask.empty(toy_crops.SIZE))
    np.testing.assert_array_equal(make(recipe, record=nobody).image, make(only()).image)


def test_row_58_a_flipped_image_is_the_mirrored_image_with_left_and_right_exchanged():
    base = recipes.metrabs(side=200).replaced(
        colour={"probability": 0.0}, background={"probability": 0.0}, occlusion={"probability": 0}
    )
    names = toy_crops.SKELETON.joints
    for slot in range(8):
        plain = make(base.replaced(geometry={"flip_probability": 0.0}), slot)
        flipped = make(base.replaced(geometry={"flip_probability": 1.0}), slot)
        assert flipped.is_flipped
        assert not plain.is_flipped
        difference = np.abs(flipped.image[:, ::-1].astype(int) - plain.image)
        assert difference.mean() < 0.3  # bilinear sampling rounds positions to 1/32 px
        points = plain.view.mirrored(plain.view.points(RECORD.joints2d), toy_crops.SKELETON)
        mirrored = flipped.view.mirrored(flipped.view.points(RECORD.joints2d), toy_crops.SKELETON)
        for joint, name in enumerate(names):
            partner = toy_crops.SKELETON.mirror[joint]
            expected = points[partner] * (-1, 1) + (199, 0)
            np.testing.assert_allclose(mirrored[joint], expected, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(
            flipped.box, plain.box * (-1, 1, 1, 1) + (199 - plain.box[2], 0, 0, 0), atol=1e-6
        )
        again = flipped.camera.flipped()
        np.testing.assert_allclose(again.R, plain.camera.R, atol=1e-12)
        np.testing.assert_allclose(again.K, plain.camera.K, atol=1e-12)


def test_without_a_key_nothing_is_random():
    recipe = recipes.nlf(side=128)
    one, other = make(recipe, None), make(recipe, None)
    np.testing.assert_array_equal(one.image, other.image)
    plain = apply_recipe(JPEG, RECORD, evaluation(side=128))
    np.testing.assert_array_equal(one.image, plain.image)
    assert one.camera == plain.camera


def test_row_56_a_sample_depends_on_recipe_and_key_alone():
    recipe = recipes.nlf(side=96)
    first = [make(recipe, slot, hints=ALONE).image for slot in range(12)]
    for slot in reversed(range(12)):
        np.testing.assert_array_equal(make(recipe, slot, hints=ALONE).image, first[slot])
    different = {image.tobytes() for image in first}
    assert len(different) == 12


FAMILIES = {
    "partial": {"probability": 1.0},
    "background": {"probability": 1.0},
    "occlusion": {"probability": 1.0},
    "colour": {"probability": 1.0, "brightness": 0.1, "hue_rad": 0.5},
    "artefacts": {"jpeg_probability": 1.0, "noise_probability": 1.0, "noise_levels": 5.0},
}


@pytest.mark.parametrize("toggled", FAMILIES)
def test_row_56_toggling_one_family_leaves_the_others(toggled):
    rest = {name: numbers for name, numbers in FAMILIES.items() if name != toggled}
    base = only(geometry=recipes.metrabs().geometry)
    for slot in range(4):
        alone = make(base.replaced(**{toggled: FAMILIES[toggled]}), slot, hints=ALONE)
        together = make(base.replaced(**FAMILIES), slot, hints=ALONE)
        others = make(base.replaced(**rest), slot, hints=ALONE)
        # Whether the view is drawn with or without the family, its own numbers are the same.
        assert alone.is_flipped == together.is_flipped == others.is_flipped
        if toggled == "partial":
            assert together.camera == alone.camera != others.camera
        else:
            assert together.camera == others.camera


class Toys(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        return torch.from_numpy(make(recipes.nlf(side=64), index, hints=ALONE).image)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # 4 on 2 cores
def test_row_56_any_number_of_workers_gives_the_same_images():
    batches = {
        workers: torch.cat(
            list(
                DataLoader(
                    Toys(), batch_size=6, num_workers=workers, multiprocessing_context=context
                )
            )
        )
        for workers, context in ((0, None), (1, "fork"), (4, "fork"))
    }
    assert torch.equal(batches[0], batches[1])
    assert torch.equal(batches[0], batches[4])


def test_row_53_an_image_gets_objects_or_an_erased_rectangle_never_both():
    numbers = {"probability": 1.0, "erase_area": (0.1, 0.3), "object_count": (1, 1)}
    plain = make(only()).image.astype(int)
    objects = 0
    for slot in range(120):
        image = make(only(occlusion=numbers), slot).image
        as_object = make(only(occlusion={**numbers, "object_share": 1.0}), slot).image
        as_erased = make(only(occlusion={**numbers, "object_share": 0.0}), slot).image
        is_object = np.array_equal(image, as_object)
        assert is_object or np.array_equal(image, as_erased)
        objects += is_object
        assert (np.abs(as_erased - plain) > 0).any()
    assert objects / 120 == pytest.approx(0.5, abs=0.12)


def test_row_52_occluders_come_as_often_as_stated_for_3d_and_2d():
    recipe = only(occlusion={"probability": 0.5, "probability_2d": 0.7, "erase_area": (0.1, 0.3)})
    flat = toy_crops.record(with_3d=False)
    plain = make(only()).image
    for record, expected in ((RECORD, 0.5), (flat, 0.7)):
        hidden = [
            not np.array_equal(make(recipe, slot, record).image, plain) for slot in range(200)
        ]
        assert np.mean(hidden) == pytest.approx(expected, abs=0.1)


def test_row_52_objects_are_pasted_before_the_colours_change_and_noise_after():
    grey = {"probability": 1.0, "saturation": (0.0, 0.0)}
    hidden = {"probability": 1.0, "object_count": (6, 6), "object_scale": (1.0, 1.0)}
    for share, is_grey in ((1.0, True), (0.0, False)):
        recipe = only(
            colour=grey, occlusion={**hidden, "object_share": share, "erase_area": (0.2, 0.3)}
        )
        spread = np.ptp(make(recipe, 3).image.astype(int), axis=2)
        assert (spread.max() <= 1) == is_grey


def test_row_50_parts_are_shown_of_single_people_only():
    recipe = only(partial={"probability": 1.0})
    whole = make(only()).camera
    assert make(recipe, hints=ALONE).camera != whole
    assert make(recipe, hints=Hints()).camera == whole
    anybody = recipe.replaced(partial={"only_single_person": False})
    assert make(anybody, hints=Hints()).camera != whole
    part = make(recipe, hints=ALONE)
    assert part.box[3] > 200  # the person's own box is larger than the image now


def test_row_49_half_bodies_need_a_skeleton():
    recipe = only(half_body={"probability": 1.0})
    shown = make(recipe)
    lower = shown.view.points(RECORD.joints2d)[11:]
    upper = shown.view.points(RECORD.joints2d)[:11]
    inside = [bool(((p > 0) & (p < 199)).all()) for p in (upper, lower)]
    assert any(inside)
    with pytest.raises(RecipeError, match="no skeleton"):
        apply_recipe(JPEG, RECORD, recipe, RandomKey(0))
    apply_recipe(JPEG, RECORD, recipe)  # nothing random is asked for


def test_row_49_half_bodies_are_found_by_3d_joints_where_there_are_no_2d_ones():
    recipe = only(half_body={"probability": 1.0})
    record = RECORD.with_changes(joints2d=None)
    one, other = make(recipe).camera, make(recipe, record=record).camera
    np.testing.assert_allclose(one.K, other.K, rtol=1e-6)
    np.testing.assert_allclose(one.R, other.R, atol=1e-6)
    assert make(only()).camera.K[0, 0] < one.K[0, 0]


def test_bodies_are_mirrored_only_where_the_recipe_allows_it():
    body = BodyParameters(
        model="smpl", gender="neutral", pose=np.zeros(72), betas=np.zeros(10),
        translation=np.zeros(3),
    )  # fmt: skip
    record = toy_crops.record(body=body)
    assert any(make(recipes.metrabs(side=32), slot, record).is_flipped for slot in range(10))
    assert not any(make(recipes.nlf(side=32), slot, record).is_flipped for slot in range(10))
    assert any(make(recipes.nlf(side=32), slot).is_flipped for slot in range(10))


def test_2d_labels_that_are_not_to_be_trusted_become_unknown():
    record = toy_crops.record(with_3d=False)
    labels = record.joints2d.copy()
    labels[0] = (100, 0.96 * toy_crops.SIZE[1])
    labels[1] = (-3, 50)
    labels[2] = np.nan
    prepared = make(recipes.nlf(side=100), None, record)
    known = np.isfinite(prepared.labelled_points(labels)).all(axis=1)
    assert known.tolist() == [False, False, False] + [True] * 14
    known = np.isfinite(make(recipes.metrabs(), None, record).labelled_points(labels)).all(axis=1)
    assert known.tolist() == [False, True, False] + [True] * 14
    # Labels of 3D data are projections, not guesses.
    known = np.isfinite(make(recipes.nlf(), None).labelled_points(labels)).all(axis=1)
    assert known.tolist() == [True, True, False] + [True] * 14


def test_row_59_the_noise_of_a_recipe_is_keyed():
    recipe = only(labels={"noise_px": 2.0})
    points = np.full((500, 2), 50.0)
    noisy = make(recipe, 5).observed_points(points)
    assert (noisy - points).std() == pytest.approx(2, rel=0.1)
    np.testing.assert_array_equal(make(recipe, 5).observed_points(points), noisy)
    assert not np.array_equal(make(recipe, 6).observed_points(points), noisy)
    assert make(recipe, None).observed_points(points) is points
    assert make(only(), 5).observed_points(points) is points


def test_the_marker_is_drawn_on_2d_data_with_and_without_augmentation():
    flat = toy_crops.record(with_3d=False)
    recipe = evaluation(side=200).replaced(artefacts={"marker_px": 14.0})
    for slot in (None, 1):
        middle = make(recipe, slot, flat).image[98:102, 98:102]
        assert (middle == (255, 0, 0)).all()
        assert not (make(recipe, slot).image == (255, 0, 0)).all(axis=2).any()


def test_the_persons_alpha_comes_through_the_same_warp():
    prepared = make(recipes.metrabs(side=200), 2, with_alpha=True)
    assert prepared.alpha.shape == (200, 200)
    points = np.round(prepared.view.points(RECORD.joints2d)).astype(int)
    inside = ((points >= 3) & (points < 197)).all(axis=1)
    assert inside.sum() > 8
    assert (prepared.alpha[points[inside, 1], points[inside, 0]] == 255).all()
    assert make(recipes.metrabs(side=200), 2).alpha is None
    assert make(only(), record=toy_crops.record(person_mask=None), with_alpha=True).alpha is None


def test_row_42_interpolation_and_antialiasing_are_options():
    target = plan_view(RECORD, evaluation(side=48), None).camera
    stored = RECORD.camera
    exact = render(JPEG, stored, target, sampling=Sampling(supersample=4))
    plain = render(JPEG, stored, target)
    finest = render(JPEG, stored, target.resized((480, 480)), sampling=Sampling())
    reference = finest.reshape(48, 10, 48, 10, 3).mean(axis=(1, 3))
    errors = [np.abs(image - reference).mean() for image in (exact, plain)]
    assert errors[0] < 0.7 * errors[1]
    big = target.resized((400, 400))
    linear, cubic, nearest = (
        render(JPEG, stored, big, sampling=Sampling(interpolation=kind)).astype(int)
        for kind in ("linear", "cubic", "nearest")
    )
    assert np.abs(linear - cubic).max() > 3
    assert len(np.unique(nearest)) <= len(np.unique(decode_jpeg(JPEG)))
    assert np.abs(linear - nearest).mean() < 6


def test_what_lies_outside_the_stored_crop_has_the_border_colour():
    target = plan_view(RECORD, evaluation(side=100), None).camera.zoomed(0.3)
    image = render(JPEG, RECORD.camera, target, border=(9, 8, 7))
    assert image[2, 2].tolist() == [9, 8, 7]
    assert render(JPEG, RECORD.camera, target)[2, 2].tolist() == [0, 0, 0]


def test_faults_name_the_record():
    with pytest.raises(ImageError, match="toy/0") as caught:
        apply_recipe(JPEG[: len(JPEG) // 2], RECORD, evaluation())
    assert caught.value.reason == "truncated"
    with pytest.raises(ImageError, match="420x401") as caught:
        apply_recipe(JPEG, RECORD.with_changes(image_size=(420, 401), camera=None), evaluation())
    assert caught.value.reason == "size_mismatch"
    view = plan_view(RECORD, evaluation(), None)
    beyond = dataclasses.replace(view, homography=np.diag([1.0, 1.0, -1.0]))
    with pytest.raises(BoxError, match="in front"):
        beyond.box(RECORD.box)
    assert np.isnan(beyond.points(RECORD.joints2d)).all()


def test_boxes_follow_the_middles_of_their_sides():
    view = plan_view(RECORD, recipes.metrabs(), RandomKey(3))
    expected = boxes.reprojected(RECORD.box, view.stored, view.camera)
    np.testing.assert_allclose(view.box(RECORD.box), expected, atol=1e-6)
