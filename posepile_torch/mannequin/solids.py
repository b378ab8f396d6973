"""The two shapes that bodies are made of, and where rays enter them.

A round cone is the hull of two balls: an arm, a leg, a foot. An ellipsoid is a ball seen through a
linear map: a chest, a head. Rays meet both in closed form, so that the picture of a body, the mask
of a person and the visibility of a joint all come from the same few formulas. Lengths are
millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Vector = tuple[Any, Any, Any]
"""Three components, each a number or an array; arrays broadcast against each other."""


def turned(vectors: Floats, matrix: Floats) -> Floats:
    """Return ``matrix @ v`` for all vectors ``[..., 3]``.

    Written out, because the sums of a matrix library depend on its number of threads, and pictures
    must not.
    """
    x, y, z = (vectors[..., i] for i in range(3))
    rows = (x * row[0] + y * row[1] + z * row[2] for row in matrix)
    return np.stack(list(rows), axis=-1)


def _dot(a: Vector, b: Vector) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@dataclass(frozen=True, eq=False)
class Solids:
    """The solids of one moment: round cones first, ellipsoids after them.

    Attributes:
        starts: ``[N, 3]`` centres of the first ball of each round cone.
        ends: ``[N, 3]`` centres of the second ball.
        start_radii: ``[N]`` radii of the first ball. Neither ball may contain the other.
        end_radii: ``[N]`` radii of the second ball.
        centres: ``[M, 3]`` centres of the ellipsoids.
        maps: ``[M, 3, 3]`` matrices that take offsets from the centre to the unit ball; the rows
            are the axes of the ellipsoid divided by its radii.
    """

    starts: Floats
    ends: Floats
    start_radii: Floats
    end_radii: Floats
    centres: Floats
    maps: Floats

    def __len__(self) -> int:
        return len(self.starts) + len(self.centres)

    def moved(self, rotation: Floats, origin: Floats) -> Self:
        """Return the solids in the frame where ``x' = rotation @ (x - origin)``."""
        return type(self)(
            turned(self.starts - origin, rotation),
            turned(self.ends - origin, rotation),
            self.start_radii,
            self.end_radii,
            turned(self.centres - origin, rotation),
            turned(self.maps, rotation),
        )

    def single_precision(self) -> Self:
        """Return the solids in float32, in which pictures are computed."""
        return type(self)(
            *(np.asarray(getattr(self, field.name), np.float32) for field in fields(self))
        )

    def bounds(self) -> tuple[Floats, Floats]:
        """Return the low and high corners ``[N + M, 3]`` of boxes that contain each solid."""
        radii = np.stack([self.start_radii, self.end_radii], axis=1)[..., None]
        balls = np.stack([self.starts, self.ends], axis=1)
        # The extent of an ellipsoid along an axis is the norm of that row of its forward map.
        extent = np.linalg.norm(np.linalg.inv(self.maps), axis=-1)
        low = np.concatenate([(balls - radii).min(1), self.centres - extent])
        high = np.concatenate([(balls + radii).max(1), self.centres + extent])
        return low, high

    def entry(self, index: int, origin: Vector, direction: Vector) -> NDArray[np.float32]:
        """Return how far along the rays solid ``index`` is entered, infinity where it is missed.

        Distances are in units of ``direction``. Rays start outside the solid; what lies behind
        their start is missed.
        """
        cones = len(self.starts)
        if index < cones:
            entry = _round_cone_entry(
                _components(self.starts[index]),
                _components(self.ends[index]),
                float(self.start_radii[index]),
                float(self.end_radii[index]),
                origin,
                direction,
            )
        else:
            entry = _ellipsoid_entry(
                _components(self.centres[index - cones]),
                tuple(_components(row) for row in self.maps[index - cones]),
                origin,
                direction,
            )
        return np.where(entry > 0, entry, np.inf).astype(np.float32)

    def all_entries(self, origin: Floats, directions: Floats) -> Floats:
        """Return the entries ``[rays, N + M]`` of rays ``directions [rays, 3]`` from one point."""
        start, rays = _components(origin), _split(directions[:, None])
        cones = _round_cone_entry(
            _split(self.starts),
            _split(self.ends),
            self.start_radii,
            self.end_radii,
            start,
            rays,
        )
        rows = (_split(self.maps[:, 0]), _split(self.maps[:, 1]), _split(self.maps[:, 2]))
        ellipsoids = _ellipsoid_entry(_split(self.centres), rows, start, rays)
        entries = np.concatenate([cones, ellipsoids], axis=1)
        return np.where(entries > 0, entries, np.inf)

    def along(self, index: int, points: Floats) -> Floats:
        """Return where ``points [n, 3]`` on round cone ``index`` lie along its axis.

        0 is at the centre of the first ball, 1 at the centre of the second; the caps are clamped.
        """
        start, length, axis, slope = self._axis(index)
        radius = self.start_radii[index]
        height = turned(points - start, axis[None])[..., 0]
        return np.asarray(np.clip((height - radius * slope) / ((1 - slope**2) * length), 0, 1))

    def inside_unit_ball(self, index: int, points: Floats) -> Floats:
        """Return ``points [n, 3]`` of ellipsoid ``index`` as points of the unit ball."""
        ellipsoid = index - len(self.starts)
        return turned(points - self.centres[ellipsoid], self.maps[ellipsoid])

    def normals(self, index: int, points: Floats) -> Floats:
        """Return the outward unit normals of solid ``index`` at ``points [n, 3]`` on it."""
        outward: Floats
        if index < len(self.starts):
            start, length, axis, _ = self._axis(index)
            outward = points - start - self.along(index, points)[:, None] * length * axis
        else:
            unit = self.inside_unit_ball(index, points)
            outward = turned(unit, self.maps[index - len(self.starts)].T)
        return np.asarray(outward / np.linalg.norm(outward, axis=-1, keepdims=True))

    def _axis(self, index: int) -> tuple[Floats, float, Floats, float]:
        offset = self.ends[index] - self.starts[index]
        length = float(np.linalg.norm(offset))
        slope = float(self.start_radii[index] - self.end_radii[index]) / length
        return self.starts[index], length, offset / length, slope


def _split(vectors: Floats) -> Vector:
    return vectors[..., 0], vectors[..., 1], vectors[..., 2]


def _components(vector: Floats) -> Vector:
    return float(vector[0]), float(vector[1]), float(vector[2])


def _ball_entry(square_direction: Any, along: Any, square_offset: Any, square_radius: Any) -> Any:
    """Smaller root of ``|offset + t direction|^2 = radius^2``, infinity where there is none."""
    root = along * along - square_direction * (square_offset - square_radius)
    hit = root > 0
    return np.where(hit, (-along - np.sqrt(np.where(hit, root, 0))) / square_direction, np.inf)


def _round_cone_entry(
    start: Vector, end: Vector, ra: Any, rb: Any, origin: Vector, direction: Vector
) -> Any:
    """Entry into the hull of two balls.

    Let ``y`` be the height along the axis ``u`` and ``rho`` the distance from it. With
    ``s = (ra - rb) / length`` and ``c^2 = 1 - s^2``, the flank is ``c rho = ra - s y`` between the
    circles ``y = s ra`` and ``y = length + s rb``, where it touches the balls. Squaring and
    inserting the ray gives a quadratic whose minus root is where the ray goes inwards.
    """
    span = tuple(e - a for e, a in zip(end, start, strict=True))
    length = _dot(span, span) ** 0.5  # np.sqrt would turn numbers into float64 scalars
    u = tuple(component / length for component in span)
    s = (ra - rb) / length
    c2 = 1 - s * s
    m = tuple(o - a for o, a in zip(origin, start, strict=True))
    mm, y0 = _dot(m, m), _dot(m, u)
    md, yd, dd = _dot(m, direction), _dot(direction, u), _dot(direction, direction)

    quadratic = c2 * dd - yd * yd
    quadratic = np.where(np.abs(quadratic) < 1e-9, 1e-9, quadratic)
    half_linear = c2 * md - y0 * yd + (ra * s) * yd
    constant = c2 * mm - y0 * y0 + 2 * ra * s * y0 - ra * ra
    root = half_linear * half_linear - quadratic * constant
    met = root > 0
    flank = (-half_linear - np.sqrt(np.where(met, root, 0))) / quadratic
    y = y0 + flank * yd
    on_flank = met & (y > ra * s) & (y < length + rb * s)

    near_ball = _ball_entry(dd, md, mm, ra * ra)
    far_ball = _ball_entry(dd, md - length * yd, mm - 2 * length * y0 + length * length, rb * rb)
    return np.minimum(np.where(on_flank, flank, np.inf), np.minimum(near_ball, far_ball))


def _ellipsoid_entry(
    centre: Vector, rows: tuple[Vector, ...], origin: Vector, direction: Vector
) -> Any:
    m = tuple(o - c for o, c in zip(origin, centre, strict=True))
    offset = tuple(_dot(row, m) for row in rows)
    ray = tuple(_dot(row, direction) for row in rows)
    return _ball_entry(_dot(ray, ray), _dot(offset, ray), _dot(offset, offset), 1.0)
