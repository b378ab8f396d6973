"""Masks: sources, algebra, components, warps against OpenCV and exact maths, faults 26 to 28."""

import copy
import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from posepile_torch import mask_warping
from posepile_torch.errors import MaskError
from posepile_torch.masks import Mask, iou_matrix

dense_masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 1))
)


def blobs(seed, size=(300, 400)):
    """A few overlapping discs, away from the border: [h, w] uint8."""
    rng = np.random.default_rng(seed)
    width, height = size
    dense = np.zeros((height, width), np.uint8)
    for _ in range(4):
        centre = rng.integers((60, 60), (width - 60, height - 60)).tolist()
        cv2.circle(dense, centre, int(rng.integers(15, 50)), 1, -1)
    return dense


def overlap(a, b):
    a, b = a.astype(bool), b.astype(bool)
    return (a & b).sum() / (a | b).sum()


def centroid(dense):
    y, x = np.nonzero(dense)
    return np.array([x.mean(), y.mean()])


# ---------------------------------------------------------------- construction and storage


@given(dense_masks)
@settings(max_examples=60, deadline=None)
def test_every_form_round_trips(dense):
    mask = Mask.from_array(dense)
    assert mask.size == (dense.shape[1], dense.shape[0])
    assert mask.area == dense.sum()
    assert np.array_equal(mask.to_array(), dense)
    assert Mask.from_record(mask.to_record()) == mask
    assert Mask.from_coco(mask.to_coco()) == mask
    compressed = mask.to_coco()
    as_bytes = {"size": compressed["size"], "counts": compressed["counts"].encode()}
    assert Mask.from_coco(as_bytes) == mask
    columns = dense.T.reshape(-1)
    edges = np.flatnonzero(np.diff(columns)) + 1
    runs = np.diff(np.concatenate([[0], edges, [columns.size]])).tolist()
    runs = [0, *runs] if columns[0] else runs
    assert Mask.from_coco({"size": list(dense.shape), "counts": runs}) == mask


def test_known_coco_string():
    # By hand: a 3 x 2 image with only its left column set has the runs 0, 3, 3.
    mask = Mask.from_coco({"size": [3, 2], "counts": "033"})
    assert mask.to_array().tolist() == [[1, 0], [1, 0], [1, 0]]


def test_interior_zero_runs_are_harmless():
    mask = Mask.from_coco({"size": [4, 1], "counts": [1, 1, 0, 1, 1]})
    assert mask.to_array().ravel().tolist() == [0, 1, 1, 0]
    assert mask == Mask.from_coco({"size": [4, 1], "counts": [1, 2, 1]})


def test_dense_arrays_of_any_integer_type():
    dense = np.array([[0, 256], [-1, 0]])
    assert Mask.from_array(dense).to_array().tolist() == [[0, 1], [1, 0]]
    assert Mask.from_array(dense != 0).area == 2
    assert Mask.from_array(np.full((2, 3), 255, np.uint8)[:, ::-1]).area == 6
    for bad in (np.zeros((2, 2)), np.zeros((2, 2, 3), np.uint8), np.zeros((0, 3), np.uint8)):
        with pytest.raises(MaskError):
            Mask.from_array(bad)


def test_masks_pickle_copy_compare_and_hide_their_runs():
    mask = Mask.from_array(blobs(0))
    assert pickle.loads(pickle.dumps(mask)) == mask == copy.deepcopy(mask)
    assert mask != Mask.from_array(blobs(1))
    assert mask != "mask"
    assert Mask.empty((3, 4)) != Mask.empty((4, 3))
    assert repr(Mask.empty((3, 4))) == "Mask(3x4, area=0)"
    with pytest.raises(TypeError):
        hash(mask)


def test_to_array_is_writable_and_private():
    mask = Mask.from_array(np.ones((3, 4), np.uint8))
    mask.to_array()[:] = 0
    assert mask.area == 12
    assert mask.to_array().flags.c_contiguous


def test_box_runs_along_the_outer_edges_of_pixels():
    dense = np.zeros((20, 30), np.uint8)
    dense[5:9, 3:10] = 1
    assert Mask.from_array(dense).box.tolist() == [2.5, 4.5, 7, 4]
    assert Mask.empty((30, 20)).box is None


# ---------------------------------------------------------------- polygons


def test_polygon_and_multi_part_polygon():
    square = [2, 2, 8, 2, 8, 8, 2, 8]
    other = [20, 20, 25, 20, 25, 25, 20, 25]
    mask = Mask.from_coco([square], size=(40, 30))
    assert mask.size == (40, 30)
    expected = np.zeros((30, 40), np.uint8)
    expected[2:8, 2:8] = 1
    assert np.array_equal(mask.to_array(), expected)
    both = Mask.from_coco([square, other], size=(40, 30))
    expected[20:25, 20:25] = 1
    assert np.array_equal(both.to_array(), expected)
    assert both.defects == ()


def test_polygon_agrees_with_opencv_on_a_large_shape():
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = np.stack([100 + 60 * np.cos(angles), 90 + 50 * np.sin(angles)], axis=1)
    mask = Mask.from_coco([points.ravel().tolist()], size=(200, 180))
    drawn = np.zeros((180, 200), np.uint8)
    cv2.fillPoly(drawn, [np.round(points).astype(np.int32)], 1)
    assert overlap(mask.to_array(), drawn) > 0.97


@pytest.mark.parametrize(
    ("polygons", "reason"),
    [
        ([], "no polygon"),
        ([[1, 2, 3, 4]], "2 points"),
        ([[]], "0 points"),
        ([[1, 2, float("nan"), 4, 5, 6]], "NaN"),
        ([[1, 2, float("inf"), 4, 5, 6]], "NaN or infinite"),
        ([[1, 2, 1e9, 4, 5, 6]], "image sides away"),
        ([[0, 0, 300, 300] * 20000], "outline"),
    ],
)
def test_fault_28_polygons_without_area_give_an_empty_mask_with_a_reason(polygons, reason):
    mask = Mask.from_coco(polygons, size=(40, 30))
    assert mask.area == 0
    assert reason in mask.defects[0]


def test_fault_28_sound_parts_survive_a_bad_one():
    mask = Mask.from_coco([[1, 1], [2, 2, 8, 2, 8, 8, 2, 8]], size=(40, 30))
    assert mask.area == 36
    assert len(mask.defects) == 1
    assert "defects" in repr(mask)


@pytest.mark.parametrize("bad", [[[1, 2, 3]], [["a", "b"]], ["text"], [5.0], [[[1, 2, 3]]]])
def test_polygons_that_are_no_coordinate_lists_are_errors(bad):
    with pytest.raises(MaskError, match="ann 7"):
        Mask.from_coco(bad, size=(40, 30), where="ann 7")


def test_polygon_as_pairs_is_accepted():
    pairs = [[[2, 2], [8, 2], [8, 8], [2, 8]]]
    assert Mask.from_coco(pairs, size=(40, 30)).area == 36


def test_polygons_need_a_size_and_must_be_a_list():
    with pytest.raises(MaskError, match="size"):
        Mask.from_coco([[1, 2, 3, 4, 5, 6]])
    with pytest.raises(MaskError, match="neither"):
        Mask.from_coco("PPYo0", size=(4, 4))


# ---------------------------------------------------------------- label images and PNG


def png(array):
    return cv2.imencode(".png", array)[1].tobytes()


def test_from_png_with_0_1_and_0_255_and_soft_masks():
    dense = blobs(3, (150, 140))
    for scale in (1, 255):
        assert np.array_equal(Mask.from_png(png(dense * scale)).to_array(), dense)
    soft = cv2.GaussianBlur(dense * 255, (0, 0), 2)
    assert np.array_equal(Mask.from_png(png(soft), threshold=128).to_array(), soft >= 128)
    assert Mask.from_png(png(soft)).area == (soft > 0).sum()
    grey_as_rgb = np.repeat(dense[..., None], 3, axis=2)
    assert np.array_equal(Mask.from_png(png(grey_as_rgb)).to_array(), dense)


def test_from_png_refuses_colour_other_sizes_and_garbage():
    colour = np.zeros((5, 6, 3), np.uint8)
    colour[0, 0] = (1, 2, 3)
    with pytest.raises(MaskError, match="in colour") as caught:
        Mask.from_png(png(colour), where="m.png")
    assert "from_label_image" in caught.value.fix
    with pytest.raises(MaskError, match="6x5, expected 7x5"):
        Mask.from_png(png(colour[..., 0]), size=(7, 5))
    for bad in (b"", b"<html>", png(colour[..., 0])[:-2]):
        with pytest.raises(MaskError, match=r"m\.png"):
            Mask.from_png(bad, where="m.png")


def test_from_label_image_by_id_and_by_colour():
    labels = np.array([[0, 300, 300], [7, 7, 300]], dtype=np.uint16)
    assert Mask.from_label_image(labels, 300).to_array().tolist() == [[0, 1, 1], [0, 0, 1]]
    assert Mask.from_label_image(labels, 65536 + 300).area == 0
    colours = np.zeros((2, 2, 3), np.uint8)
    colours[0, 1] = (10, 20, 30)
    assert Mask.from_label_image(colours, (10, 20, 30)).to_array().tolist() == [[0, 1], [0, 0]]
    assert Mask.from_label_image(colours, (10, 20, 31)).area == 0
    for bad_labels, value in ((labels, (1, 2, 3)), (colours, 5), (labels.astype(float), 1)):
        with pytest.raises(MaskError):
            Mask.from_label_image(bad_labels, value)


# ---------------------------------------------------------------- algebra and components


@given(dense_masks, st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_algebra_is_that_of_boolean_arrays(dense, seed):
    other = np.random.default_rng(seed).integers(0, 2, dense.shape).astype(np.uint8)
    a, b = Mask.from_array(dense), Mask.from_array(other)
    assert np.array_equal(a.union(b).to_array(), dense | other)
    assert np.array_equal(a.intersection(b).to_array(), dense & other)
    assert np.array_equal(a.difference(b).to_array(), dense & ~other & 1)
    assert np.array_equal(a.complement().to_array(), 1 - dense)
    union = (dense | other).sum()
    expected = (dense & other).sum() / union if union else 0.0
    assert a.iou(b) == pytest.approx(expected)


def test_union_and_intersection_of_many_and_of_one():
    a, b, c = (Mask.from_array(blobs(seed)) for seed in range(3))
    assert a.union(b, c) == a.union(b).union(c)
    assert a.intersection(b, c) == a.intersection(b).intersection(c)
    assert a.union() == a == a.intersection()


def test_component_best_matching_counts_whole_pixels():
    dense = np.zeros((10, 40), np.uint8)
    dense[:, 10:20] = 1  # spans 9.5 to 19.5
    dense[:, 21:31] = 1  # spans 20.5 to 30.5
    # The box shares 4.3 px with the first and 4.7 with the second.
    found = Mask.from_array(dense).component_best_matching([15.2, 0, 10, 9])
    assert found.box[0] == 20.5


def test_iou_matrix():
    masks = [Mask.from_array(blobs(seed)) for seed in range(3)] + [Mask.empty((300, 400))]
    matrix = iou_matrix(masks, masks[1:])
    assert matrix.shape == (4, 3)
    for i, first in enumerate(masks):
        for j, second in enumerate(masks[1:]):
            assert matrix[i, j] == pytest.approx(first.iou(second))
    assert matrix[3, 2] == 0
    assert iou_matrix([], masks).shape == (0, 4)


def test_fault_26_masks_of_different_sizes_never_meet():
    a, b = Mask.empty((4, 5)), Mask.empty((5, 4))
    for operation in (a.iou, a.union, a.intersection, a.difference):
        with pytest.raises(MaskError, match="5x4, expected 4x5"):
            operation(b)
    with pytest.raises(MaskError, match="5x4, expected 4x5"):
        iou_matrix([a], [b])
    record = Mask.empty((4, 5)).to_coco()
    with pytest.raises(MaskError, match="ann 3"):
        Mask.from_coco(record, size=(40, 50), where="ann 3")
    assert Mask.from_coco(record, size=(4, 5)) == a


def test_components_are_4_connected():
    dense = np.zeros((10, 12), np.uint8)
    dense[0:3, 0:3] = 1  # nine pixels
    dense[3:5, 3:5] = 1  # four, touching the nine at a corner only
    dense[7:9, 8:12] = 1  # eight
    mask = Mask.from_array(dense)
    expected = np.zeros_like(dense)
    expected[0:3, 0:3] = 1
    assert np.array_equal(mask.largest_component().to_array(), expected)
    assert Mask.empty((3, 3)).largest_component().area == 0


def test_component_best_matching_goes_by_the_overlap_of_boxes():
    dense = np.zeros((40, 60), np.uint8)
    dense[2:20, 2:22] = 1  # large
    dense[25:35, 40:50] = 1  # the person looked for
    dense[36:39, 40:50] = 1
    mask = Mask.from_array(dense)
    found = mask.component_best_matching([38, 24, 14, 12])
    expected = np.zeros_like(dense)
    expected[25:35, 40:50] = 1
    assert np.array_equal(found.to_array(), expected)
    assert mask.component_best_matching([0, 0, 25, 25]).area == 18 * 20
    assert mask.component_best_matching([52, 2, 5, 5]).area == 0
    assert Mask.empty((60, 40)).component_best_matching([0, 0, 5, 5]).area == 0


# ---------------------------------------------------------------- warps


def translation(x, y):
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def exact_warp(dense, homography, size):
    """Nearest neighbour by the definition, in float64."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    points = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(homography).T
    with np.errstate(all="ignore"):
        x = np.floor(points[..., 0] / points[..., 2] + 0.5)
        y = np.floor(points[..., 1] / points[..., 2] + 0.5)
    height, width = dense.shape
    inside = (points[..., 2] > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    out = np.zeros((size[1], size[0]), np.uint8)
    out[inside] = dense[y[inside].astype(int), x[inside].astype(int)]
    return out


def view(angle, zoom, tilt=(0.0, 0.0), mirrored=False):
    """A homography that turns, zooms, tilts and mirrors about the middle of a 300 x 400 image."""
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    perspective = np.eye(3)
    perspective[2, :2] = tilt
    mirror = np.diag([-1.0 if mirrored else 1.0, 1, 1])
    scale = np.diag([zoom, zoom, 1])
    return (
        translation(140, 110) @ scale @ perspective @ rotation @ mirror @ translation(-150, -200)
    )


def test_identity_shift_flip_and_quarter_turns_are_exact():
    dense = blobs(1)
    mask = Mask.from_array(dense)
    height, width = dense.shape
    cases = {
        "identity": (np.eye(3), dense),
        "shift": (translation(7, -3), np.pad(dense, ((0, 3), (7, 0)))[3:, :width]),
        "mirror": ([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], dense[:, ::-1]),
        "upside down": ([[1, 0, 0], [0, -1, height - 1], [0, 0, 1]], dense[::-1]),
        "half turn": ([[-1, 0, width - 1], [0, -1, height - 1], [0, 0, 1]], dense[::-1, ::-1]),
        "clockwise": ([[0, -1, height - 1], [1, 0, 0], [0, 0, 1]], np.rot90(dense, -1)),
        "counter-clockwise": ([[0, 1, 0], [-1, 0, width - 1], [0, 0, 1]], np.rot90(dense)),
        "transpose": ([[0, 1, 0], [1, 0, 0], [0, 0, 1]], dense.T),
    }
    for name, (homography, expected) in cases.items():
        size = (expected.shape[1], expected.shape[0])
        warped = mask.warped(homography, size).to_array()
        assert np.array_equal(warped, expected), name


def test_doubling_repeats_every_pixel():
    dense = np.random.default_rng(0).integers(0, 2, (9, 7)).astype(np.uint8)
    doubled = [[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]]  # pixel centres at integers
    warped = Mask.from_array(dense).warped(doubled, (14, 18)).to_array()
    assert np.array_equal(warped, dense.repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 12, 30, 44, 60, 90, 135, 180, -30, -80, -170])
def test_warps_match_exact_sampling_without_bias(degrees, mirrored):
    rng = np.random.default_rng(abs(degrees))
    shifts = []
    for seed in range(6):
        dense = blobs(seed)
        tilt = rng.normal(size=2) * 2e-4
        homography = view(np.deg2rad(degrees), rng.uniform(0.5, 1.2), tilt, mirrored)
        expected = exact_warp(dense, homography, (281, 240))
        warped = Mask.from_array(dense).warped(homography, (281, 240)).to_array()
        assert overlap(warped, expected) > 0.98
        shifts.append(centroid(warped) - centroid(expected))
        opencv = cv2.warpPerspective(dense, homography, (281, 240), flags=cv2.INTER_NEAREST)
        assert overlap(opencv, expected) > 0.995  # the oracle is OpenCV's own convention
        linear = cv2.warpPerspective(dense * 255, homography, (281, 240), flags=cv2.INTER_LINEAR)
        assert overlap(warped, linear > 127) > 0.97
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.06
    assert np.abs(shifts).max() < 0.25


def test_disc_keeps_its_shape_under_a_camera_turn():
    dense = np.zeros((400, 300), np.uint8)
    cv2.circle(dense, (150, 200), 80, 1, -1)
    homography = view(np.deg2rad(10), 0.7, (3e-4, -2e-4))
    warped = Mask.from_array(dense).warped(homography, (281, 240)).to_array()
    assert overlap(warped, exact_warp(dense, homography, (281, 240))) > 0.98


def test_the_native_path_is_really_used_for_ordinary_views(monkeypatch):
    mask = Mask.from_array(blobs(2))
    homography = view(0.2, 0.6, (1e-4, 1e-4), mirrored=True)
    expected = mask.warped(homography, (281, 240))

    def refuse(*args, **kwargs):
        raise AssertionError("went through a dense image")

    monkeypatch.setattr(mask_warping, "dense_warped", refuse)
    assert mask.warped(homography, (281, 240)) == expected
    mask.to_alpha(homography, (281, 240))


def test_strong_perspective_leaves_no_bias():
    # The native warp alone is up to 0.77 px off in these.
    rng = np.random.default_rng(0)
    shifts = []
    for seed in range(150):
        dense = blobs(seed)
        angle, zoom = rng.uniform(-3.1, 3.1), rng.uniform(0.5, 1.2)
        homography = view(angle, zoom, rng.normal(size=2) * 1.5e-3, bool(seed % 2))
        expected = exact_warp(dense, homography, (281, 240))
        if expected.sum() > 200:
            warped = Mask.from_array(dense).warped(homography, (281, 240)).to_array()
            assert overlap(warped, expected) > 0.975
            shifts.append(centroid(warped) - centroid(expected))
    assert len(shifts) > 100
    assert np.abs(shifts).max() < 0.25


@pytest.mark.parametrize("seed", range(12))
def test_wild_homographies_fall_back_to_the_exact_warp(seed):
    rng = np.random.default_rng(seed)
    dense = blobs(seed)
    # Strong enough that the horizon crosses the image in most of these.
    homography = view(rng.uniform(-3, 3), rng.uniform(0.3, 2), rng.normal(size=2) * 6e-3)
    expected = exact_warp(dense, homography, (200, 220))
    warped = Mask.from_array(dense).warped(homography, (200, 220)).to_array()
    if expected.sum() < 50:
        assert warped.sum() < 100
    else:
        assert overlap(warped, expected) > 0.95


def test_what_lies_behind_the_camera_is_not_drawn():
    dense = np.ones((100, 100), np.uint8)
    homography = np.array([[1.0, 0, 0], [0, 1, 0], [-0.02, 0, 1]])  # horizon at x = 50
    expected = exact_warp(dense, homography, (120, 120))
    assert np.array_equal(
        Mask.from_array(dense).warped(homography, (120, 120)).to_array(), expected
    )
    opencv = cv2.warpPerspective(dense, homography, (120, 120), flags=cv2.INTER_NEAREST)
    mirrored = translation(-110, 0) @ homography
    assert np.array_equal(
        Mask.from_array(dense).warped(mirrored, (120, 120)).to_array(),
        exact_warp(dense, mirrored, (120, 120)),
    )
    assert opencv.sum() >= expected.sum()


def test_masks_at_the_border_and_empty_ones():
    dense = np.zeros((50, 60), np.uint8)
    dense[:, 0] = dense[0] = dense[-1] = 1
    homography = np.array([[1.4, -0.2, 15.3], [0.2, 1.4, 5.2], [1e-4, 0, 1]])
    mask = Mask.from_array(dense)
    expected = exact_warp(dense, homography, (100, 90))
    assert overlap(mask_warping.dense_warped(mask.rle, homography, (100, 90)), expected) > 0.99
    assert overlap(mask.warped(homography, (100, 90)).to_array(), expected) > 0.9
    assert Mask.empty((60, 50)).warped(homography, (7, 8)) == Mask.empty((7, 8))


@pytest.mark.parametrize(
    "bad",
    [np.zeros((3, 3)), np.eye(2), np.full((3, 3), np.nan), np.diag([1.0, 1, np.inf])],
)
def test_bad_homographies_are_refused(bad):
    with pytest.raises(MaskError, match="invertible"):
        Mask.from_array(blobs(0)).warped(bad, (10, 10))
    with pytest.raises(MaskError, match="invertible"):
        Mask.from_array(blobs(0)).to_alpha(bad, (10, 10))


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (1 << 20, 1 << 20)])
def test_bad_output_sizes_are_refused(size):
    mask = Mask.from_array(blobs(0))
    with pytest.raises(MaskError, match="size"):
        mask.warped(np.eye(3), size)
    with pytest.raises(MaskError, match="size"):
        mask.to_alpha(np.eye(3), size)


def test_alpha_is_the_covered_share_of_each_pixel():
    dense = blobs(4)
    homography = view(0.3, 0.45, (1e-4, -1e-4))
    alpha = Mask.from_array(dense).to_alpha(homography, (256, 200))
    assert (alpha.dtype, alpha.shape) == (np.uint8, (200, 256))
    factor = 8
    shift = (factor - 1) / 2
    fine = np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1.0]]) @ homography
    drawn = exact_warp(dense, fine, (256 * factor, 200 * factor))
    covered = drawn.reshape(200, factor, 256, factor).mean(axis=(1, 3)) * 255
    assert np.sqrt(((alpha - covered) ** 2).mean()) < 5
    assert abs(alpha.mean() - covered.mean()) < 0.5
    finer = Mask.from_array(dense).to_alpha(homography, (256, 200), supersample=4)
    assert np.sqrt(((finer - covered) ** 2).mean()) < 2.5
    assert set(np.unique(alpha)) > {0, 255}


def test_alpha_without_a_warp_is_the_mask_itself():
    dense = blobs(5)
    mask = Mask.from_array(dense)
    assert np.array_equal(mask.to_alpha(), dense * 255)
    assert np.array_equal(mask.to_alpha(supersample=1), dense * 255)
    assert mask.to_alpha(size=(100, 90)).shape == (90, 100)
