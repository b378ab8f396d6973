"""One unit: what becomes a record, what is skipped and why, and what the pixels are."""

from __future__ import annotations

import json
import os
from collections import Counter

import conversion_toys as toys
import cv2
import numpy as np
import pytest

from posepile_torch.camera import Camera, Lens
from posepile_torch.cards import Hints, PhotometricFix
from posepile_torch.convert import EncodedImage, FileImage, Plan, RawFrame, RawPerson, Unit
from posepile_torch.convert.crop import plan_frame
from posepile_torch.convert.part import IMAGE, RECORD, incidents_of, iter_part, read_report
from posepile_torch.convert.photometric import corrected, due_fixes, marked_as_applied
from posepile_torch.convert.unit import convert_unit, fingerprint
from posepile_torch.errors import (
    ConversionError,
    JointCountError,
    StorageError,
    UnknownNameError,
)
from posepile_torch.images import decode_jpeg, encode_jpeg
from posepile_torch.masks import Mask
from posepile_torch.quarantine import read_quarantine
from posepile_torch.record import DensePosePoints, decode_record

UNIT = Unit("take000/c1", "train", {"number": "0"})


@pytest.fixture
def converter(tmp_path):
    return toys.ToyConverter(toys.write_raw(tmp_path / "raw"))


def converted(converter, frames, tmp_path, plan=None):
    """Convert given frames; return the report, images by key, and records."""
    vars(converter)["frames"] = lambda unit: iter(frames)
    path = tmp_path / "parts" / "x.part"
    path.parent.mkdir(exist_ok=True)
    report = convert_unit(converter, UNIT, plan or converter.plan, path)
    assert read_report(path).to_dict() == report.to_dict()
    entries = list(iter_part(path))
    images = {key: data for kind, key, data in entries if kind == IMAGE}
    records = [decode_record(data, where=key) for kind, key, data in entries if kind == RECORD]
    assert sorted(p.name for p in path.parent.iterdir() if "partial" in p.name) == []
    return report, images, records


def frame(converter, index=0, **changes):
    return toys.toy_frame(converter, UNIT, index, **changes)


def test_a_record_says_where_it_came_from(converter, tmp_path):
    report, images, records = converted(converter, [frame(converter)], tmp_path)
    (record,) = records
    assert record.key == "train/take000/c1/000000_0.msgpack"
    assert record.raw == {"file": "images/photo.jpg"}
    assert list(images) == [record.image_key] == ["take000/c1/000000_0.jpg"]
    assert (record.sequence, record.camera_name, record.subject, record.frame) == (
        "take000/c1", "c1", "s1", 0,
    )  # fmt: skip
    assert (report.frames, report.images, report.records, report.examined) == (1, 1, 1, 1)


def test_names_that_are_no_text_stay_readable(converter, tmp_path):
    name = b"images/caf\xe9.jpg"
    (converter.root / os.fsdecode(name)).write_bytes(encode_jpeg(toys.photo()))
    image = FileImage(converter.root / os.fsdecode(name))
    _, _, records = converted(converter, [frame(converter, image=image)], tmp_path)
    assert records[0].raw["file"] == "images/caf\\xe9.jpg"


def test_a_bad_frame_is_counted_and_the_rest_goes_on(converter, tmp_path):
    def no_mask():
        raise ValueError("labels are missing")

    behind = np.zeros((4, 3)) - [0, 0, 3000.0]
    frames = [
        frame(converter, 0),
        frame(converter, 1, person={"mask": no_mask}),
        frame(converter, 2, person={"joints3d": behind}),
        frame(converter, 3, people=[]),
        frame(converter, 4, person={"track": ""}),
        frame(converter, 5, person={"confidence": np.full(4, 7, np.float32)}),
        frame(converter, 6),
    ]
    report, images, records = converted(converter, frames, tmp_path)
    assert [record.frame for record in records] == [0, 6]
    assert len(images) == 2
    assert report.skipped["error: ValueError"] == 1
    assert report.skipped["no known joint in front of the camera"] == 1
    assert report.skipped["frame without people"] == 1
    assert report.skipped["error: RecordError"] == 2
    (item,) = report.skipped_items["error: ValueError"]
    assert item == "take000/c1 frame 1 person 0: labels are missing"


def test_two_people_of_one_name_are_told_apart_or_refused(converter, tmp_path):
    person = frame(converter).people[0]
    report, _, records = converted(
        converter, [frame(converter, people=[person, person])], tmp_path
    )
    assert len(records) == 1
    assert report.skipped["error: ConversionError"] == 1
    assert "two people have the id" in report.skipped_items["error: ConversionError"][0]


def test_wrong_joint_counts_fail_the_unit(converter, tmp_path):
    bad = frame(converter, 1, person={"joints3d": np.zeros((5, 3))})
    with pytest.raises(JointCountError, match="frame 1 person 0"):
        converted(converter, [frame(converter), bad], tmp_path)
    assert not list((tmp_path / "parts").iterdir())


def test_unusable_and_repaired_images_are_listed(converter, tmp_path):
    from PIL import Image

    (converter.root / "images" / "cut.jpg").write_bytes(encode_jpeg(toys.photo())[:-100])
    Image.fromarray(toys.photo()).convert("CMYK").save(converter.root / "images" / "ink.jpg")
    frames = [
        frame(converter, 0),
        frame(converter, 1, image=FileImage(converter.root / "images" / "cut.jpg")),
        frame(converter, 2, image=FileImage(converter.root / "images" / "ink.jpg")),
        frame(converter, 3, image=FileImage(converter.root / "images" / "gone.jpg")),
    ]
    report, _, records = converted(converter, frames, tmp_path)
    assert [record.frame for record in records] == [0, 2]
    assert report.examined == 4
    assert report.quarantined == Counter({"truncated": 1, "missing": 1})
    assert report.repaired == Counter({"cmyk": 1})
    listed = list(read_quarantine(incidents_of(tmp_path / "parts" / "x.part")))
    assert [(i.path, i.reason) for i in listed] == [
        ("images/cut.jpg", "truncated"),
        ("images/ink.jpg", "cmyk"),
        ("images/gone.jpg", "missing"),
    ]
    assert report.skipped["image truncated"] == 1
    assert str(converter.root) not in json.dumps(report.to_dict())


def test_a_full_disk_is_an_error_of_its_own(converter, tmp_path, monkeypatch):
    from posepile_torch.convert import part

    def full(self, kind, key, data):
        if key.endswith("000002_0.jpg"):
            raise StorageError("the disk refused a write")
        original(self, kind, key, data)

    original = part.PartWriter.add
    monkeypatch.setattr(part.PartWriter, "add", full)
    with pytest.raises(StorageError):
        converted(converter, [frame(converter, i) for i in range(5)], tmp_path)
    assert not list((tmp_path / "parts").iterdir())


def test_dense_points_and_masks_move_with_the_crop(converter, tmp_path):
    camera = Camera(
        R=np.eye(3), t=np.zeros(3), K=toys.camera().K, size=toys.SIZE,
        lens=Lens.brown_conrady([-0.1, 0.02, 0.001, 0, 0]), world_up=(0, -1, 0),
    )  # fmt: skip
    world = np.array([[0.0, 0, 3000], [100, 150, 3100]])
    dense = DensePosePoints(
        points=camera.project(world), faces=np.array([1, 2]), barycentrics=np.full((2, 3), 1 / 3)
    )
    changed = frame(converter, camera=camera, person={"densepose": dense})
    _, _, records = converted(converter, [changed], tmp_path)
    record = records[0]
    np.testing.assert_allclose(record.densepose.points, record.camera.project(world), atol=1e-6)
    assert record.camera.is_pinhole
    assert record.person_mask.size == record.image_size
    assert record.person_mask.area > 50


@pytest.mark.parametrize("lens", [Lens.none(), Lens.brown_conrady([-0.2, 0.05, 0, 0, 0])])
def test_whole_frames_are_stored_once_for_everybody(converter, tmp_path, lens):
    camera = Camera(
        R=np.eye(3), t=np.zeros(3), K=toys.camera().K, size=toys.SIZE, lens=lens,
        world_up=(0, -1, 0),
    )  # fmt: skip
    one = frame(converter).people[0]
    other = RawPerson(joints3d=one.joints3d + [200, 0, 0], track="1")
    both = frame(converter, camera=camera, people=[one, other])
    plan = converter.plan.replaced(full_frame=True)
    report, images, records = converted(converter, [both], tmp_path, plan)
    assert (report.images, report.records) == (1, 2)
    assert {record.image_key for record in records} == set(images) == {"take000/c1/000000.jpg"}
    assert {record.image_size for record in records} == {toys.SIZE}
    (stored,) = images.values()
    raw = (converter.root / "images" / "photo.jpg").read_bytes()
    assert (stored == raw) is (lens == Lens.none())
    for record, person in zip(records, both.people, strict=True):
        assert record.camera.is_pinhole
        distorted = camera.undistorted().project(person.joints3d)
        np.testing.assert_allclose(record.camera.project(person.joints3d), distorted)
        inside = boxes_contain(record.box, distorted)
        assert inside.mean() > 0.6


def boxes_contain(box, points):
    return ((points >= box[:2] - 1) & (points <= box[:2] + box[2:] + 1)).all(axis=-1)


def test_whole_frames_may_be_shrunk(converter, tmp_path):
    plan = converter.plan.replaced(full_frame=True, full_frame_side_px=48)
    _, images, records = converted(converter, [frame(converter)], tmp_path, plan)
    assert records[0].image_size == (48, 32)
    assert decode_jpeg(next(iter(images.values()))).shape == (32, 48, 3)
    geometry = plan_frame(None, (1000, 500), np.array([100.0, 100, 200, 200]), plan)
    assert geometry.stored.size == (48, 24)
    np.testing.assert_allclose(geometry.points(np.array([-0.5, -0.5])), [-0.5, -0.5], atol=1e-9)


def test_progressive_and_trailing_bytes_are_encoded_anew(converter, tmp_path):
    from PIL import Image

    path = converter.root / "images" / "progressive.jpg"
    Image.fromarray(toys.photo()).save(path, progressive=True)
    longer = converter.root / "images" / "longer.jpg"
    longer.write_bytes(encode_jpeg(toys.photo()) + b"made by a camera")
    plan = converter.plan.replaced(full_frame=True)
    for name in (path, longer):
        _, images, _ = converted(
            converter, [frame(converter, image=FileImage(name))], tmp_path, plan
        )
        (stored,) = images.values()
        assert stored != name.read_bytes()
        assert b"\xff\xc2" not in stored[:200]
        assert stored.endswith(b"\xff\xd9")


def test_colour_corrections_are_applied_once_and_noted(converter, tmp_path, monkeypatch):
    import dataclasses

    fixes = (PhotometricFix(gamma=0.67, sequences=("take000/c1",)), PhotometricFix(gamma=2.0))
    hints = Hints(photometric=(*fixes, PhotometricFix(gamma=3.0, already_applied=True)))
    card = dataclasses.replace(toys.CARD, hints=hints)
    monkeypatch.setattr(toys.Toy, "card", card)
    plain = frame(converter, 0, sequence="other")
    fixed = frame(converter, 0)
    monkeypatch.setattr(toys.Toy, "card", toys.CARD)
    _, untouched, _ = converted(converter, [plain], tmp_path)
    monkeypatch.setattr(toys.Toy, "card", card)
    _, other, _ = converted(converter, [plain], tmp_path)
    _, here, _ = converted(converter, [fixed], tmp_path)
    base, squared, both = (
        decode_jpeg(next(iter(images.values()))).astype(float) / 255
        for images in (untouched, other, here)
    )
    middle = np.s_[10:-10, 10:-10]
    assert np.abs(squared - base**2)[middle].mean() < 0.03
    assert np.abs(both - base**1.34)[middle].mean() < 0.03
    assert all(fix.already_applied for fix in marked_as_applied(hints).photometric)
    assert due_fixes(marked_as_applied(hints), "take000/c1") == ()


def test_white_balance_takes_a_cast_off_in_proportion_to_lightness():
    grey = np.full((8, 8, 3), (100, 150, 200), np.uint8)
    grey[4:] = 10
    cast = PhotometricFix(white_balance_ab=(110.0, 145.0))
    out = corrected(grey, [cast])
    before, after = (
        cv2.cvtColor(i.astype(np.float32) / 255, cv2.COLOR_RGB2Lab) for i in (grey, out)
    )
    share = before[0, 0, 0] / 100
    assert after[0, 0, 1] - before[0, 0, 1] == pytest.approx(18 * 1.1 * share, abs=0.6)
    assert after[0, 0, 2] - before[0, 0, 2] == pytest.approx(-17 * 1.1 * share, abs=0.6)
    assert np.abs(out[5].astype(int) - grey[5]).max() <= 3
    assert corrected(grey, []) is grey
    assert np.array_equal(corrected(grey, [PhotometricFix()]), grey)


def test_the_fingerprint_follows_every_choice(converter):
    base = fingerprint(converter, converter.plan)
    assert fingerprint(toys.ToyConverter(converter.root), converter.plan) == base
    assert fingerprint(converter, converter.plan.replaced(jpeg_quality=81)) != base
    assert fingerprint(toys.ToyConverter(converter.root, offset_mm=5.0), converter.plan) != base
    with pytest.raises(UnknownNameError, match="offset_mm"):
        toys.ToyConverter(converter.root, offset=5.0)
    with pytest.raises(ConversionError, match="it is float"):
        toys.ToyConverter(converter.root, offset_mm="5")


def test_data_without_camera_have_a_size_of_their_own(converter, tmp_path):
    joints2d = np.array([[30.0, 20], [32, 40], [50, 22], [51, 45]])
    person = RawPerson(joints2d=joints2d, mask=Mask.from_array(np.ones((64, 96), np.uint8)))
    image = EncodedImage("shelf/3", lambda: encode_jpeg(toys.photo()))
    flat = RawFrame(index=7, image=image, people=[person], image_size=toys.SIZE)
    _, _, records = converted(converter, [flat], tmp_path)
    assert records[0].camera is None
    assert records[0].raw == {"file": "shelf/3"}
    ratios = np.diff(records[0].joints2d, axis=0) / np.diff(joints2d, axis=0)
    np.testing.assert_allclose(ratios, ratios[0, 0], rtol=0.02)
    unsized = RawFrame(index=8, image=image, people=[person])
    with pytest.raises(ConversionError, match="image_size"):
        converted(converter, [unsized], tmp_path)


def test_a_plan_refuses_numbers_that_cannot_be():
    with pytest.raises(ConversionError, match="full_frame_side_px"):
        Plan(full_frame_side_px=-1)
