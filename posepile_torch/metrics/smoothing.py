"""Smoothing of predicted tracks before evaluation, as PosePile offers for 3DPW."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from posepile_torch.errors import MetricError
from posepile_torch.metrics._arrays import ArrayT, check_shape, real, returned
from posepile_torch.metrics.choices import Smoothing, check_choice

_WEIGHTS: Mapping[str, Mapping[int, float]] = {
    "symmetric": {offset: 2.0 ** (5 - abs(offset)) for offset in range(-5, 6)},
    "causal": {0: 6.0, -1: 2.0, -2: 1.0, -3: 1.0, -4: 0.5},
    "posepile_causal": {1: 6.0, 0: 2.0, -1: 1.0, -2: 1.0, -3: 0.5},
}


def smooth_track(poses: ArrayT, kind: Smoothing) -> ArrayT:
    """Smooth one track of poses over time.

    Beyond its ends the track continues as its mirror image, the first and last frame included
    (half-sample mirror). A smoothed number is not the number of the method itself: say so.

    Args:
        poses: ``[..., T, J, D]`` of one track, finite, without gaps.
        kind: See :data:`Smoothing`.
    """
    where = "smooth_track"
    x = real(poses, name="poses", where=where)
    check_shape(x, where=where, dims=None, axes=3)
    check_choice(kind, Smoothing, name="kind", where=where)
    frames = x.shape[-3]
    if not frames or not bool(torch.isfinite(x).all()):
        raise MetricError(
            "the track is empty or has poses that are not finite",
            where=where,
            rule="smoothing mixes neighbouring frames, so that all must be known",
            fix="smooth the parts between gaps one by one",
        )
    weights = _WEIGHTS[kind]
    times = torch.arange(frames, device=x.device)
    total = torch.zeros_like(x)
    for offset, weight in weights.items():
        # half-sample mirror: period 2T, positions T..2T-1 run backwards
        mirrored = (times + offset) % (2 * frames)
        mirrored = torch.minimum(mirrored, 2 * frames - 1 - mirrored)
        total = total + weight * x.index_select(-3, mirrored)
    return returned(total / sum(weights.values()), poses)
