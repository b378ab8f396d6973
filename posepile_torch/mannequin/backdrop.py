"""The empty room as one camera sees it, computed once per take.

Rays are cast at the inside of the room, the boxes and the round furniture. Everything is lit here
except for what people do to the floor, which changes with every frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.mannequin import shadows
from posepile_torch.mannequin.samples import Samples, Window, halved, is_empty
from posepile_torch.mannequin.scene import TEXEL_MM, Scene
from posepile_torch.mannequin.shadows import Shadows

Floats = NDArray[np.floating[Any]]

_INWARDS = np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]])
_FLOOR = 3  # the row of _INWARDS that points up


@dataclass(frozen=True, eq=False)
class Backdrop:
    """What is seen where nobody stands.

    Attributes:
        depth: ``[2h, 2w]`` depth of the samples.
        light: ``[h, w, 3]`` linear light of the pixels, the floor without any shadow.
        floor_columns: ``[h, w]`` column in the shadow map; negative off the floor.
        floor_rows: ``[h, w]`` row in the shadow map; negative off the floor.
    """

    depth: NDArray[np.float32]
    light: NDArray[np.float32]
    floor_columns: NDArray[np.float32]
    floor_rows: NDArray[np.float32]

    @classmethod
    def seen(cls, scene: Scene, samples: Samples, static: Shadows) -> Backdrop:
        """Cast the rays of a camera at the room.

        Args:
            scene: The room.
            samples: The rays.
            static: Shadows of everything that does not move.
        """
        hits = _Hits(scene, samples, static)
        hits.cast_at_crates()
        hits.cast_at_decor()
        x, y, z = hits.points()
        light = halved(hits.light * _corner_shade(x, y, z, scene)[..., None])
        off_floor = halved(hits.is_floor.astype(np.float32)) < 0.5
        columns, rows = (
            halved(place) / np.float32(shadows.TEXEL_MM) + (shadows.SIDE - 1) / 2
            for place in (x, z)
        )
        columns[off_floor] = rows[off_floor] = -10
        return cls(hits.depth, light, columns, rows)


class _Hits:
    """The nearest surface along each ray so far: its depth and its light."""

    def __init__(self, scene: Scene, samples: Samples, static: Shadows) -> None:
        self.scene, self.samples, self.static = scene, samples, static
        x, y = samples.x, samples.y
        self.direction = tuple(x * row[0] + y * row[1] + row[2] for row in samples.to_world)
        self.depth = np.full(samples.shape, np.inf, np.float32)
        face = np.zeros(samples.shape, np.uint8)
        low, high = (
            (-scene.half[0], 0.0, -scene.half[1]),
            (scene.half[0], scene.height, scene.half[1]),
        )
        for axis, direction in enumerate(self.direction):
            for side, bound in enumerate((high[axis], low[axis])):
                gap = np.float32(bound - samples.centre[axis])
                outwards = direction > 1e-9 if side == 0 else direction < -1e-9
                exit_depth = np.where(outwards, gap / np.where(outwards, direction, 1), np.inf)
                nearer = exit_depth < self.depth
                np.copyto(self.depth, exit_depth, where=nearer)
                face[nearer] = 2 * axis + side
        self.is_floor = face == _FLOOR
        self._paint(face)

    def points(self) -> tuple[Floats, Floats, Floats]:
        """World coordinates of what the rays hit."""
        x, y, z = (
            direction * self.depth + centre
            for direction, centre in zip(self.direction, self.samples.centre, strict=True)
        )
        return x, y, z

    def _paint(self, face: NDArray[np.uint8]) -> None:
        """Look up the bitmaps of floor and walls; nothing shades them here."""
        scene = self.scene
        x, y, z = self.points()
        shading = scene.lamp.shading(_INWARDS.astype(np.float32), np.ones((6, 1), np.float32))
        self.light = np.empty((*face.shape, 3), np.float32)
        self.light[...] = np.array(scene.ceiling) * shading[2]
        floor = self.is_floor
        column, row = (x[floor] + scene.half[0]) / TEXEL_MM, (z[floor] + scene.half[1]) / TEXEL_MM
        self.light[floor] = _looked_up(scene.floor, column, row) * shading[_FLOOR]
        first = 0
        for wall, along in ((0, z), (1, z), (4, x), (5, x)):
            half = scene.half[1] if wall < 2 else scene.half[0]
            columns = int(2 * half / TEXEL_MM)
            here = face == wall
            column = np.clip((along[here] + half) / TEXEL_MM, 0, columns - 1)
            row = (scene.height - y[here]) / TEXEL_MM
            self.light[here] = _looked_up(scene.walls, first + column, row) * shading[wall]
            first += columns

    def cast_at_crates(self) -> None:
        """Put the boxes before the walls."""
        samples = self.samples
        start = (float(samples.centre[0]), float(samples.centre[1]), float(samples.centre[2]))
        for crate in self.scene.crates:
            (window,) = samples.windows_of_boxes(samples.camera.to_camera(crate.corners()[None]))
            if is_empty(window):
                continue
            x, y, z = (direction[window] for direction in self.direction)
            entry, face = crate.entry(start, (x, y, z))
            hit = entry < self.depth[window]
            rays = np.stack([x[hit], y[hit], z[hit]], axis=-1)
            normal = crate.normals(face[hit]).astype(np.float32)
            normal *= np.sign(-np.sum(normal * rays, axis=-1, keepdims=True))
            self._put(window, hit, entry, np.array(crate.colour), rays, normal)

    def cast_at_decor(self) -> None:
        """Put the round furniture before what is behind it."""
        samples, decor = self.samples, self.scene.decor
        local = decor.moved(samples.camera.R, samples.camera.t).single_precision()
        for index, window in enumerate(samples.windows(local)):
            if is_empty(window):
                continue
            entry = local.entry(index, (0.0, 0.0, 0.0), samples.rays(window))
            hit = entry < self.depth[window]
            points = samples.points(window, hit, entry[hit])
            normal = samples.to_world_axes(local.normals(index, points))
            rays = np.stack([direction[window][hit] for direction in self.direction], axis=-1)
            self._put(window, hit, entry, self.scene.decor_colours[index], rays, normal)

    def _put(
        self,
        window: Window,
        hit: NDArray[np.bool_],
        entry: Floats,
        colour: Floats,
        rays: Floats,
        normal: Floats,
    ) -> None:
        """Set a nearer surface for the samples of a window that hit it."""
        points = rays * entry[hit][:, None].astype(np.float32) + self.samples.centre
        lit = self.static.lit(points, normal)[:, None]
        self.depth[window][hit] = entry[hit]
        self.light[window][hit] = colour * self.scene.lamp.shading(normal, lit)
        self.is_floor[window][hit] = False


def _looked_up(bitmap: Floats, column: Floats, row: Floats) -> Floats:
    rows, columns, _ = bitmap.shape
    column = np.clip(column.astype(np.int32), 0, columns - 1)
    row = np.clip(row.astype(np.int32), 0, rows - 1)
    return np.asarray(bitmap.reshape(-1, 3).take(row * columns + column, axis=0))


def _corner_shade(x: Floats, y: Floats, z: Floats, scene: Scene) -> Floats:
    """Rooms are darker in their corners and away from the middle."""
    shade = 1.06 - 0.28 / 4500**2 * (x * x + z * z)
    for gap in (scene.half[0] - np.abs(x), scene.half[1] - np.abs(z), y, scene.height - y):
        # A surface has no gap to its own plane, which must not darken it.
        near = (gap > 1) & (gap < 1500)
        shade[near] *= 1 - 0.3 * np.exp(gap[near] / -260)
    return np.asarray(shade)
