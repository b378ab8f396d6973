"""The shared resampling: exact places, right brightness, nothing lost, masks that follow."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.camera import Camera, Lens
from posepile_torch.convert.resample import (
    Resampling,
    averaging_kernel,
    reduction_for_step,
    typical_step,
)
from posepile_torch.errors import CameraError, ImageError, MaskError
from posepile_torch.images import decode_jpeg, encode_jpeg
from posepile_torch.masks import Mask
from posepile_torch.warping import pixel_map

SIZE = (320, 240)
LENSES = {
    "none": Lens.none(),
    "brown-conrady": Lens.brown_conrady([-0.25, 0.08, 0.001, -0.0015, 0.0]),
    "kannala-brandt": Lens.kannala_brandt([0.02, -0.01, 0.002, -0.0005]),
}


def camera(lens="none", size=SIZE):
    base = Camera.from_fov(size, math.radians(60), world_up=(0, -1, 0))
    return Camera(
        R=base.R, t=base.t, K=base.K, size=size, lens=LENSES[lens], world_up=base.world_up
    )


def window(raw, box, zoom, pixel=None):
    """A crop of the undistorted view, zoomed, turned towards a pixel if one is given."""
    turned = raw if pixel is None else raw.turned_towards(pixel=pixel)
    part = turned.undistorted().cropped(box)
    return part.resized((round(zoom * box[2]), round(zoom * box[3])))


def smooth(size=SIZE, wavelength=40.0):
    y, x = np.mgrid[: size[1], : size[0]].astype(float)
    channels = [np.sin(2 * np.pi * (x + k * y) / wavelength) for k in (0.3, 1.0, -0.7)]
    return np.round(127.5 + 90 * np.stack(channels, axis=-1)).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(step=st.floats(0.2, 12))
def test_the_kernel_has_the_variance_that_is_missing(step):
    kernel = averaging_kernel(step).astype(float)
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert (kernel > 0).all()
    np.testing.assert_allclose(kernel, kernel[::-1])
    wanted = max((step**2 - 1) / 12, 0)
    assert (kernel * offsets**2).sum() == pytest.approx(wanted, rel=1e-4, abs=0.0101)
    if step == 3:
        np.testing.assert_allclose(kernel, 1 / 3)


def test_odd_steps_are_plain_boxes():
    for step in (3, 5, 7):
        np.testing.assert_allclose(averaging_kernel(step), 1 / step, rtol=1e-5)


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("zoom", [1.2, 1.0, 0.6, 0.3])
def test_pixels_are_those_of_the_scene(lens, zoom):
    """A smooth picture, sampled where the map says, is what must come out."""
    raw = camera(lens)
    target = window(raw, (60, 40, 200, 160), zoom, pixel=(150, 110))
    image = smooth()
    resampling = Resampling(raw, target)
    out = resampling.image(image)
    exact = cv2.remap(image, pixel_map(raw, target), None, cv2.INTER_CUBIC)
    inside = np.isfinite(pixel_map(raw, target)).all(axis=-1)
    inside &= cv2.erode(inside.astype(np.uint8), np.ones((9, 9))).astype(bool)
    difference = np.abs(out.astype(int) - exact)[inside]
    # averaging flattens the waves by 1 - sinc; more only where the picture is coarse
    assert difference.max() <= 3 + 90 * (1 - np.sinc(1 / (40 * zoom))) * 1.5
    assert out.shape == (target.size[1], target.size[0], 3)


def test_brightness_is_that_of_the_light():
    """Fine black and white stripes are as bright as the value 188, whatever the step."""
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    raw = camera()
    for zoom in (0.5, 0.3, 0.2):
        out = Resampling(raw, window(raw, (40, 40, 240, 160), zoom)).image(stripes)
        assert abs(np.median(out) - 188) <= 3


def test_every_source_pixel_counts_when_the_image_shrinks():
    raw = camera()
    target = window(raw, (40, 40, 240, 160), 1 / 8)
    rng = np.random.default_rng(0)
    for _ in range(20):
        image = np.zeros((240, 320, 3), np.uint8)
        x, y = rng.integers(60, 260), rng.integers(60, 180)
        image[y, x] = 255
        light_out = (Resampling(raw, target).image(image)[..., 0] / 255.0).max()
        assert light_out > 0.03  # 1/64 of the light, in stored values 0.13 at its centre


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_reduced_decode_stays_in_place(lens, reduction):
    size = (960, 720)
    raw = camera(lens, size)
    target = window(raw, (200, 120, 480, 400), 1 / (2 * reduction), pixel=(470, 330))
    jpeg = encode_jpeg(smooth(size, wavelength=400), quality=98)
    resampling = Resampling(raw, target)
    full = resampling.image(decode_jpeg(jpeg))
    reduced = resampling.image(decode_jpeg(jpeg, reduction=reduction), reduction=reduction)
    assert np.abs(full.astype(int) - reduced)[3:-3, 3:-3].max() <= 3


def test_the_reduction_follows_the_step():
    raw = camera(size=(3200, 2400))
    steps = {}
    for zoom in (1.2, 0.6, 0.5, 0.3, 0.1, 0.07, 0.04, 0.02):
        target = window(raw, (400, 300, 2000, 1600), zoom)
        assert typical_step(raw, target) == pytest.approx(1 / zoom, rel=0.02)
        steps[zoom] = reduction_for_step(1 / zoom)
    assert steps == {1.2: 1, 0.6: 1, 0.5: 2, 0.3: 2, 0.1: 2, 0.07: 4, 0.04: 4, 0.02: 8}


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("zoom", [1.2, 0.5, 0.2])
def test_masks_have_the_area_and_place_of_the_image(lens, zoom):
    raw = camera(lens)
    disc = np.zeros((240, 320), np.uint8)
    cv2.circle(disc, (150, 110), 50, 1, -1)
    resampling = Resampling(raw, window(raw, (60, 30, 200, 170), zoom, pixel=(160, 115)))
    mask = resampling.mask(Mask.from_array(disc)).to_array() > 0
    image = resampling.image(np.repeat(255 * disc[..., None], 3, axis=2))[..., 0]
    share = np.where(
        image / 255 <= 0.04045, image / 255 / 12.92, ((image / 255 + 0.055) / 1.055) ** 2.4
    )
    assert mask.sum() == pytest.approx(share.sum(), rel=0.05)
    assert (mask & (share > 0.5)).sum() / (mask | (share > 0.5)).sum() > 0.93


def test_what_the_raw_image_does_not_show_is_black():
    raw = camera("brown-conrady")
    beyond = window(raw, (-400, 40, 200, 160), 1.0)
    assert not Resampling(raw, beyond).image(smooth()).any()
    assert not Resampling(raw, beyond).mask(Mask.from_array(np.ones((240, 320), np.uint8))).area
    half = window(raw, (-100, 40, 200, 160), 1.0)
    out = Resampling(raw, half).image(np.full((240, 320, 3), 200, np.uint8))
    assert not out[:, :60].any()
    assert (out[20:-20, 140:] == 200).all()


def test_behind_the_camera_nothing_is_drawn_upside_down():
    raw = camera()
    behind = Camera(
        R=np.diag([-1.0, 1.0, -1.0]), t=raw.t, K=raw.K, size=SIZE, world_up=raw.world_up
    )
    assert not Resampling(raw, behind).image(smooth()).any()
    sideways = raw.turned_towards(np.array([1000.0, 0.0, 900.0])).zoomed(0.3)
    out = Resampling(raw, sideways).image(np.full((240, 320, 3), 255, np.uint8))
    assert out[:, :100].any()
    assert not out[:, -100:].any()


def test_wrong_sizes_and_places_are_refused():
    raw = camera()
    resampling = Resampling(raw, window(raw, (60, 40, 200, 160), 0.5))
    with pytest.raises(ImageError, match="160x120"):
        resampling.image(np.zeros((120, 160, 3), np.uint8))
    resampling.image(np.zeros((120, 160, 3), np.uint8), reduction=2)
    with pytest.raises(MaskError, match="none is ever resized"):
        resampling.mask(Mask.from_array(np.zeros((120, 160), np.uint8)))
    elsewhere = Camera(R=raw.R, t=raw.t + 100, K=raw.K, size=SIZE)
    with pytest.raises(CameraError):
        Resampling(raw, elsewhere)
