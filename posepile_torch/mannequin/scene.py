"""The room around the people: walls, floor, furniture, and the lamp.

The room is a box about the origin with its floor at y = 0; lengths are millimetres, y is up.
Surfaces are painted as small bitmaps that rays look up, so a room costs the same for every camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.light import to_linear
from posepile_torch.mannequin.paint import linear, rgb
from posepile_torch.mannequin.solids import Solids, Vector, turned

Floats = NDArray[np.floating[Any]]
Bitmap = NDArray[np.uint8]

TEXEL_MM = 10.0
"""Side of one dot of the bitmaps."""

_WALLS = ["d9d2c3", "c7d0d4", "b9c4b0", "d8c4b4", "aeb9c9", "cfcdd6", "e0d8b8"]
_ACCENTS = ["b5523b", "2f6d7a", "556b3f", "8a4f6d", "3d4a66", "c08a3a", "7d8a8f"]
_WOODS = ["9c6b43", "7a5230", "b58a5c", "8f7a62", "5e4632"]
_CLOTHS = ["8f3f3a", "3f5a73", "6b6f52", "7d6a86", "a8894f", "545a63"]


@dataclass(frozen=True)
class Crate:
    """A box that stands on the floor, turned about the vertical.

    Attributes:
        x: Centre on the floor.
        z: Centre on the floor.
        half: Half of its width, height and depth.
        heading: How far it is turned to the left.
        colour: Its colour in linear light.
    """

    x: float
    z: float
    half: tuple[float, float, float]
    heading: float
    colour: tuple[float, float, float]

    def corners(self) -> Floats:
        """Return its eight corners ``[8, 3]``."""
        signs = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3), axis=-1).reshape(-1, 3)
        local = signs * self.half
        c, s = np.cos(self.heading), np.sin(self.heading)
        x, y, z = local.T
        return np.stack(
            [self.x + c * x + s * z, y + self.half[1], self.z - s * x + c * z], axis=-1
        )

    def entry(self, origin: Vector, direction: Vector) -> tuple[Floats, NDArray[np.intp]]:
        """Return how far along the rays the box is entered, and through which face.

        Faces are 0, 1, 2 for those across x, y, z of the box; the distance is infinite for rays
        that miss.
        """
        c, s = float(np.cos(self.heading)), float(np.sin(self.heading))
        ox, oz = origin[0] - self.x, origin[2] - self.z
        start = (c * ox - s * oz, origin[1] - self.half[1], s * ox + c * oz)
        step = (
            c * direction[0] - s * direction[2],
            direction[1],
            s * direction[0] + c * direction[2],
        )
        nears, fars = [], []
        for o, d, half in zip(start, step, self.half, strict=True):
            safe = np.where(np.abs(d) < 1e-9, 1e-9, d)
            a, b = (-half - o) / safe, (half - o) / safe
            nears.append(np.minimum(a, b))
            fars.append(np.maximum(a, b))
        near = np.maximum(np.maximum(nears[0], nears[1]), nears[2])
        far = np.minimum(np.minimum(fars[0], fars[1]), fars[2])
        face = np.where(nears[1] >= near, 1, np.where(nears[0] >= near, 0, 2))
        return np.where((near < far) & (near > 0), near, np.inf), face

    def normals(self, face: NDArray[np.integer[Any]]) -> Floats:
        """Return unnormalised-sign world normals ``[..., 3]`` of the faces; flip to the viewer."""
        c, s = np.cos(self.heading), np.sin(self.heading)
        axes = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        return np.asarray(axes[face])


@dataclass(frozen=True, eq=False)
class Lamp:
    """A distant lamp with the light that the room throws back.

    Attributes:
        towards: Unit vector towards the lamp.
        key: Its light on a surface that faces it.
        above: Ambient light from above.
        below: Ambient light from below.
    """

    towards: Floats
    key: Floats
    above: Floats
    below: Floats

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Lamp:
        """Draw a lamp high above the room, warm or neutral."""
        azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.9, 1.2)
        towards = np.array(
            [np.cos(height) * np.sin(azimuth), np.sin(height), np.cos(height) * np.cos(azimuth)]
        )
        warmth = rng.uniform(-0.04, 0.1)
        bright = rng.uniform(1.1, 1.3)
        return cls(
            towards=towards,
            key=bright * np.array([0.74 + warmth, 0.72, 0.68 - warmth]),
            above=bright * np.array([0.40, 0.42, 0.45]),
            below=bright * np.array([0.22, 0.2, 0.18]),
        )

    def shading(self, normals: Floats, lit: Floats | float) -> Floats:
        """Return the light ``[n, 3]`` on surfaces with the given normals.

        Args:
            normals: ``[n, 3]`` unit normals in world axes.
            lit: ``[n, 1]`` share of the lamp that is not blocked.
        """
        facing = turned(normals, self.towards.astype(normals.dtype)[None])[..., 0]
        # Cloth and skin scatter a little beyond the edge of the light.
        direct = np.maximum((facing + 0.12) / 1.12, 0)[:, None] * lit
        up = 0.5 + 0.5 * normals[:, 1:2]
        dtype = normals.dtype
        ambient = self.below.astype(dtype) * (1 - up) + self.above.astype(dtype) * up
        return np.asarray(direct * self.key.astype(dtype) + ambient)


@dataclass(frozen=True, eq=False)
class Scene:
    """A room with its furniture and light; the same for all cameras and moments of a take.

    Attributes:
        half: Half of the room's width and depth.
        height: Height of the room.
        floor: Bitmap of the floor, rows along z, columns along x; linear light.
        walls: Bitmaps of the four walls side by side: +x, -x, +z, -z; top row at the ceiling.
        ceiling: Colour of the ceiling.
        crates: Boxes on the floor.
        decor: Round furniture.
        decor_colours: One colour per solid of ``decor``.
        lamp: The light.
    """

    half: tuple[float, float]
    height: float
    floor: Floats
    walls: Floats
    ceiling: tuple[float, float, float]
    crates: tuple[Crate, ...]
    decor: Solids
    decor_colours: Floats
    lamp: Lamp

    @classmethod
    def drawn(cls, rng: np.random.Generator, stools: list[tuple[float, float, float]]) -> Scene:
        """Draw a room.

        Args:
            rng: Source of all choices.
            stools: ``(x, z, heading)`` of the stools that people of this take need.
        """
        half = (float(rng.uniform(3700, 4300)), float(rng.uniform(3700, 4300)))
        height = 2800.0
        decor, colours = _plants(rng, half)
        return cls(
            half=half,
            height=height,
            floor=to_linear(_floor(rng, half)),
            walls=to_linear(_walls(rng, half, height)),
            ceiling=linear("e8e6e0"),
            crates=(*_stools(rng, stools), *_furniture(rng, half)),
            decor=decor,
            decor_colours=colours,
            lamp=Lamp.drawn(rng),
        )


def _pick(rng: np.random.Generator, codes: list[str]) -> Floats:
    return _bytes(str(rng.choice(codes)))


def _bytes(code: str) -> Floats:
    return np.array(rgb(code), np.float32)


def _mottle(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Floats:
    """Smooth noise with mean 0 and standard deviation 1."""
    noise = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), grain)
    return np.asarray(noise / noise.std())


def _as_bytes(values: Floats) -> Bitmap:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _floor(rng: np.random.Generator, half: tuple[float, float]) -> Bitmap:
    """Paint planks, tiles or carpet, sometimes with a rug in the middle."""
    columns, rows = (int(2 * side / TEXEL_MM) for side in half)
    x, z = np.meshgrid(np.arange(columns), np.arange(rows))
    shade: Floats
    kind = str(rng.choice(["planks", "tiles", "carpet"]))
    if kind == "planks":
        plank = x // 14
        joint = (z + rng.integers(0, 120, plank.max() + 1)[plank]) // 120
        tone = rng.uniform(-1, 1, (plank.max() + 1, joint.max() + 1))[plank, joint]
        grain = cv2.GaussianBlur(
            rng.standard_normal((rows, columns), np.float32), (0, 0), 0.8, sigmaY=14
        )
        seam = (x % 14 == 0) | ((z + rng.integers(0, 120, plank.max() + 1)[plank]) % 120 == -1)
        shade = 15 * tone + 9 * grain / grain.std() - 26 * seam
        base = _pick(rng, _WOODS)
    elif kind == "tiles":
        side = int(rng.choice([30, 45]))
        tone = rng.uniform(-1, 1, (rows // side + 1, columns // side + 1))[z // side, x // side]
        checked = ((x // side + z // side) % 2) * rng.choice([0.0, 30.0])
        grout = (x % side == 0) | (z % side == 0)
        shade = 6 * tone + 3 * _mottle(rng, (rows, columns), 3) - checked - 30 * grout
        base = _pick(rng, _WALLS) * 0.85
    else:
        shade = 8 * _mottle(rng, (rows, columns), 1) + 5 * _mottle(rng, (rows, columns), 12)
        base = _pick(rng, _CLOTHS)
    bitmap = _as_bytes(base + shade[..., None].astype(np.float32))
    if kind != "carpet" and rng.random() < 0.6:
        _lay_rug(rng, bitmap)
    return bitmap


def _lay_rug(rng: np.random.Generator, bitmap: Bitmap) -> None:
    rows, columns, _ = bitmap.shape
    centre = (columns // 2 + int(rng.integers(-25, 25)), rows // 2 + int(rng.integers(-25, 25)))
    outer, inner = _pick(rng, _CLOTHS), _pick(rng, _WALLS) * 0.8
    half = rng.integers(115, 165, 2)
    is_round = rng.random() < 0.5
    for ring, scale in enumerate((1.0, 0.9, 0.84, 0.55, 0.5)):
        colour = outer if ring % 2 == 0 else inner
        reach = (half * scale).astype(int)
        if is_round:
            cv2.circle(bitmap, centre, int(reach[0]), colour.tolist(), -1)
        else:
            low, high = np.array(centre) - reach, np.array(centre) + reach
            cv2.rectangle(bitmap, low.tolist(), high.tolist(), colour.tolist(), -1)


def _walls(rng: np.random.Generator, half: tuple[float, float], height: float) -> Bitmap:
    """Paint four walls with skirting, pictures, a window and a door."""
    rows = int(height / TEXEL_MM)
    base = _pick(rng, _WALLS)
    accent = _pick(rng, _ACCENTS)
    skirting = base * 0.55 + 90
    panel = int(rng.choice([0, 95, 110]))
    strips = []
    for wall in range(4):
        columns = int(2 * half[1 if wall < 2 else 0] / TEXEL_MM)
        tone = accent if wall == 0 else base
        strip = _as_bytes(tone + 2.5 * _mottle(rng, (rows, columns), 6)[..., None])
        if panel:
            strip[-panel:] = _as_bytes(strip[-panel:] * 0.82)
            strip[-panel - 4 : -panel] = _as_bytes(skirting)
        strip[-10:] = _as_bytes(skirting)
        _hang(rng, strip, wall)
        strips.append(strip)
    return np.concatenate(strips, axis=1)


def _hang(rng: np.random.Generator, strip: Bitmap, wall: int) -> None:
    """Put a window, a door or pictures on a wall."""
    rows, columns, _ = strip.shape
    if wall == 1:
        left, width = int(columns * rng.uniform(0.25, 0.45)), int(rng.integers(150, 230))
        _framed(strip, (left, 55, width, 120), _bytes("f2f1ec"), _bytes("cfe3f2"))
        sky = np.linspace(0, 1, 120)[:, None, None]
        view = _bytes("bcd8ee") * (1 - sky) + _bytes("e9f0ea") * sky
        strip[55:175, left : left + width] = _as_bytes(np.broadcast_to(view, (120, width, 3)))
        strip[55:175, left + width // 2 - 2 : left + width // 2 + 2] = 236
        strip[113:117, left : left + width] = 236
        return
    if wall == 2:
        left = int(columns * rng.uniform(0.15, 0.75))
        _framed(strip, (left, rows - 205, 90, 205), _bytes("efece4"), _pick(rng, _WOODS))
    for _ in range(int(rng.integers(1, 4))):
        width, height = (int(v) for v in rng.integers(45, 110, 2))
        left = int(rng.integers(20, columns - width - 20))
        top = int(rng.integers(40, 95))
        _framed(strip, (left, top, width, height), _pick(rng, _WOODS) * 0.6, _bytes("f3f0e8"))
        for _ in range(5):
            colour = _pick(rng, _ACCENTS + _CLOTHS).tolist()
            low = rng.integers((6, 6), (width - 12, height - 12))
            high = rng.integers(low + 4, (width - 6, height - 6))
            corner = np.array([left, top])
            if rng.random() < 0.5:
                cv2.rectangle(strip, (corner + low).tolist(), (corner + high).tolist(), colour, -1)
            else:
                radius = int(min(high - low) / 2)
                cv2.circle(strip, (corner + (low + high) // 2).tolist(), radius, colour, -1)


def _framed(strip: Bitmap, box: tuple[int, int, int, int], frame: Floats, inside: Floats) -> None:
    x, y, width, height = box
    cv2.rectangle(strip, (x - 6, y - 6), (x + width + 5, y + height + 5), frame.tolist(), -1)
    cv2.rectangle(strip, (x, y), (x + width - 1, y + height - 1), inside.tolist(), -1)


def _stools(rng: np.random.Generator, spots: list[tuple[float, float, float]]) -> list[Crate]:
    colour = linear(str(rng.choice(_CLOTHS)))
    return [Crate(x, z, (190.0, 225.0, 190.0), heading, colour) for x, z, heading in spots]


def _furniture(rng: np.random.Generator, half: tuple[float, float]) -> list[Crate]:
    """Stand cupboards along the walls and, sometimes, a crate in the cameras' way."""
    crates = []
    for across, sign in ((0, 1), (1, 1), (0, -1), (1, -1)):  # the walls at +x, +z, -x, -z
        if rng.random() < 0.45:
            continue
        width, tall, deep = rng.uniform(350, 800), rng.uniform(250, 950), rng.uniform(160, 240)
        along = float(rng.uniform(-0.6, 0.6) * (half[1 - across] - width))
        out = float((half[across] - deep) * sign)
        x, z = (out, along) if across == 0 else (along, out)
        size = (deep, tall, width) if across == 0 else (width, tall, deep)
        crates.append(Crate(x, z, size, 0.0, linear(str(rng.choice(_WOODS)))))
    if rng.random() < 0.6:
        azimuth, away = rng.uniform(0, 2 * np.pi), rng.uniform(1750, 2000)
        side = float(rng.uniform(150, 260))
        crates.append(
            Crate(
                float(away * np.sin(azimuth)),
                float(away * np.cos(azimuth)),
                (side, float(rng.uniform(120, 260)), side),
                float(rng.uniform(0, np.pi)),
                linear(str(rng.choice(_WOODS + _CLOTHS))),
            )
        )
    return crates


def _plants(rng: np.random.Generator, half: tuple[float, float]) -> tuple[Solids, Floats]:
    """Put a potted plant into one or two corners."""
    starts, ends, radii, centres, maps, colours, leaves = [], [], [], [], [], [], []
    for corner in rng.permutation(4)[: int(rng.integers(1, 3))]:
        sx, sz = (1 if corner & 1 else -1), (1 if corner & 2 else -1)
        foot = np.array([sx * (half[0] - 520), 0.0, sz * (half[1] - 520)])
        starts.append(foot + (0, 60, 0))
        ends.append(foot + (0, 330, 0))
        radii.append((150.0, 200.0))
        colours.append(linear(str(rng.choice(["b0603f", "dad6cc", "4a4d52"]))))
        green = np.array(linear(str(rng.choice(["3f6b35", "557f3c", "2f5a3d"]))))
        for _ in range(9):
            azimuth, lift = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.3)
            ahead = np.array(
                [np.cos(lift) * np.sin(azimuth), np.sin(lift), np.cos(lift) * np.cos(azimuth)]
            )
            side = np.cross(ahead, (0, 1, 0))
            side /= np.linalg.norm(side)
            axes = np.stack([ahead, side, np.cross(ahead, side)])
            length = rng.uniform(260, 420)
            centres.append(foot + (0, 430, 0) + 0.85 * length * ahead)
            maps.append(axes / np.array([length, rng.uniform(60, 110), 18.0])[:, None])
            leaves.append(green * rng.uniform(0.75, 1.3))
    solids = Solids(
        np.array(starts),
        np.array(ends),
        np.array(radii)[:, 0],
        np.array(radii)[:, 1],
        np.array(centres),
        np.array(maps),
    )
    return solids, np.array(colours + leaves, np.float32)
