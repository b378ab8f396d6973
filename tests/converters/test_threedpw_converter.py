"""3DPW from raw files to samples: conventions, splits, invalid camera poses, two skeletons."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
from raw import threedpw as raw_threedpw

from posepile_torch import skeletons
from posepile_torch.archive.verify import verify_archive
from posepile_torch.convert.run import convert
from posepile_torch.errors import MissingRawFileError, UnreadableRawFileError
from posepile_torch.images import decode_image
from posepile_torch.mannequin import MARK_COLOURS, find_marks
from posepile_torch.registry import load_converter, load_source
from posepile_torch.skeleton import JointMap
from posepile_torch.sources import ThreeDPW
from posepile_torch.sources.threedpw import CARD, SKELETON
from posepile_torch.transforms import evaluation

MARKED = [name for name in skeletons.get("smpl_24").joints if name in MARK_COLOURS]
ROWS = SKELETON.indices(MARKED)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return raw_threedpw.write_raw(tmp_path_factory.mktemp("threedpw") / "raw")


@pytest.fixture(scope="module")
def converter(root):
    return load_converter("3dpw")(root)


@pytest.fixture(scope="module")
def conversion(converter, tmp_path_factory):
    return convert(converter, tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="module")
def raw_train(root):
    path = root / "sequenceFiles" / "train" / "courtyard_toy_00.pkl"
    with path.open("rb") as file:
        return pickle.load(file, encoding="latin1")


def unit_of(converter, split):
    return next(unit for unit in converter.units() if unit.split == split)


def test_units_are_sequences_and_keep_the_official_splits(converter):
    units = {unit.name: unit.split for unit in converter.units()}
    assert units == {
        "train/courtyard_toy_00": "train",
        "validation/downtown_toy_00": "val",
        "test/office_toy_00": "test",
    }
    assert CARD.name == "3dpw"
    assert load_source("3dpw") is ThreeDPW is converter.source


def test_projected_joints_lie_on_their_marks_in_the_raw_frames(converter):
    errors, sizes = [], set()
    for unit in converter.units():
        for frame in converter.frames(unit):
            if frame.camera is None:
                continue
            image = decode_image(frame.image.path.read_bytes(), where=frame.image.path)
            sizes.add(frame.size)
            assert image.shape[1::-1] == frame.size == frame.camera.size
            people = [person for person in frame.people if person.joints3d is not None]
            pixels = np.stack([frame.camera.project(p.joints3d[ROWS]) for p in people])
            found = find_marks(image, MARKED, near=pixels)
            errors.extend(np.linalg.norm(found - pixels, axis=-1).ravel())
    assert sizes == {raw_threedpw.LANDSCAPE, raw_threedpw.PORTRAIT}
    assert np.isfinite(errors).mean() > 0.6
    assert np.nanmax(errors) < 0.3


def test_joints_are_millimetres_in_the_world_of_the_pickle(converter, raw_train):
    frame = next(converter.frames(unit_of(converter, "train")))
    for row, person in enumerate(frame.people):
        expected = raw_train["jointPositions"][row][0].reshape(24, 3) * 1000
        np.testing.assert_allclose(person.joints3d[:24], expected)
        assert np.isnan(person.joints3d[24:]).all()
        joints = dict(zip(SKELETON.joints, person.joints3d, strict=True))
        assert 250 < np.linalg.norm(joints["lhip"] - joints["lkne"]) < 550


def test_2d_points_are_openpose_18_and_not_coco_17(converter, raw_train):
    frame = next(converter.frames(unit_of(converter, "train")))
    raw = raw_train["poses2d"][0][0]
    person = frame.people[0]
    # The thirteen points below the face, by name: the neck is the second, the right arm follows.
    for column, name in enumerate(("nose", "neck", "rsho", "relb", "rwri", "lsho")):
        index = SKELETON.index(f"{name}_coco")
        np.testing.assert_array_equal(person.joints2d[index], raw[:2, column])
        assert person.confidence[index] == pytest.approx(min(raw[2, column], 1))
    for name in ("rsho", "lwri", "rkne", "lank"):
        projected = frame.camera.project(person.joints3d[SKELETON.index(name)])
        labelled = person.joints2d[SKELETON.index(f"{name}_coco")]
        np.testing.assert_allclose(projected, labelled, atol=1e-6)
    missing = SKELETON.index("rear_coco")
    assert np.isnan(person.joints2d[missing]).all()
    assert person.confidence[missing] == 0
    assert np.isnan(person.joints2d[:24]).all()
    openpose = JointMap.between(SKELETON, skeletons.get("openpose_18"))
    assert len(openpose.with_status("exact")) == 18
    assert all(name.endswith("_coco") for row in openpose.rows for name in row.rule.sources)
    assert len(JointMap.between(SKELETON, skeletons.get("smpl_24")).with_status("exact")) == 24


def test_body_parameters_are_those_of_the_pickle(converter, raw_train):
    frames = list(converter.frames(unit_of(converter, "train")))
    bodies = [person.body for person in frames[1].people]
    assert [body.gender for body in bodies] == ["male", "female"]
    for row, body in enumerate(bodies):
        assert body.model == "smpl"
        np.testing.assert_array_equal(body.pose, raw_train["poses"][row][1])
        np.testing.assert_array_equal(body.betas, raw_train["betas"][row])
        # Metres, as the body model defines them, while joints are millimetres.
        np.testing.assert_array_equal(body.translation, raw_train["trans"][row][1])
    val = next(converter.frames(unit_of(converter, "val")))
    assert val.people[0].body.betas.shape == (10,)
    assert not (val.people[0].body.betas == 9).any()


def test_people_without_a_valid_camera_pose_or_2d_point_are_counted(conversion):
    assert not conversion.failed
    assert conversion.frames == 12
    # One invalid pose and one empty detection in train, two invalid poses in the test sequence.
    assert conversion.skipped == {"no joints": 4}
    assert conversion.records == (8 - 2) + 4 + (8 - 2)
    train = ThreeDPW(conversion.archive, split="train")
    kept = {(train.record(i).frame, train.record(i).track) for i in range(len(train))}
    assert kept == {(f, t) for f in range(4) for t in "01"} - {(2, "1"), (3, "0")}


def test_cameras_differ_between_frames_and_are_levelled_to_themselves(converter):
    frames = list(converter.frames(unit_of(converter, "train")))
    centres = np.stack([frame.camera.t for frame in frames])
    assert (np.linalg.norm(np.diff(centres, axis=0), axis=1) > 50).all()
    for frame in frames:
        np.testing.assert_allclose(frame.camera.world_up, -frame.camera.R[1])
    assert {frame.sequence for frame in frames} == {"courtyard_toy_00"}
    assert {frame.scene for frame in frames} == {"courtyard"}


def test_the_archive_is_sound_and_samples_lie_on_the_marks(conversion):
    assert verify_archive(conversion.archive, "semantic").ok
    errors = []
    for split in ("train", "val", "test"):
        source = ThreeDPW(conversion.archive, split=split, recipe=evaluation(side=256))
        assert len(source) >= 4
        for sample in source:
            assert sample.known3d[:24].all()
            assert not sample.known3d[24:].any()
            found = find_marks(sample.image, MARKED, near=sample.joints2d[ROWS])
            errors.extend(np.linalg.norm(found - sample.joints2d[ROWS], axis=-1))
    assert np.isfinite(errors).mean() > 0.6
    assert np.nanmax(errors) < 0.5


def test_2d_points_move_with_the_crop(conversion):
    source = ThreeDPW(conversion.archive, split="val", skeleton="openpose_18")
    smpl = ThreeDPW(conversion.archive, split="val", skeleton="smpl_24")
    for points, joints in zip(source, smpl, strict=True):
        assert points.known.sum() == 17
        assert not points.known3d.any()
        for name in ("rsho", "lwri", "rkne"):
            np.testing.assert_allclose(
                points.joints2d[source.skeleton.index(name)],
                joints.joints2d[smpl.skeleton.index(name)],
                atol=0.01,
            )


def test_body_parameters_survive_the_conversion(conversion, raw_train):
    source = ThreeDPW(conversion.archive, split="train")
    record = source.record(0)
    row = int(record.track)
    np.testing.assert_array_equal(record.body.pose, raw_train["poses"][row][record.frame])
    assert record.body.gender == ("male", "female")[row]
    assert record.raw["file"] == f"imageFiles/courtyard_toy_00/image_{record.frame:05d}.jpg"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("campose_valid"), "no 'campose_valid'"),
        (lambda c: c.update(genders=["x", "f"]), "gender 'x'"),
        (lambda c: c.update(betas=c["betas"][:1]), "betas has 1 of 2 people"),
        (lambda c: c.update(betas=[b[:4] for b in c["betas"]]), "4 betas"),
        (lambda c: c.update(poses2d=[p[:, :, :17] for p in c["poses2d"]]), r"poses2d\[0\]"),
        (lambda c: c.update(cam_intrinsics=np.eye(4)), "cam_intrinsics"),
    ],
)
def test_a_pickle_of_another_shape_is_named(root, tmp_path, change, message):
    copy = tmp_path / "raw"
    shutil.copytree(root, copy)
    path = copy / "sequenceFiles" / "train" / "courtyard_toy_00.pkl"
    with path.open("rb") as file:
        content = pickle.load(file, encoding="latin1")
    change(content)
    path.write_bytes(pickle.dumps(content, protocol=2))
    converter = load_converter("3dpw")(copy)
    with pytest.raises(UnreadableRawFileError, match=message) as caught:
        list(converter.frames(unit_of(converter, "train")))
    assert "courtyard_toy_00.pkl" in str(caught.value)


def test_missing_files_are_named(root, tmp_path):
    with pytest.raises(MissingRawFileError, match="no sequence file"):
        list(load_converter("3dpw")(tmp_path).units())
    copy = tmp_path / "raw"
    shutil.copytree(root, copy)
    for split in ("validation", "test"):
        shutil.rmtree(copy / "sequenceFiles" / split)
    (copy / "sequenceFiles" / "train" / "._courtyard_toy_00.pkl").write_bytes(b"finder")
    images = copy / "imageFiles" / "courtyard_toy_00"
    converter = load_converter("3dpw")(copy)
    assert [unit.name for unit in converter.units()] == ["train/courtyard_toy_00"]
    (images / "image_00000.jpg").unlink()
    with pytest.raises(MissingRawFileError, match=r"image_00000\.jpg"):
        list(converter.frames(unit_of(converter, "train")))
