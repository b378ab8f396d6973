"""Human3.6M from raw files to samples: cameras, the S9 shift, names, steps, masks."""

from __future__ import annotations

import shutil
from typing import get_args

import numpy as np
import pytest
from posepile_torch.converters import h36m as module
from raw import h36m as raw_h36m

from posepile_torch import skeletons
from posepile_torch.archive.verify import verify_archive
from posepile_torch.convert.run import convert
from posepile_torch.errors import (
    ConversionError,
    MissingRawFileError,
    UnknownNameError,
    UnreadableRawFileError,
)
from posepile_torch.mannequin import MARK_COLOURS, find_marks
from posepile_torch.rawfiles import iter_video_frames, read_cdf
from posepile_torch.registry import load_converter, load_source
from posepile_torch.skeleton import JointMap
from posepile_torch.sources import Human36M
from posepile_torch.sources.h36m import CARD, COINCIDENT_ROWS, SKELETON, Activity
from posepile_torch.transforms import evaluation

MARKED = [name for name in SKELETON.joints if name in MARK_COLOURS]
ROWS = SKELETON.indices(MARKED)
S9_GREETING = "S9/Greeting/58860488"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return raw_h36m.write_raw(tmp_path_factory.mktemp("h36m") / "raw")


@pytest.fixture(scope="module")
def converter(root):
    return load_converter("h36m")(root)


@pytest.fixture(scope="module")
def conversion(converter, tmp_path_factory):
    return convert(converter, tmp_path_factory.mktemp("archives"))


def unit_named(converter, name):
    return next(unit for unit in converter.units() if unit.name == name)


def only_frame(converter, name):
    (frame,) = converter.frames(unit_named(converter, name))
    return frame


def pixels_of(image):
    return dict(iter_video_frames(image.path, [image.index]))[image.index]


def test_units_are_videos_with_the_customary_splits(converter):
    units = list(converter.units())
    assert len({unit.name for unit in units}) == len(units) == 4 * 4 - 1
    assert {unit.split for unit in units if unit["subject"] == "S1"} == {"train"}
    assert {unit.split for unit in units if unit["subject"] in ("S9", "S11")} == {"test"}
    assert "S9/Greeting-1/55011271" in {unit.name for unit in units}
    assert not any("_ALL" in unit.name for unit in units)
    assert load_source("h36m") is Human36M is converter.source


def test_cameras_match_the_published_golden_pixels(converter):
    point = np.array([500.0, -300.0, 1500.0])
    golden = [(322.054, 310.309), (652.397, 284.946), (534.618, 249.153), (721.673, 213.889)]
    for name, expected in zip(raw_h36m.CAMERAS, golden, strict=True):
        camera = converter.cameras["S1", name]
        np.testing.assert_allclose(camera.project(point), expected, atol=0.002)
        assert camera.size == raw_h36m.CAMERAS[name]
    np.testing.assert_allclose(
        converter.cameras["S1", "54138969"].to_camera(point),
        (-885.65, -954.73, 5265.43),
        atol=0.01,
    )
    assert {subject for subject, _ in converter.cameras} == set(module.SPLITS)
    moved = converter.cameras["S11", "55011271"].t - converter.cameras["S1", "55011271"].t
    np.testing.assert_allclose(moved, 100, atol=1e-6)


def test_projected_joints_lie_on_their_marks_in_the_raw_frames(converter):
    errors = []
    for unit in converter.units():
        for frame in converter.frames(unit):
            pixels = frame.camera.project(frame.people[0].joints3d[ROWS])
            found = find_marks(pixels_of(frame.image), MARKED, near=pixels)
            errors.extend(np.linalg.norm(found - pixels, axis=-1))
    assert np.isfinite(errors).mean() > 0.6
    assert np.nanmax(errors) < 0.3


def test_frames_are_every_fifth_in_training_and_every_64th_in_test(root, tmp_path):
    converter = load_converter("h36m")(root)
    train = converter.frames(unit_named(converter, "S1/TakingPhoto/54138969"))
    assert [(frame.index, frame.image.index) for frame in train] == [(0, 0), (5, 5)]
    assert only_frame(converter, S9_GREETING).index == 0
    denser = load_converter("h36m")(root, test_step=2, train_step=3)
    test = denser.frames(unit_named(denser, "S11/Directions/55011271"))
    assert [frame.index for frame in test] == [0, 2, 4]
    train = denser.frames(unit_named(denser, "S1/TakingPhoto/54138969"))
    assert [frame.index for frame in train] == [0, 3]
    with pytest.raises(ConversionError, match="test_step is 0"):
        only_frame(load_converter("h36m")(root, test_step=0), S9_GREETING)


def test_rows_are_the_distinct_ones_of_the_file(root, converter):
    raw = read_cdf(root / "S1/MyPoseFeatures/D3_Positions/TakingPhoto.cdf")["Pose"]
    frame = next(converter.frames(unit_named(converter, "S1/TakingPhoto/54138969")))
    joints = frame.people[0].joints3d
    rows32 = raw[0, 0].reshape(32, 3)
    names32 = skeletons.get("h36m_32").joints
    for row, name in zip(module.ROWS, SKELETON.joints, strict=True):
        assert names32[row] == name
    np.testing.assert_array_equal(joints, rows32[list(module.ROWS)])
    back = JointMap.between(SKELETON, skeletons.get("h36m_32"), COINCIDENT_ROWS)
    assert len(back.with_status("exact")) == 32
    np.testing.assert_array_equal(back.apply(joints), rows32)
    seventeen = JointMap.between(SKELETON, skeletons.get("h36m_17"))
    assert len(seventeen.with_status("exact")) == 17
    chosen = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    np.testing.assert_array_equal(seventeen.apply(joints), rows32[chosen])


def test_displaced_recordings_of_s9_are_moved_back_with_their_boxes(root, converter):
    corrected = only_frame(converter, S9_GREETING)
    plain = only_frame(load_converter("h36m")(root, correct_s9=False), S9_GREETING)
    here, there = corrected.people[0], plain.people[0]
    moved = np.broadcast_to([-200.0, 0, 0], here.joints3d.shape)
    np.testing.assert_allclose(here.joints3d - there.joints3d, moved, atol=1e-9)
    for frame, lies_on_marks in ((corrected, True), (plain, False)):
        pixels = frame.camera.project(frame.people[0].joints3d[ROWS])
        found = find_marks(pixels_of(frame.image), MARKED, near=pixels)
        assert np.isfinite(found).any() == lies_on_marks
    # The mask is of the image; the corrected box surrounds it and the other one is beside it.
    outline = here.mask.box
    assert np.abs(here.box[:2] + here.box[2:] / 2 - outline[:2] - outline[2:] / 2).max() < 12
    assert np.abs(there.box[:2] + there.box[2:] / 2 - outline[:2] - outline[2:] / 2).max() > 20
    # "Greeting 1" of the same actor is sound.
    sound = "S9/Greeting-1/58860488"
    np.testing.assert_array_equal(
        only_frame(converter, sound).people[0].joints3d,
        only_frame(load_converter("h36m")(root, correct_s9=False), sound).people[0].joints3d,
    )
    assert module.DISPLACED_S9 == ("Greeting", "SittingDown 1", "Waiting 1")


def test_the_corrupt_video_is_left_out_as_the_option_says(root):
    def cameras(**options):
        units = load_converter("h36m")(root, **options).units()
        return {unit["camera"] for unit in units if unit["subject"] == "S11"}

    everything = set(raw_h36m.CAMERAS)
    assert cameras() == everything - {"54138969"}
    assert cameras(s11_directions="keep") == everything
    assert cameras(s11_directions="skip") == set()
    with pytest.raises(UnknownNameError, match="skip-camera"):
        cameras(s11_directions="skip-cam")


def test_names_are_those_of_published_tables(converter):
    frame = next(converter.frames(unit_named(converter, "S1/TakingPhoto/54138969")))
    assert (frame.activity, frame.sequence) == ("Photo", "S1/TakingPhoto")
    assert frame.camera_name == "54138969"
    assert frame.people[0].subject == "S1"
    frame = only_frame(converter, "S9/Greeting-1/55011271")
    assert (frame.activity, frame.sequence) == ("Greeting", "S9/Greeting 1")
    assert module.activity_of("WalkingDog 1") == "WalkDog"
    assert module.activity_of("WalkTogether 1") == "WalkTogether"
    assert len(get_args(Activity)) == 15
    assert {"Photo", "WalkDog", "SittingDown"} <= set(get_args(Activity))


def test_masks_and_boxes_are_not_transposed_and_optional(converter):
    frame = next(converter.frames(unit_named(converter, "S1/TakingPhoto/60457274")))
    person = frame.people[0]
    assert person.mask.size == (1000, 1002)
    pixels = frame.camera.project(person.joints3d[ROWS])
    inside = person.mask.to_array()[tuple(np.rint(pixels).astype(int).T[::-1])]
    assert inside.all()
    assert (pixels > person.box[:2]).all()
    assert (pixels < person.box[:2] + person.box[2:]).all()
    bare = only_frame(converter, "S9/Greeting-1/60457274").people[0]
    assert bare.mask is None
    assert bare.box is None


def test_the_archive_is_sound_and_samples_lie_on_the_marks(conversion):
    assert not conversion.failed
    assert conversion.skipped == {}
    assert conversion.records == 4 * 2 + 4 + 4 + 3
    assert verify_archive(conversion.archive, "semantic").ok
    errors = []
    for split in ("train", "test"):
        source = Human36M(conversion.archive, split=split, recipe=evaluation(side=512))
        for sample in source:
            assert sample.known3d.all()
            found = find_marks(sample.image, MARKED, near=sample.joints2d[ROWS])
            errors.extend(np.linalg.norm(found - sample.joints2d[ROWS], axis=-1))
    assert np.isfinite(errors).mean() > 0.4
    assert np.nanmax(errors) < 0.5
    seventeen = Human36M(conversion.archive, split="test", skeleton="h36m_17")[0]
    assert seventeen.joints3d.shape == (17, 3)
    assert seventeen.known3d.all()


def test_damaged_and_missing_files_are_named(root, tmp_path):
    with pytest.raises(MissingRawFileError, match="no poses"):
        list(load_converter("h36m")(tmp_path).units())
    copy = tmp_path / "raw"
    shutil.copytree(root / "S1", copy / "S1")
    name = "S1/TakingPhoto/54138969"
    converter = load_converter("h36m")(copy)
    unit = unit_named(converter, name)
    with pytest.raises(MissingRawFileError, match=r"metadata\.xml"):
        next(converter.frames(unit))
    metadata = copy / "Release-v1.2" / "metadata.xml"
    metadata.parent.mkdir()
    for text, message in (
        ("<m><w0>[1 2 3]</w0></m>", "3 numbers"),
        ("<m><w0>[a]</w0></m>", "0 numbers"),
        ("<m/>", "no node w0"),
    ):
        metadata.write_text(text)
        with pytest.raises(UnreadableRawFileError, match=message):
            next(converter.frames(unit))
    shutil.copy(root / "Release-v1.2" / "metadata.xml", metadata)
    assert len(list(converter.frames(unit))) == 2
    masks = copy / "S1/MySegmentsMat/ground_truth_bs"
    shutil.copy(masks / "TakingPhoto.55011271.mat", masks / "TakingPhoto.54138969.mat")
    with pytest.raises(UnreadableRawFileError, match=r"mask 0 is \(1000, 1000\)"):
        list(converter.frames(unit))
    (copy / "S1/Videos/TakingPhoto.54138969.mp4").unlink()
    with pytest.raises(MissingRawFileError, match="no such video"):
        next(converter.frames(unit))


def test_masks_of_too_few_frames_and_other_poses_are_named(root, tmp_path):
    copy = raw_h36m.write_raw(tmp_path / "raw", frames=2, recordings=raw_h36m.RECORDINGS[:1])
    poses = "S1/MyPoseFeatures/D3_Positions/TakingPhoto.cdf"
    shutil.copy(root / poses, copy / poses)
    converter = load_converter("h36m")(copy)
    unit = unit_named(converter, "S1/TakingPhoto/54138969")
    with pytest.raises(UnreadableRawFileError, match="2 masks for 6 frames"):
        list(converter.frames(unit))
    (copy / poses).unlink()
    raw_h36m.write_cdf(copy / poses, np.zeros((1, 6, 64), np.float32))
    with pytest.raises(UnreadableRawFileError, match=r"shape \(1, 6, 64\)"):
        next(converter.frames(unit))


def test_poses_of_videopose3d_are_the_same_poses(root, converter, tmp_path):
    raw_h36m.write_npz(root)
    other = load_converter("h36m")(root, poses="npz")
    units = {unit.name for unit in other.units()}
    assert len(units) == 3 * 4
    assert not any(name.startswith("S11") for name in units)
    for name, its_name in (
        ("S1/TakingPhoto/55011271", "S1/Photo/55011271"),
        (S9_GREETING, S9_GREETING),
    ):
        here = list(converter.frames(unit_named(converter, name)))
        there = list(other.frames(unit_named(other, its_name)))
        for first, second in zip(here, there, strict=True):
            assert second.image == first.image
            assert second.activity == first.activity
            np.testing.assert_allclose(
                second.people[0].joints3d, first.people[0].joints3d, atol=0.001
            )
    assert next(iter(there)).sequence == "S9/Greeting"
    with pytest.raises(UnknownNameError, match="choice 'json'"):
        list(load_converter("h36m")(root, poses="json").units())
    broken = np.array({"S1": {"Photo": np.zeros((4, 17, 3), np.float32)}}, object)
    (tmp_path / "S1" / "Videos").mkdir(parents=True)
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=broken)
    other = load_converter("h36m")(tmp_path, poses="npz")
    with pytest.raises(UnreadableRawFileError, match=r"shape \(4, 17, 3\)"):
        next(other.frames(unit_named(other, "S1/Photo/54138969")))
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=np.zeros(3))
    with pytest.raises(UnreadableRawFileError, match="no table of tables"):
        list(load_converter("h36m")(tmp_path, poses="npz").units())


def test_the_card_says_what_the_converter_does(converter):
    assert {split.name for split in CARD.splits} == {"train", "test"}
    patterns = [pattern for pattern in CARD.layout if pattern.required]
    files = [converter.relative(path) for path in converter.root.rglob("*") if path.is_file()]
    for pattern in patterns:
        assert any(pattern.match(file) is not None for file in files), pattern.pattern
