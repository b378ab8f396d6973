"""Small coloured marks on the joints, and how to find them again in an image.

A mark is a disc in a colour of its own inside a black ring. Video and JPEG store colour at half
resolution, so the colour only says *which* joint it is; *where* it is follows from brightness,
which is stored in full: the disc is bright, the ring around it is black, and the centroid of the
disc is the position. Pixel centres are at integer coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch.errors import UnknownNameError
from posepile_torch.mannequin.body import JOINTS
from posepile_torch.mannequin.paint import rgb
from posepile_torch.skeleton import Skeleton

Floats = NDArray[np.floating[Any]]
Image = NDArray[np.uint8]

DISC_PX = 3.5
"""Radius of the coloured disc."""

RING_PX = 5.0
"""Outer radius of the black ring."""

# Chosen so that any two differ clearly in brightness-weighted colour space, none is dark, none is
# grey, and none is another one mixed with black.
_CODES = (
    "ff2020 ffff00 00ff60 2060ff ffa040 80ffff ff0080 40ff00 e060ff ff00e0 00c0ff a0ff80 ff80c0 "
    "60a0ff ffff80 a020ff a0ff00 20ffe0 8060ff"
)
MARK_COLOURS: dict[str, tuple[int, int, int]] = {
    joint: rgb(code) for joint, code in zip(JOINTS, _CODES.split(), strict=True)
}
"""RGB of the mark of each joint."""

_SATURATION = 0.25  # of what is under marks, so that no cloth has the colour of a mark
_WEIGHTS = np.array([0.7, 1, 1], np.float32)  # of Y, Cr, Cb in the distance between colours
_LARGEST_DISTANCE = 24.0  # a little less than half the smallest distance between two marks
_WINDOW_PX = 14
_MIDDLE_OF_RING = (DISC_PX + RING_PX) / 2 / DISC_PX  # in radii of the disc


def with_marks(image: Image, pixels: Floats, depth: Floats) -> Image:
    """Return the image greyed, with a mark on every joint; nearer joints are on top.

    Args:
        image: ``[h, w, 3]`` RGB.
        pixels: ``[P, J, 2]`` projected joints in the order of ``JOINTS``.
        depth: ``[P, J]`` their distances.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    canvas = grey + np.float32(_SATURATION) * (image - grey)
    _people, joints = depth.shape
    for flat in np.argsort(-depth, axis=None, kind="stable"):
        person, joint = divmod(int(flat), joints)
        _draw(canvas, pixels[person, joint], MARK_COLOURS[JOINTS[joint]])
    return np.asarray(np.clip(np.rint(canvas), 0, 255), np.uint8)


def _draw(canvas: NDArray[np.float32], centre: Floats, colour: Sequence[int]) -> None:
    """Draw one mark; the share of a pixel that is covered is its share of the colour."""
    height, width, _ = canvas.shape
    if not np.isfinite(centre).all():
        return
    low = np.clip(np.floor(centre - RING_PX - 1), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(centre + RING_PX + 2), 0, (width, height)).astype(int)
    x, y = np.arange(low[0], high[0]), np.arange(low[1], high[1])[:, None]
    away = np.hypot(x - centre[0], y - centre[1])[..., None]
    window = canvas[low[1] : high[1], low[0] : high[0]]
    ring, disc = (np.clip(radius + 0.5 - away, 0, 1) for radius in (RING_PX, DISC_PX))
    window *= 1 - ring
    window += disc * (np.array(colour) - window)


def find_marks(
    image: Image,
    skeleton: Skeleton | Sequence[str],
    *,
    near: ArrayLike | None = None,
    reach_px: float = 6.0,
) -> NDArray[np.float64]:
    """Return where the marks of the joints are, NaN where no whole mark is.

    A mark that another one covers or that the image border cuts has a wrong centroid, so it is
    left out, unless so little is missing that the error stays below 0.3 px. Whole marks are found
    with an error below 0.2 px, also after JPEG or video compression of ordinary quality.

    Args:
        image: ``[h, w, 3]`` RGB uint8.
        skeleton: The joints to look for, by name.
        near: Rough positions, ``[J, 2]``, or ``[P, J, 2]`` for everybody in the image; needed if
            there are several people. NaN rows are not looked for, nor are joints that two people
            have in nearly the same place, whose marks nobody could tell apart.
        reach_px: How far from ``near`` a mark may be.

    Returns:
        float64 pixels in the shape of ``near``, or ``[J, 2]`` without it.

    Raises:
        UnknownNameError: If the skeleton has a joint that the mannequin has not.
    """
    names = skeleton.joints if isinstance(skeleton, Skeleton) else tuple(skeleton)
    for name in names:
        if name not in MARK_COLOURS:
            raise UnknownNameError.among("marked joint", name, MARK_COLOURS)
    coded = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    smooth = cv2.blur(coded, (3, 3), borderType=cv2.BORDER_REPLICATE)
    colours = [MARK_COLOURS[name] for name in names]
    if near is None:
        starts = [_disc_near(smooth, colour, None, reach_px) for colour in colours]
        return np.stack([_centroid(coded[..., 0], start) for start in starts])
    guesses = np.asarray(near, np.float64)
    people = np.where(_ambiguous(guesses)[..., None], np.nan, guesses).reshape(-1, len(names), 2)
    found = [
        _centroid(coded[..., 0], _disc_near(smooth, colour, guess, reach_px))
        for person in people
        for colour, guess in zip(colours, person, strict=True)
    ]
    return np.array(found, np.float64).reshape(guesses.shape)


def _ambiguous(guesses: Floats) -> NDArray[np.bool_]:
    """Tell which joints lie so near to the same joint of somebody else that marks may overlap."""
    if guesses.ndim == 2:
        return np.zeros(guesses.shape[:-1], np.bool_)
    away = np.linalg.norm(guesses[:, None] - guesses, axis=-1)
    away[np.arange(len(guesses)), np.arange(len(guesses))] = np.inf
    return np.asarray((away < 2 * RING_PX).any(axis=1))


def _disc_near(
    smooth: NDArray[np.float32], colour: Sequence[int], guess: Floats | None, reach_px: float
) -> Floats | None:
    """Centre of the largest patch in the mark's colour, or of the one nearest to the guess."""
    height, width, _ = smooth.shape
    left = top = 0
    if guess is not None:
        if not np.isfinite(guess).all():
            return None
        low = np.clip(np.floor(guess - reach_px), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(guess + reach_px) + 1, 0, (width, height)).astype(int)
        if (high <= low).any():
            return None
        smooth = smooth[low[1] : high[1], low[0] : high[0]]
        left, top = int(low[0]), int(low[1])
    wanted = cv2.cvtColor(np.array([[colour]], np.uint8), cv2.COLOR_RGB2YCrCb).astype(np.float32)
    distance = np.linalg.norm((smooth - wanted) * _WEIGHTS, axis=-1)
    alike = (distance < _LARGEST_DISTANCE).astype(np.uint8)
    count, _, stats, centres = cv2.connectedComponentsWithStats(alike, connectivity=8)
    if count < 2:
        return None
    centres = centres[1:] + (left, top)
    if guess is None:
        return np.asarray(centres[stats[1:, cv2.CC_STAT_AREA].argmax()])
    away = np.linalg.norm(centres - guess, axis=-1)
    return np.asarray(centres[away.argmin()]) if away.min() < reach_px else None


def _centroid(brightness: NDArray[np.float32], start: Floats | None) -> Floats:
    """Centroid of the bright disc about ``start``, NaN if it is not a whole disc in its ring."""
    nothing = np.full(2, np.nan)
    if start is None:
        return nothing
    height, width = brightness.shape
    low = np.clip(np.rint(start).astype(int) - _WINDOW_PX, 0, (width, height))
    high = np.clip(np.rint(start).astype(int) + _WINDOW_PX + 1, 0, (width, height))
    x = np.arange(low[0], high[0], dtype=np.float64)[None]
    y = np.arange(low[1], high[1], dtype=np.float64)[:, None]
    window = brightness[low[1] : high[1], low[0] : high[0]].astype(np.float64)
    column, row = (np.rint(start).astype(int) - low).tolist()
    plateau = float(np.median(window[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]))
    share = np.clip(window / plateau, 0, 1)
    centre = start.astype(np.float64)
    reach = _ring_radius(share, np.hypot(x - centre[0], y - centre[1]))
    radius = 0.0
    for _ in range(6):
        inside = _within(reach, share, np.hypot(x - centre[0], y - centre[1]))
        total = inside.sum()
        if not total > 0:
            return nothing
        centre = np.array([(inside * x).sum(), (inside * y).sum()]) / total
        radius = float(np.sqrt(total / np.pi))
        reach = radius * _MIDDLE_OF_RING
    return centre if _is_whole(share, x - centre[0], y - centre[1], radius) else nothing


def _within(radius: float, share: Floats, away: Floats) -> Floats:
    """Keep what is nearer than ``radius``; pixels on the border count in part."""
    return np.asarray(share * np.clip(radius + 0.5 - away, 0, 1))


def _ring_radius(share: Floats, away: Floats) -> float:
    """Distance from the middle of the disc at which it is first darkest all around."""
    step = np.rint(away).astype(np.int64).ravel()
    profile = np.bincount(step, share.ravel()) / np.maximum(np.bincount(step), 1)
    dark = 1 + int(np.argmax(profile[1:] < 0.5))
    while dark + 1 < len(profile) and profile[dark + 1] < profile[dark]:
        dark += 1
    return float(dark)


def _is_whole(share: Floats, x: Floats, y: Floats, radius: float) -> bool:
    """Tell whether a disc is round, and dark all around."""
    away = np.hypot(x, y)
    to_border = min(-x.min(), x.max(), -y.min(), y.max())
    if not 1.5 < radius < 9 or to_border < radius + 0.5:
        return False
    inside = _within(_MIDDLE_OF_RING * radius, share, away)
    width, height, tilt = ((inside * product).sum() for product in (x * x, y * y, x * y))
    spread = (width + height) / 2
    # Small discs are less round for consisting of fewer pixels.
    tolerance = 0.03 * max(1.0, (DISC_PX / radius) ** 2)
    is_round = max(abs(width - height) / 2, abs(tilt)) < tolerance * spread
    # A full disc has a mean square offset of half its squared radius, blur adds a little.
    is_full = 0.9 < spread / (inside.sum() * radius**2 / 4) < 1.2
    ring = share[np.abs(away - _MIDDLE_OF_RING * radius) < 0.35]
    return bool(is_round and is_full and ring.max(initial=0) < 0.6)
