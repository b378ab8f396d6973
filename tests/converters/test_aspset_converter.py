"""ASPset-510: the converter yields what the files say, and names what is wrong with them."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from raw import aspset as raw

from posepile_torch.errors import (
    CameraError,
    ConversionError,
    JointCountError,
    MissingRawFileError,
    UnknownNameError,
    UnreadableRawFileError,
)
from posepile_torch.mannequin import find_marks
from posepile_torch.mannequin.storage import Video
from posepile_torch.rawfiles import iter_video_frames
from posepile_torch.registry import load_converter
from posepile_torch.sources.aspset import SKELETON


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return raw.write_raw(tmp_path_factory.mktemp("aspset") / "raw")


@pytest.fixture
def clip(tmp_path):
    """A copy of one clip that a test may damage."""
    return raw.write_raw(tmp_path / "raw", clips=raw.CLIPS[1:2], frames=2)


def converter(root, **options):
    return load_converter("aspset")(root, **options)


def frames(root, number=0, **options):
    made = converter(root, **options)
    return list(made.frames(list(made.units())[number]))


def test_units_are_the_views_of_the_clips_in_their_splits(root):
    units = list(converter(root).units())
    assert [(unit.name, unit.split) for unit in units] == [
        ("04ac-0001-left", "train"),
        ("04ac-0001-mid", "train"),
        ("04ac-0001-right", "train"),
        ("04ac-0002-mid", "train"),
        ("5cb9-0001-right", "val"),
        ("1e28-0001-left", "test"),
    ]
    assert pickle.loads(pickle.dumps(units)) == units


def test_splits_can_be_left_out(root):
    units = converter(root, splits="val").units()
    assert [unit.name for unit in units] == ["5cb9-0001-right"]
    with pytest.raises(UnknownNameError, match="tran"):
        list(converter(root, splits="tran val").units())


def test_joints_lie_on_the_marks_of_the_video_in_every_view(root):
    made, errors = converter(root), []
    for unit in made.units():
        for frame in made.frames(unit):
            (person,) = frame.people
            made.checked(person, where=unit.name)
            image = dict(iter_video_frames(frame.image.path, [frame.image.index]))
            near = frame.camera.project(person.joints3d)[None]
            found = find_marks(image[frame.image.index], SKELETON, near=near)
            errors.extend(np.linalg.norm(found - near, axis=-1).ravel())
    assert np.isfinite(errors).mean() > 0.6
    assert np.nanmax(errors) < 0.3


def test_frames_say_who_where_and_when(root):
    found = frames(root, 2)
    assert [frame.index for frame in found] == [0, 1, 2]
    for frame in found:
        assert (frame.sequence, frame.camera_name) == ("04ac-0001", "right")
        assert frame.size == raw.SIZE
        assert frame.people[0].subject == "04ac"
        assert np.array_equal(frame.camera.world_up, (0, -1, 0))
        joints = dict(zip(SKELETON.joints, frame.people[0].joints3d, strict=True))
        assert joints["htop"][1] < joints["pelv"][1] < joints["lank"][1]


def test_boxes_are_grown_about_their_centre(root):
    grown = frames(root)[0].people[0].box
    published = frames(root, box_factor=1.0)[0].people[0].box
    np.testing.assert_allclose(grown[2:], 1.1 * published[2:])
    np.testing.assert_allclose(grown[:2] + grown[2:] / 2, published[:2] + published[2:] / 2)
    row = (root / "trainval/boxes/04ac/04ac-0001-left.csv").read_text().splitlines()[1]
    left, top, right, bottom = map(float, row.split(","))
    np.testing.assert_allclose(published, (left, top, right - left, bottom - top))


def test_the_published_example_projects_as_published(clip):
    """Camera 04ac-right and joints of clip 04ac-0026, from the toolkit's own tests."""
    matrices = {
        "intrinsic_matrix": [
            *(3908.201416, 0, 1907.136108, 0),
            *(0, 3904.395020, 1082.651855, 0),
            *(0, 0, 1, 0),
        ],
        "extrinsic_matrix": [
            *(0.355310, -0.037651, 0.933990, -16513.444863),
            *(0.010982, 0.999288, 0.036106, -694.394037),
            *(-0.934684, -0.002572, 0.355470, 12560.579233),
            *(0, 0, 0, 1),
        ],
    }
    (clip / "trainval/cameras/04ac/04ac-mid.json").write_text(json.dumps(matrices))
    video = Video(clip / "trainval/videos/04ac/04ac-0002-mid.mkv", (3840, 2160), 50)
    video.add(0, np.zeros((2160, 3840, 3), np.uint8))
    video.close()
    camera = frames(clip)[0].camera
    joints = [[-518.131775, 1121.474, 18538.8398], [-472.049225, 243.091171, 18629.4688]]
    np.testing.assert_allclose(
        camera.project(joints), [[2021.66769504, 1299.42125245], [2048.42372027, 1125.62374581]],
        atol=1e-3,
    )  # fmt: skip
    # Heads are above feet in the image, so y runs down in the world as the card says.
    assert camera.to_camera(joints)[0, 1] > camera.to_camera(joints)[1, 1]


def test_nested_matrices_are_read_like_flat_ones(clip):
    path = clip / "trainval/cameras/04ac/04ac-mid.json"
    flat = frames(clip)[0].camera
    entry = json.loads(path.read_text())
    nested = {
        "intrinsic_matrix": np.reshape(entry["intrinsic_matrix"], (3, 4)).tolist(),
        "extrinsic_matrix": np.reshape(entry["extrinsic_matrix"], (4, 4)).tolist(),
    }
    path.write_text(json.dumps(nested))
    assert frames(clip)[0].camera == flat


def test_frames_beyond_the_shortest_file_have_nobody(clip):
    path = clip / "trainval/boxes/04ac/04ac-0002-mid.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:2]))
    assert [len(frame.people) for frame in frames(clip)] == [1, 0]


def test_the_test_split_without_labels_yields_people_without_joints(tmp_path):
    root = raw.write_raw(tmp_path / "raw", clips=raw.CLIPS[1:4:2], frames=1, test_joints=False)
    assert frames(root, 0)[0].people[0].joints3d is not None
    (person,) = frames(root, 1)[0].people
    assert person.joints3d is None
    assert person.box is not None


def edited(root, name, **changes):
    path = root / "trainval/cameras/04ac/04ac-mid.json"
    entry = json.loads(path.read_text())
    values = entry[name]
    for index, value in changes.items():
        values[int(index.removeprefix("at"))] = value
    path.write_text(json.dumps(entry))


def test_cameras_that_cannot_be_are_refused(clip):
    edited(clip, "extrinsic_matrix", at0=2.5)
    with pytest.raises(CameraError, match=r"04ac-mid\.json"):
        frames(clip)
    edited(clip, "intrinsic_matrix", at3=12.0)
    with pytest.raises(UnreadableRawFileError, match="no pinhole camera"):
        frames(clip)
    (clip / "trainval/cameras/04ac/04ac-mid.json").write_text('{"intrinsic_matrix": [1, 2]}')
    with pytest.raises(UnreadableRawFileError, match="intrinsic_matrix is missing or malformed"):
        frames(clip)


def test_joints_that_cannot_be_are_refused(clip):
    path = clip / "trainval/joints_3d/04ac/04ac-0002.c3d"
    joints_mm = np.stack([frame.people[0].joints3d for frame in frames(clip)])
    raw.write_c3d(path, joints_mm, units="m")
    with pytest.raises(ConversionError, match=r"shanks are .* mm long"):
        frames(clip)
    raw.write_c3d(path, joints_mm, skeleton="h36m_17j")
    with pytest.raises(UnreadableRawFileError, match="h36m_17j"):
        frames(clip)
    left_first = [*list(raw.LABELS)[6:12], *list(raw.LABELS)[:6], *list(raw.LABELS)[12:]]
    raw.write_c3d(path, joints_mm, labels=left_first)
    with pytest.raises(UnreadableRawFileError, match="the points left_ankle"):
        frames(clip)
    raw.write_c3d(path, joints_mm[:, :16])
    with pytest.raises(JointCountError, match="17"):
        frames(clip)


@pytest.mark.parametrize("row", ["04ac,0001,train,front", "04ac,0001,validation,all"])
def test_rows_that_mean_nothing_are_named(clip, row):
    with (clip / "splits.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(UnreadableRawFileError, match=r"splits\.csv, row 2"):
        list(converter(clip).units())


@pytest.mark.parametrize(
    "name",
    [
        "splits.csv",
        "trainval/cameras/04ac/04ac-mid.json",
        "trainval/boxes/04ac/04ac-0002-mid.csv",
        "trainval/videos/04ac/04ac-0002-mid.mkv",
        "trainval/joints_3d/04ac/04ac-0002.c3d",
    ],
)
def test_missing_files_are_named(clip, name):
    (clip / name).unlink()
    with pytest.raises(MissingRawFileError, match=name.rpartition("/")[2]):
        frames(clip)
