"""Sums, means, variances and correlations that do not depend on the order of the data.

Floating-point sums depend on how the data is cut into batches and in which order the parts are
merged; a sum of squares loses the digits that a variance is made of. The accumulators here add
the float64 values *exactly*, as integers, and round once when asked. Any split, order or merge
gives the same result to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from posepile_torch.errors import MetricError

MANTISSA = 53
# The smallest product of two subnormal numbers is 2^(2 * -1074); totals are in units of 2^-SHIFT.
SHIFT = 2 * (1074 + MANTISSA)
HALF = 26  # splits a mantissa so that products of halves fit 63 bits
WORD = 32  # splits a product so that sums of 2^20 of them are exact in float64
CHUNK = 1 << 20


class ExactSum:
    """Exact sum of float64 values, for one column or several.

    Args:
        columns: Number of columns, whose values come as ``[..., columns]``; None pools all values
            into one sum.
    """

    def __init__(self, columns: int | None = None) -> None:
        self.columns = columns
        self._totals = [0] * (1 if columns is None else columns)

    def add(self, values: NDArray[np.float64]) -> None:
        """Add finite values ``[n, columns]``; zeros change nothing."""
        mantissa, exponent = _parts(values)
        self._accumulate(mantissa, exponent - MANTISSA)

    def add_products(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Add the products of finite values ``[n, columns]``, unrounded."""
        (a, p), (b, q) = _parts(x), _parts(y)
        exponent = p + q - 2 * MANTISSA
        (a1, a0), (b1, b0) = ((m >> HALF, m & ((1 << HALF) - 1)) for m in (a, b))
        self._accumulate(a1 * b1, exponent + 2 * HALF)
        self._accumulate(a1 * b0 + a0 * b1, exponent + HALF)
        self._accumulate(a0 * b0, exponent)

    def merge(self, other: ExactSum) -> None:
        """Add the sum of another accumulator with the same columns."""
        if self.columns != other.columns:
            raise _unlike(self.columns, other.columns)
        self._totals = [a + b for a, b in zip(self._totals, other._totals, strict=True)]

    @property
    def scaled(self) -> tuple[int, ...]:
        """The exact sums as integers, in units of 2^-SHIFT."""
        return tuple(self._totals)

    def value(self) -> Any:
        """Return the sums, rounded once: a float64, or ``[columns]``."""
        values = np.array([_ratio(total, 1 << SHIFT) for total in self._totals])
        return values[0] if self.columns is None else values

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form; big integers are written in hexadecimal."""
        return {"columns": self.columns, "totals": [hex(total) for total in self._totals]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExactSum:
        """Rebuild what :meth:`to_dict` wrote."""
        found = cls(data["columns"])
        found._totals = [int(total, 16) for total in data["totals"]]
        return found

    def _accumulate(self, integers: NDArray[np.int64], exponent: NDArray[np.int64]) -> None:
        """Add integers * 2^exponent, of magnitude below 2^62, per column."""
        columns = len(self._totals)
        lowest = int(exponent.min(initial=0))
        width = int(exponent.max(initial=lowest)) - lowest + 1
        slot = np.arange(columns) * width + (exponent - lowest)
        sums = [0] * (columns * width)
        flat, slots = integers.ravel(), slot.ravel()
        for start in range(0, flat.size, CHUNK):
            part, where = flat[start : start + CHUNK], slots[start : start + CHUNK]
            for word, shift in ((part >> WORD, WORD), (part & ((1 << WORD) - 1), 0)):
                counted = np.bincount(where, word.astype(np.float64), minlength=len(sums))
                for i in np.flatnonzero(counted).tolist():
                    sums[i] += int(counted[i]) << shift
        for i, total in enumerate(sums):
            if total:
                self._totals[i // width] += total << (lowest + i % width + SHIFT)


class RunningMoments:
    """Mean, variance and standard error of a stream, exact until the final rounding.

    Args:
        columns: Number of columns, whose values come as ``[..., columns]`` (for example one per
            joint); None pools everything.
    """

    def __init__(self, columns: int | None = None) -> None:
        self.columns = columns
        self._count = np.zeros(1 if columns is None else columns, dtype=np.int64)
        self._sum, self._squares = ExactSum(columns), ExactSum(columns)

    def update(self, values: object, mask: object = None) -> None:
        """Take in a batch.

        Args:
            values: Tensor or array, ``[..., columns]`` or of any shape if pooled.
            mask: Bool of the same shape; false values are left out. Values that are not finite
                must be left out: the accumulators never decide that by themselves.
        """
        x, keep = _table(values, mask, self.columns, "RunningMoments.update")
        self._count += keep.sum(0)
        self._sum.add(x)
        self._squares.add_products(x, x)

    def merge(self, other: RunningMoments) -> None:
        """Take in everything that another accumulator has taken in."""
        if self.columns != other.columns:
            raise _unlike(self.columns, other.columns)
        self._count = self._count + other._count
        self._sum.merge(other._sum)
        self._squares.merge(other._squares)

    def count(self) -> Any:
        """Return the number of values, an int64 or ``[columns]``."""
        return self._count[0] if self.columns is None else self._count.copy()

    def mean(self) -> Any:
        """Return the mean; NaN where there are no values."""
        return self._each(lambda n, s, _: _ratio(s, n << SHIFT))

    def variance(self) -> Any:
        """Return the population variance; NaN where there are no values."""
        return self._each(lambda n, s, q: _ratio(_spread(n, s, s, q), n * n << 2 * SHIFT))

    def standard_deviation(self) -> Any:
        """Return the population standard deviation."""
        return np.sqrt(self.variance())

    def standard_error(self) -> Any:
        """Return the standard error of the mean, sqrt(variance / n)."""
        return np.sqrt(self.variance() / np.where(self.count() > 0, self.count(), 1))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form of the exact state."""
        return {
            "count": self._count.tolist(),
            "sum": self._sum.to_dict(),
            "squares": self._squares.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunningMoments:
        """Rebuild what :meth:`to_dict` wrote."""
        found = cls(data["sum"]["columns"])
        found._count = np.array(data["count"], dtype=np.int64)
        found._sum = ExactSum.from_dict(data["sum"])
        found._squares = ExactSum.from_dict(data["squares"])
        return found

    def _each(self, formula: Any) -> Any:
        rows = zip(self._count.tolist(), self._sum.scaled, self._squares.scaled, strict=True)
        values = np.array([formula(n, s, q) if n else math.nan for n, s, q in rows])
        return values[0] if self.columns is None else values


class RunningCorrelation:
    """Pearson correlation of two streams, such as predicted uncertainty and error.

    Args:
        columns: Number of columns correlated separately; None pools everything.
    """

    def __init__(self, columns: int | None = None) -> None:
        self.columns = columns
        self.x, self.y = RunningMoments(columns), RunningMoments(columns)
        self._products = ExactSum(columns)

    def update(self, x: object, y: object, mask: object = None) -> None:
        """Take in a batch of pairs.

        Args:
            x: Tensor or array, ``[..., columns]`` or of any shape if pooled.
            y: The same shape as ``x``.
            mask: Bool of the same shape; pairs with a value that is not finite must be left out.
        """
        where = "RunningCorrelation.update"
        (a, keep), (b, _) = (_table(v, mask, self.columns, where) for v in (x, y))
        if a.shape != b.shape:
            raise MetricError(
                f"{a.size} and {b.size} values", where=where, rule="values come in pairs"
            )
        self.x.update(a, keep)
        self.y.update(b, keep)
        self._products.add_products(a, b)

    def merge(self, other: RunningCorrelation) -> None:
        """Take in everything that another accumulator has taken in."""
        self.x.merge(other.x)
        self.y.merge(other.y)
        self._products.merge(other._products)

    def count(self) -> Any:
        """Return the number of pairs, an int64 or ``[columns]``."""
        return self.x.count()

    def correlation(self) -> Any:
        """Return Pearson's r; NaN where a variance is zero or there are no pairs."""
        values = []
        for n, sx, sy, qx, qy, xy in zip(
            np.atleast_1d(self.count()).tolist(),
            self.x._sum.scaled,
            self.y._sum.scaled,
            self.x._squares.scaled,
            self.y._squares.scaled,
            self._products.scaled,
            strict=True,
        ):
            square = _spread(n, sx, sx, qx) * _spread(n, sy, sy, qy)
            root = math.isqrt(square)
            values.append(_ratio(_spread(n, sx, sy, xy), root) if root else math.nan)
        return np.float64(values[0]) if self.columns is None else np.array(values)


def _parts(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return mantissas of 53 bits and exponents: value = mantissa * 2^(exponent - 53)."""
    fraction, exponent = np.frexp(values)
    return np.ldexp(fraction, MANTISSA).astype(np.int64), exponent.astype(np.int64)


def _spread(n: int, sum_x: int, sum_y: int, products: int) -> int:
    """Return n² times the covariance, exactly, in units of 2^(-2 SHIFT)."""
    return (n * products << SHIFT) - sum_x * sum_y


def _ratio(numerator: int, denominator: int) -> float:
    # Division of Python integers is correctly rounded.
    return numerator / denominator


def _table(
    values: object, mask: object, columns: int | None, where: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return values and what is kept of them as ``[n, columns]``; the rest is zero."""
    x = np.asarray(_numpy(values), dtype=np.float64)
    keep = np.ones(x.shape, dtype=bool)
    if mask is not None:
        given = np.asarray(_numpy(mask))
        if given.shape != x.shape or given.dtype != np.bool_:
            raise MetricError(
                f"a mask of shape {list(given.shape)} and type {given.dtype}",
                where=where,
                rule=f"a mask is boolean, of the shape of the values, {list(x.shape)}",
            )
        keep = given
    if columns is not None and (x.ndim < 1 or x.shape[-1] != columns):
        raise MetricError(
            f"values of shape {list(x.shape)}",
            where=where,
            rule=f"the last axis runs over the {columns} columns",
        )
    if not np.isfinite(x[keep]).all():
        raise MetricError(
            f"{int((~np.isfinite(x[keep])).sum())} values are not finite",
            where=where,
            rule="what is not evaluated is left out knowingly",
            fix="pass mask=np.isfinite(values), and count what it leaves out",
        )
    width = columns or 1
    return np.where(keep, x, 0.0).reshape(-1, width), keep.reshape(-1, width)


def _numpy(values: object) -> object:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def _unlike(first: int | None, second: int | None) -> MetricError:
    return MetricError(
        f"accumulators with {first} and {second} columns cannot be merged",
        where="merge",
        rule="both have the same columns (None: pooled)",
    )
