"""Mistakes that a number cannot show: wrong units, swapped sides, mirrored or exchanged axes.

Every signed exchange of axes, with and without left and right joints swapped, is tried on a part
of the predictions. Where one of them explains the predictions far better than they explain
themselves, that is said. Nothing is corrected.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError, PredictionError
from posepile_torch.metrics import check_units_mm
from posepile_torch.skeleton import Skeleton

SAMPLES = 2048
"""How many poses are tried, spread evenly over the data."""

CONVINCING = 0.6
"""A change is reported if it leaves less than this share of the error."""

_AXES = "xyz"


@dataclass(frozen=True)
class Suspicion:
    """A change of the predictions that would make them fit far better.

    Args:
        change: In words: "left and right joints are swapped; the y axis points the other way".
        before: Mean error about the centroid as given, in the unit of the poses.
        after: The same after the change.
    """

    change: str
    before: float
    after: float

    def __str__(self) -> str:
        return (
            f"the predictions look as if {self.change}: the error about the centroid would fall "
            f"from {self.before:.1f} to {self.after:.1f}; nothing was corrected"
        )


def check_units(pred: NDArray[np.float64], gt: NDArray[np.float64], *, where: str) -> None:
    """Raise if 3D predictions are hardly in millimetres although the truth is.

    Poses whose joints all coincide are no evidence of a unit; they are counted as degenerate.

    Args:
        pred: ``[N, J, 3]``; not finite where missing.
        gt: ``[N, J, 3]``; not finite where not labelled.
        where: File of the predictions, for the message.

    Raises:
        PredictionError: If the median joint radius is no length of a body in mm.
    """
    rows = _spread(len(gt), SAMPLES)
    pred, gt = pred[rows], gt[rows]
    labelled = np.isfinite(gt).all(-1, keepdims=True)
    spread = [_with_extent(poses) for poses in (np.where(labelled, pred, np.nan), gt)]
    if not all(len(poses) for poses in spread):
        return
    try:
        check_units_mm(spread[1], name="ground truth")
    except MetricError:
        return  # no whole bodies: the limits say nothing about hands or faces
    try:
        check_units_mm(spread[0], name="prediction")
    except MetricError as error:
        raise PredictionError(
            error.what,
            where=where,
            rule=error.rule,
            fix=f"{error.fix}; a table states its unit in the fact 'unit'",
        ) from error


def find_suspicion(
    pred: NDArray[np.float64], gt: NDArray[np.float64], skeleton: Skeleton
) -> Suspicion | None:
    """Return the change that explains the predictions far better, if there is one.

    Args:
        pred: ``[N, J, D]``; not finite where missing.
        gt: ``[N, J, D]``; not finite where not labelled.
        skeleton: Names and mirror map of the joints.
    """
    known = np.asarray(np.isfinite(pred).all(-1) & np.isfinite(gt).all(-1))
    # swapping sides must not change which joints are compared
    mirror = np.array(skeleton.mirror)
    known &= known[:, mirror]
    rows = np.flatnonzero(known.sum(1) >= 3)
    if not len(rows):
        return None
    rows = rows[_spread(len(rows), SAMPLES)]
    weight = known[rows, :, None]
    p, g = (_centred(poses[rows], weight) for poses in (pred, gt))
    before = _error(p, g, weight)
    tried = []
    for swapped in (False, True):
        side = p[:, mirror] if swapped else p
        for order in itertools.permutations(range(p.shape[2])):
            for signs in itertools.product((1.0, -1.0), repeat=p.shape[2]):
                error = _error(side[..., list(order)] * signs, g, weight)
                # of equal explanations the simplest counts
                effort = swapped + sum(s < 0 for s in signs) + 2 * (order != tuple(sorted(order)))
                tried.append((round(error, 6), effort, swapped, order, signs))
    after, effort, swapped, order, signs = min(tried)
    if not effort or after >= CONVINCING * before:
        return None
    return Suspicion(_in_words(swapped, order, signs), before, after)


def _in_words(swapped: bool, order: tuple[int, ...], signs: tuple[float, ...]) -> str:
    told = ["left and right joints are swapped"] if swapped else []
    if order != tuple(sorted(order)):
        told.append(
            "the axes are exchanged ("
            + ", ".join(f"true {_AXES[i]} is given as {_AXES[o]}" for i, o in enumerate(order))
            + ")"
        )
    flipped = [_AXES[i] for i, sign in enumerate(signs) if sign < 0]
    if flipped:
        verb = "axis points" if len(flipped) == 1 else "axes point"
        told.append(f"the {' and '.join(flipped)} {verb} the other way")
    return "; ".join(told)


def _spread(total: int, wanted: int) -> NDArray[np.int64]:
    """Return up to ``wanted`` row numbers, spread evenly over ``total`` rows."""
    return np.linspace(0, max(0, total - 1), min(wanted, total)).astype(np.int64)


def _with_extent(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the poses with at least two joints that are apart."""
    known = np.isfinite(poses).all(-1, keepdims=True)
    high = np.where(known, poses, -np.inf).max(1, initial=-np.inf)
    low = np.where(known, poses, np.inf).min(1, initial=np.inf)
    return np.asarray(poses[(high > low).any(-1)])


def _centred(poses: NDArray[np.float64], weight: NDArray[np.bool_]) -> NDArray[np.float64]:
    finite = np.where(weight, poses, 0.0)
    return np.where(weight, finite - finite.sum(1, keepdims=True) / weight.sum(1)[:, None], 0.0)


def _error(p: NDArray[np.float64], g: NDArray[np.float64], weight: NDArray[np.bool_]) -> float:
    return float(np.linalg.norm(p - g, axis=-1).sum() / weight.sum())


__all__ = ["CONVINCING", "SAMPLES", "Suspicion", "check_units", "find_suspicion"]
