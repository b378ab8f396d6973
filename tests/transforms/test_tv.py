"""Samples through torchvision's transforms: pixels, joints and cameras stay together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import toy_crops
from torchvision_stub import prepare_torchvision

from posepile_torch.errors import ImageError, MissingDependencyError, RecipeError
from posepile_torch.sample import Sample2D, Sample3D
from posepile_torch.transforms import RandomKey, apply_recipe, evaluation, tv

prepare_torchvision()
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

MIRROR = toy_crops.SKELETON.mirror


@pytest.fixture(scope="module")
def sample() -> Sample3D:
    record = toy_crops.record()
    prepared = apply_recipe(toy_crops.jpeg(), record, evaluation(side=256))
    points = prepared.view.points(record.joints2d)
    known = np.ones(17, bool)
    known[3] = False
    return Sample3D(
        image=prepared.image,
        joints2d=np.where(known[:, None], points, 0).astype(np.float32),
        known=known,
        visible=np.arange(17).astype(np.int8) % 2,
        in_view=prepared.camera.is_in_view(points) & known,
        box=prepared.box.astype(np.float32),
        has_camera=True,
        camera=prepared.camera,
        source="toy",
        row=0,
        id="toy/0",
        joints3d=prepared.camera.to_camera(record.joints3d).astype(np.float32),
        known3d=known,
    )


def test_nothing_changes_on_the_way_there_and_back(sample):
    values = tv.to_tv(sample, mask=np.ones((256, 256), np.uint8))
    assert isinstance(values["image"], tv_tensors.Image)
    assert isinstance(values["mask"], tv_tensors.Mask)
    assert isinstance(values["joints2d"], tv_tensors.KeyPoints)
    assert values["image"].shape == (3, 256, 256)
    # Torchvision counts from pixel corners.
    np.testing.assert_allclose(values["joints2d"].numpy(), sample.joints2d + 0.5)
    back = tv.from_tv(sample, values)
    np.testing.assert_array_equal(back.image, sample.image)
    assert back.camera == sample.camera
    np.testing.assert_array_equal(back.joints3d, sample.joints3d)


GEOMETRIC = {
    "flip": v2.RandomHorizontalFlip(p=1.0),
    "upside down": v2.RandomVerticalFlip(p=1.0),
    "resize": v2.Resize((160, 200), antialias=True),
    "crop": v2.CenterCrop((200, 180)),
    "pad": v2.Pad((5, 10, 20, 7)),
    "rotate": v2.RandomRotation((25, 25), interpolation=v2.InterpolationMode.BILINEAR),
    "affine": v2.RandomAffine(
        (10, 10), (0.1, 0.1), (0.9, 0.9), (5, 6), interpolation=v2.InterpolationMode.BILINEAR
    ),
    "perspective": v2.RandomPerspective(0.3, p=1.0),
    "several": v2.Compose(
        [v2.RandomHorizontalFlip(p=1.0), v2.RandomResizedCrop(192, (0.7, 0.7), antialias=True)]
    ),
}


@pytest.mark.parametrize("name", GEOMETRIC)
def test_marks_joints_and_cameras_follow_any_geometry(sample, name):
    result = tv.transformed(sample, GEOMETRIC[name], mirror=MIRROR, key=RandomKey(3))
    assert result.camera.size == (result.image.shape[1], result.image.shape[0])
    known = result.known
    projected = result.camera.project_camera(result.joints3d[known].astype(np.float64))
    np.testing.assert_allclose(projected, result.joints2d[known], atol=0.02)
    errors = toy_crops.mark_errors(result.image, result.joints2d.astype(float), 2.2)
    seen = errors[np.isfinite(errors)]
    assert len(seen) >= 9
    assert seen.mean() < 0.1
    assert type(result) is Sample3D
    assert result.in_view.dtype == bool


def test_a_mirrored_sample_has_left_and_right_exchanged(sample):
    result = tv.transformed(sample, GEOMETRIC["flip"], mirror=MIRROR)
    np.testing.assert_array_equal(result.image, sample.image[:, ::-1])
    left, right = (toy_crops.SKELETON.index(name) for name in ("lwri", "rwri"))
    np.testing.assert_allclose(
        result.joints2d[left], sample.joints2d[right] * (-1, 1) + (255, 0), atol=1e-3
    )
    np.testing.assert_allclose(
        result.joints3d[left], sample.joints3d[right] * (-1, 1, 1), atol=1e-2
    )
    assert result.visible[left] == sample.visible[right]
    partner = MIRROR[3]
    assert not result.known[partner]
    assert (result.joints2d[partner] == 0).all()
    assert result.camera.is_mirrored
    with pytest.raises(RecipeError, match=r"mirror=skeleton\.mirror"):
        tv.transformed(sample, GEOMETRIC["flip"])


def test_colours_change_pixels_only(sample):
    result = tv.transformed(sample, v2.ColorJitter(brightness=(0.5, 0.5)))
    assert result.image.mean() == pytest.approx(sample.image.mean() / 2, abs=1)
    assert result.camera == sample.camera
    np.testing.assert_array_equal(result.joints2d, sample.joints2d)


def test_2d_samples_pass_as_well(sample):
    fields = {name: getattr(sample, name) for name in Sample2D.__dataclass_fields__}
    result = tv.transformed(Sample2D(**fields), GEOMETRIC["rotate"])
    assert type(result) is Sample2D
    np.testing.assert_allclose(
        result.joints2d, tv.transformed(sample, GEOMETRIC["rotate"]).joints2d
    )


def test_the_outcome_is_keyed_and_torchs_generator_is_left_alone(sample):
    transform = v2.RandomRotation(60)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first = tv.transformed(sample, transform, key=RandomKey(1, 2, 3))
    assert torch.equal(torch.rand(3), expected)
    torch.rand(10)
    again = tv.transformed(sample, transform, key=RandomKey(1, 2, 3))
    np.testing.assert_array_equal(first.image, again.image)
    other = tv.transformed(sample, transform, key=RandomKey(1, 2, 4))
    assert not np.array_equal(first.image, other.image)


def test_transforms_that_no_camera_explains_are_refused(sample):
    with pytest.raises(RecipeError, match="off any homography"):
        tv.transformed(sample, v2.ElasticTransform(alpha=200.0), key=RandomKey(0))
    with pytest.raises(ImageError, match="uint8"):
        tv.transformed(sample, v2.ToDtype(torch.float32, scale=True))
    values = tv.to_tv(sample)
    fewer = {**values, "reference": values["reference"][:3]}
    with pytest.raises(RecipeError, match="reference points"):
        tv.from_tv(sample, fewer)


def test_the_roll_of_a_rotated_sample_is_in_its_camera(sample):
    result = tv.transformed(sample, GEOMETRIC["rotate"])
    turn = result.camera.R @ sample.camera.R.T
    assert math.degrees(math.atan2(turn[1, 0], turn[0, 0])) == pytest.approx(-25, abs=0.01)
    np.testing.assert_allclose(result.camera.K, sample.camera.K, atol=1e-3)


def test_versions_without_key_points_are_named(sample, monkeypatch):
    monkeypatch.delattr(tv_tensors, "KeyPoints")
    with pytest.raises(MissingDependencyError, match=r"0\.23"):
        tv.to_tv(sample)
