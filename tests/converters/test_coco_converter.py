"""COCO and COCO-WholeBody: the converters yield what the files say, and name what is wrong."""

from __future__ import annotations

import json
import pickle

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from raw import coco as raw

from posepile_torch.errors import ConversionError, MissingRawFileError, UnreadableRawFileError
from posepile_torch.images import decode_image
from posepile_torch.masks import Mask
from posepile_torch.registry import load_converter, load_source


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return raw.write_raw(tmp_path_factory.mktemp("coco") / "raw")


@pytest.fixture
def copy(tmp_path):
    """A raw folder that a test may damage."""
    return raw.write_raw(tmp_path / "raw")


def converter(root, name="coco", **options):
    return load_converter(name)(root, **options)


def frames(root, name="coco", **options):
    """Frames of all units by the id of the image."""
    made = converter(root, name, **options)
    return {frame.index: frame for unit in made.units() for frame in made.frames(unit)}


def people(root, name="coco"):
    """Everybody by the id of the annotation."""
    return {
        int(person.track): person
        for frame in frames(root, name).values()
        for person in frame.people
    }


def changed(root, change, name="person_keypoints_train2017"):
    path = root / f"annotations/{name}.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_units_are_shards_of_images_in_the_order_of_their_ids(root):
    made = converter(root, images_per_unit=2)
    units = list(made.units())
    assert [unit.name for unit in units] == [
        "train/00000", "train/00001", "train/00002", "val/00000",
    ]  # fmt: skip
    assert [[frame.index for frame in made.frames(unit)] for unit in units] == [
        [9, 25], [30, 64], [731], [139, 785],
    ]  # fmt: skip
    assert pickle.loads(pickle.dumps(units)) == units


@pytest.mark.parametrize("name", ["coco", "coco-wholebody"])
def test_joints_lie_on_the_marks_of_the_image(root, name):
    made, errors = converter(root, name), []
    for frame in frames(root, name).values():
        image = decode_image(frame.image.path.read_bytes(), where=frame.image.path)
        assert image.shape[1::-1] == frame.image_size
        near = [person.joints2d for person in frame.people if person.joints2d is not None]
        for person in frame.people:
            made.checked(person, where=str(frame.index))
        if near:
            found = raw.marks(image, made.source.native, np.array(near))
            errors.extend(np.linalg.norm(found - near, axis=-1).ravel())
    assert np.isfinite(errors).mean() > 0.5
    assert np.nanmax(errors) < 0.3


def test_joints_have_the_names_that_the_category_gives_them(root):
    native = load_source("coco").native
    joints = dict(zip(native.joints, people(root)[101].joints2d, strict=True))
    for name, position in raw.BODY.items():
        side, _, part = name.rpartition("_")
        expected = np.add(position, (20.25, 40.5))
        assert np.array_equal(
            joints[side[:1] + part[:3] + ("e" if part == "nose" else "")], expected
        )


def test_visibility_is_unknown_occluded_or_visible(root):
    native, found = load_source("coco").native, people(root)
    everything = set(range(17))
    occluded = set(native.indices("lwri lelb").tolist())
    assert set(np.flatnonzero(found[204].visible == 0)) == occluded
    assert set(np.flatnonzero(found[204].visible == 1)) == everything - occluded
    assert np.isfinite(found[204].joints2d).all()
    missing = set(native.indices("rhip lkne").tolist())
    assert set(np.flatnonzero(found[102].visible == -1)) == missing
    assert set(np.flatnonzero(np.isnan(found[102].joints2d).all(axis=1))) == missing
    assert found[204].confidence is None


def test_crowds_are_nobody_and_people_without_joints_have_none(root):
    frame = frames(root)[30]
    assert [person.track for person in frame.people] == ["105", "106", "107"]
    assert [person.joints2d is None for person in frame.people] == [False, False, True]
    assert list(frames(root)[64].people) == []


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs
def test_masks_agree_with_the_reference_reader(root):
    reference = COCO(str(root / "annotations/person_keypoints_train2017.json"))
    for number, person in people(root).items():
        if number in reference.anns:
            expected = reference.annToMask(reference.anns[number])
            assert np.array_equal(person.mask().to_array(), expected)


def test_the_scene_holds_everybody_and_the_crowd(root):
    frame = frames(root)[30]
    scene = frame.people[0].scene_mask()
    crowd = np.zeros((raw.SIZE[1], raw.SIZE[0]), np.uint8)
    crowd[440:470, 400:600] = 1
    parts = [Mask.from_array(crowd), *(person.mask() for person in frame.people)]
    assert scene == parts[0].union(*parts[1:])
    assert all(person.scene_mask() == scene for person in frame.people)


def test_boxes_enclose_masks_in_pixel_centres(root):
    for number in (101, 102, 105, 204, 301):
        x, y, width, height = people(root)[number].box
        inner = people(root)[number].mask().box
        for low, size, inner_low, inner_size in (
            (x, width, *inner[::2]),
            (y, height, *inner[1::2]),
        ):
            assert abs(low - inner_low) <= 1
            assert abs(low + size - inner_low - inner_size) <= 1
    # A box from the corner of the first pixel begins half a pixel before its middle.
    np.testing.assert_array_equal(people(root)[106].box, (600, 20, 5, 6))


def test_an_outline_that_encloses_nothing_gives_no_mask(copy):
    def flatten(document):
        document["annotations"][0]["segmentation"] = [[5, 5, 9, 9]]

    changed(copy, flatten)
    frame = frames(copy)[9]
    assert frame.people[0].mask() is None
    assert frame.people[0].scene_mask().area == 0


def test_whole_bodies_have_all_parts_in_their_order(root):
    native = load_source("coco-wholebody").native
    person = people(root, "coco-wholebody")[101]
    np.testing.assert_allclose(person.joints2d, raw.POINTS + (20.25, 40.5))
    assert (person.visible[:23] == 1).all()
    assert (person.visible[23:] == -1).all()
    assert (person.confidence == 1).all()
    hands = dict(zip(native.joints, person.joints2d, strict=True))
    assert hands["lhan1"][0] > hands["rhan1"][0]


def test_invalid_parts_are_unknown_and_hands_have_a_confidence(root):
    person = people(root, "coco-wholebody")[301]
    assert np.isnan(person.joints2d[17:23]).all()
    assert np.isnan(person.joints2d[91:112]).all()
    assert np.isfinite(person.joints2d[112:]).all()
    assert (person.visible[17:23] == -1).all()
    assert (person.confidence[17:23] == 0).all()
    assert (person.confidence[112:] == 0.25).all()
    assert np.isnan(people(root, "coco-wholebody")[204].joints2d[23:91]).all()


def test_a_flag_wins_over_coordinates(copy):
    def unflag(document):
        document["annotations"][0]["face_valid"] = False

    changed(copy, unflag, "coco_wholebody_train_v1.0")
    assert np.isnan(people(copy, "coco-wholebody")[101].joints2d[23:91]).all()


def test_the_split_of_2014_has_its_own_names(tmp_path):
    root = raw.write_raw(tmp_path / "raw", year=2014)
    found = frames(root, year=2014)
    assert found[9].image.path.name == "COCO_train2014_000000000009.jpg"
    assert all(frame.image.path.is_file() for frame in found.values())
    with pytest.raises(MissingRawFileError, match=r"person_keypoints_train2017\.json"):
        frames(root)
    with pytest.raises(ConversionError, match="2015"):
        frames(root, year=2015)
    with pytest.raises(ConversionError, match="images_per_unit is 0"):
        frames(root, images_per_unit=0)


def test_a_converter_travels_without_what_it_parsed(root):
    made = converter(root)
    unit = next(made.units())
    data = pickle.dumps(made)
    assert len(data) < 1000
    assert [f.index for f in pickle.loads(data).frames(unit)] == [9, 25, 30, 64, 731]


def bad_visibility(document):
    document["annotations"][0]["keypoints"][2] = 3


def short_joints(document):
    document["annotations"][0]["keypoints"].pop()


def no_numbers(document):
    document["annotations"][0]["keypoints"][4] = "left"


def short_box(document):
    document["annotations"][0]["bbox"].pop()


def other_order(document):
    names = document["categories"][0]["keypoints"]
    names[1:3] = names[2:0:-1]


def missing_field(document):
    del document["annotations"][0]["bbox"]


def stray_image(document):
    document["annotations"][0]["image_id"] = 4711


def image_by_name(document):
    document["annotations"][0]["image_id"] = "nine"


def no_object(document):
    document["annotations"][0] = "x"


def flat_image(document):
    document["images"][0]["height"] = 0


def escaping_name(document):
    document["images"][0]["file_name"] = "../../secret.jpg"


def no_width(document):
    del document["images"][0]["width"]


def twin_images(document):
    document["images"][1]["id"] = document["images"][0]["id"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (bad_visibility, r"annotation 101, keypoints"),
        (short_joints, r"no labels of 17 joints"),
        (no_numbers, r"no labels of 17 joints"),
        (short_box, r"bbox is"),
        (other_order, r"right_eye', 'left_eye'"),
        (missing_field, r"annotation 101 of image 9 lacks \['bbox'\]"),
        (stray_image, r"1 images with annotations are not listed, the first is 4711"),
        (image_by_name, r"annotation 101 of image nine lacks a number"),
        (no_object, r"annotations has the entry 'x'"),
        (flat_image, r"it is 640 x 0 pixels large"),
        (escaping_name, r"secret\.jpg"),
        (no_width, r"KeyError: 'width'"),
        (twin_images, r"two images have one id"),
    ],
)
def test_damage_is_named(copy, damage, message):
    changed(copy, damage)
    with pytest.raises(UnreadableRawFileError, match=message) as caught:
        frames(copy)
    assert "person_keypoints_train2017.json" in str(caught.value)


def test_images_can_be_read_by_others(root):
    """The fixture is what other readers of COCO expect."""
    reference = COCO(str(root / "annotations/coco_wholebody_val_v1.0.json"))
    for image in reference.loadImgs(reference.getImgIds()):
        pixels = cv2.imread(str(root / "val2017" / image["file_name"]))
        assert pixels.shape[:2] == (image["height"], image["width"])
