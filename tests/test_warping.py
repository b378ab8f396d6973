import dataclasses
import math

import cv2
import numpy as np
import pytest
import simplejpeg

from posepile_torch import warping
from posepile_torch.camera import Camera, Lens
from posepile_torch.errors import CameraError, ImageError, MaskError
from posepile_torch.light import from_linear, to_linear
from posepile_torch.masks import Mask
from posepile_torch.rotations import from_rotvec
from posepile_torch.warping import pixel_map, reproject_image, reproject_mask

LENSES = {
    "none": Lens.none(),
    "brown-conrady": Lens.brown_conrady((-0.28, 0.09, 0.002, -0.001, 0.01)),
    "tilted": Lens.brown_conrady((-0.2, 0.1, 1e-3, 2e-3, 0, 0, 0, 0, 1e-3, 0, 0, 0, 0.05, -0.03)),
    "kannala-brandt": Lens.kannala_brandt((-0.02, 0.01, -0.003, 0.0005)),
    "h36m-toolbox": Lens.h36m_toolbox((-0.207, 0.248, -0.003), (-0.001, -0.0014)),
}
MARKS = np.array([[151.3, 120.8], [320.45, 240.25], [431.9, 140.1], [212.15, 377.6]])


def source_camera(lens="none", size=(640, 480)):
    camera = Camera.from_fov(size, math.radians(70), R=from_rotvec([0.1, 0.2, 0.05]))
    return dataclasses.replace(camera, lens=LENSES[lens])


def target_of(source, zoom=1.0, size=(320, 320), roll=0.3):
    """A crop as it is stored: turned, levelled, rolled, undistorted, of another size."""
    turned = source.turned_towards(pixel=[310, 230]).undistorted().with_square_pixels()
    return turned.with_size(size).with_centred_principal_point().zoomed(zoom).rolled(roll)


def picture_of_marks(size, marks, sigma=2.5):
    """Round smooth marks on black; exact in amounts of light up to the rounding to 8 bits."""
    y, x = np.mgrid[: size[1], : size[0]]
    light = sum(np.exp(-((x - mx) ** 2 + (y - my) ** 2) / (2 * sigma**2)) for mx, my in marks)
    return np.repeat(from_linear(light.astype(np.float32))[..., None], 3, axis=2)


def centroids(image, near, radius):
    """Centres of light around the given places."""
    light = to_linear(image)[..., 0].astype(np.float64)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    found = []
    for mx, my in near:
        weight = light * (np.hypot(x - mx, y - my) < radius)
        found.append([(weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()])
    return np.array(found)


def images_of(pixels, source, target):
    """Where points of the source image lie in the target image."""
    return target.project_camera(source.back_project(pixels) @ (target.R @ source.R.T).T)


def whole_images_of(marks, source, target, margin):
    """As above, but only those whose neighbourhood is inside the target image."""
    places = images_of(marks, source, target)
    inside = ((places > margin) & (places < np.array(target.size) - 1 - margin)).all(axis=1)
    assert inside.sum() >= 2
    return places[inside]


# ---- geometry of images ---------------------------------------------------------------------


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("supersample", [1, 2, 4])
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_mark_lands_where_its_point_projects(lens, supersample, interpolation):
    source = source_camera(lens)
    target = target_of(source)
    image = picture_of_marks(source.size, MARKS)
    warped = reproject_image(
        image, source, target, supersample=supersample, interpolation=interpolation
    )
    expected = whole_images_of(MARKS, source, target, 12)
    np.testing.assert_allclose(centroids(warped, expected, 12), expected, atol=0.05)


@pytest.mark.parametrize("lens", ["none", "brown-conrady"])
@pytest.mark.parametrize("factor", [1.3, 2, 2.6, 4, 5.5])
@pytest.mark.parametrize("supersample", [1, 2])
def test_a_mark_lands_right_when_the_image_shrinks(lens, factor, supersample):
    source = source_camera(lens)
    size = (round(500 / factor), round(500 / factor))
    target = target_of(source, zoom=1 / factor, size=size)
    image = picture_of_marks(source.size, MARKS, sigma=1.5 * factor)
    warped = reproject_image(image, source, target, supersample=supersample)
    expected = whole_images_of(MARKS, source, target, 9)
    np.testing.assert_allclose(centroids(warped, expected, 9), expected, atol=0.05)


@pytest.mark.parametrize("lens", ["none", "h36m-toolbox"])
def test_a_mark_lands_right_when_the_image_grows_and_is_mirrored(lens):
    source = source_camera(lens)
    target = target_of(source, zoom=3).flipped()
    image = picture_of_marks(source.size, MARKS[1:2])
    warped = reproject_image(image, source, target)
    expected = images_of(MARKS[1:2], source, target)
    np.testing.assert_allclose(centroids(warped, expected, 40), expected, atol=0.05)


def test_resizing_by_a_whole_factor_is_the_mean_of_blocks():
    """The half-pixel rule, to the last bit: no shift, no skipped pixel."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (48, 64, 3), np.uint8)
    source = Camera.from_fov((64, 48), 1.0)
    blocks = to_linear(image).reshape(12, 4, 16, 4, 3).mean(axis=(1, 3))
    warped = reproject_image(image, source, source.resized((16, 12)))
    np.testing.assert_allclose(warped.astype(int), from_linear(blocks), atol=1)
    plain = reproject_image(image, source, source.resized((16, 12)), linear_light=False)
    means = image.reshape(12, 4, 16, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(plain, means, atol=1)


@pytest.mark.parametrize("linear_light", [True, False])
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_whole_pixel_crops_and_mirroring_change_no_pixel(linear_light, interpolation):
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    source = Camera.from_fov((64, 48), 1.0)
    options = {"linear_light": linear_light, "interpolation": interpolation}
    np.testing.assert_array_equal(reproject_image(image, source, source, **options), image)
    np.testing.assert_array_equal(
        reproject_image(image, source, source.cropped([10, 5, 20, 30]), **options),
        image[5:35, 10:30],
    )
    np.testing.assert_array_equal(
        reproject_image(image, source, source.flipped(), **options), image[:, ::-1]
    )


def test_distorted_image_and_its_mirror_image_warp_alike():
    source = source_camera("tilted")
    image = picture_of_marks(source.size, MARKS)
    target = target_of(source)
    direct = reproject_image(image, source, target.flipped())
    mirrored = reproject_image(
        np.ascontiguousarray(image[:, ::-1]), source.flipped(), target.flipped()
    )
    np.testing.assert_allclose(direct.astype(int), mirrored, atol=2)


@pytest.mark.parametrize("divisor", [2, 4, 8])
def test_an_image_reduced_by_the_jpeg_decoder_warps_to_the_same_place(divisor):
    # Sizes that no divisor divides. Without a lens, which would push the centre of a mark that is
    # large enough to be reduced by 8.
    source = source_camera(size=(641, 479))
    image = picture_of_marks(source.size, MARKS, sigma=8)
    reduced_camera = source.downscaled(divisor)
    width, height = reduced_camera.size
    reduced = simplejpeg.decode_jpeg(
        simplejpeg.encode_jpeg(image, quality=100, colorsubsampling="444"),
        min_width=width,
        min_height=height,
    )
    target = target_of(source, zoom=0.25, size=(120, 120))
    expected = whole_images_of(MARKS, source, target, 9)
    warped = reproject_image(reduced, reduced_camera, target)
    np.testing.assert_allclose(centroids(warped, expected, 9), expected, atol=0.05)


# ---- light ----------------------------------------------------------------------------------


def checker(size=(256, 256)):
    y, x = np.mgrid[: size[1], : size[0]]
    return np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("lens", ["none", "brown-conrady"])
@pytest.mark.parametrize(("curve", "grey"), [("srgb", 188), ("gamma22", 186)])
def test_a_fine_checker_keeps_its_light_when_it_shrinks(lens, curve, grey):
    source = dataclasses.replace(Camera.from_fov((256, 256), 0.8), lens=LENSES[lens])
    target = source.undistorted().zoomed(1.15).resized((64, 64))
    warped = reproject_image(checker(), source, target, curve=curve, supersample=2)
    inner = warped[4:-4, 4:-4].astype(float)
    assert abs(inner.mean() - grey) < 1.5
    assert inner.std() < 6
    stored = reproject_image(checker(), source, target, linear_light=False, supersample=2)
    assert abs(stored[4:-4, 4:-4].mean() - 127.5) < 1.5


def test_without_antialiasing_the_checker_aliases():
    """What the antialiasing is for; also shows that it can be turned off."""
    source = Camera.from_fov((256, 256), 0.8)
    target = source.rolled(0.02).resized((61, 61))
    smooth = reproject_image(checker(), source, target)
    rough = reproject_image(checker(), source, target, antialias=False)
    assert rough[4:-4, 4:-4].std() > 3 * smooth[4:-4, 4:-4].std()


def test_shrinking_agrees_with_a_dense_reference():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (480, 640, 3), np.uint8), (0, 0), 1.2)
    source = source_camera("brown-conrady")
    target = target_of(source, zoom=1 / 3, size=(100, 100))
    fine = target.resized((1200, 1200))
    x, y = np.moveaxis(pixel_map(source, fine), -1, 0)
    dense = cv2.remap(to_linear(image), x, y, cv2.INTER_LINEAR)
    reference = from_linear(cv2.resize(dense, (100, 100), interpolation=cv2.INTER_AREA))
    errors = [
        np.abs(
            reproject_image(image, source, target, supersample=n)[5:-5, 5:-5].astype(float)
            - reference[5:-5, 5:-5]
        ).mean()
        for n in (1, 2, 4)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[0] < 6
    assert errors[2] < 0.8


# ---- what is not seen -----------------------------------------------------------------------


@pytest.mark.parametrize("lens", ["none", "brown-conrady"])
@pytest.mark.parametrize("linear_light", [True, False])
def test_the_border_has_its_value(lens, linear_light):
    source = source_camera(lens, (100, 80))
    image = np.full((80, 100, 3), 200, np.uint8)
    target = source.undistorted().zoomed(0.3)
    warped = reproject_image(
        image, source, target, border_value=(10, 20, 30), linear_light=linear_light
    )
    np.testing.assert_array_equal(warped[0, 0], [10, 20, 30])
    np.testing.assert_array_equal(warped[40, 50], [200, 200, 200])
    grey = reproject_image(image[..., 0], source, target, border_value=99)
    assert grey[-1, -1] == 99


@pytest.mark.parametrize("lens", ["none", "kannala-brandt"])
def test_nothing_is_drawn_from_behind_the_camera(lens):
    """A homography alone would draw the image a second time, upside down."""
    source = dataclasses.replace(Camera.from_fov((100, 100), 2.4), lens=LENSES[lens])
    image = np.full((100, 100), 255, np.uint8)
    sideways = Camera.from_fov((200, 200), 2.9, R=from_rotvec([0, 1.8, 0]))
    warped = reproject_image(image, source, sideways)
    rays = sideways.back_project(np.stack(np.meshgrid(np.arange(200), np.arange(200)), -1))
    behind = (rays @ (source.R @ sideways.R.T).T)[..., 2] < 0
    assert behind.mean() > 0.2
    assert warped[behind].max() == 0
    assert warped.max() == 255
    away = Camera.from_fov((50, 50), 1.0, R=from_rotvec([0, math.pi, 0]))
    assert reproject_image(image, source, away).max() == 0
    mask = Mask.from_array(image)
    assert not (reproject_mask(mask, source, sideways).to_array() & behind).any()
    assert reproject_mask(mask, source, away).area == 0


def test_nothing_is_drawn_past_the_fold_of_a_lens():
    lens = Lens.brown_conrady((-0.3, 0, 0, 0, 0))
    source = dataclasses.replace(Camera.from_fov((200, 200), 1.6), lens=lens)
    target = Camera.from_fov((300, 300), 2.4)
    warped = reproject_image(np.full((200, 200), 255, np.uint8), source, target)
    rays = target.back_project(np.stack(np.meshgrid(np.arange(300), np.arange(300)), -1))
    past = np.hypot(rays[..., 0], rays[..., 1]) > 1.03 * lens.valid_radius  # a pixel further out
    assert past.any()
    assert warped[past].max() == 0
    assert warped[150, 150] == 255


# ---- maps -----------------------------------------------------------------------------------


def exact_map(source, target):
    grid = np.stack(np.meshgrid(np.arange(target.size[0]), np.arange(target.size[1])), axis=-1)
    return images_of(grid, target, source)


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("size", [(320, 256), (60, 500), (1, 40), (7, 7)])
@pytest.mark.parametrize("zoom", [0.4, 1.0, 2.5])
def test_interpolated_maps_are_exact_to_a_hundredth_of_a_pixel(lens, size, zoom):
    source = source_camera(lens)
    target = target_of(source, zoom=zoom, size=size)
    mapping = pixel_map(source, target)
    assert mapping.dtype == np.float32
    assert mapping.shape == (size[1], size[0], 2)
    np.testing.assert_allclose(mapping, exact_map(source, target), atol=0.01)


@pytest.mark.parametrize("seed", range(30))
def test_interpolated_maps_of_strong_random_lenses(seed):
    rng = np.random.default_rng(seed)
    lens = (
        Lens.brown_conrady(rng.uniform(-1, 1, 12) * [0.4, 0.2, 0.01, 0.01, 0.1, *[0.1] * 7])
        if seed % 2
        else Lens.kannala_brandt(rng.uniform(-0.1, 0.1, 4))
    )
    source = dataclasses.replace(source_camera(), lens=lens)
    target = target_of(source, zoom=rng.uniform(0.3, 2), size=(200, 160))
    np.testing.assert_allclose(
        pixel_map(source, target), exact_map(source, target), atol=0.01, rtol=1e-6
    )


def test_most_maps_are_interpolated():
    """The fast way must be the usual one, or it proves nothing that it is right."""
    source = source_camera("brown-conrady")
    assert warping._interpolated_map(source, target_of(source)) is not None
    assert warping._interpolated_map(source, source) is None  # a target with a lens
    assert warping._interpolated_map(source, target_of(source, size=(20, 300))) is None


def test_maps_between_two_lenses_are_exact():
    source, other = source_camera("brown-conrady"), source_camera("kannala-brandt", (120, 90))
    np.testing.assert_allclose(pixel_map(source, other), exact_map(source, other), atol=1e-3)
    np.testing.assert_allclose(pixel_map(source, source)[100, 200], [200, 100], atol=1e-4)


# ---- masks ----------------------------------------------------------------------------------


def disc(size, centre, radius):
    y, x = np.mgrid[: size[1], : size[0]]
    return np.hypot(x - centre[0], y - centre[1]) < radius


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("supersample", [1, 2])
@pytest.mark.parametrize("zoom", [0.35, 1.0, 2.0])
def test_masks_go_where_their_pixels_go(lens, supersample, zoom):
    source = source_camera(lens)
    target = target_of(source, zoom=zoom, size=(330, 310))
    mask = Mask.from_array(disc(source.size, (320.4, 240.2), 60))
    warped = reproject_mask(mask, source, target, supersample=supersample)
    assert warped.size == target.size
    mapping = exact_map(source, target)
    truth = np.hypot(mapping[..., 0] - 320.4, mapping[..., 1] - 240.2) < 60
    got = warped.to_array().astype(bool)
    # A ring of half a pixel of either image is in doubt.
    assert (got != truth).sum() < 0.02 * truth.sum()
    ys, xs = np.nonzero(got)
    true_ys, true_xs = np.nonzero(truth)
    np.testing.assert_allclose([xs.mean(), ys.mean()], [true_xs.mean(), true_ys.mean()], atol=0.1)


def test_shrinking_a_mask_is_a_vote():
    source = Camera.from_fov((64, 64), 1.0)
    pixels = np.random.default_rng(0).random((64, 64)) < 0.6
    warped = reproject_mask(Mask.from_array(pixels), source, source.resized((16, 16)))
    votes = pixels.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    decided = np.abs(votes - 0.5) > 0.13
    assert (warped.to_array().astype(bool) == (votes > 0.5))[decided].all()


def test_a_mask_and_its_image_stay_together():
    source = source_camera("h36m-toolbox")
    target = target_of(source, zoom=0.5)
    pixels = disc(source.size, (300, 200), 90)
    image = reproject_image((pixels * np.uint8(255)), source, target, linear_light=False)
    mask = reproject_mask(Mask.from_array(pixels), source, target).to_array()
    assert (mask.astype(bool) != (image > 127)).mean() < 0.002


# ---- wrong use ------------------------------------------------------------------------------


def test_wrong_arguments_are_refused():
    source = Camera.from_fov((64, 48), 1.0)
    image = np.zeros((48, 64, 3), np.uint8)
    moved = dataclasses.replace(source, t=np.array([1.0, 0, 0]))
    for call in (
        lambda: reproject_image(image, source, moved),
        lambda: reproject_mask(Mask.from_array(image[..., 0]), source, moved),
        lambda: pixel_map(source, moved),
    ):
        with pytest.raises(CameraError, match="1 mm apart"):
            call()
    for wrong in (image.astype(np.float32), image[:, :, :, None], np.zeros((48, 64, 5), np.uint8)):
        with pytest.raises(ImageError, match="image is"):
            reproject_image(wrong, source, source)
    with pytest.raises(ImageError, match=r"\(48, 64\)") as caught:
        reproject_image(image.transpose(1, 0, 2), source, source)
    assert caught.value.reason == "size"
    with pytest.raises(MaskError, match="mask of"):
        reproject_mask(Mask.from_array(np.zeros((5, 5), bool)), source, source)
    with pytest.raises(ImageError, match="cubic"):
        reproject_image(image, source, source, interpolation="lanczos")
    for border in ((1, 2), 256, -1):
        with pytest.raises(ImageError, match="border"):
            reproject_image(image, source, source, border_value=border)
    for supersample in (0, 2.0, 100):
        with pytest.raises(CameraError, match="supersample"):
            reproject_image(image, source, source, supersample=supersample)


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 1), (48, 64, 3), (48, 64, 4)])
@pytest.mark.parametrize("factor", [1, 4])
def test_channels_are_kept(shape, factor):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    source = Camera.from_fov((64, 48), 1.0)
    target = source.resized((64 // factor, 48 // factor)).rolled(0.1)
    for linear_light in (True, False):
        warped = reproject_image(image, source, target, linear_light=linear_light, supersample=2)
        assert warped.shape == (48 // factor, 64 // factor, *shape[2:])
        assert warped.dtype == np.uint8
