"""What bodies wear: colours that follow the solids they are painted on.

Colours are linear light in 0..1 while pictures are computed; they are written down here as sRGB
hexadecimal, the way one picks them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.light import to_linear
from posepile_torch.mannequin.body import CONES, ELLIPSOIDS, PARTS
from posepile_torch.mannequin.solids import Solids

Floats = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]

_SKIN = ["f2d3bd", "e3b18f", "d09a72", "b57a52", "8d5a3b", "5f3b28"]
_HAIR = ["1c1614", "3a2a20", "5d3b22", "8a5a2c", "c49a5a", "9a9590", "7a2f1c"]
_SHIRTS = [
    "c8473f",
    "e2894a",
    "e8c34d",
    "5f9c56",
    "2f7f86",
    "3f6fb5",
    "5a4a9c",
    "a3508f",
    "e6e2d8",
    "2d3340",
    "8c8f94",
    "7fb6cf",
]
_TROUSERS = ["2b3a57", "1f2228", "5b5145", "7d7768", "3d5a45", "8a8f98", "40506e", "6b3f35"]
_SHOES = ["e9e7e2", "26262a", "7a4a2f", "b23a36", "3a5f8f"]


def linear(code: str) -> Colour:
    """Return the linear light of an sRGB colour such as ``"c8473f"``."""
    light = to_linear(np.array([[rgb(code)]], np.uint8))[0, 0]
    return float(light[0]), float(light[1]), float(light[2])


def rgb(code: str) -> tuple[int, int, int]:
    """Return the bytes of an sRGB colour such as ``"c8473f"``."""
    return int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)


@dataclass(frozen=True)
class Outfit:
    """The colours of one subject, in linear light, and how far its clothes reach.

    Attributes:
        skin: Skin.
        hair: Hair, brows and beard.
        shirt: Shirt.
        trim: Stripes and badge of the shirt.
        trousers: Trousers.
        shoes: Shoes.
        sleeve: How far the shirt covers the arm: 0 none, 1 to the elbow, 2 to the wrist.
        leg: How far the trousers cover the leg: 1 to the knee, 2 to the ankle.
        stripe_mm: Width of the stripes of the shirt; 0 for a badge on the chest instead.
        beard: Whether the lower face is covered by hair.
        bald: Whether the head has no hair.
    """

    skin: Colour
    hair: Colour
    shirt: Colour
    trim: Colour
    trousers: Colour
    shoes: Colour
    sleeve: float
    leg: float
    stripe_mm: float
    beard: bool
    bald: bool

    @classmethod
    def drawn(cls, rng: np.random.Generator, *, bald: bool) -> Outfit:
        """Draw clothes whose shirt and trim differ."""
        shirt, trim = rng.choice(_SHIRTS, 2, replace=False)
        return cls(
            skin=linear(str(rng.choice(_SKIN))),
            hair=linear(str(rng.choice(_HAIR))),
            shirt=linear(str(shirt)),
            trim=linear(str(trim)),
            trousers=linear(str(rng.choice(_TROUSERS))),
            shoes=linear(str(rng.choice(_SHOES))),
            sleeve=float(rng.choice([0.1, 0.6, 0.7, 1.2, 1.97])),
            leg=float(rng.choice([0.75, 1.3, 1.95, 1.95])),
            stripe_mm=float(rng.choice([0, 0, 28, 45])),
            beard=bool(rng.random() < 0.25),
            bald=bald,
        )

    def albedo(self, part: int, solids: Solids, points: Floats) -> Floats:
        """Return the colours ``[n, 3]`` of ``points [n, 3]`` on a part of the body.

        Args:
            part: Index into ``PARTS``, and of the solid in ``solids``.
            solids: The body's solids, in the frame of the points.
            points: Points on the surface of that solid.
        """
        name = PARTS[part]
        if name in ("abdomen", "chest") or name.endswith(("flank", "trap")):
            return self._shirt(solids, points)
        if name in CONES:
            return self._on_limb(name, part, solids, points)
        unit = solids.inside_unit_ball(part, points)
        if name == "head":
            return self._face(unit)
        plain = {"pelvis": self.trousers, "nose": self.skin, "hair": self.hair, "mane": self.hair}
        return _filled(plain[name], len(points))

    def _on_limb(self, name: str, part: int, solids: Solids, points: Floats) -> Floats:
        """Cloth up to a seam across the limb, skin beyond it."""
        if name == "neck" or name.endswith("hand"):
            return _filled(self.skin, len(points))
        if name.endswith(("foot", "heel")):
            return _filled(self.shoes, len(points))
        cloth, reach = (
            (self.shirt, self.sleeve) if name.endswith("arm") else (self.trousers, self.leg)
        )
        reach -= name.endswith(("forearm", "shank"))
        covered = solids.along(part, points)[:, None] < reach
        return np.where(covered, _row(cloth), _row(self.skin))

    def _shirt(self, solids: Solids, points: Floats) -> Floats:
        """Stripes or a badge, in the frame of the chest, so that they run on over all parts."""
        chest = PARTS.index("chest")
        x, y, z = solids.inside_unit_ball(chest, points).T
        if self.stripe_mm:
            upright = solids.maps[ELLIPSOIDS.index("chest")][1]
            marked = (y / np.linalg.norm(upright) // self.stripe_mm) % 2 == 0
        else:
            marked = (z > 0) & (x * x + ((y - 0.15) * 1.3) ** 2 < 0.16)
        return np.where(marked[:, None], _row(self.trim), _row(self.shirt))

    def _face(self, unit: Floats) -> Floats:
        """Paint a face that tells front from back, and left from right by where it looks."""
        x, y, z = unit.T
        colours = _filled(self.skin, len(unit))
        ahead = z > 0
        hairy = ~ahead & (y > -0.35) | (y - 0.35 * z > 0.55)
        if not self.bald:
            colours[hairy] = self.hair
        if self.beard:
            colours[ahead & (y < -0.38) | ahead & (y < -0.1) & (np.abs(x) > 0.75)] = self.hair
        eye = ((np.abs(x) - 0.4) / 0.16) ** 2 + ((y - 0.08) / 0.085) ** 2
        colours[ahead & (eye < 1)] = linear("d9d4cc")
        colours[ahead & (eye < 0.5)] = linear("1b1a1c")
        brow = ((np.abs(x) - 0.4) / 0.24) ** 2 + ((y - 0.3) / 0.05) ** 2
        colours[ahead & (brow < 1)] = self.hair
        mouth = (x / 0.3) ** 2 + ((y + 0.48) / 0.06) ** 2
        colours[ahead & (mouth < 1)] = linear("9c4a44")
        return colours


def _row(colour: Colour) -> NDArray[np.float32]:
    return np.array(colour, np.float32)


def _filled(colour: Colour, count: int) -> NDArray[np.float32]:
    return np.tile(_row(colour), (count, 1))
