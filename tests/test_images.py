"""The JPEG codec: pixels, reduced decoding and its exact mapping, and refusals."""

import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from posepile_torch import images
from posepile_torch.errors import ImageError


def photo(width=207, height=123, seed=0, smooth=3.0):
    """Colourful and smooth, so that a JPEG of it is close to it."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), smooth)
    low, high = blurred.min(), blurred.max()
    return ((blurred - low) / (high - low) * 255).astype(np.uint8)


def pillow_bytes(array, format_name, mode=None, **options):
    picture = PillowImage.fromarray(array)
    stream = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(stream, format_name, **options)
    return stream.getvalue()


def mean_difference(a, b):
    return np.abs(a.astype(float) - b.astype(float)).mean()


def test_round_trip_keeps_colours_and_channel_order():
    image = photo()
    image[:40, :40] = (250, 10, 20)
    data = images.encode_jpeg(image)
    assert images.jpeg_size(data) == (207, 123)
    decoded = images.decode_jpeg(data)
    assert (decoded.dtype, decoded.shape) == (np.uint8, image.shape)
    assert decoded.flags.writeable
    assert mean_difference(decoded, image) < 2.5
    assert np.abs(decoded[10, 10].astype(int) - (250, 10, 20)).max() < 8


def test_decoding_is_accurate():
    data = images.encode_jpeg(photo(smooth=1.5))
    reference = np.asarray(PillowImage.open(io.BytesIO(data)))
    assert np.array_equal(images.decode_jpeg(data), reference)


def test_encoding_is_deterministic_baseline_420_and_obeys_quality():
    image = photo()
    assert images.encode_jpeg(image) == images.encode_jpeg(image.copy())
    sizes = [len(images.encode_jpeg(image, quality)) for quality in (30, 75, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] / 2
    header = PillowImage.open(io.BytesIO(images.encode_jpeg(image)))
    assert not header.info.get("progressive")
    assert [layer[1:3] for layer in header.layer] == [(2, 2), (1, 1), (1, 1)]
    full = PillowImage.open(io.BytesIO(images.encode_jpeg(image, subsampling="444")))
    assert [layer[1:3] for layer in full.layer] == [(1, 1)] * 3


def test_views_that_are_not_contiguous_are_encoded_right():
    image = photo()
    assert images.encode_jpeg(image[:, ::-1]) == images.encode_jpeg(image[:, ::-1].copy())


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        np.zeros((0, 5, 3), np.uint8),
        np.broadcast_to(np.uint8(0), (65501, 1, 3)),
    ],
)
def test_encode_refuses_what_is_no_image(bad):
    with pytest.raises(ImageError) as caught:
        images.encode_jpeg(bad)
    assert caught.value.reason == "argument"


@pytest.mark.parametrize("options", [{"quality": 0}, {"quality": 101}, {"subsampling": "4:2:0"}])
def test_encode_refuses_unknown_settings(options):
    with pytest.raises(ImageError, match="unknown quality"):
        images.encode_jpeg(photo(16, 16), **options)


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("size", [(207, 123), (640, 480), (5, 7), (16, 16)])
def test_reduced_sizes_are_rounded_up(reduction, size):
    data = images.encode_jpeg(photo(*size))
    reduced = images.decode_jpeg(data, reduction=reduction)
    assert reduced.shape == (-(-size[1] // reduction), -(-size[0] // reduction), 3)


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_reduced_pixels_lie_where_the_mapping_says(reduction):
    # A blob whose centroid is known; the mapping must find it again.
    x, y = np.meshgrid(np.arange(320), np.arange(240))
    cx, cy = 143.3, 101.8
    blob = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 20**2)) * 250
    image = np.repeat(blob[..., None], 3, axis=2).astype(np.uint8)
    reduced = images.decode_jpeg(images.encode_jpeg(image), reduction=reduction).mean(axis=2)
    rows, columns = np.indices(reduced.shape)
    found = np.array([(columns * reduced).sum(), (rows * reduced).sum()]) / reduced.sum()
    mapped = images.reduced_to_full(reduction) @ [*found, 1]
    assert mapped == pytest.approx(np.array([cx, cy, 1]), abs=0.1)
    if reduction > 1:  # without the half-pixel term it would be off by this much
        assert np.abs(found * reduction - (cx, cy)).min() > (reduction - 1) / 2 - 0.1


def test_reduced_decoding_is_a_mean_of_pixels():
    image = photo(smooth=4)
    for k in (2, 4, 8):
        reduced = images.decode_jpeg(images.encode_jpeg(image), reduction=k)
        height, width = (image.shape[0] // k) * k, (image.shape[1] // k) * k
        blocks = image[:height, :width].reshape(height // k, k, width // k, k, 3)
        mean = blocks.mean(axis=(1, 3))
        assert mean_difference(reduced[: height // k, : width // k], mean) < 3


def test_min_size_takes_the_largest_reduction_that_is_big_enough():
    data = images.encode_jpeg(photo(640, 480))
    cases = {(640, 480): 1, (321, 10): 1, (320, 240): 2, (161, 1): 2, (160, 120): 4, (1, 1): 8}
    for min_size, k in cases.items():
        assert images.largest_reduction((640, 480), min_size) == k
        assert images.decode_jpeg(data, min_size=min_size).shape[:2] == (480 // k, 640 // k)
    assert images.largest_reduction((640, 480), (1000, 1000)) == 1


def test_reduction_for_zoom_never_enlarges_and_never_skips_pixels():
    cases = {2.0: 1, 1.0: 1, 0.5: 1, 0.49: 2, 0.256: 2, 0.25: 2, 0.24: 4, 0.1: 8, 0.01: 8}
    assert {zoom: images.reduction_for_zoom(zoom) for zoom in cases} == cases
    for zoom in np.linspace(0.0626, 0.5, 50):
        assert 0.5 <= zoom * images.reduction_for_zoom(zoom) < 1.0 + 1e-9


def test_contradicting_or_unknown_reductions_are_refused():
    data = images.encode_jpeg(photo(32, 32))
    for options in ({"reduction": 3}, {"reduction": 2, "min_size": (1, 1)}, {"reduction": 0}):
        with pytest.raises(ImageError, match="cannot decode with") as caught:
            images.decode_jpeg(data, **options)
        assert caught.value.reason == "argument"


def test_grey_jpeg_becomes_three_equal_channels():
    grey = photo()[..., 0]
    decoded = images.decode_jpeg(pillow_bytes(grey, "JPEG", quality=95))
    assert decoded.shape == (123, 207, 3)
    assert (decoded == decoded[..., :1]).all()
    assert mean_difference(decoded[..., 0], grey) < 2


def test_cmyk_and_ycck_jpegs_become_rgb():
    image = photo()
    cmyk = pillow_bytes(image, "JPEG", mode="CMYK", quality=95)
    assert mean_difference(images.decode_jpeg(cmyk), image) < 2
    # The Adobe segment says how the four channels are coded: 0 is CMYK, 2 is YCCK.
    ycck = bytearray(cmyk)
    ycck[cmyk.index(b"Adobe") + 11] = 2
    reference = np.asarray(PillowImage.open(io.BytesIO(ycck)).convert("RGB"))
    assert mean_difference(images.decode_jpeg(bytes(ycck)), reference) < 0.5
    half = images.decode_jpeg(cmyk, reduction=2)
    assert half.shape == (62, 104, 3)


def test_progressive_jpeg_is_read():
    image = photo()
    data = pillow_bytes(image, "JPEG", progressive=True, quality=95)
    assert mean_difference(images.decode_jpeg(data), image) < 3


@pytest.mark.parametrize("progressive", [False, True])
def test_fault_1_a_cut_jpeg_never_gives_pixels(progressive):
    data = pillow_bytes(photo(), "JPEG", progressive=progressive, quality=95)
    for length in (*range(0, len(data) - 2, 97), len(data) - 2, len(data) - 1):
        with pytest.raises(ImageError) as caught:
            images.decode_jpeg(data[:length], where="a.jpg")
        assert caught.value.reason in ("truncated", "unreadable", "damaged")
        assert caught.value.where == "a.jpg"
    assert images.decode_jpeg(data + b"\0" * 9).shape == (123, 207, 3)  # nothing is missing


def test_fault_3_flipped_bytes_either_decode_in_full_or_raise():
    data = images.encode_jpeg(photo())
    outcomes = set()
    for position in range(2, len(data) - 2, 13):
        flipped = bytearray(data)
        flipped[position] ^= 0x40
        try:
            image = images.decode_jpeg(bytes(flipped))
        except ImageError as error:
            outcomes.add(error.reason)
        else:
            assert image.ndim == 3
            outcomes.add("decoded")
    assert (
        {"decoded", "damaged"}
        <= outcomes
        <= {"decoded", "damaged", "truncated", "unreadable", "unsupported"}
    )


@pytest.mark.parametrize(
    "data", [b"", bytes(100), b"<html></html>", b"\xff\xd8\xff\xd9", b"GIF89a"]
)
def test_what_is_no_jpeg_is_unreadable(data):
    for read in (images.decode_jpeg, images.jpeg_size):
        with pytest.raises(ImageError) as caught:
            read(data, where="b.jpg")
        assert caught.value.reason == "unreadable"
        assert re.search(r"where: b\.jpg", str(caught.value))


def test_the_examples_of_the_docs_run():
    page = Path(__file__).parents[1] / "docs" / "images.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, str(page), "exec"), {})
