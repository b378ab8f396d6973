"""The rays of a camera: two by two samples per pixel, with the lens undone.

Rays are in camera axes with z = 1, so a distance along a ray is a depth in millimetres.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.camera import Camera
from posepile_torch.mannequin.solids import Solids, Vector, turned

Floats = NDArray[np.floating[Any]]
Window = tuple[slice, slice]
"""Rows and columns of samples; both begin and end between pixels."""

EMPTY: Window = (slice(0, 0), slice(0, 0))

_GRID_PX = 4  # the lens is undone on this grid; between its nodes cubics are exact to 1e-4 px


class Samples:
    """The rays of one camera.

    Attributes:
        camera: The camera.
        shape: Rows and columns of the samples.
        x: ``[rows, columns]`` float32 directions to the right at z = 1.
        y: ``[rows, columns]`` float32 directions downwards at z = 1.
        to_world: ``[3, 3]`` float32 rotation from camera to world axes.
        centre: ``[3]`` float32 optical centre in the world.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.shape = (2 * camera.size[1], 2 * camera.size[0])
        self.x, self.y = _directions(camera)
        self.to_world = camera.R.T.astype(np.float32)
        self.centre = camera.t.astype(np.float32)

    def rays(self, window: Window) -> Vector:
        """Return the rays of a window of samples as components."""
        return self.x[window], self.y[window], 1.0

    def points(self, window: Window, mask: NDArray[np.bool_], depth: Floats) -> Floats:
        """Return the points ``[n, 3]`` in camera axes at ``depth [n]`` of the chosen samples."""
        return np.stack(
            [self.x[window][mask] * depth, self.y[window][mask] * depth, depth], axis=-1
        )

    def windows(self, solids: Solids) -> list[Window]:
        """Return, for each solid in camera axes, the samples that may see it."""
        low, high = solids.bounds()
        signs = np.stack(np.meshgrid(*[(0.0, 1.0)] * 3), axis=-1).reshape(1, 8, 3)
        return self.windows_of_boxes(low[:, None] + signs * (high - low)[:, None])

    def windows_of_boxes(self, corners: Floats) -> list[Window]:
        """Return the samples that may see boxes ``[n, 8, 3]`` given by corners in camera axes."""
        size = np.array(self.camera.size)
        pixels = self.camera.project_camera(corners)
        behind = (corners[..., 2] <= 0).all(axis=1)
        astride = ~np.isfinite(pixels).all(axis=(1, 2))  # partly behind, or beyond the lens
        pixels[behind | astride] = 0
        # A lens bends the edges between the corners, outwards by less than this.
        slack = 2 + 0.02 * np.ptp(pixels, axis=1)
        first = np.clip(np.floor(pixels.min(1) - slack), 0, size).astype(int)
        last = np.clip(np.ceil(pixels.max(1) + slack + 1), first, size).astype(int)
        first[astride], last[astride] = 0, size
        last[behind] = first[behind]
        return [
            (slice(2 * top, 2 * bottom), slice(2 * left, 2 * right))
            for (left, top), (right, bottom) in zip(first.tolist(), last.tolist(), strict=True)
        ]

    def to_world_axes(self, directions: Floats) -> Floats:
        """Turn directions ``[..., 3]`` from camera into world axes."""
        return turned(directions, self.to_world)


def is_empty(window: Window) -> bool:
    """Tell whether a window holds no sample."""
    return bool(window[0].start >= window[0].stop or window[1].start >= window[1].stop)


def around(windows: list[Window]) -> Window:
    """Return the smallest window that holds all the given ones."""
    full = [window for window in windows if not is_empty(window)]
    if not full:
        return EMPTY
    return (
        slice(min(w[0].start for w in full), max(w[0].stop for w in full)),
        slice(min(w[1].start for w in full), max(w[1].stop for w in full)),
    )


def halved(samples: Floats) -> Floats:
    """Average two by two samples into pixels."""
    top, bottom = samples[0::2], samples[1::2]
    total = top + bottom
    return np.asarray((total[:, 0::2] + total[:, 1::2]) / 4)


def _directions(camera: Camera) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    width, height = camera.size
    columns = np.arange(-2.0, width + 2 * _GRID_PX, _GRID_PX)
    rows = np.arange(-2.0, height + 2 * _GRID_PX, _GRID_PX)
    nodes = camera.back_project(np.stack(np.meshgrid(columns, rows), axis=-1))[..., :2]
    across = _Cubic(columns, (np.arange(2 * width) + 0.5) / 2 - 0.5)
    down = _Cubic(rows, (np.arange(2 * height) + 0.5) / 2 - 0.5)
    x, y = (
        across.along_columns(down.along_rows(nodes[..., axis]).astype(np.float32))
        for axis in (0, 1)
    )
    return x, y


class _Cubic:
    """Cubic Lagrange interpolation from even nodes to given places."""

    def __init__(self, nodes: Floats, places: Floats) -> None:
        step = nodes[1] - nodes[0]
        self.first = np.clip(((places - nodes[0]) // step).astype(int) - 1, 0, len(nodes) - 4)
        u = (places - nodes[self.first]) / step
        self.weights = [
            np.prod([(u - j) / (i - j) for j in range(4) if j != i], axis=0) for i in range(4)
        ]

    def along_rows(self, values: Floats) -> Floats:
        """Interpolate ``[nodes, columns]`` to ``[places, columns]``."""
        taps = enumerate(self.weights)
        return np.asarray(sum(w[:, None] * values[self.first + i] for i, w in taps))

    def along_columns(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Interpolate ``[rows, nodes]`` to ``[rows, places]``."""
        taps = ((i, w.astype(np.float32)) for i, w in enumerate(self.weights))
        return np.asarray(sum(w * values[:, self.first + i] for i, w in taps))
