"""Skeletons over images, with OpenCV alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import PosepileError
from posepile_torch.sample import Sample
from posepile_torch.skeleton import Skeleton

# Colours that stay apart for readers with red-green colour blindness (Okabe and Ito, 2008).
LEFT, RIGHT, CENTRE = (0, 158, 215), (230, 120, 0), (240, 228, 66)
BACKGROUND = 250
_SUBPIXEL_BITS = 4


def draw_skeleton(
    image: NDArray[np.uint8],
    points: NDArray[np.floating],
    known: NDArray[np.bool_],
    skeleton: Skeleton,
    *,
    enlarge: int = 1,
    colour: tuple[int, int, int] | None = None,
) -> NDArray[np.uint8]:
    """Return a copy of ``image`` with the skeleton drawn over it, anti-aliased and sub-pixel.

    Left limbs are blue, right limbs orange, the middle yellow.

    Args:
        image: ``[H, W, 3]`` RGB uint8.
        points: ``[J, 2]`` pixels of ``image``; pixel centres are integers.
        known: ``[J]`` bool; other joints and their bones are left out.
        skeleton: Names, edges and mirror of the joints.
        enlarge: Enlarge the picture by this whole factor first.
        colour: One RGB colour for everything, for example for a prediction.
    """
    if enlarge > 1:
        size = (image.shape[1] * enlarge, image.shape[0] * enlarge)
        canvas = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    else:
        canvas = image.copy()
    centres = enlarge * np.asarray(points, np.float64) + (enlarge - 1) / 2
    thickness = max(1, round(min(canvas.shape[:2]) / 110))
    colours = [colour or _side_colour(skeleton, joint) for joint in range(len(skeleton))]
    fixed = np.round(np.where(known[:, None], centres, 0) * 2**_SUBPIXEL_BITS).astype(int)
    for a, b in skeleton.edges:
        if known[a] and known[b]:
            side = colours[b] if colours[a] == CENTRE else colours[a]
            _line(canvas, fixed[a], fixed[b], (20, 20, 20), thickness + 2)
            _line(canvas, fixed[a], fixed[b], side, thickness)
    for joint in np.flatnonzero(known):
        _dot(canvas, fixed[joint], thickness + 1, (20, 20, 20))
        _dot(canvas, fixed[joint], thickness, colours[joint])
    return canvas


def draw_sample(sample: Sample, skeleton: Skeleton, *, enlarge: int = 1) -> NDArray[np.uint8]:
    """Return the image of ``sample`` with its joints drawn over it."""
    return draw_skeleton(sample.image, sample.joints2d, sample.known, skeleton, enlarge=enlarge)


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], *, columns: int, gap_px: int = 4
) -> NDArray[np.uint8]:
    """Lay out images of one size in rows of ``columns``, with a light gap between them."""
    if not images:
        raise PosepileError("no images for a contact sheet", fix="pass at least one image")
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    columns = min(columns, len(images))
    sheet = np.full(
        (rows * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px, 3),
        BACKGROUND,
        np.uint8,
    )
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = gap_px + row * (height + gap_px), gap_px + column * (width + gap_px)
        sheet[top : top + height, left : left + width] = image
    return sheet


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """Encode an RGB image as PNG."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise PosepileError(f"cannot encode an image of shape {image.shape} as PNG")
    return bytes(data)


def write_png(path: Path | str, image: NDArray[np.uint8]) -> None:
    """Write an RGB image as a PNG file."""
    Path(path).write_bytes(png_bytes(image))


def _side_colour(skeleton: Skeleton, joint: int) -> tuple[int, int, int]:
    partner = skeleton.mirror[joint]
    if partner == joint:
        return CENTRE
    return LEFT if joint in skeleton.groups["left"] else RIGHT


def _line(
    canvas: NDArray[np.uint8],
    a: NDArray[np.int_],
    b: NDArray[np.int_],
    colour: tuple[int, int, int],
    thickness: int,
) -> None:
    start, end = (int(a[0]), int(a[1])), (int(b[0]), int(b[1]))
    cv2.line(canvas, start, end, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _dot(
    canvas: NDArray[np.uint8], centre: NDArray[np.int_], radius: int, colour: tuple[int, int, int]
) -> None:
    at = (int(centre[0]), int(centre[1]))
    fixed_radius = radius << _SUBPIXEL_BITS
    cv2.circle(canvas, at, fixed_radius, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
