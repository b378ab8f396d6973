"""The raw tree: complete, in its documented form, the same on every run, and true.

Cameras are read here by OpenCV and not by the library, so that both cannot share a mistake.
"""

import hashlib
import importlib.util
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from posepile_torch.errors import MannequinError
from posepile_torch.mannequin import MannequinOptions, find_marks, planned_takes, raw, write_raw
from posepile_torch.sources.mannequin import CARD, SKELETON

SMALL = {"takes": 3, "frames": 2, "cameras": 1, "size": (128, 96), "video_share": 0.5}


def fixture_writer():
    path = Path(__file__).parents[1] / "raw" / "mannequin.py"
    spec = importlib.util.spec_from_file_location("raw_mannequin", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_raw


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return fixture_writer()(tmp_path_factory.mktemp("mannequin") / "raw")


def contents(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def load(path):
    return json.loads(path.read_text())


def frames_of(folder, take, camera):
    if take["images"] == "video":
        with av.open(str(folder / "videos" / f"{camera}.mkv")) as video:
            return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    paths = sorted((folder / "stills" / camera).iterdir())
    return [cv2.imread(str(path))[..., ::-1].copy() for path in paths]


def projected(camera, points_m):
    """Project by OpenCV, in the conventions of the raw files."""
    rvec, tvec, K = (np.array(camera[key]) for key in ("rvec", "tvec", "K"))
    coefficients = np.array(camera["lens"]["coefficients"])
    points = np.ascontiguousarray(points_m.reshape(-1, 1, 3))
    if camera["lens"]["model"] == "kannala-brandt":
        pixels, _ = cv2.fisheye.projectPoints(points, rvec, tvec, K, coefficients)
    else:
        pixels, _ = cv2.projectPoints(
            points, rvec, tvec, K, coefficients if coefficients.size else None
        )
    return pixels.reshape(*points_m.shape[:-1], 2)


def test_layout_is_the_one_on_the_card(root):
    files = contents(root)
    claimed = {
        path: [p.pattern for p in CARD.layout if p.match(path) is not None] for path in files
    }
    assert all(len(patterns) == 1 for patterns in claimed.values())
    assert {patterns[0] for patterns in claimed.values()} == {p.pattern for p in CARD.layout}
    index = load(root / "mannequin.json")
    for take in index["takes"]:
        folder = root / "takes" / take["name"]
        assert [c["name"] for c in load(folder / "cameras.json")["cameras"]] == index["cameras"]
        for camera in index["cameras"]:
            assert len(list((folder / "masks" / camera).iterdir())) == take["frames"]
            assert len(frames_of(folder, take, camera)) == take["frames"]


def test_index_says_what_is_there(root):
    index = load(root / "mannequin.json")
    assert index["format"] == "mannequin"
    assert (index["length_unit"], index["up"], index["first_frame"]) == ("m", "y", 1)
    assert sorted(index["joints"]) == sorted(SKELETON.joints)
    assert tuple(index["joints"]) != SKELETON.joints
    assert [take["split"] for take in index["takes"]] == ["train", "val", "test"]
    assert {take["images"] for take in index["takes"]} == {"video", "stills"}
    for take in index["takes"]:
        people = load(root / "takes" / take["name"] / "people.json")["people"]
        assert [person["subject"] for person in people] == take["subjects"]
        assert [person["label"] for person in people] == [1, 2]
        assert all(1.4 < person["height_m"] < 2 for person in people)
        assert people[0]["proportions"] != people[1]["proportions"]
        assert take["name"].endswith(take["activity"])


def test_arrays_have_their_documented_shapes(root):
    for take in load(root / "mannequin.json")["takes"]:
        with np.load(root / "takes" / take["name"] / "joints.npz") as arrays:
            shapes = {name: (arrays[name].shape, arrays[name].dtype.str) for name in arrays}
        assert shapes == {
            "joints": ((2, 2, 19, 3), "<f8"),
            "visible": ((2, 2, 2, 19), "|u1"),
            "blocks": ((2, 2, 2, 4), "<i4"),
            "visible_share": ((2, 2, 2), "<f4"),
        }


def test_marks_lie_on_the_projected_joints_for_every_lens(root):
    index = load(root / "mannequin.json")
    errors = {}
    for take in index["takes"]:
        folder = root / "takes" / take["name"]
        joints = np.load(folder / "joints.npz")["joints"]
        for camera in load(folder / "cameras.json")["cameras"]:
            pixels = projected(camera, joints)
            for image, people in zip(frames_of(folder, take, camera["name"]), pixels, strict=True):
                error = np.linalg.norm(
                    find_marks(image, index["joints"], near=people) - people, axis=-1
                )
                errors.setdefault((camera["lens"]["model"], take["images"]), []).extend(
                    error.ravel()
                )
    assert {model for model, _ in errors} == {"none", "brown-conrady", "kannala-brandt"}
    assert {images for _, images in errors} == {"video", "stills"}
    for error in errors.values():
        assert np.isfinite(error).mean() > 0.4  # the others are covered by marks of other joints
        assert np.nanmedian(error) < 0.06
        assert np.nanmax(error) < 0.2


def test_visible_joints_lie_in_the_masks(root):
    index = load(root / "mannequin.json")
    total = outside = hidden = 0
    for take in index["takes"]:
        folder = root / "takes" / take["name"]
        with np.load(folder / "joints.npz") as arrays:
            joints, visible = arrays["joints"], arrays["visible"]
        for c, camera in enumerate(load(folder / "cameras.json")["cameras"]):
            pixels = np.rint(projected(camera, joints)).astype(int)
            for frame in range(2):
                path = folder / "masks" / camera["name"] / f"{frame + 1:06d}.png"
                labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                assert labels.shape == (240, 320)
                assert labels.dtype == np.uint8
                for person in range(2):
                    x, y = pixels[frame, person].T
                    inside = (x >= 0) & (x < 320) & (y >= 0) & (y < 240)
                    seen = inside & (visible[c, frame, person] == 1)
                    total += seen.sum()
                    outside += (labels[y[seen], x[seen]] != person + 1).sum()
                    hidden += (inside & ~seen).sum()
    assert total > 200
    assert outside <= 0.02 * total
    assert hidden > 10


def test_blocks_hold_the_masks(root):
    for take in load(root / "mannequin.json")["takes"]:
        folder = root / "takes" / take["name"]
        with np.load(folder / "joints.npz") as arrays:
            blocks, shares = arrays["blocks"], arrays["visible_share"]
        assert ((shares >= 0) & (shares <= 1)).all()
        for c in range(2):
            for frame in range(2):
                path = folder / "masks" / f"c{c + 1}" / f"{frame + 1:06d}.png"
                labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                for person in range(2):
                    rows, columns = np.nonzero(labels == person + 1)
                    left, top, width, height = blocks[c, frame, person]
                    if len(rows):
                        assert left <= columns.min()
                        assert columns.max() < left + width
                        assert top <= rows.min()
                        assert rows.max() < top + height
                    if shares[c, frame, person] == 1 and width:
                        assert (rows.min(), columns.min()) == (top, left)


def test_the_same_options_give_the_same_bytes(tmp_path):
    first = contents(write_raw(tmp_path / "first", MannequinOptions(seed=3, **SMALL)))
    again = contents(write_raw(tmp_path / "again", MannequinOptions(seed=3, **SMALL)))
    other = contents(write_raw(tmp_path / "other", MannequinOptions(seed=4, **SMALL)))
    assert first == again
    assert {path.partition("/")[0] for path in other} == {"mannequin.json", "takes"}
    assert not set(first.values()) & set(other.values())


def test_jobs_do_not_change_a_byte(tmp_path):
    options = MannequinOptions(seed=3, **SMALL)
    told = []
    alone = contents(write_raw(tmp_path / "alone", options))
    many = contents(write_raw(tmp_path / "many", options, jobs=2, on_take=told.append))
    assert alone == many
    assert told == list(planned_takes(options))


def test_marks_change_the_images_and_nothing_else(tmp_path):
    plain = contents(write_raw(tmp_path / "plain", MannequinOptions(**SMALL)))
    marked = contents(write_raw(tmp_path / "marked", MannequinOptions(marks=True, **SMALL)))
    differ = {path for path in plain if plain[path] != marked[path]}
    assert plain.keys() == marked.keys()
    assert {path for path in plain if "/videos/" in path or "/stills/" in path} <= differ
    assert {path for path in differ if "/masks/" in path or path.endswith("npz")} == set()


def test_no_subject_is_in_two_splits():
    for takes in (1, 2, 3, 7, 20):
        for people in (1, 3):
            planned = list(planned_takes(MannequinOptions(takes=takes, people=people)))
            assert len(planned) == takes
            assert len({take.name for take in planned}) == takes
            subjects = {}
            for take in planned:
                assert len(set(take.subjects)) == people
                subjects.setdefault(take.split, set()).update(take.subjects)
            assert len(set().union(*subjects.values())) == sum(map(len, subjects.values()))
            expected = {1: {"train"}, 2: {"train", "test"}}.get(takes, {"train", "val", "test"})
            assert set(subjects) == expected


def test_video_share_is_kept():
    for share, videos in ((0, 0), (0.25, 5), (0.75, 15), (1, 20)):
        planned = planned_takes(MannequinOptions(video_share=share))
        assert sum(take.is_video for take in planned) == videos


@pytest.mark.parametrize(
    "wrong",
    [
        {"takes": 0},
        {"frames": 0},
        {"cameras": 100},
        {"people": 9},
        {"seed": -1},
        {"size": (63, 64)},
        {"size": (320, 241)},
        {"fps": 7},
        {"video_share": 1.5},
        {"video_share": float("nan")},
    ],
)
def test_impossible_options_are_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(MannequinError, match=name) as caught:
        MannequinOptions(**wrong)
    assert caught.value.rule
    assert caught.value.fix


def test_a_folder_in_use_is_left_alone(tmp_path):
    target = tmp_path / "raw"
    target.mkdir()
    (target / "thesis.tex").write_text("precious")
    with pytest.raises(MannequinError, match="something already"):
        write_raw(target, MannequinOptions(**SMALL))
    assert [path.name for path in tmp_path.rglob("*")] == ["raw", "thesis.tex"]


def test_an_empty_folder_is_filled(tmp_path):
    target = tmp_path / "raw"
    target.mkdir()
    options = MannequinOptions(**(SMALL | {"takes": 1, "frames": 1}))
    assert write_raw(target, options) == target
    assert (target / "mannequin.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    original, done = raw.write_take, []

    def fail_second(root, options, take):
        if done:
            raise OSError(28, "No space left on device")
        done.append(take)
        original(root, options, take)

    monkeypatch.setattr(raw, "write_take", fail_second)
    with pytest.raises(OSError, match="No space left"):
        write_raw(tmp_path / "raw", MannequinOptions(**SMALL))
    assert done
    assert list(tmp_path.iterdir()) == []


def test_people_may_be_one_or_many(tmp_path):
    for people in (1, 5):
        options = MannequinOptions(takes=1, frames=1, cameras=1, people=people, size=(128, 96))
        folder = write_raw(tmp_path / str(people), options) / "takes"
        (take,) = folder.iterdir()
        with np.load(take / "joints.npz") as arrays:
            feet = arrays["joints"][0, :, 10, [0, 2]].T
        gaps = np.linalg.norm(feet[:, None] - feet, axis=-1) + 9 * np.eye(people)
        assert gaps.min() > 0.4  # metres: nobody stands in anybody else
