"""Similarity and rigid fits of many point sets at once.

Poses are laid out with one row per joint and coordinate and one column per pose, so that every
step is elementwise arithmetic over the poses. The same code runs on NumPy arrays and on tensors:
on the CPU, where nobody asks for a gradient, NumPy does without temporaries (``einsum``) and
without waking threads for every small step, which is worth a factor of one and a half.

There the work is cut twice. *Tiles* are small enough for the cache; a *block* is some tiles, whose
rotations are found together because that takes a hundred steps, each with its overhead. Tiles are
padded to a fixed multiple of columns, which makes the result for a pose independent of the poses
beside it, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from posepile_torch.metrics._arrays import safe_sqrt
from posepile_torch.metrics._rotations import best_rotation, namespace
from posepile_torch.metrics.choices import Scale

Array = Any  # a tensor, or the NumPy array that shares its memory

CPU_TILE = 8704  # joints: 512 poses of 17 joints, 200 kB per array
CPU_BLOCK = 4096  # poses
CPU_BLOCK_JOINTS = 2**18  # bounds the memory of a block of meshes
GPU_BLOCK_JOINTS = 2**24  # a few gigabytes
COLUMNS = 64  # padding of a tile; no vector loop takes more columns at a time
ROUNDING = 32 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Fit:
    """What to fit.

    Args:
        scale: Kind of scale; ``"none"`` is a rigid fit.
        allow_reflection: Whether the prediction may be mirrored.
    """

    scale: Scale = "least_squares"
    allow_reflection: bool = False


class Transforms(NamedTuple):
    """Fitted transforms of N poses: target = scale * rotation @ source + translation."""

    scale: Tensor  # [N]
    rotation: Tensor  # [N, 3, 3]
    translation: Tensor  # [N, 3]
    degenerate: Tensor  # [N] whether all joints of the source coincide


class _Tile(NamedTuple):
    rows: Any  # slice or indices of the poses
    source: Array  # [J, 3, n], centred
    target: Array  # [J, 3, n], centred
    source_centre: Array  # [3, n]
    target_centre: Array  # [3, n]
    count: Array  # [n] joints used, or one number
    covariance: Array  # [3, 3, n]


class _Solved(NamedTuple):
    tile: _Tile
    rotation: Array  # [3, 3, n]
    scale: Array  # [n]
    trusted: Array  # [n] whether the rotation is accurate
    degenerate: Array  # [n]


def fitted(source: Tensor, target: Tensor, use: Tensor | None, fit: Fit) -> Transforms:
    """Fit each source pose onto its target.

    Args:
        source: ``[N, J, 3]`` float64, finite.
        target: ``[N, J, 3]`` float64, finite.
        use: ``[N, J]`` bool, joints that take part, the others being zero on both sides; None
            for all.
        fit: What to fit.
    """
    size = len(source)
    scale, rotation, translation = (source.new_empty((*k, size)) for k in ((), (3, 3), (3,)))
    degenerate = source.new_empty(size, dtype=torch.bool)
    out = _shared((scale, rotation, translation, degenerate), source, target)
    for solved in _all_solved(source, target, use, fit):
        rows = solved.tile.rows
        moved = (solved.scale * solved.rotation * solved.tile.source_centre).sum(1)
        results = (
            solved.scale,
            solved.rotation,
            solved.tile.target_centre - moved,
            solved.degenerate,
        )
        for array, result in zip(out, results, strict=True):
            array[..., rows] = result[..., : _length(rows)]
    return Transforms(scale, rotation.permute(2, 0, 1), translation.t(), degenerate)


def residuals(
    source: Tensor, target: Tensor, use: Tensor | None, fit: Fit
) -> tuple[Tensor, Tensor]:
    """Return the distances ``[N, J]`` after the fit, and which sources are degenerate ``[N]``.

    The joints that take no part have no meaningful distance. Arguments as for :func:`fitted`.
    """
    distances = source.new_empty(source.shape[:2])
    degenerate = source.new_empty(len(source), dtype=torch.bool)
    out = _shared((distances, degenerate), source, target)
    for solved in _all_solved(source, target, use, fit):
        rows = solved.tile.rows
        n = _length(rows)
        out[0][rows] = _residuals(solved)[:, :n].T
        out[1][rows] = solved.degenerate[:n]
    return distances, degenerate


def _on_numpy(*tensors: Tensor) -> bool:
    return not any(x.device.type != "cpu" or x.requires_grad for x in tensors)


def _shared(results: tuple[Tensor, ...], source: Tensor, target: Tensor) -> tuple[Array, ...]:
    """Return what the results are written to: themselves, or NumPy arrays of the same memory."""
    return tuple(x.numpy() for x in results) if _on_numpy(source, target) else results


def _all_solved(source: Tensor, target: Tensor, use: Tensor | None, fit: Fit) -> Iterator[_Solved]:
    """Yield solved tiles; later ones replace the rows of earlier ones.

    The slow way to a rotation costs nearly as much for one pose as for a thousand, so the poses
    that need it are gathered from all blocks. Not under autograd: what is replaced may be NaN and
    would leave NaN in the gradient.
    """
    if not _on_numpy(source, target):
        for rows in _slices(len(source), GPU_BLOCK_JOINTS // max(1, source.shape[1])):
            yield from _solve([_tile(source, target, use, rows)], fit, exact=True)
        return
    arrays = source.numpy(), target.numpy(), None if use is None else use.numpy()
    doubtful = [np.zeros(0, np.int64)]
    for solved in _numpy_blocks(*arrays, fit, exact=False):
        rows = solved.tile.rows
        wrong = np.flatnonzero(~solved.trusted[: _length(rows)])
        doubtful.append(wrong + rows.start)
        yield solved
    again = np.concatenate(doubtful)
    if len(again):
        p, g, chosen = (None if x is None else x[again] for x in arrays)
        for solved in _numpy_blocks(p, g, chosen, fit, exact=True):
            tile = solved.tile
            yield solved._replace(tile=tile._replace(rows=again[tile.rows]))


def _numpy_blocks(
    source: Array, target: Array, use: Array | None, fit: Fit, *, exact: bool
) -> Iterator[_Solved]:
    size, joints = source.shape[0], max(1, source.shape[1])
    columns = CPU_TILE // joints // COLUMNS * COLUMNS or max(1, CPU_TILE // joints)
    block = max(columns, min(CPU_BLOCK, CPU_BLOCK_JOINTS // joints) // columns * columns)
    for rows in _slices(size, block):
        tiles = [
            _tile(source, target, use, slice(rows.start + part.start, rows.start + part.stop))
            for part in _slices(_length(rows), columns)
        ]
        yield from _solve(tiles, fit, exact=exact)


def _slices(size: int, step: int) -> list[slice]:
    step = max(1, step)
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def _length(rows: Any) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _tile(source: Array, target: Array, use: Array | None, rows: slice) -> _Tile:
    p, g = (_columns(points, rows) for points in (source, target))
    weights = None if use is None else _columns(use[..., None], rows) + 0.0
    count: Array = len(p) if weights is None else weights.sum((0, 1))
    p, p_centre = _centred(p, weights, count)
    g, g_centre = _centred(g, weights, count)
    return _Tile(rows, p, g, p_centre, g_centre, count, _products(g, p))


def _centred(points: Array, weights: Array | None, count: Array) -> tuple[Array, Array]:
    """Return points less their centroid (zero where they have no weight), and the centroid."""
    centre = points.sum(0) / (max(1, count) if weights is None else count.clip(min=1))
    if isinstance(points, np.ndarray):
        points -= centre  # a copy of our own, still in the cache
    else:
        points = points - centre
    return points if weights is None else points * weights, centre


def _columns(points: Array, rows: slice) -> Array:
    """Return poses ``[rows, J, D]`` as ``[J, D, n]``, padded with copies of the last pose."""
    xp = namespace(points)
    part = points[rows]
    n, joints, dims = part.shape
    part = part.reshape(n, joints * dims)
    missing = -n % COLUMNS
    if missing and n and joints * COLUMNS <= CPU_TILE:
        part = xp.concatenate((part, xp.broadcast_to(part[-1:], (missing, joints * dims))))
    if xp is torch:
        return part.t().contiguous().reshape(joints, dims, len(part))
    # Always a copy, also of what lies in this order already: it is changed in place later.
    return np.array(part.T, order="C").reshape(joints, dims, len(part))


def _products(g: Array, p: Array) -> Array:
    """Return Σ_j g_ja p_jb, ``[3, 3, n]``."""
    if isinstance(p, np.ndarray):
        return np.einsum("jan,jbn->abn", g, p)
    rows = [(x * y).sum(0) for x in g.unbind(1) for y in p.unbind(1)]
    return torch.stack(rows).reshape(3, 3, -1)


def _sum_of_squares(points: Array) -> Array:
    if isinstance(points, np.ndarray):
        return np.einsum("jan,jan->n", points, points)
    return (points * points).sum((0, 1))


@np.errstate(all="ignore")
def _solve(tiles: list[_Tile], fit: Fit, *, exact: bool) -> list[_Solved]:
    xp = namespace(tiles[0].source)
    covariance = xp.concatenate([tile.covariance for tile in tiles], -1)
    rotation, trusted = best_rotation(
        covariance, allow_reflection=fit.allow_reflection, exact=exact
    )
    gain = (rotation * covariance).sum((0, 1))
    solved, at = [], 0
    for tile in tiles:
        own = slice(at, at + tile.covariance.shape[-1])
        at = own.stop
        spread = _sum_of_squares(tile.source)
        spread = spread + (spread - spread)  # an overflow becomes NaN instead of a scale of zero
        # Equal joints do not centre to exactly zero; what is left is rounding of the centroid.
        noise = ROUNDING * xp.amax(abs(tile.source_centre), 0)
        degenerate = spread <= tile.count * noise * noise
        scale = _scale(gain[own], spread, tile.target, degenerate, fit.scale)
        solved.append(_Solved(tile, rotation[..., own], scale, trusted[own], degenerate))
    return solved


def _scale(gain: Array, spread: Array, target: Array, degenerate: Array, kind: Scale) -> Array:
    xp = namespace(gain)
    if kind == "none":
        return xp.ones_like(spread)
    safe = xp.where(degenerate, 1.0, spread)
    ratio = gain / safe
    if kind == "norm_ratio":
        square = _sum_of_squares(target) / safe
        ratio = np.sqrt(square) if xp is np else safe_sqrt(square)
    return xp.where(degenerate, 0.0, ratio)


@np.errstate(all="ignore")
def _residuals(solved: _Solved) -> Array:
    """Return distances ``[J, n]`` between the transformed source and the target."""
    transform = solved.scale * solved.rotation
    source, target = solved.tile.source, solved.tile.target
    if isinstance(source, np.ndarray):
        error = np.einsum("abn,jbn->jan", transform, source)
        error -= target
        return np.sqrt(np.einsum("jan,jan->jn", error, error))
    moved = sum(transform[:, k] * source[:, k : k + 1] for k in range(3))
    error = moved - target
    return safe_sqrt((error * error).sum(1))
