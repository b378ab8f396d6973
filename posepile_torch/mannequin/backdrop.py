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
from posepile_torch.mannequin.samples import Samples, halved, is_empty
from posepile_torch.mannequin.scene import TEXEL_MM, Scene
from posepile_torch.mannequin.shadows import Shadows

Floats = NDArray[np.floating[Any]]


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
        """Cast the rays of a camera at the room."""
        hits = _Hits(scene, samples)
        hits.cast_at_crates()
        hits.cast_at_decor()
        points = hits.direction * hits.depth[..., None] + samples.centre
        lit = static.lit(points.reshape(-1, 3), hits.normal.reshape(-1, 3))
        lit = lit.reshape(points.shape[:-1])
        reach = shadows.TEXEL_MM * shadows.SIDE / 2 - 50
        lit[hits.is_floor | (np.abs(points) > reach).any(axis=-1)] = 1
        light = scene.lamp.shading(hits.normal.reshape(-1, 3), lit.reshape(-1, 1))
        light = light.reshape(points.shape) * hits.colour
        light *= _corner_shade(points, scene)[..., None]
        place = halved(points)[..., [0, 2]] / shadows.TEXEL_MM + (shadows.SIDE - 1) / 2
        place[halved(hits.is_floor.astype(np.float32)) < 0.5] = -10
        return cls(
            depth=hits.depth.astype(np.float32),
            light=halved(light).astype(np.float32),
            floor_columns=np.ascontiguousarray(place[..., 0], np.float32),
            floor_rows=np.ascontiguousarray(place[..., 1], np.float32),
        )


class _Hits:
    """The nearest surface along each ray so far."""

    def __init__(self, scene: Scene, samples: Samples) -> None:
        self.scene, self.samples = scene, samples
        rays = np.stack([samples.x, samples.y, np.ones_like(samples.x)], axis=-1)
        self.direction = samples.to_world_axes(rays)
        low = np.array([-scene.half[0], 0, -scene.half[1]], np.float32)
        high = np.array([scene.half[0], scene.height, scene.half[1]], np.float32)
        safe = np.where(np.abs(self.direction) < 1e-9, np.float32(1e-9), self.direction)
        exits = np.where(safe > 0, high - samples.centre, low - samples.centre) / safe
        axis = exits.argmin(axis=-1)
        self.depth = np.take_along_axis(exits, axis[..., None], -1)[..., 0]
        onwards = np.take_along_axis(safe, axis[..., None], -1)[..., 0] > 0
        inwards = np.where(onwards, np.float32(-1), np.float32(1))
        self.normal = inwards[..., None] * np.eye(3, dtype=np.float32)[axis]
        self.is_floor = (axis == 1) & ~onwards
        self.colour = np.empty_like(self.direction)
        self.colour[...] = scene.ceiling
        self._paint(axis, onwards)

    def _paint(self, axis: NDArray[np.intp], onwards: NDArray[np.bool_]) -> None:
        """Look up the bitmaps of floor and walls."""
        scene = self.scene
        x, y, z = (self.direction[..., i] * self.depth + self.samples.centre[i] for i in range(3))
        floor = self.is_floor
        column, row = (x[floor] + scene.half[0]) / TEXEL_MM, (z[floor] + scene.half[1]) / TEXEL_MM
        self.colour[floor] = _looked_up(scene.floor, column, row)
        first = 0
        for wall, (across, along, half) in enumerate(
            [(0, z, scene.half[1]), (0, z, scene.half[1]), (2, x, scene.half[0])]
            + [(2, x, scene.half[0])]
        ):
            columns = int(2 * half / TEXEL_MM)
            here = (axis == across) & (onwards == (wall % 2 == 0))
            column = np.clip((along[here] + half) / TEXEL_MM, 0, columns - 1)
            row = (scene.height - y[here]) / TEXEL_MM
            self.colour[here] = _looked_up(scene.walls, first + column, row)
            first += columns

    def cast_at_crates(self) -> None:
        """Put the boxes before the walls."""
        samples = self.samples
        start = (float(samples.centre[0]), float(samples.centre[1]), float(samples.centre[2]))
        for crate in self.scene.crates:
            (window,) = samples.windows_of_boxes(samples.camera.to_camera(crate.corners()[None]))
            if is_empty(window):
                continue
            direction = self.direction[window]
            rays = (direction[..., 0], direction[..., 1], direction[..., 2])
            entry, face = crate.entry(start, rays)
            hit = entry < self.depth[window]
            normal = crate.normals(face[hit])
            towards = np.sign(-np.sum(normal * direction[hit], axis=-1, keepdims=True))
            self._put(window, hit, entry, crate.colour, normal * towards)

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
            self._put(window, hit, entry, self.scene.decor_colours[index], normal)

    def _put(
        self, window: Any, hit: NDArray[np.bool_], entry: Floats, colour: Any, normal: Floats
    ) -> None:
        self.depth[window][hit] = entry[hit]
        self.colour[window][hit] = colour
        self.normal[window][hit] = normal
        self.is_floor[window][hit] = False


def _looked_up(bitmap: Floats, column: Floats, row: Floats) -> Floats:
    rows, columns, _ = bitmap.shape
    column = np.clip(column.astype(np.int32), 0, columns - 1)
    row = np.clip(row.astype(np.int32), 0, rows - 1)
    return np.asarray(bitmap.reshape(-1, 3).take(row * columns + column, axis=0))


def _corner_shade(points: Floats, scene: Scene) -> Floats:
    """Rooms are darker in their corners and away from the middle."""
    x, y, z = (points[..., i] for i in range(3))
    shade = 1.06 - 0.28 * (x * x + z * z) / np.float32(4500**2)
    for gap in (scene.half[0] - np.abs(x), scene.half[1] - np.abs(z), y, scene.height - y):
        # A surface has no gap to its own plane, which must not darken it.
        shade *= np.where(gap < 1, np.float32(1), 1 - 0.3 * np.exp(-np.maximum(gap, 0) / 260))
    return shade
