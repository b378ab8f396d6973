"""Shadows, computed once per moment for all cameras.

Every ray of the lamp is named by the point where it meets the floor. The map holds, for a grid of
such rays, the height at which the lamp's light is first stopped. A point is in shadow if the ray
through it is stopped higher up. Lengths are millimetres, y is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.mannequin.scene import Crate
from posepile_torch.mannequin.solids import Solids

Floats = NDArray[np.floating[Any]]

TEXEL_MM = 24.0
SIDE = 368
_CEILING_MM = 4000.0  # above everything that casts a shadow
_SKIN_MM = 30.0  # with the bias, more than a texel on the steepest lit wall differs in height
_BIAS_MM = 25.0


@dataclass(frozen=True, eq=False)
class Shadows:
    """Where the light of a lamp is stopped.

    Attributes:
        towards: Unit vector towards the lamp.
        stops: ``[SIDE, SIDE]`` float32; row along z, column along x: the height where the ray
            that ends at this point of the floor is stopped, 0 where it reaches the floor.
    """

    towards: Floats
    stops: NDArray[np.float32]

    @classmethod
    def none(cls, towards: Floats) -> Self:
        """Return an empty map for a lamp in the direction ``towards``."""
        return cls(towards, np.zeros((SIDE, SIDE), np.float32))

    def with_crates(self, crates: Sequence[Crate]) -> Self:
        """Return the map with the shadows of boxes added."""
        stops = self.stops.copy()
        for crate in crates:
            window = self._window(crate.corners())
            entry, _ = crate.entry(*self._rays(window))
            self._stop(stops, window, entry)
        return type(self)(self.towards, stops)

    def with_solids(self, solids: Solids) -> Self:
        """Return the map with the shadows of round things added."""
        stops = self.stops.copy()
        low, high = solids.bounds()
        signs = np.stack(np.meshgrid(*[(0.0, 1.0)] * 3), axis=-1).reshape(-1, 1, 3)
        corners = low + signs * (high - low)
        for index in range(len(solids)):
            window = self._window(corners[:, index])
            if window[0].start < window[0].stop and window[1].start < window[1].stop:
                self._stop(stops, window, solids.entry(index, *self._rays(window)))
        return type(self)(self.towards, stops)

    def lit(self, points: Floats, normals: Floats) -> Floats:
        """Return the share of the lamp's light at points of surfaces, 0 to 1.

        Args:
            points: ``[n, 3]`` in the world.
            normals: ``[n, 3]`` outward unit normals of the surfaces there.
        """
        # A surface must not shade itself through the coarseness of the grid.
        points = points + np.float32(_SKIN_MM) * normals
        x, z = (
            (points[:, axis] - points[:, 1] * float(self.towards[axis] / self.towards[1]))
            / TEXEL_MM
            + (SIDE - 1) / 2
            for axis in (0, 2)
        )
        x, z = np.clip(x, 0, SIDE - 1.001), np.clip(z, 0, SIDE - 1.001)
        column, row = x.astype(np.int32), z.astype(np.int32)
        dx, dz = x - column, z - row
        corner = row * SIDE + column
        clear = points[:, 1] + _BIAS_MM
        stops = self.stops.ravel()
        near, far = (
            (stops.take(corner + step) < clear) * (1 - dx)
            + (stops.take(corner + step + 1) < clear) * dx
            for step in (0, SIDE)
        )
        return np.asarray(near * (1 - dz) + far * dz)

    def on_floor(self, contacts: Floats) -> NDArray[np.float32]:
        """Return the light that is lost on the floor, ``[SIDE, SIDE, 2]``.

        The first channel is the share of the lamp that is blocked, the second the share of the
        ambient light that ``contacts`` keep away.

        Args:
            contacts: ``[n, 4]`` points near the floor: x, z, reach (mm) and strength.
        """
        blocked = cv2.GaussianBlur((self.stops > 0).astype(np.float32), (0, 0), 0.9)
        place = (np.arange(SIDE) - (SIDE - 1) / 2) * TEXEL_MM
        open_sky = np.ones((SIDE, SIDE), np.float32)
        for x, z, reach, strength in contacts:
            across = np.exp(-0.5 * ((place - x) / reach) ** 2).astype(np.float32)
            along = np.exp(-0.5 * ((place - z) / reach) ** 2).astype(np.float32)
            open_sky *= 1 - np.float32(strength) * along[:, None] * across
        return np.stack([blocked, 1 - open_sky], axis=-1)

    def _window(self, corners: Floats) -> tuple[slice, slice]:
        """Rows and columns whose rays may meet the box with the given corners."""
        slopes = self.towards[[0, 2]] / self.towards[1]
        ends = corners[:, [0, 2]] - corners[:, 1:2] * slopes
        first = np.clip(np.floor(ends.min(0) / TEXEL_MM + (SIDE - 1) / 2), 0, SIDE).astype(int)
        last = np.clip(np.ceil(ends.max(0) / TEXEL_MM + (SIDE - 1) / 2) + 1, 0, SIDE).astype(int)
        return slice(first[1], last[1]), slice(first[0], last[0])

    def _rays(self, window: tuple[slice, slice]) -> tuple[Any, Any]:
        place = ((np.arange(SIDE) - (SIDE - 1) / 2) * TEXEL_MM).astype(np.float32)
        x, y, z = (float(v) for v in self.towards)
        run = _CEILING_MM / y
        origin = (place[window[1]] + run * x, _CEILING_MM, place[window[0]][:, None] + run * z)
        return origin, (-x, -y, -z)

    def _stop(
        self, stops: NDArray[np.float32], window: tuple[slice, slice], entry: Floats
    ) -> None:
        height = _CEILING_MM - entry * float(self.towards[1])
        height = np.where(np.isfinite(entry), np.maximum(height, 1.0), 0).astype(np.float32)
        np.maximum(stops[window], height, out=stops[window])
