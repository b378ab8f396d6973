"""Pictures that the library paints itself, so that everything works without a download.

They stand in for photographs of places and things: same colours every time, clearly unlike each
other, with detail at several scales. Real photographs are better; build a bank of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Generator = np.random.Generator

_SEED = 20_260_601  # any number; other numbers paint other pictures


def generator(kind: str, number: int) -> Generator:
    """Return the generator that paints picture ``number`` of a kind."""
    word = int.from_bytes(kind.encode()[:8].ljust(8), "little")
    return np.random.Generator(np.random.Philox(counter=[0, number, word, 0], key=_SEED))


def background(number: int, side: int) -> Image:
    """Paint background ``number``: uint8 RGB ``[side, side, 3]``."""
    random = generator("place", number)
    painter = _PLACES[number % len(_PLACES)]
    shade = painter(random, side)
    light = 0.75 + 0.5 * noise(random, side, 2)  # uneven light, as in any room
    return _bytes(shade * light[..., None])


def thing(number: int) -> NDArray[np.uint8]:
    """Paint thing ``number``: straight (not premultiplied) RGBA ``[h, w, 4]``, alpha 0 or 255."""
    random = generator("thing", number)
    height, width = (int(v) for v in random.integers(40, 150, 2))
    mask = _SHAPES[number % len(_SHAPES)](random, height, width)
    side = max(height, width)
    painter = _PLACES[int(random.integers(len(_PLACES)))]
    colour = _bytes(painter(random, side))[:height, :width]
    return np.dstack([colour, mask])


def noise(random: Generator, side: int, cells: int, octaves: int = 1) -> Floats:
    """Return smooth noise in 0..1 with ``cells`` bumps along a side, finer ones added on top."""
    total = np.zeros((side, side), np.float32)
    weight, sum_of_weights = 1.0, 0.0
    for _ in range(octaves):
        grid = random.random((cells + 3, cells + 3), np.float32)
        big = cv2.resize(grid, None, fx=side / cells, fy=side / cells, interpolation=2)
        start = side // cells
        total += np.float32(weight) * big[start : start + side, start : start + side]
        sum_of_weights += weight
        weight, cells = weight * 0.55, min(cells * 2, side)
    return np.asarray(np.clip(total / np.float32(sum_of_weights), 0, 1), np.float32)


def _bytes(shade: Floats) -> Image:
    return np.asarray(np.clip(shade * 255 + 0.5, 0, 255), np.uint8)


def _colour(random: Generator, low: float = 0.05, high: float = 0.95) -> Floats:
    # Mostly muted, as the world is: a grey, and a little of a pure colour.
    pure = random.uniform(low, high, 3)
    return np.asarray(pure.mean() + random.beta(1.5, 2) * (pure - pure.mean()), np.float32)


def _blend(first: Floats, second: Floats, share: Floats) -> Floats:
    return np.asarray(first + (second - first) * share[..., None], np.float32)


def _clouds(random: Generator, side: int) -> Floats:
    """Foliage, plaster, cloth: two or three colours mixed by noise."""
    cells = int(random.integers(3, 14))
    rough = noise(random, side, cells, octaves=5)
    shade = _blend(_colour(random), _colour(random), np.clip(3 * rough - 1, 0, 1))
    spots = noise(random, side, 2 * cells, octaves=4)
    return _blend(shade, _colour(random), np.clip(6 * spots - 3.5, 0, 1))


def _landscape(random: Generator, side: int) -> Floats:
    """Sky over ground, with something like trees or houses on the horizon."""
    rows = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    sky = _blend(_colour(random, 0.4, 1.0), _colour(random, 0.6, 1.0), np.tile(rows, (1, side)))
    horizon = random.uniform(0.3, 0.7)
    ground = _blend(_colour(random), _colour(random), noise(random, side, 6, octaves=5))
    profile = noise(random, side, int(random.integers(4, 30)), octaves=3)[0] * 0.3
    wood = _blend(_colour(random, 0, 0.5), _colour(random, 0, 0.6), noise(random, side, 20, 3))
    shade = np.where((rows > horizon - profile)[..., None], wood, sky)
    return np.where((rows > horizon)[..., None], ground, shade).astype(np.float32)


def _bricks(random: Generator, side: int) -> Floats:
    """Tiles, bricks, windows: a grid of rectangles with joints, each of its own shade."""
    width, height = (int(v) for v in random.integers(side // 16, side // 4, 2))
    y, x = np.mgrid[:side, :side]
    row = y // height
    x = x + (row % 2) * (width // 2) * int(random.integers(2))
    shades = random.uniform(0.7, 1.1, (side // height + 2, 2 * side // width + 3))
    shade = shades[row, x // width].astype(np.float32)[..., None] * _colour(random, 0.2, 0.9)
    gap = max(1, side // 100)
    is_joint = (x % width < gap) | (y % height < gap)
    shade = np.where(is_joint[..., None], _colour(random), shade).astype(np.float32)
    grain = 0.85 + 0.3 * noise(random, side, 30, octaves=3)
    return np.asarray(shade * grain[..., None], np.float32)


def _planks(random: Generator, side: int) -> Floats:
    """Wood, curtains, blinds: stripes in one direction, bent a little."""
    angle = random.uniform(0, math.pi)
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    across = math.cos(angle) * x + math.sin(angle) * y
    bent = across + 0.05 * noise(random, side, 3, octaves=2)
    wave = np.sin(2 * np.pi * bent * random.uniform(4, 25))
    fine = noise(random, side, 40, octaves=2)
    share = np.clip(0.5 + random.uniform(0.6, 3) * wave + 0.4 * (fine - 0.5), 0, 1)
    return _blend(_colour(random), _colour(random), share.astype(np.float32))


def _clutter(random: Generator, side: int) -> Floats:
    """Shelves, crowds of things, city: many shapes over each other, blurred by distance."""
    image = _clouds(random, side)
    for _ in range(int(random.integers(30, 90))):
        colour = tuple(float(v) for v in _colour(random))
        x, y = (int(v) for v in random.integers(0, side, 2))
        w, h = (int(v) for v in random.integers(side // 40 + 1, side // 5, 2))
        if random.random() < 0.6:
            cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
        else:
            cv2.ellipse(image, (x, y), (w, h), random.uniform(0, 180), 0, 360, colour, -1)
    blurred = cv2.GaussianBlur(image, (0, 0), random.uniform(0.6, 3))
    return np.asarray(blurred, np.float32)


def _room(random: Generator, side: int) -> Floats:
    """Two walls and a floor, each with its own texture."""
    left, right, floor = (
        _PLACES[i](random, side) if i else np.broadcast_to(_colour(random), (side, side, 3))
        for i in random.choice([0, 0, 2, 3], 3)
    )
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    corner, level = random.uniform(0.2, 0.8), random.uniform(0.5, 0.9)
    slope = random.uniform(0, 0.4)
    walls = np.where((x < corner)[..., None], 0.8 * left, right)
    is_floor = y > level + slope * np.abs(x - corner)
    return np.where(is_floor[..., None], floor, walls).astype(np.float32)


_PLACES: tuple[Callable[[Generator, int], Floats], ...] = (
    _landscape,
    _clouds,
    _bricks,
    _planks,
    _clutter,
    _room,
)


def _blob(random: Generator, height: int, width: int) -> Image:
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = np.ones_like(angle)
    for order in range(2, 7):
        size, phase = random.uniform(0, 0.6 / order), random.uniform(0, 2 * np.pi)
        radius += size * np.sin(order * angle + phase)
    radius /= radius.max()
    return _filled([np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]], height, width)


def _polygon(random: Generator, height: int, width: int) -> Image:
    angle = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(4, 9))))
    radius = random.uniform(0.6, 1, len(angle))[:, None]
    return _filled([np.stack([np.cos(angle), np.sin(angle)], 1) * radius], height, width)


def _furniture(random: Generator, height: int, width: int) -> Image:
    thick = random.uniform(0.1, 0.35)
    top = random.uniform(-1.0, 0.2)
    parts = [(-1.0, top, 1.0, top + thick), (-1.0, top, -1 + thick, 1.0), (1 - thick, top, 1.0, 1)]
    return _filled(
        [np.array([(a, b), (c, b), (c, d), (a, d)]) for a, b, c, d in parts], height, width
    )


def _plant(random: Generator, height: int, width: int) -> Image:
    leaves = []
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for angle in random.uniform(-math.pi, 0, int(random.integers(6, 14))):
        leaf = np.stack([0.45 + 0.5 * np.cos(turn), random.uniform(0.08, 0.2) * np.sin(turn)], 1)
        c, s = math.cos(angle), math.sin(angle)
        leaves.append(leaf @ np.array([[c, s], [-s, c]]) + (0, 0.5))
    return _filled(
        [*leaves, np.array([(-0.06, 0.5), (0.06, 0.5), (0.06, 1), (-0.06, 1)])], height, width
    )


def _filled(polygons: list[NDArray[np.float64]], height: int, width: int) -> Image:
    """Fill polygons given in -1..1 and return the part of the mask that they reach."""
    mask = np.zeros((height, width), np.uint8)
    scale = np.array([width - 1, height - 1]) / 2
    for polygon in polygons:
        points = np.round((np.clip(polygon, -1, 1) + 1) * scale).astype(np.int32)
        cv2.fillPoly(mask, [points], 255)
    return mask


_SHAPES: tuple[Callable[[Generator, int, int], Image], ...] = (_blob, _polygon, _furniture, _plant)

__all__ = ["background", "generator", "noise", "thing"]
