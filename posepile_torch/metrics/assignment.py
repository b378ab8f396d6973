"""Minimum-cost assignment between two small sets, without SciPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import MetricError


def minimum_cost_assignment(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """Pair rows with columns: as many pairs as possible, and of these the cheapest.

    Shortest augmenting paths with potentials (Kuhn-Munkres), O(n³). Which of several equally good
    assignments is returned is determined by the order of rows and columns alone.

    Args:
        cost: ``[R, C]``; a pair whose cost is not finite is impossible.

    Returns:
        ``[R]`` the column of each row, -1 for none.
    """
    table = np.asarray(cost, dtype=np.float64)
    if table.ndim != 2:
        raise MetricError(
            f"costs of shape {list(table.shape)}",
            where="minimum_cost_assignment",
            rule="there is one cost per row and column",
        )
    possible = np.isfinite(table)
    result = np.full(len(table), -1, dtype=np.int64)
    if not possible.any():
        return result
    if possible.sum(0).max() == 1 and possible.sum(1).max() == 1:
        rows, columns = np.nonzero(possible)
        result[rows] = columns
        return result
    # An impossible pair costs more than all possible ones together, so that none is taken where
    # another possible pair could be.
    span = np.abs(table[possible]).sum() + 1.0
    flipped = table.shape[0] > table.shape[1]
    filled = np.where(possible, table, 2 * span)
    pairs = _augmented(filled.T if flipped else filled)
    rows, columns = (pairs, np.arange(len(pairs))) if flipped else (np.arange(len(pairs)), pairs)
    kept = possible[rows, columns]
    result[rows[kept]] = columns[kept]
    return result


def _augmented(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the column of each row of a matrix with at least as many columns as rows."""
    n_rows, n_columns = cost.shape
    of_row = np.zeros(n_rows)
    of_column = np.zeros(n_columns)
    owner = np.full(n_columns, -1, dtype=np.int64)
    for start in range(n_rows):
        shortest = np.full(n_columns, np.inf)
        before = np.full(n_columns, -1, dtype=np.int64)
        done = np.zeros(n_columns, dtype=bool)
        row, column, travelled = start, -1, 0.0
        visited = [start]
        while True:
            reduced = travelled + cost[row] - of_row[row] - of_column
            closer = ~done & (reduced < shortest)
            shortest[closer] = reduced[closer]
            before[closer] = column
            column = int(np.where(done, np.inf, shortest).argmin())
            travelled = float(shortest[column])
            done[column] = True
            if owner[column] < 0:
                break
            row = int(owner[column])
            visited.append(row)
        _shift_potentials(of_row, of_column, owner, shortest, done, start, travelled)
        while column >= 0:
            previous = int(before[column])
            owner[column] = start if previous < 0 else owner[previous]
            column = previous
    pairs = np.empty(n_rows, dtype=np.int64)
    taken = np.flatnonzero(owner >= 0)
    pairs[owner[taken]] = taken
    return pairs


def _shift_potentials(
    of_row: NDArray[np.float64],
    of_column: NDArray[np.float64],
    owner: NDArray[np.int64],
    shortest: NDArray[np.float64],
    done: NDArray[np.bool_],
    start: int,
    travelled: float,
) -> None:
    """Make the reduced costs along the shortest path zero, all others non-negative."""
    of_row[start] += travelled
    slack = travelled - shortest[done]
    of_column[done] -= slack
    owned = owner[done] >= 0
    of_row[owner[done][owned]] += slack[owned]
