"""Banks of backgrounds: building, sharing, cutting pictures out, and laying people over them."""

from __future__ import annotations

import json
import multiprocessing
import pickle

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posepile_torch.errors import BankError
from posepile_torch.transforms import backgrounds, bank_building, banks
from posepile_torch.transforms.backgrounds import BackgroundBank, composited, open_backgrounds
from posepile_torch.transforms.families import Background


@pytest.fixture
def photos(tmp_path):
    """Six pictures in two folders, one of them broken, one tiny, one with a person."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    ramp = np.linspace(0, 255, 300, dtype=np.uint8)
    for number, name in enumerate(["a.jpg", "b.PNG", "more/c.jpg", "more/people.jpg"]):
        picture = np.zeros((200, 300, 3), np.uint8)
        picture[..., number % 3] = ramp
        _, encoded = cv2.imencode(f".{name.split('.')[1].lower()}", picture)
        (folder / name).write_bytes(encoded.tobytes())
    (folder / "broken.jpg").write_bytes((folder / "a.jpg").read_bytes()[:500])
    (folder / "tiny.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((20, 20, 3), np.uint8))[1])
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_bank_holds_centre_squares_and_says_what_it_skipped(photos, tmp_path):
    out = tmp_path / "bank"
    seen = []
    description = bank_building.build_backgrounds(
        photos,
        out,
        side=96,
        exclude=["more/people.jpg", "nobody.jpg"],
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert description.names == ("a.jpg", "b.PNG", "more/c.jpg")
    assert dict(description.skipped) == {
        "broken.jpg": "truncated",
        "more/people.jpg": "excluded",
        "tiny.jpg": "too_small",
        "nobody.jpg": "excluded_but_not_there",
    }
    assert description.skip_counts["excluded"] == 1
    assert seen[-1] == (6, 6)
    bank = BackgroundBank.open(out)
    assert bank.images.shape == (3, 96, 96, 3)
    assert isinstance(bank.images.base, np.ndarray)
    assert not bank.images.flags.writeable
    # The middle 200 of 300 columns: the ramp goes from 1/6 to 5/6.
    row = bank.images[1, 48, :, 1].astype(int)
    assert row[0] == pytest.approx(255 / 6, abs=4)
    assert row[-1] == pytest.approx(255 * 5 / 6, abs=4)
    assert (np.diff(row) >= 0).all()
    assert banks.check_pixels(out, "backgrounds") == description


def test_equal_pictures_make_equal_banks(photos, tmp_path):
    for name in ("one", "two"):
        bank_building.build_backgrounds(photos, tmp_path / name, side=64)
    for name in (banks.PIXELS_FILE, banks.DESCRIPTION_FILE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_exclusions_may_be_written_in_several_ways(photos, tmp_path):
    listing = tmp_path / "people.txt"
    listing.write_text("# people in them\n\nmore/people\nb.PNG\n  a  \n")
    names = bank_building.read_exclusions(listing)
    assert names == ["more/people", "b.PNG", "a"]
    description = bank_building.build_backgrounds(
        photos, tmp_path / "bank", side=64, exclude=names
    )
    assert description.names == ("more/c.jpg",)


def test_a_rotated_photo_is_turned_upright(tmp_path):
    (tmp_path / "in").mkdir()
    picture = np.zeros((60, 100, 3), np.uint8)
    picture[:, :50] = 255
    exif = PIL.Image.Exif()
    exif[274] = 6  # to be shown after a quarter turn clockwise
    PIL.Image.fromarray(picture).save(tmp_path / "in" / "a.jpg", exif=exif, quality=95)
    bank_building.build_backgrounds(tmp_path / "in", tmp_path / "out", side=40)
    image = BackgroundBank.open(tmp_path / "out").images[0]
    assert image[:15].mean() > 240
    assert image[-15:].mean() < 15


def test_an_unfinished_or_existing_bank_is_never_half_replaced(photos, tmp_path):
    out = tmp_path / "bank"
    first = bank_building.build_backgrounds(photos, out, side=64)
    with pytest.raises(BankError, match="lies here already") as caught:
        bank_building.build_backgrounds(photos, out, side=32)
    assert "--overwrite" in str(caught.value)
    with pytest.raises(RuntimeError, match="stop"):
        _interrupted(out)
    assert banks.check_pixels(out, "backgrounds") == first
    second = bank_building.build_backgrounds(photos, out, side=32, overwrite=True)
    assert second.shapes[0] == (32, 32, 3)
    assert [path.name for path in tmp_path.iterdir() if "building" in path.name] == []
    with pytest.raises(BankError, match="lies here already"):
        bank_building.build_backgrounds(photos, photos, side=32, overwrite=True)
    assert (photos / "a.jpg").exists()


def _interrupted(out):
    with banks.BankWriter(out, "backgrounds", overwrite=True) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), "x")
        raise RuntimeError("stop")


def test_empty_and_missing_folders_are_named(tmp_path):
    with pytest.raises(BankError, match="no folder"):
        bank_building.build_backgrounds(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BankError, match="no picture could be taken"):
        bank_building.build_backgrounds(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(BankError, match="side"):
        bank_building.build_backgrounds(tmp_path / "empty", tmp_path / "out", side=4)
    with pytest.raises(BankError, match="posepile backgrounds build"):
        BackgroundBank.open(tmp_path / "out")


def test_damaged_banks_are_refused(photos, tmp_path):
    out = tmp_path / "bank"
    bank_building.build_backgrounds(photos, out, side=64)
    pixels, description = out / banks.PIXELS_FILE, out / banks.DESCRIPTION_FILE
    data, text = pixels.read_bytes(), description.read_text()
    pixels.write_bytes(data[:-5])
    with pytest.raises(BankError, match=r"cannot be opened|promises"):
        BackgroundBank.open(out)
    pixels.write_bytes(data[:-1] + bytes([data[-1] ^ 255]))
    with pytest.raises(BankError, match="differ from those that were written"):
        banks.check_pixels(out, "backgrounds")
    pixels.unlink()
    with pytest.raises(BankError, match="cannot be opened"):
        BackgroundBank.open(out)
    pixels.write_bytes(data)
    for wrong in ("{", "{}", text.replace('"schema": 1', '"schema": 2'), "[]"):
        description.write_text(wrong)
        with pytest.raises(BankError):
            BackgroundBank.open(out)
    values = json.loads(text)
    values["shapes"][0] = [48, 85, 3]
    values["shapes"].append([64 * 64 - 48 * 85, 1, 3])
    description.write_text(json.dumps({**values, "names": [*values["names"], "x"]}))
    with pytest.raises(BankError, match="differ in size"):
        BackgroundBank.open(out)


def test_wrong_arrays_are_no_bank():
    for array in (np.zeros((2, 8, 9, 3), np.uint8), np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3))):
        with pytest.raises(BankError, match="side, side, 3"):
            BackgroundBank(array)
    with pytest.raises(BankError, match="empty"):
        BackgroundBank(np.zeros((0, 8, 8, 3), np.uint8))


def test_the_built_in_bank_is_painted_alike_everywhere():
    bank = BackgroundBank.builtin()
    assert len(bank) >= 20
    assert bank is not BackgroundBank.builtin()
    assert bank.images is BackgroundBank.builtin().images
    assert open_backgrounds("builtin") is open_backgrounds("builtin")
    # Every picture has detail, and no two are alike.
    small = np.stack([cv2.resize(image, (16, 16)) for image in bank.images]).astype(float)
    assert (small.std(axis=(1, 2)).max(axis=1) > 3).all()
    flat = small.reshape(len(bank), -1)
    distance = np.abs(flat[:, None] - flat[None]).mean(axis=2) + 255 * np.eye(len(bank))
    assert distance.min() > 8
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_builtin_sum) == _builtin_sum()


def _builtin_sum() -> int:
    return int(BackgroundBank.builtin().images.astype(np.int64).sum())


def test_pickling_passes_the_folder_on_not_the_pixels(photos, tmp_path):
    bank_building.build_backgrounds(photos, tmp_path / "bank", side=64)
    bank = BackgroundBank.open(tmp_path / "bank")
    for original in (bank, BackgroundBank.builtin()):
        data = pickle.dumps(original)
        assert len(data) < 1000
        copy = pickle.loads(data)
        assert copy.fingerprint == original.fingerprint
        np.testing.assert_array_equal(copy.images, original.images)
    own = BackgroundBank(np.full((1, 4, 4, 3), 7, np.uint8))
    assert pickle.loads(pickle.dumps(own)).images.mean() == 7


DRAWS = st.tuples(*[st.floats(0, 1, exclude_max=True)] * 4)


@settings(deadline=None, max_examples=100)
@given(
    draws=DRAWS,
    size=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    side=st.integers(20, 200),
    shift=st.floats(0, 1),
)
def test_pictures_always_cover_the_image(draws, size, side, shift):
    ramp = np.zeros((1, side, side, 3), np.uint8)
    ramp[0, ..., 0], ramp[0, ..., 1] = 50, 200
    picture = BackgroundBank(ramp).picture(Background(shift=shift), size, draws)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(
        picture[..., :2].reshape(-1, 2), [[50, 200]] * (size[0] * size[1])
    )


def test_zoom_and_shift_stay_within_their_ranges():
    side = 240
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    bank = BackgroundBank(np.stack([x, y, 0 * x], -1)[None].astype(np.uint8))
    random = np.random.default_rng(0)
    zooms, shifts = [], []
    for draws in random.random((300, 4)):
        picture = bank.picture(Background(), (120, 120), tuple(draws)).astype(float)
        zooms.append(side / 120 / ((picture[:, -1, 0] - picture[:, 0, 0]).mean() / 119))
        middle = picture.mean(axis=(0, 1))[:2]
        shifts.append((middle - 119.5) / (side / zooms[-1]))
    assert 1.17 < min(zooms) < 1.25
    assert 1.45 < max(zooms) < 1.53
    assert np.hypot(*np.array(shifts).T).max() < 0.108
    assert np.hypot(*np.array(shifts).T).max() > 0.07


@settings(deadline=None, max_examples=50)
@given(
    alpha=hnp.arrays(np.uint8, (7, 9)),
    front=hnp.arrays(np.uint8, (7, 9, 3)),
    back=hnp.arrays(np.uint8, (7, 9, 3)),
)
def test_compositing_is_the_weighted_mean(alpha, front, back):
    share = alpha[..., None].astype(float) / 255
    expected = share * front + (1 - share) * back
    result = composited(front, alpha, back.copy())
    assert np.abs(result - expected).max() <= 0.5 + 1e-9
    np.testing.assert_array_equal(result[alpha == 255], front[alpha == 255])
    np.testing.assert_array_equal(result[alpha == 0], back[alpha == 0])


def test_the_module_names_its_kind():
    assert backgrounds.KIND == "backgrounds"
