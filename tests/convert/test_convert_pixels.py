"""Images of every kind of reference, in order, with a verdict for each."""

from __future__ import annotations

import io
import tarfile
import zipfile

import h5py
import numpy as np
import pytest

from posepile_torch.convert import (
    ArchiveMember,
    EncodedImage,
    FileImage,
    Hdf5Image,
    VideoFrame,
)
from posepile_torch.convert.pixels import WantedImage, described, iter_images
from posepile_torch.errors import ConversionError, UnreadableRawFileError
from posepile_torch.images import decode_jpeg, encode_jpeg

SIZE = (48, 32)


def picture(seed, size=SIZE):
    rng = np.random.default_rng(seed)
    return np.kron(
        rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3)), np.ones((8, 8, 1))
    ).astype(np.uint8)


def jpeg(seed, size=SIZE):
    return encode_jpeg(picture(seed, size))


def read(*images, size=SIZE, **options):
    return [raw for _, raw in iter_images(WantedImage(i, size, **options) for i in images)]


def assert_are(raws, seeds):
    for raw, seed in zip(raws, seeds, strict=True):
        assert raw.intake.status == "ok", raw.intake.detail
        np.testing.assert_array_equal(raw.intake.image, decode_jpeg(jpeg(seed)))


def test_files_members_and_bytes_come_in_the_order_asked_for(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(0))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for seed in (1, 2):
            archive.writestr(f"in/{seed}.jpg", jpeg(seed))
    images = [
        ArchiveMember(tmp_path / "b.zip", "in/2.jpg"),
        FileImage(tmp_path / "a.jpg"),
        ArchiveMember(tmp_path / "b.zip", "in/1.jpg"),
        ArchiveMember(tmp_path / "b.zip", "in/2.jpg"),
        EncodedImage("memory", lambda: jpeg(3)),
    ]
    assert_are(read(*images), [2, 0, 1, 2, 3])


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz"])
def test_a_tar_is_read_once_whatever_the_order(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"x.{suffix}"
    with tarfile.open(path, "w:" + suffix.partition(".")[2]) as archive:
        for seed in range(5):
            info = tarfile.TarInfo(f"in/{seed}.jpg")
            info.size = len(jpeg(seed))
            archive.addfile(info, io.BytesIO(jpeg(seed)))
    from posepile_torch.convert import pixels

    walks = []
    original = pixels.iter_tar_members
    monkeypatch.setattr(pixels, "iter_tar_members", lambda p: walks.append(p) or original(p))
    order = [3, 0, 0, 4, 1, 3]
    raws = read(*(ArchiveMember(path, f"in/{seed}.jpg") for seed in order))
    assert_are(raws, order)
    assert walks == [path]
    missing = read(ArchiveMember(path, "in/0.jpg"), ArchiveMember(path, "in/9.jpg"))
    assert [raw.intake.reason for raw in missing] == ["", "missing"]


def test_hdf5_holds_encoded_images_and_pixels(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["encoded/0"] = np.frombuffer(jpeg(0), np.uint8)
        kind = h5py.vlen_dtype(np.uint8)
        rows = file.create_dataset("rows", (2,), dtype=kind)
        for row in range(2):
            rows[row] = np.frombuffer(jpeg(row), np.uint8)
        file["bytes"] = np.void(jpeg(1))
        file["frames"] = np.stack([picture(0), picture(1)])
        file["bgr"] = picture(0)[..., ::-1]
        file["grey"] = picture(0)[..., 0]
        file["numbers"] = np.zeros((32, 48), np.float32)
    path = tmp_path / "x.h5"
    encoded = read(
        Hdf5Image(path, "encoded/0"),
        Hdf5Image(path, "rows", 1),
        Hdf5Image(path, "rows", 0),
        Hdf5Image(path, "bytes"),
    )
    assert_are(encoded, [0, 1, 0, 1])
    frames, bgr, grey, numbers, none = read(
        Hdf5Image(path, "frames", 1),
        Hdf5Image(path, "bgr", channels="bgr"),
        Hdf5Image(path, "grey"),
        Hdf5Image(path, "numbers"),
        Hdf5Image(path, "nowhere"),
    )
    np.testing.assert_array_equal(frames.intake.image, picture(1))
    np.testing.assert_array_equal(bgr.intake.image, picture(0))
    np.testing.assert_array_equal(grey.intake.image[..., 2], picture(0)[..., 0])
    assert numbers.intake.reason == "not_an_image"
    assert "float32" in numbers.intake.detail
    assert none.intake.reason == "unreadable"


def test_one_bad_image_does_not_end_the_others(tmp_path):
    (tmp_path / "cut.jpg").write_bytes(jpeg(0)[:-200])
    (tmp_path / "page.jpg").write_bytes(b"<html>log in first</html>")
    (tmp_path / "good.jpg").write_bytes(jpeg(1))
    (tmp_path / "large.jpg").write_bytes(jpeg(1, (64, 32)))

    def fails():
        raise UnreadableRawFileError("the shelf is empty", where="shelf")

    raws = read(
        FileImage(tmp_path / "cut.jpg"),
        FileImage(tmp_path / "page.jpg"),
        FileImage(tmp_path / "none.jpg"),
        FileImage(tmp_path / "large.jpg"),
        ArchiveMember(tmp_path / "none.zip", "x"),
        Hdf5Image(tmp_path / "none.h5", "x"),
        Hdf5Image(tmp_path / "none.h5", "y"),
        VideoFrame(tmp_path / "none.mp4", 3),
        EncodedImage("shelf", fails),
        FileImage(tmp_path / "good.jpg"),
    )
    assert [raw.intake.reason for raw in raws] == [
        "truncated", "unreadable", "missing", "size_mismatch", "missing", "missing", "missing",
        "video_missing", "unreadable", "",
    ]  # fmt: skip
    assert all(raw.intake.detail for raw in raws[:-1])
    assert all(raw.intake.image is None for raw in raws[:-1])


def test_sound_jpegs_are_reduced_while_they_are_decoded_and_others_are_not(tmp_path):
    from PIL import Image

    large = (480, 320)
    (tmp_path / "a.jpg").write_bytes(jpeg(0, large))
    turned = Image.fromarray(picture(0, large))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(picture(0, large)).save(tmp_path / "a.png")
    (reduced,) = read(FileImage(tmp_path / "a.jpg"), size=large, reduction=4)
    assert reduced.reduction == 4
    assert reduced.intake.image.shape == (80, 120, 3)
    (png,) = read(FileImage(tmp_path / "a.png"), size=large, reduction=4)
    assert png.reduction == 1
    upright = {"size": (320, 480), "reduction": 4}
    (rotated,) = read(FileImage(tmp_path / "turned.jpg"), **upright)
    assert rotated.reduction == 1
    assert rotated.intake.reason == "rotated"
    assert rotated.intake.image.shape == (480, 320, 3)
    (stored,) = read(FileImage(tmp_path / "turned.jpg"), size=large, annotation_frame="stored")
    assert stored.intake.reason == "orientation_ignored"
    (wrong,) = read(FileImage(tmp_path / "turned.jpg"), size=large)
    assert wrong.intake.reason == "size_mismatch"
    assert 'annotation_frame="stored"' in wrong.intake.detail


def test_reduced_or_not_the_verdict_on_a_broken_file_is_the_same(tmp_path):
    for name, data in (
        ("cut", jpeg(0, (480, 320))[:-300]),
        ("empty", b"x"),
        ("half", jpeg(0)[:40]),
    ):
        (tmp_path / name).write_bytes(data)
        for reduction in (1, 4):
            (raw,) = read(FileImage(tmp_path / name), size=(480, 320), reduction=reduction)
            assert raw.intake.status == "quarantined"
        verdicts = {
            read(FileImage(tmp_path / name), size=(480, 320), reduction=k)[0].intake.reason
            for k in (1, 2, 4, 8)
        }
        assert len(verdicts) == 1


def test_every_kind_of_reference_has_a_name(tmp_path):
    names = [
        described(FileImage(tmp_path / "a.jpg")),
        described(VideoFrame(tmp_path / "a.mp4", 7)),
        described(ArchiveMember(tmp_path / "a.zip", "b.jpg")),
        described(Hdf5Image(tmp_path / "a.h5", "c/d", 3)),
        described(Hdf5Image(tmp_path / "a.h5", "c/d")),
        described(EncodedImage("shelf 3", bytes)),
    ]
    assert names == [
        f"{tmp_path}/a.jpg",
        f"{tmp_path}/a.mp4 frame 7",
        f"{tmp_path}/a.zip member b.jpg",
        f"{tmp_path}/a.h5 dataset c/d entry 3",
        f"{tmp_path}/a.h5 dataset c/d",
        "shelf 3",
    ]
    with pytest.raises(ConversionError, match="neither a zip nor a tar"):
        read(ArchiveMember(tmp_path / "a.rar", "b.jpg"))
