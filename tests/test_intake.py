"""The probe: every odd image of the fault list, fabricated byte by byte, and its pixels."""

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from posepile_torch import image_headers, images
from posepile_torch.errors import ImageError, MissingDependencyError
from posepile_torch.images import decode_image, decode_labels, encode_jpeg, probe


def photo(width=60, height=40, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.0)
    low, high = blurred.min(), blurred.max()
    return ((blurred - low) / (high - low) * 255).astype(np.uint8)


def saved(array, format_name, mode=None, **options):
    picture = array if isinstance(array, PillowImage.Image) else PillowImage.fromarray(array)
    stream = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(stream, format_name, **options)
    return stream.getvalue()


def chunk(kind, body):
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png(rows, depth, colour, size, extra=()):
    """A PNG from packed rows of bytes: colour 0 grey, 2 RGB, 3 palette, 4 grey+alpha, 6 RGBA."""
    start = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    parts = [chunk(b"IHDR", start), *(chunk(*pair) for pair in extra)]
    parts += [chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif(orientation):
    entries = PillowImage.Exif()
    entries[274] = orientation
    return entries


def quarantined(data, reason, **options):
    found = probe(data, where="raw/x.jpg", **options)
    assert (found.status, found.reason) == ("quarantined", reason), found.detail
    assert found.image is None
    assert found.size is None
    assert reason in images.QUARANTINE_REASONS
    for refuse in (found.pixels, found.storable_bytes):
        with pytest.raises(ImageError) as caught:
            refuse()
        assert caught.value.reason == reason
        assert caught.value.where == "raw/x.jpg"
    return found


# ---------------------------------------------------------------- sound images


def test_a_sound_jpeg_keeps_its_bytes():
    data = encode_jpeg(photo())
    found = probe(data)
    assert (found.status, found.reason, found.detail) == ("ok", "", "")
    assert found.size == (60, 40)
    assert found.storable_bytes() == data
    assert np.array_equal(found.image, images.decode_jpeg(data))
    assert np.array_equal(found.stored_to_image, np.eye(3))


@pytest.mark.parametrize(
    ("format_name", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
        ("PPM", {}),
        ("JPEG2000", {}),
    ],
)
def test_lossless_formats_give_the_same_pixels_and_a_deterministic_jpeg(format_name, options):
    image = photo()
    data = saved(image, format_name, **options)
    found = probe(data)
    assert found.status == "ok"
    assert np.array_equal(found.image, image)
    assert found.image.flags.writeable
    assert found.storable_bytes() == probe(data).storable_bytes() == encode_jpeg(image)
    assert images.jpeg_size(found.storable_bytes(50)) == (60, 40)


def test_bytes_like_objects_are_taken():
    data = encode_jpeg(photo())
    assert probe(bytearray(data)).status == probe(memoryview(data)).status == "ok"


# ---------------------------------------------------------------- faults 1 to 3: cut or no image


@pytest.mark.parametrize("progressive", [False, True])
def test_fault_1_cut_jpeg(progressive):
    data = saved(photo(200, 150), "JPEG", progressive=progressive)
    for cut in (data[: len(data) // 2], data[:-2], data[:-1], data[:300], data[:20], data[:4]):
        quarantined(cut, "truncated")
    assert decode_image(data).shape == (150, 200, 3)


def test_fault_1_zeros_instead_of_the_second_half():
    data = saved(photo(200, 150), "JPEG")
    half = len(data) // 2
    quarantined(data[:half] + bytes(len(data) - half), "truncated")


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"])
def test_fault_1_cut_files_of_other_formats(format_name):
    data = saved(photo(), format_name)
    for cut in (data[: len(data) // 2], data[:-2], data[:-20]):
        found = probe(cut)
        assert found.status == "quarantined"
        assert found.reason in ("truncated", "damaged")
        assert "0x" not in found.detail  # the same words in every run


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (bytes(5000), "zero"),
        (b"\n<!DOCTYPE html><html><body>Please log in</body></html>", "web page"),
        (b"\xef\xbb\xbf<HTML>", "web page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git-lfs"),
        (b"/annex/objects/SHA256E-s9--0.jpg\n", "git-annex"),
        (b"hello", "hello"),
        (b"\xff\xd8", "begins with"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "begins with"),
        (b"%PDF-1.7", "begins with"),
    ],
)
def test_fault_2_what_is_not_an_image(data, told):
    assert told in quarantined(data, "not_an_image").detail


def test_fault_3_a_flipped_byte_in_a_png_is_always_found():
    data = saved(photo(), "PNG")
    for position in range(8, len(data), 17):
        flipped = bytearray(data)
        flipped[position] ^= 0x10
        assert probe(bytes(flipped)).status == "quarantined"


def test_fault_3_damage_that_the_jpeg_decoder_notices():
    data = bytearray(encode_jpeg(photo(200, 150)))
    data[-2:] = b"\x12\x34" * 10 + b"\xff\xd9"
    quarantined(bytes(data), "damaged")


# ---------------------------------------------------------------- fault 4: CMYK


@pytest.mark.parametrize("format_name", ["JPEG", "TIFF"])
def test_fault_4_cmyk(format_name):
    image = photo()
    found = probe(saved(image, format_name, mode="CMYK"))
    assert (found.status, found.reason) == ("repaired", "cmyk")
    tolerance = 6 if format_name == "JPEG" else 1
    assert np.abs(found.image.astype(int) - image).mean() < tolerance
    stored = images.decode_jpeg(found.storable_bytes())
    assert np.abs(stored.astype(int) - found.image).mean() < 6


# ---------------------------------------------------------------- fault 5: orientation


def marked():
    """Dark, with a bright mark near the top left corner, at x = 8 to 11 and y = 4 to 7."""
    image = np.full((40, 60, 3), 20, np.uint8)
    image[4:8, 8:12] = (240, 230, 220)
    return image


def mark_centre(image):
    rows, columns = np.nonzero(image[..., 1] > 128)
    return np.array([columns.mean(), rows.mean()])


# Where the mark, at (9.5, 5.5) of 60 x 40, is seen for each EXIF orientation. From the meaning of
# the tag: it says which side of the picture the first row and the first column are.
UPRIGHT_MARK = {
    1: (9.5, 5.5),
    2: (59 - 9.5, 5.5),
    3: (59 - 9.5, 39 - 5.5),
    4: (9.5, 39 - 5.5),
    5: (5.5, 9.5),
    6: (39 - 5.5, 9.5),
    7: (39 - 5.5, 59 - 9.5),
    8: (5.5, 59 - 9.5),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF lzw"])
def test_fault_5_pixels_and_labels_share_one_frame(format_name, orientation):
    options = {"exif": exif(orientation)}
    if format_name.startswith("TIFF"):
        format_name, _, compression = format_name.partition(" ")
        options = {"tiffinfo": {274: orientation}}
        options |= {"compression": f"tiff_{compression}"} if compression else {}
    data = saved(marked(), format_name, **options)
    size = (40, 60) if orientation >= 5 else (60, 40)

    upright = probe(data, expected_size=size)
    assert upright.reason == ("" if orientation == 1 else "rotated")
    assert upright.size == size
    assert mark_centre(upright.image) == pytest.approx(UPRIGHT_MARK[orientation], abs=0.3)
    mapped = upright.stored_to_image @ (9.5, 5.5, 1)
    assert mapped == pytest.approx(np.array([*UPRIGHT_MARK[orientation], 1]))
    stored = images.decode_jpeg(upright.storable_bytes())
    assert mark_centre(stored) == pytest.approx(UPRIGHT_MARK[orientation], abs=0.3)

    as_stored = probe(data, annotation_frame="stored", expected_size=(60, 40))
    assert as_stored.reason == ("" if orientation == 1 else "orientation_ignored")
    assert mark_centre(as_stored.image) == pytest.approx((9.5, 5.5), abs=0.3)
    assert np.array_equal(as_stored.stored_to_image, np.eye(3))


@pytest.mark.parametrize("orientation", [3, 6])
def test_fault_5_ignored_orientation_does_not_come_back_in_other_readers(orientation):
    data = saved(marked(), "JPEG", exif=exif(orientation))
    found = probe(data, annotation_frame="stored")
    stored = found.storable_bytes()
    assert found.original == data
    assert len(stored) == len(data)
    assert np.array_equal(images.decode_jpeg(stored), images.decode_jpeg(data))
    rotating_reader = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR)
    assert mark_centre(rotating_reader) == pytest.approx((9.5, 5.5), abs=0.3)
    before = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert mark_centre(before) == pytest.approx(UPRIGHT_MARK[orientation], abs=0.3)


def test_fault_5_the_wrong_frame_is_named_when_the_size_tells():
    data = saved(marked(), "JPEG", exif=exif(6))
    assert '"stored"' in quarantined(data, "size_mismatch", expected_size=(60, 40)).detail
    found = quarantined(data, "size_mismatch", expected_size=(40, 60), annotation_frame="stored")
    assert '"upright"' in found.detail


def test_a_misspelt_frame_is_no_choice():
    with pytest.raises(ImageError, match="annotation_frame 'store'"):
        probe(encode_jpeg(marked()), annotation_frame="store")


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff" + bytes(10),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(20),
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0",  # orientation 9
        b"XX*\0" + bytes(40),
    ],
)
def test_broken_exif_is_no_rotation_and_no_crash(block):
    payload = b"Exif\0\0" + block
    segment = b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload
    data = encode_jpeg(marked())
    found = probe(data[:2] + segment + data[2:])
    assert found.status == "ok"
    assert found.size == (60, 40)


# ---------------------------------------------------------------- faults 6 to 8: depth and mode


def test_fault_6_sixteen_bits_are_scaled_to_eight_with_rounding():
    ramp = np.arange(0, 65536, 13, dtype=np.uint16)[: 70 * 70].reshape(70, 70)
    found = probe(cv2.imencode(".png", ramp)[1].tobytes())
    assert (found.status, found.reason) == ("repaired", "sixteen_bit")
    expected = np.floor(ramp / 257 + 0.5).astype(np.uint8)
    assert np.array_equal(found.image, np.repeat(expected[..., None], 3, axis=2))
    extremes = probe(png([struct.pack(">HH", 0, 65535)], 16, 0, (2, 1)))
    assert extremes.image.tolist() == [[[0] * 3, [255] * 3]]


def test_fault_6_sixteen_bit_colour_keeps_channel_order():
    found = probe(png([struct.pack(">3H", 65535, 32896, 257)], 16, 2, (1, 1)))
    assert found.image.tolist() == [[[255, 128, 1]]]


def test_fault_6_sixteen_bit_alpha():
    found = probe(png([struct.pack(">4H", 65535, 65535, 65535, 32896)], 16, 6, (1, 1)))
    assert (found.reason, found.image.tolist()) == ("sixteen_bit+alpha", [[[128, 128, 128]]])
    assert "16 bits" in found.detail
    assert "transparent" in found.detail


def test_fault_6_sixteen_bit_grey_tiff():
    ramp = np.arange(0, 65536, 65536 // 64, dtype=np.uint16).reshape(8, 8)
    found = probe(saved(ramp, "TIFF"))
    assert found.reason == "sixteen_bit"
    assert np.array_equal(found.image[..., 0], np.floor(ramp / 257 + 0.5).astype(np.uint8))


def test_fault_7_depth_and_masks_keep_sixteen_bits():
    depth = np.random.default_rng(0).integers(0, 65536, (9, 7)).astype(np.uint16)
    for data in (cv2.imencode(".png", depth)[1].tobytes(), saved(depth, "TIFF")):
        values = decode_labels(data)
        assert values.dtype == np.uint16
        assert np.array_equal(values, depth)


def test_fault_8_grey_palette_and_one_bit_become_three_channels():
    grey = photo()[..., 0]
    found = probe(saved(grey, "PNG"))
    assert (found.status, found.image.shape) == ("ok", (40, 60, 3))
    assert np.array_equal(found.image, np.repeat(grey[..., None], 3, axis=2))

    palette = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    rows = [bytes([0b00_01_10_11])]
    found = probe(png(rows, 2, 3, (4, 1), [(b"PLTE", palette)]))
    assert found.status == "ok"
    assert found.image.tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]]

    found = probe(png([bytes([0b0101_0000])], 1, 0, (4, 1)))
    assert (found.status, found.image[0, :, 0].tolist()) == ("ok", [0, 255, 0, 255])

    found = probe(png([bytes([0b00_01_10_11])], 2, 0, (4, 1)))
    assert found.image[0, :, 1].tolist() == [0, 85, 170, 255]


def test_fault_8_alpha_is_laid_on_the_background():
    rows = [bytes([200, 100, 50, 255, 200, 100, 50, 0, 200, 100, 50, 128])]
    data = png(rows, 8, 6, (3, 1))
    found = probe(data)
    assert (found.status, found.reason) == ("repaired", "alpha")
    assert found.image.tolist() == [[[200, 100, 50], [0, 0, 0], [100, 50, 25]]]
    on_white = probe(data, background=(255, 255, 255)).image
    assert on_white.tolist() == [[[200, 100, 50], [255, 255, 255], [227, 177, 152]]]

    opaque = probe(png([bytes([1, 2, 3, 255])], 8, 6, (1, 1)))
    assert (opaque.status, opaque.image.tolist()) == ("ok", [[[1, 2, 3]]])

    grey_alpha = probe(png([bytes([200, 0, 200, 255])], 8, 4, (2, 1)))
    assert grey_alpha.image.tolist() == [[[0, 0, 0], [200, 200, 200]]]

    extra = [(b"PLTE", bytes([10, 20, 30, 40, 50, 60])), (b"tRNS", bytes([255, 0]))]
    palette = probe(png([bytes([0, 1])], 8, 3, (2, 1), extra))
    assert (palette.reason, palette.image.tolist()) == ("alpha", [[[10, 20, 30], [0, 0, 0]]])


# ---------------------------------------------------------------- fault 9: bombs


def bomb(width=30000, height=30000):
    start = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", start)


def test_fault_9_bombs_are_refused_by_their_header(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a decoder was called")

    jpeg = bytearray(encode_jpeg(photo()))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 60000, 60000)
    bmp = bytearray(saved(photo(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 12000, 12000)
    gif = bytearray(saved(photo(), "GIF"))
    gif[6:10] = struct.pack("<HH", 60000, 60000)
    monkeypatch.setattr(PillowImage.Image, "load", refuse)
    monkeypatch.setattr(cv2, "imdecode", refuse)
    monkeypatch.setattr("simplejpeg.decode_jpeg", refuse)
    assert "30000x30000" in quarantined(bomb(), "too_large").detail
    for data in (jpeg, bmp, gif):
        quarantined(bytes(data), "too_large")


def test_fault_9_the_limit_is_a_parameter():
    data = saved(photo(), "PNG")
    quarantined(data, "too_large", max_pixels=2399)
    assert probe(data, max_pixels=2400).status == "ok"
    quarantined(encode_jpeg(photo()), "too_large", max_pixels=2399)
    with pytest.raises(ImageError, match="60x40"):
        decode_labels(data, max_pixels=2399)


def test_images_above_the_warning_level_of_pillow_pass_in_silence(monkeypatch):
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 2000)
    assert probe(saved(photo(), "PNG")).status == "ok"
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 1000)
    quarantined(saved(photo(), "PNG"), "too_large")


# ---------------------------------------------------------------- fault 10: size


@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
def test_fault_10_another_size_than_annotated(format_name):
    data = saved(photo(), format_name)
    assert probe(data, expected_size=(60, 40)).status == "ok"
    found = quarantined(data, "size_mismatch", expected_size=(120, 80))
    assert "60x40" in found.detail
    assert "120x80" in found.detail
    with pytest.raises(ImageError, match="60x40, the annotation says 120x80"):
        decode_image(data, "raw/x.jpg", expected_size=(120, 80))


# ---------------------------------------------------------------- several frames, odd modes


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "TIFF", "PNG"])
def test_several_frames_are_not_guessed(format_name):
    frames = [PillowImage.fromarray(np.full((10, 12), v, np.uint8)) for v in (10, 100, 200)]
    options = {"lossless": True} if format_name == "WEBP" else {}
    data = saved(frames[0], format_name, save_all=True, append_images=frames[1:], **options)
    assert "3 frames" in quarantined(data, "multi_frame").detail
    second = probe(data, frame_index=1)
    assert second.status == "ok"
    assert np.abs(second.image.astype(int) - 100).max() <= 1
    quarantined(data, "multi_frame", frame_index=3)
    assert probe(saved(frames[0], format_name), frame_index=0).status == "ok"


def test_a_second_picture_behind_a_jpeg_is_ignored():
    first, second = encode_jpeg(photo()), encode_jpeg(photo(30, 20))
    assert probe(first + second).size == (60, 40)


def test_floating_point_and_32_bit_images_have_no_meaning_as_photos():
    for array in (np.zeros((4, 4), np.float32), np.zeros((4, 4), np.int32)):
        data = saved(array, "TIFF")
        assert "have no stated meaning" in quarantined(data, "unsupported").detail


def test_twelve_bit_jpeg_is_unsupported():
    data = bytearray(encode_jpeg(photo()))
    data[data.index(b"\xff\xc0") + 4] = 12
    assert "12 bits" in quarantined(bytes(data), "unsupported").detail


@pytest.mark.parametrize(
    ("at", "value"), [(0, b"\x00"), (1, b"\xd9"), (2, b"\xff\xfe")], ids=["mark", "end", "length"]
)
def test_contradicting_jpeg_segments(at, value):
    data = bytearray(encode_jpeg(photo()))
    data[2 + at : 2 + at + len(value)] = value  # the first segment
    assert probe(bytes(data)).status == "quarantined"


def test_jpeg_fill_bytes_before_markers_are_fine():
    data = encode_jpeg(photo())
    assert probe(data[:2] + b"\xff\xff" + data[2:]).status == "ok"


@pytest.mark.parametrize(
    ("depth", "colour", "size"), [(3, 0, (4, 4)), (16, 3, (4, 4)), (8, 5, (4, 4)), (8, 0, (0, 4))]
)
def test_impossible_png_headers(depth, colour, size):
    quarantined(png([b"\0" * 4] * 4, depth, colour, size), "damaged")


def test_png_with_broken_pixel_data_but_sound_checksums():
    start = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    for body in (b"", b"not zlib", zlib.compress(b"\0" * 7)):
        parts = [chunk(b"IHDR", start), chunk(b"IDAT", body), chunk(b"IEND", b"")]
        found = probe(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
        assert found.status == "quarantined"
    start = struct.pack(">IIBBBBB", 4, 4, 16, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", start), chunk(b"IDAT", b"not zlib"), chunk(b"IEND", b"")]
    assert probe(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).status == "quarantined"
    quarantined(b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"a\0b") + chunk(b"IEND", b""), "damaged")


def test_without_pillow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(MissingDependencyError, match=r"posepile-torch\[convert\]"):
        probe(saved_bmp)
    assert probe(encode_jpeg(photo())).status == "ok"
    assert probe(png([bytes(2)], 16, 0, (1, 1))).reason == "sixteen_bit"


saved_bmp = saved(photo(), "BMP")


# ---------------------------------------------------------------- labels


def test_labels_are_the_stored_numbers():
    palette = [(b"PLTE", bytes(range(48)))]
    row = [bytes([0b00_01_10_11])]
    assert decode_labels(png(row, 2, 3, (4, 1), palette)).tolist() == [[0, 1, 2, 3]]
    assert decode_labels(png(row, 2, 0, (4, 1))).tolist() == [[0, 1, 2, 3]]
    assert decode_labels(png(row, 4, 0, (2, 1))).tolist() == [[1, 11]]
    assert decode_labels(png(row, 1, 0, (8, 1))).tolist() == [[0, 0, 0, 1, 1, 0, 1, 1]]
    eight = png([bytes([0, 7, 255])], 8, 0, (3, 1))
    assert decode_labels(eight).tolist() == [[0, 7, 255]]
    assert decode_labels(eight).dtype == np.uint8
    jhmdb_like = saved(photo()[..., 0] // 64, "PNG", mode="P")
    assert np.array_equal(decode_labels(jhmdb_like), photo()[..., 0] // 64)


def test_colour_coded_labels_keep_three_channels():
    image = photo()
    for data in (saved(image, "PNG"), saved(image, "PNG", mode="RGBA"), saved(image, "BMP")):
        assert np.array_equal(decode_labels(data), image)
    grey_alpha = png([bytes([5, 255, 9, 255])], 8, 4, (2, 1))
    assert decode_labels(grey_alpha).tolist() == [[5, 9]]
    ids = png([struct.pack(">3H", 1, 2, 3)], 16, 2, (1, 1))
    assert decode_labels(ids).tolist() == [[[1, 2, 3]]]


def test_labels_refuse_what_would_change_them():
    with pytest.raises(ImageError, match="labels in a jpeg") as caught:
        decode_labels(encode_jpeg(photo()), where="m.jpg")
    assert caught.value.where == "m.jpg"
    with pytest.raises(ImageError, match="transparent"):
        decode_labels(png([bytes([1, 2, 3, 128])], 8, 6, (1, 1)))
    with pytest.raises(ImageError, match="EXIF"):
        decode_labels(saved(photo(), "PNG", exif=exif(6)))
    with pytest.raises(ImageError, match="60x40, the annotation says 61x40"):
        decode_labels(saved(photo(), "PNG"), expected_size=(61, 40))
    with pytest.raises(ImageError, match="no stated meaning"):
        decode_labels(saved(np.zeros((4, 4), np.float32), "TIFF"))


# ---------------------------------------------------------------- robustness


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
def test_random_damage_never_raises_and_never_warns(format_name):
    data = saved(photo(), format_name)
    rng = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 3):
            damaged[position] = rng.integers(0, 256)
        found = probe(bytes(damaged), max_pixels=1_000_000)
        assert found.status in ("ok", "repaired", "quarantined")
        assert (found.image is None) == (found.status == "quarantined")


def test_threads_leave_the_warning_filters_alone():
    data = [saved(photo(seed=seed), name) for seed in range(8) for name in ("PNG", "TIFF", "GIF")]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(probe, data * 5))
    assert {intake.status for intake in found} == {"ok"}
    assert list(warnings.filters) == before


def test_every_jpeg_header_cut_is_found_without_a_decoder():
    data = encode_jpeg(photo())
    scan = data.index(b"\xff\xda")
    for length in range(3, scan, 7):
        with pytest.raises(ImageError) as caught:
            image_headers.jpeg_header(data[:length])
        assert caught.value.reason == "truncated"
