"""The converter yields the conventions of the library from raw files that have others."""

import importlib.util
import json
import pickle
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from posepile_torch.convert import FileImage, VideoFrame
from posepile_torch.errors import CameraError, MissingRawFileError
from posepile_torch.images import decode_image
from posepile_torch.mannequin import find_marks
from posepile_torch.mannequin.motion import ACTIVITIES
from posepile_torch.rawfiles import iter_video_frames
from posepile_torch.registry import load_converter
from posepile_torch.sources.mannequin import CARD, SKELETON, Activity, Mannequin


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = Path(__file__).parents[1] / "raw" / "mannequin.py"
    spec = importlib.util.spec_from_file_location("raw_mannequin_converter", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_raw(tmp_path_factory.mktemp("mannequin") / "raw")


@pytest.fixture(scope="module")
def converter(root):
    return load_converter("mannequin")(root)


def pixels_of(image):
    if isinstance(image, VideoFrame):
        return dict(iter_video_frames(image.path, [image.index]))[image.index]
    return decode_image(image.path.read_bytes(), where=image.path)


def test_units_are_small_named_and_cover_the_splits(converter):
    units = list(converter.units())
    assert len(units) == 6
    assert len({unit.name for unit in units}) == 6
    assert [unit.split for unit in units] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    assert pickle.loads(pickle.dumps(units)) == units
    assert units == list(converter.units())


def test_projected_joints_lie_on_their_marks(converter):
    kinds, errors = set(), []
    for unit in converter.units():
        for frame in converter.frames(unit):
            kinds.add(type(frame.image))
            image = pixels_of(frame.image)
            assert image.shape[1::-1] == frame.camera.size
            for person in frame.people:
                converter.checked(person, where=unit.name)
            points = frame.camera.project(np.stack([p.joints3d for p in frame.people]))
            found = find_marks(image, SKELETON, near=points)
            errors.extend(np.linalg.norm(found - points, axis=-1).ravel())
    assert kinds == {VideoFrame, FileImage}
    assert np.isfinite(errors).mean() > 0.4
    assert np.nanmax(errors) < 0.2


def test_coordinates_are_millimetres_with_y_up(converter):
    for unit in converter.units():
        for frame in converter.frames(unit):
            assert np.array_equal(frame.camera.world_up, (0, 1, 0))
            for person in frame.people:
                joints = dict(zip(SKELETON.joints, person.joints3d, strict=True))
                assert 250 < np.linalg.norm(joints["lhip"] - joints["lkne"]) < 550
                assert joints["htop"][1] > joints["pelv"][1] > joints["lank"][1] > 0
                assert frame.camera.to_camera(person.joints3d)[:, 2].min() > 1000


def test_people_have_boxes_masks_and_identities(converter):
    seen = 0
    for unit in converter.units():
        for frame in converter.frames(unit):
            assert frame.sequence == unit["take"]
            assert frame.activity in get_args(Activity)
            assert frame.camera_name in ("c1", "c2")
            scene = frame.people[0].scene_mask()
            assert {person.track for person in frame.people} == {"1", "2"}
            for person in frame.people:
                assert set(np.unique(person.visible)) <= {0, 1}
                assert person.visible.dtype == np.int8
                assert person.subject.startswith("s")
                mask = person.mask()
                assert mask.size == frame.camera.size
                if not mask.area:
                    continue
                seen += 1
                assert mask.union(scene) == scene
                x, y, width, height = person.box
                inner = mask.box
                assert x <= inner[0]
                assert inner[0] + inner[2] <= x + width
                assert y <= inner[1]
                assert inner[1] + inner[3] <= y + height
                assert x % 1 == y % 1 == 0.5
    assert seen > 15


def test_frames_are_numbered_from_zero_and_lazy(converter):
    unit = next(unit for unit in converter.units() if unit["images"] == "stills")
    frames = list(converter.frames(unit))
    assert [frame.index for frame in frames] == [0, 1]
    assert [frame.image.path.name for frame in frames] == ["000001.jpg", "000002.jpg"]
    assert converter.relative(frames[0].image.path).startswith("takes/")
    pickle.dumps(frames[0].people[0].mask)


def test_another_order_of_joints_is_undone_by_name(tmp_path, root, converter):
    import shutil

    copy = tmp_path / "raw"
    shutil.copytree(root, copy)
    index = json.loads((copy / "mannequin.json").read_text())
    index["joints"] = index["joints"][::-1]
    (copy / "mannequin.json").write_text(json.dumps(index))
    for path in copy.glob("takes/*/joints.npz"):
        with np.load(path) as arrays:
            changed = dict(arrays)
        changed["joints"] = changed["joints"][:, :, ::-1]
        changed["visible"] = changed["visible"][..., ::-1]
        np.savez(path, **changed)
    unit = next(iter(converter.units()))
    pairs = zip(
        converter.frames(unit), load_converter("mannequin")(copy).frames(unit), strict=True
    )
    for first, second in pairs:
        for a, b in zip(first.people, second.people, strict=True):
            assert np.array_equal(a.joints3d, b.joints3d)
            assert np.array_equal(a.visible, b.visible)


def test_missing_and_impossible_raw_files_are_named(tmp_path, root):
    import shutil

    copy = tmp_path / "raw"
    shutil.copytree(root, copy)
    converter = load_converter("mannequin")(copy)
    unit = next(iter(converter.units()))
    path = copy / "takes" / unit["take"] / "cameras.json"
    cameras = json.loads(path.read_text())
    cameras["cameras"][0]["K"][0][0] = -1
    path.write_text(json.dumps(cameras))
    with pytest.raises(CameraError, match="focal") as caught:
        list(converter.frames(unit))
    assert "camera c1" in str(caught.value)
    path.unlink()
    with pytest.raises(MissingRawFileError, match=r"cameras\.json"):
        list(converter.frames(unit))
    with pytest.raises(MissingRawFileError, match="mannequin"):
        load_converter("mannequin")(tmp_path / "nowhere")


def test_source_says_what_is_true_of_the_data(converter):
    assert converter.source is Mannequin
    assert Mannequin.card is CARD
    assert get_args(Activity) == ACTIVITIES
    assert CARD.licence.id == "CC0-1.0"
    mirrored = [SKELETON.joints[i] for i in SKELETON.mirror]
    assert mirrored[SKELETON.index("lsho")] == "rsho"
    assert mirrored[SKELETON.index("pelv")] == "pelv"
    assert len(SKELETON.edges) == len(SKELETON.joints) - 1
