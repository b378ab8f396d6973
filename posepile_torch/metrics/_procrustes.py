"""Similarity and rigid fits of many point sets at once.

Poses are processed in blocks laid out with one row per joint and one column per pose, so that
every step is elementwise arithmetic over the poses. On the CPU a block stays small: it fits the
cache, and no step of it is worth spreading over threads. Blocks are padded to a fixed multiple of
columns, which makes the result for a pose independent of the poses beside it, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from posepile_torch.metrics._arrays import safe_sqrt
from posepile_torch.metrics._rotations import best_rotation

Scale = Literal["least_squares", "norm_ratio", "none"]

CPU_BLOCK = 32768  # numbers per coordinate; torch spreads larger arrays over threads
GPU_BLOCK = 2**24  # bounds the memory of one block to a few gigabytes
COLUMNS = 64  # padding of a block; the widest vector loops of torch take 32 columns a time
ROUNDING = 32 * torch.finfo(torch.float64).eps

Planes = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Fit:
    """What to fit.

    Args:
        scale: ``"least_squares"``: the optimal scale; ``"norm_ratio"``: ratio of the root sums of
            squares about the centroids; ``"none"``: scale one (rigid).
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


class _Block(NamedTuple):
    source: Planes  # centred, [J, n] each
    target: Planes
    source_centre: Tensor  # [3, n]
    target_centre: Tensor
    scale: Tensor  # [n]
    rotation: Tensor  # [3, 3, n]
    trusted: Tensor  # [n] whether the rotation is accurate
    degenerate: Tensor  # [n]


def fitted(source: Tensor, target: Tensor, use: Tensor | None, fit: Fit) -> Transforms:
    """Fit each source pose onto its target.

    Args:
        source: ``[N, J, 3]`` float64, finite.
        target: ``[N, J, 3]`` float64, finite.
        use: ``[N, J]`` bool, joints that take part; None for all.
        fit: What to fit.
    """
    size = len(source)
    scale, rotation, translation = (source.new_empty((*k, size)) for k in ((), (3, 3), (3,)))
    degenerate = source.new_empty(size, dtype=torch.bool)
    for rows, block in _solved(source, target, use, fit):
        scale[rows] = block.scale
        rotation[..., rows] = block.rotation
        moved = (block.scale * block.rotation * block.source_centre).sum(1)
        translation[:, rows] = block.target_centre - moved
        degenerate[rows] = block.degenerate
    return Transforms(scale, rotation.permute(2, 0, 1), translation.t(), degenerate)


def residuals(
    source: Tensor, target: Tensor, use: Tensor | None, fit: Fit
) -> tuple[Tensor, Tensor]:
    """Return the distances ``[N, J]`` after the fit, and which sources are degenerate ``[N]``.

    The joints that take no part have no meaningful distance. Arguments as for :func:`fitted`.
    """
    squared = source.new_empty(source.shape[:2])
    degenerate = source.new_empty(len(source), dtype=torch.bool)
    for rows, block in _solved(source, target, use, fit):
        squared[rows] = _squared_residuals(block).t()
        degenerate[rows] = block.degenerate
    # In one call: the square root is the one step that torch spreads over threads at any size.
    return safe_sqrt(squared) if squared.requires_grad else squared.sqrt_(), degenerate


def _solved(
    source: Tensor, target: Tensor, use: Tensor | None, fit: Fit
) -> Iterator[tuple[slice | Tensor, _Block]]:
    """Yield solved blocks and the rows that they are for; later ones replace earlier ones.

    The slow way to a rotation costs nearly as much for one pose as for a block of them, so the
    poses that need it are gathered from all blocks. Not under autograd: what is replaced may be
    NaN and would leave NaN in the gradient.
    """
    blocks = _blocks(source)
    gather = len(blocks) > 1 and not (source.requires_grad or target.requires_grad)
    doubtful = []
    for rows in blocks:
        block = _solve(source, target, use, rows, fit, exact=not gather)
        if gather:
            doubtful.append((~block.trusted).nonzero().squeeze(1) + rows.start)
        yield rows, block
    if doubtful:
        again = torch.cat(doubtful)
        chosen = None if use is None else use[again]
        source, target = source[again], target[again]
        for rows in _blocks(source):
            yield again[rows], _solve(source, target, chosen, rows, fit, exact=True)


def _blocks(points: Tensor) -> list[slice]:
    size = CPU_BLOCK if points.device.type == "cpu" else GPU_BLOCK
    columns = max(1, size // max(1, points.shape[1]))
    columns = columns // COLUMNS * COLUMNS or columns
    starts = range(0, len(points), columns)
    return [slice(start, min(start + columns, len(points))) for start in starts]


def _columns(values: Tensor, rows: slice) -> Tensor:
    """Return the rows of ``values`` as columns, padded with copies of the last row."""
    part = values[rows].reshape(rows.stop - rows.start, -1)
    missing = -len(part) % COLUMNS
    if missing and len(part) and values.shape[1] <= CPU_BLOCK // COLUMNS:
        part = torch.cat((part, part[-1:].expand(missing, -1)))
    return part.t().contiguous()


def _solve(
    source: Tensor, target: Tensor, use: Tensor | None, rows: slice, fit: Fit, *, exact: bool
) -> _Block:
    joints = source.shape[1]
    weights = None if use is None else _columns(use, rows).to(source.dtype)
    p, p_centre, count = _centred(_columns(source, rows).view(joints, 3, -1), weights)
    g, g_centre, _ = _centred(_columns(target, rows).view(joints, 3, -1), weights)
    covariance = torch.stack([(gi * pk).sum(0) for gi in g for pk in p]).view(3, 3, -1)
    rotation, trusted = best_rotation(
        covariance, allow_reflection=fit.allow_reflection, exact=exact
    )
    spread = _sum_of_squares(p)
    spread = spread + (spread - spread)  # an overflow becomes NaN instead of a scale of zero
    # Equal joints do not centre to exactly zero; what is left is rounding of the centroid.
    noise = ROUNDING * p_centre.detach().abs().amax(0)
    degenerate = spread.detach() <= count * noise * noise
    if fit.scale == "none":
        scale = torch.ones_like(spread)
    else:
        safe = torch.where(degenerate, torch.ones_like(spread), spread)
        if fit.scale == "least_squares":
            scale = (rotation * covariance).sum((0, 1)) / safe
        else:
            scale = safe_sqrt(_sum_of_squares(g) / safe)
        scale = scale.masked_fill(degenerate, 0.0)
    n = rows.stop - rows.start  # without the padding
    x, y, z = (plane[:, :n] for plane in p)
    u, v, w = (plane[:, :n] for plane in g)
    rest = (p_centre, g_centre, scale, rotation, trusted, degenerate)
    return _Block((x, y, z), (u, v, w), *(part[..., :n] for part in rest))


def _centred(points: Tensor, weights: Tensor | None) -> tuple[Planes, Tensor, Tensor]:
    """Return centred coordinate planes, the centroid ``[3, n]`` and the number of joints ``[n]``.

    Points without weight are zero on entry and on return.
    """
    planes = points.unbind(1)
    if weights is None:
        count = torch.full_like(points[0, 0], len(points)) if len(points) else points.sum((0, 1))
    else:
        count = weights.sum(0)
    centre = torch.stack([plane.sum(0) for plane in planes]) / count.clamp_min(1)
    x, y, z = (plane - c for plane, c in zip(planes, centre, strict=True))
    if weights is not None:
        x, y, z = x * weights, y * weights, z * weights
    return (x, y, z), centre, count


def _sum_of_squares(planes: Planes) -> Tensor:
    x, y, z = planes
    return (x * x).addcmul_(y, y).addcmul_(z, z).sum(0)


def _squared_residuals(block: _Block) -> Tensor:
    transform = block.scale * block.rotation
    px, py, pz = block.source
    x, y, z = (
        (row[0] * px).sub_(goal).addcmul_(row[1], py).addcmul_(row[2], pz)
        for row, goal in zip(transform.unbind(0), block.target, strict=True)
    )
    return (x * x).addcmul_(y, y).addcmul_(z, z)
