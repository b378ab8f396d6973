"""Pictures of mannequins: what one camera sees of a scene at one moment.

A :class:`View` prepares everything about a camera that does not change; :meth:`View.picture` then
casts the rays at the bodies. Each pixel is the mean of two by two samples, so edges are smooth.
The world is in millimetres with y up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.camera import Camera
from posepile_torch.light import from_linear
from posepile_torch.mannequin.backdrop import Backdrop
from posepile_torch.mannequin.body import PARTS
from posepile_torch.mannequin.paint import Outfit
from posepile_torch.mannequin.samples import Samples, Window, around, halved, is_empty
from posepile_torch.mannequin.scene import Scene
from posepile_torch.mannequin.shadows import Shadows
from posepile_torch.mannequin.solids import Solids

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Figure:
    """One person at one moment.

    Attributes:
        solids: The body in the world, in the order of ``PARTS``.
        outfit: What it wears.
    """

    solids: Solids
    outfit: Outfit


@dataclass(frozen=True, eq=False)
class Picture:
    """What a camera saw.

    Attributes:
        image: ``[h, w, 3]`` RGB uint8.
        labels: ``[h, w]`` uint8: 0 for the room, ``i + 1`` for the ``i``-th figure.
        blocks: ``[P, 4]`` int32: left column, top row, number of columns and of rows of the pixels
            that a figure would cover if nothing stood before it; zeros if it is out of view.
        visible_share: ``[P]`` float32: which part of that area is seen; 0 if it is out of view.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    blocks: NDArray[np.int32]
    visible_share: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Cast:
    """The nearest surface of one body along the rays of a window.

    ``depth`` is infinite where the body is missed; ``part`` counts as ``PARTS``.
    """

    body: Solids
    window: Window
    depth: NDArray[np.float32]
    part: NDArray[np.uint8]


class View:
    """A camera in a scene, ready to take many pictures.

    Args:
        scene: The room.
        camera: The camera, in millimetres and with y up in the world.
        static: Shadows of everything that does not move.
    """

    def __init__(self, scene: Scene, camera: Camera, static: Shadows) -> None:
        self.scene = scene
        self.samples = Samples(camera)
        self.backdrop = Backdrop.seen(scene, self.samples, static)
        lamp = scene.lamp
        direct = lamp.key * lamp.towards[1]
        self._direct_share = (direct / (direct + lamp.above)).astype(np.float32)

    def picture(self, figures: Sequence[Figure], shadows: Shadows, contacts: Floats) -> Picture:
        """Return what the camera sees.

        Args:
            figures: The people.
            shadows: Shadows of the furniture and of the people.
            contacts: Where people darken the floor, see :meth:`Shadows.on_floor`.
        """
        casts = [self._cast(figure.solids) for figure in figures]
        depth = self.backdrop.depth.copy()
        owner = np.zeros(self.samples.shape, np.uint8)
        for person, cast in enumerate(casts):
            closer = cast.depth < depth[cast.window]
            np.copyto(depth[cast.window], cast.depth, where=closer)
            owner[cast.window][closer] = person + 1
        canvas = self.backdrop.light * self._floor_light(shadows, contacts)
        labels = np.zeros(canvas.shape[:2], np.uint8)
        blocks = np.zeros((len(figures), 4), np.int32)
        visible = np.zeros(len(figures), np.float32)
        for person, (figure, cast) in enumerate(zip(figures, casts, strict=True)):
            hit = np.isfinite(cast.depth)
            if not hit.any():
                continue
            mine = owner[cast.window] == person + 1
            blocks[person] = _extent(hit, cast.window)
            visible[person] = mine.sum() / hit.sum()
            share = halved(mine.astype(np.float32))
            colours = np.zeros((*mine.shape, 3), np.float32)
            colours[mine] = self._shaded(figure.outfit, cast, mine, shadows)
            pixels = _in_pixels(cast.window)
            canvas[pixels] *= 1 - share[..., None]
            canvas[pixels] += halved(colours)
            labels[pixels][share >= 0.5] = person + 1
        return Picture(from_linear(canvas.astype(np.float32)), labels, blocks, visible)

    def _cast(self, solids: Solids) -> _Cast:
        """Cast the rays at one body."""
        camera = self.samples.camera
        body = solids.moved(camera.R, camera.t).single_precision()
        windows = self.samples.windows(body)
        rows, columns = hull = around(windows)
        depth = np.full((rows.stop - rows.start, columns.stop - columns.start), np.inf, np.float32)
        part = np.zeros(depth.shape, np.uint8)
        for index, window in enumerate(windows):
            if is_empty(window):
                continue
            entry = body.entry(index, (0.0, 0.0, 0.0), self.samples.rays(window))
            inner = tuple(
                slice(own.start - outer.start, own.stop - outer.start)
                for own, outer in zip(window, hull, strict=True)
            )
            closer = entry < depth[inner]
            np.copyto(depth[inner], entry, where=closer)
            np.copyto(part[inner], np.uint8(index), where=closer)
        return _Cast(body, hull, depth, part)

    def _shaded(
        self, outfit: Outfit, cast: _Cast, mine: NDArray[np.bool_], shadows: Shadows
    ) -> Floats:
        """Colours ``[n, 3]`` of the chosen samples of one person, in linear light."""
        points = self.samples.points(cast.window, mine, cast.depth[mine])
        parts = cast.part[mine]
        order = np.argsort(parts, kind="stable")
        ends = np.cumsum(np.bincount(parts, minlength=len(PARTS))).tolist()
        albedo, normals = np.empty_like(points), np.empty_like(points)
        for index, (start, stop) in enumerate(zip([0, *ends], ends, strict=False)):
            if start < stop:
                chosen = order[start:stop]
                albedo[chosen] = outfit.albedo(index, cast.body, points[chosen])
                normals[chosen] = cast.body.normals(index, points[chosen])
        normals = self.samples.to_world_axes(normals)
        world = self.samples.to_world_axes(points) + self.samples.centre
        light = self.scene.lamp.shading(normals, shadows.lit(world, normals)[:, None])
        # Less light arrives near the floor, between legs and furniture.
        light *= 0.72 + 0.28 * np.clip(world[:, 1:2] / 700, 0, 1)
        return np.asarray(albedo * light)

    def _floor_light(self, shadows: Shadows, contacts: Floats) -> Floats:
        lost = cv2.remap(
            shadows.on_floor(contacts),
            self.backdrop.floor_columns,
            self.backdrop.floor_rows,
            cv2.INTER_LINEAR,
        )
        return np.asarray((1 - self._direct_share * lost[..., :1]) * (1 - lost[..., 1:]))


def _in_pixels(window: Window) -> Window:
    rows, columns = window
    return slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2)


def _extent(hit: NDArray[np.bool_], window: Window) -> NDArray[np.int32]:
    """Block of the pixels that have at least half of their samples hit."""
    solid = halved(hit.astype(np.float32)) >= 0.5
    if not solid.any():
        return np.zeros(4, np.int32)
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    top, left = (s.start for s in _in_pixels(window))
    block = [left + columns[0], top + rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
    return np.array(block, np.int32)
