"""Occluders: cutting things out, building banks of them, and pasting them over images."""

from __future__ import annotations

import pickle
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import BankError
from posepile_torch.transforms import bank_building, banks, occluders
from posepile_torch.transforms.families import Occlusion
from posepile_torch.transforms.occluders import OccluderBank, cut_out, paste, premultiplied

RED = np.zeros((40, 40, 4), np.uint8) + np.array([255, 0, 0, 255], np.uint8)


def draws(numbers: Occlusion, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(occluders.draws_needed(numbers))


def test_row_52_a_red_square_is_pasted_in_its_sizes():
    bank, numbers = OccluderBank([RED]), Occlusion(object_count=(1, 1))
    sides = []
    for seed in range(300):
        image = np.full((256, 256, 3), 90, np.uint8)
        bank.paste(image, numbers, draws(numbers, seed))
        is_red = (image == (255, 0, 0)).all(axis=2)
        assert ((image == 90).all(axis=2) | is_red).all()  # the square is opaque, so no blend
        rows, columns = is_red.any(axis=1).sum(), is_red.any(axis=0).sum()
        assert is_red.sum() == rows * columns
        sides.append(max(rows, columns))
    assert max(sides) == 40
    assert 8 <= np.percentile(sides, 5) < 12
    assert np.median(sides) == pytest.approx(24, abs=3)


def test_row_52_the_count_is_one_to_six():
    things = [RED[:2, :2]]
    numbers = Occlusion(object_scale=(1.0, 1.0))
    counts = []
    for seed in range(400):
        image = np.zeros((1024, 1024, 3), np.uint8)
        OccluderBank(things).paste(image, numbers, draws(numbers, seed))
        labels, _ = cv2.connectedComponents(image[..., 0])
        counts.append(labels - 1)
    values, frequency = np.unique(counts, return_counts=True)
    assert values.min() >= 1
    assert values.max() == 6
    assert frequency[values == 3] / 400 == pytest.approx(1 / 6, abs=0.07)


def test_things_grow_with_the_image():
    numbers = Occlusion(object_count=(1, 1), object_scale=(1.0, 1.0))
    image = np.zeros((512, 512, 3), np.uint8)
    bank = OccluderBank([RED])
    bank.paste(image, numbers, np.array([0.0, 0.0, 0.0, 0.5, 0.5]))
    assert (image[..., 0] > 0).sum() == 80 * 80


@settings(deadline=None, max_examples=60)
@given(
    x=st.integers(-60, 120),
    y=st.integers(-60, 120),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    seed=st.integers(0, 1000),
)
def test_pasting_is_the_weighted_mean_and_cuts_at_the_border(x, y, size, seed):
    random = np.random.default_rng(seed)
    straight = random.integers(0, 256, (size[1], size[0], 4)).astype(np.uint8)
    image = random.integers(0, 256, (64, 80, 3)).astype(np.uint8)
    result = image.copy()
    paste(result, premultiplied(straight), x, y)
    expected = image.astype(float)
    left, top = x - size[0] // 2, y - size[1] // 2
    for row in range(max(top, 0), min(top + size[1], 64)):
        for column in range(max(left, 0), min(left + size[0], 80)):
            *colour, alpha = straight[row - top, column - left].astype(float)
            share = alpha / 255
            expected[row, column] = share * np.array(colour) + (1 - share) * expected[row, column]
    assert np.abs(result - expected).max() <= 1.01


def test_a_cut_out_has_a_softer_band():
    mask = np.zeros((60, 80), bool)
    mask[10:50, 20:70] = True
    thing = cut_out(np.full((60, 80, 3), 200, np.uint8), mask)
    assert thing.shape == (40, 50, 4)
    assert thing[20, 25].tolist() == [200, 200, 200, 255]
    assert thing[0, 0, 3] == occluders.EDGE_ALPHA
    assert thing[20, 0, 3] == occluders.EDGE_ALPHA
    assert thing[20, 0, 0] == round(200 * occluders.EDGE_ALPHA / 255)
    assert pytest.approx(0.75 * 255, abs=0.5) == occluders.EDGE_ALPHA
    # The elliptical erosion of 8 px takes away four on one side, three on the other.
    assert (thing[20, :, 3] == 255).sum() == 50 - 7
    plain = cut_out(np.full((60, 80, 3), 200, np.uint8), mask, edge_alpha=255)
    assert (plain[..., 3] == 255).all()
    with pytest.raises(BankError, match="without any pixel"):
        cut_out(np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), bool))


def test_premultiplied_colours_never_exceed_alpha():
    random = np.random.default_rng(1)
    rgba = random.integers(0, 256, (31, 47, 4)).astype(np.uint8)
    small = premultiplied(rgba, shrink=2.5)
    assert small.shape == (12, 19, 4)
    assert (small[..., :3] <= small[..., 3:]).all()


def voc(folder):
    """A miniature of VOCdevkit/VOC2012 with objects of every kind."""
    for name in ("SegmentationObject", "Annotations", "JPEGImages"):
        (folder / name).mkdir(parents=True)
    objects = [
        ("chair", "0", "0", (10, 10, 50, 40)),
        ("person", "0", "0", (60, 10, 90, 60)),
        ("bottle", "1", "0", (10, 50, 40, 90)),
        ("sofa", "0", "1", (60, 70, 100, 110)),
        ("cat", "0", "0", (110, 10, 118, 20)),
    ]
    labels = np.zeros((120, 160), np.uint8)
    annotation = ElementTree.Element("annotation")
    for number, (kind, difficult, truncated, (x0, y0, x1, y1)) in enumerate(objects, 1):
        labels[y0:y1, x0:x1] = number
        labels[y0, x0:x1] = 255  # the unlabelled seam around objects
        entry = ElementTree.SubElement(annotation, "object")
        for tag, text in (("name", kind), ("difficult", difficult), ("truncated", truncated)):
            ElementTree.SubElement(entry, tag).text = text
    photo = np.zeros((120, 160, 3), np.uint8) + np.array([30, 60, 200], np.uint8)
    (folder / "SegmentationObject" / "2007_1.png").write_bytes(cv2.imencode(".png", labels)[1])
    (folder / "JPEGImages" / "2007_1.jpg").write_bytes(
        cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 100])[1]
    )
    ElementTree.ElementTree(annotation).write(folder / "Annotations" / "2007_1.xml")
    only_people = ElementTree.Element("annotation")
    ElementTree.SubElement(ElementTree.SubElement(only_people, "object"), "name").text = "person"
    ElementTree.ElementTree(only_people).write(folder / "Annotations" / "2007_2.xml")
    (folder / "SegmentationObject" / "2007_2.png").write_bytes(cv2.imencode(".png", labels)[1])
    (folder / "SegmentationObject" / "2007_3.png").write_bytes(cv2.imencode(".png", labels)[1])
    (folder / "Annotations" / "2007_3.xml").write_text("<annotation><object>")
    return folder


def test_row_52_voc_objects_become_things(tmp_path):
    description = bank_building.build_occluders(voc(tmp_path / "VOC2012"), tmp_path / "bank")
    assert description.names == ("2007_1#1:chair",)
    assert dict(description.skipped) == {
        "2007_1#2:person": "person",
        "2007_1#3:bottle": "difficult",
        "2007_1#4:sofa": "truncated",
        "2007_1#5:cat": "too_small",
        "2007_2#1:person": "person",
        "SegmentationObject/2007_3.png": "annotation_unreadable",
    }
    bank = OccluderBank.open(tmp_path / "bank")
    (thing,) = bank.things
    assert thing.shape == (14, 20, 4)  # half of 29 by 40
    np.testing.assert_allclose(thing[7, 10], [200, 60, 30, 255], atol=6)
    assert banks.check_pixels(tmp_path / "bank", "occluders") == description


def test_transparent_pictures_become_things(tmp_path):
    folder = tmp_path / "things"
    folder.mkdir()
    picture = np.zeros((600, 900, 4), np.uint8)
    picture[100:500, 200:800] = (10, 20, 250, 255)
    for name, array in (
        ("lamp.png", picture),
        ("deep.png", picture.astype(np.uint16) * 257),
        ("clear.png", np.zeros((5, 5, 4), np.uint8)),
        ("photo.jpg", np.zeros((50, 50, 3), np.uint8)),
    ):
        (folder / name).write_bytes(cv2.imencode(name[-4:], array)[1])
    (folder / "broken.png").write_bytes(b"no picture")
    description = bank_building.build_occluders(folder, tmp_path / "bank", longest=150)
    assert description.names == ("deep.png", "lamp.png")
    assert dict(description.skipped) == {
        "broken.png": "unreadable",
        "clear.png": "wholly_transparent",
        "photo.jpg": "no_transparency",
    }
    one, other = OccluderBank.open(tmp_path / "bank").things
    np.testing.assert_array_equal(one, other)
    assert one.shape == (100, 150, 4)
    assert one[50, 75].tolist() == [250, 20, 10, 255]


def test_banks_are_pickled_by_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(cv2.imencode(".png", RED)[1])
    bank_building.build_occluders(tmp_path / "in", tmp_path / "bank")
    for bank in (OccluderBank.open(tmp_path / "bank"), OccluderBank.builtin()):
        data = pickle.dumps(bank)
        assert len(data) < 1000
        copy = pickle.loads(data)
        assert len(copy) == len(bank)
        np.testing.assert_array_equal(copy.things[0], bank.things[0])
    assert len(pickle.loads(pickle.dumps(OccluderBank([RED])))) == 1


def test_the_built_in_things_are_whole():
    bank = OccluderBank.builtin()
    assert len(bank) >= 24
    for thing in bank.things:
        assert min(thing.shape[:2]) >= 8
        assert thing[..., 3].max() == 255 or thing[..., 3].max() == occluders.EDGE_ALPHA
        assert (thing[..., :3] <= thing[..., 3:]).all()
        assert thing[..., 3].any(axis=1).all()  # cropped to what is there


def test_wrong_things_are_refused(tmp_path):
    with pytest.raises(BankError, match="empty"):
        OccluderBank([])
    with pytest.raises(BankError, match="multiplied by alpha"):
        OccluderBank([np.zeros((3, 3, 3), np.uint8)])
    with pytest.raises(BankError, match="posepile occluders build"):
        OccluderBank.open(tmp_path)
