"""Shares as whole numbers: how many places each member gets, and which ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def whole_counts(
    weights: NDArray[np.float64], batch_size: int, longest: int
) -> tuple[Counts, int]:
    """Return places per member in one period, by largest remainder, and the period's length.

    The period is the shortest one that realises the shares exactly, if there is one.

    Args:
        weights: Positive numbers, relative to their sum.
        batch_size: Places per batch.
        longest: Longest period to try, batches.
    """
    shares = weights / weights.sum()
    for period in range(1, longest + 1):
        exact = shares * (batch_size * period)
        if np.abs(exact - np.round(exact)).max() < 1e-9 * batch_size * period:
            break
    places = batch_size * period
    exact = shares * places
    nearest = np.round(exact)
    exact = np.where(np.abs(exact - nearest) < 1e-9 * places, nearest, exact)
    counts = np.floor(exact).astype(np.int64)
    left = places - int(counts.sum())
    order = np.argsort(counts - exact, kind="stable")  # largest remainder first
    counts[order[:left]] += 1
    return counts, period


def schedule(counts: Counts) -> Counts:
    """Spread members over the places of a period as evenly as can be.

    After every place, each member has been given less than one place more or less than its exact
    share of the places so far (R. Tijdeman, "The chairman assignment problem", 1980).

    Args:
        counts: Places of each member; their sum is the number of places.

    Returns:
        ``[sum(counts)]`` numbers of members.
    """
    total = int(counts.sum())
    given = np.zeros(len(counts), np.int64)
    order = np.empty(total, np.int64)
    never = np.iinfo(np.int64).max
    for place in range(total):
        # A member may take a place once its next unit is due to have begun; the one whose unit
        # must end first goes first. In whole numbers, so that nothing depends on rounding.
        may_start = given * total < counts * (place + 1)
        deadline = np.full(len(counts), never)
        np.floor_divide((given + 1) * total - 1, counts, out=deadline, where=may_start)
        chosen = int(np.argmin(deadline))
        order[place] = chosen
        given[chosen] += 1
    return order


__all__ = ["schedule", "whole_counts"]
