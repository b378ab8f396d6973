"""Accumulators: exact, whatever the order, the split and the merge."""

import json
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.errors import MetricError
from posepile_torch.metrics import ExactSum, RunningCorrelation, RunningMoments

numbers = st.floats(allow_nan=False, allow_infinity=False)
moderate = st.floats(-1e100, 1e100)
some = settings(max_examples=60, deadline=None)


@given(st.lists(numbers, max_size=40))
@some
def test_sums_are_exact(values):
    total = ExactSum()
    total.add(np.array(values, dtype=float).reshape(-1, 1))
    exact = sum(map(Fraction, values), Fraction(0))
    assert Fraction(total.scaled[0], 2 ** (2 * (1074 + 53))) == exact
    if abs(exact) < Fraction(2) ** 1023:
        assert total.value() == float(exact)


@given(st.lists(st.tuples(numbers, numbers), max_size=30))
@some
def test_products_are_exact(pairs):
    x, y = (np.array([p[k] for p in pairs], dtype=float).reshape(-1, 1) for k in (0, 1))
    total = ExactSum()
    total.add_products(x, y)
    exact = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    assert Fraction(total.scaled[0], 2 ** (2 * (1074 + 53))) == exact


@given(st.lists(moderate, min_size=1, max_size=30))
@some
def test_moments_are_correctly_rounded(values):
    moments = RunningMoments()
    moments.update(np.array(values))
    exact = [Fraction(v) for v in values]
    mean = sum(exact) / len(exact)
    variance = sum((v - mean) ** 2 for v in exact) / len(exact)
    assert moments.mean() == float(mean)
    assert moments.variance() == float(variance)
    assert moments.standard_deviation() == math.sqrt(variance)
    assert moments.standard_error() == pytest.approx(math.sqrt(variance / len(exact)), rel=1e-12)
    assert moments.count() == len(values)


@given(st.integers(0, 2**32 - 1))
@some
def test_order_split_and_merge_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 3)) * 10.0 ** rng.integers(-12, 12, (40, 3))
    y = x * rng.normal(size=(40, 1)) + 5
    mask = rng.random((40, 3)) < 0.8
    whole = RunningCorrelation(3)
    whole.update(x, y, mask)
    parts = []
    order = rng.permutation(40)
    for rows in np.array_split(order, rng.integers(1, 9)):
        part = RunningCorrelation(3)
        part.update(torch.from_numpy(x[rows]), y[rows], mask[rows])
        parts.append(part)
    rng.shuffle(parts)
    merged = RunningCorrelation(3)
    for part in parts:
        merged.merge(part)
    for name in ("count", "correlation"):
        np.testing.assert_array_equal(getattr(merged, name)(), getattr(whole, name)())
    for name in ("mean", "variance", "standard_error"):
        np.testing.assert_array_equal(getattr(merged.x, name)(), getattr(whole.x, name)())


def test_a_small_variance_on_a_large_mean_keeps_its_digits():
    # the usual sum of squares has no digit left here
    values = 1e9 + np.array([0.0, 0.001, 0.002])
    moments = RunningMoments()
    for value in values:
        moments.update(value)
    exact = [Fraction(v) for v in values]
    mean = sum(exact) / 3
    assert moments.variance() == float(sum((v - mean) ** 2 for v in exact) / 3)
    assert moments.variance() > 0


def test_correlation_by_hand_and_against_numpy():
    pooled = RunningCorrelation()
    pooled.update([1.0, 2, 3], [2.0, 4, 6])
    assert pooled.correlation() == 1
    pooled.update([4.0], [-20.0])
    assert pooled.correlation() == pytest.approx(
        np.corrcoef([1, 2, 3, 4], [2, 4, 6, -20])[0, 1], rel=1e-14
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 500, 4))
    columns = RunningCorrelation(4)
    columns.update(x, y + x)
    want = [np.corrcoef(x[:, k], y[:, k] + x[:, k])[0, 1] for k in range(4)]
    np.testing.assert_allclose(columns.correlation(), want, rtol=1e-12)
    constant = RunningCorrelation()
    constant.update([1.0, 1, 1], [1.0, 2, 3])
    assert math.isnan(constant.correlation())
    assert math.isnan(RunningCorrelation().correlation())


def test_pooled_and_per_column():
    values = np.array([[1.0, 10], [3, np.nan]])
    mask = np.isfinite(values)
    columns, pooled = RunningMoments(2), RunningMoments()
    columns.update(values, mask)
    pooled.update(torch.from_numpy(values), torch.from_numpy(mask))
    np.testing.assert_array_equal(columns.mean(), [2, 10])
    np.testing.assert_array_equal(columns.variance(), [1, 0])
    np.testing.assert_array_equal(columns.count(), [2, 1])
    assert pooled.mean() == pytest.approx(14 / 3)
    empty = RunningMoments(2)
    assert np.isnan(empty.mean()).all()
    assert np.isnan(empty.standard_error()).all()
    assert math.isnan(RunningMoments().mean())
    gradient = torch.ones(3, requires_grad=True)
    pooled.update(gradient)
    assert pooled.count() == 6


def test_state_survives_json_and_pickle():
    moments = RunningMoments(2)
    moments.update(np.random.default_rng(0).normal(size=(7, 2)))
    for copy in (
        RunningMoments.from_dict(json.loads(json.dumps(moments.to_dict()))),
        pickle.loads(pickle.dumps(moments)),
    ):
        np.testing.assert_array_equal(copy.variance(), moments.variance())
        copy.update(np.ones((1, 2)))
        assert copy.count().tolist() == [8, 8]
    assert moments.count().tolist() == [7, 7]


def test_long_streams_stay_exact():
    x = np.random.default_rng(0).normal(size=(1 << 20) + 17)
    moments = RunningMoments()
    moments.update(x)
    assert moments.mean() == math.fsum(x) / len(x)
    assert moments.variance() == pytest.approx(x.var(), rel=1e-12)


def test_inputs_that_do_not_fit():
    moments = RunningMoments(3)
    for values, mask, match in (
        (np.zeros((2, 4)), None, "last axis"),
        (np.float64(1), None, "last axis"),
        (np.array([1.0, np.nan, 2]), None, "1 values are not finite"),
        (np.zeros(3), np.ones(3), "boolean"),
        (np.zeros(3), np.ones(2, bool), "shape"),
    ):
        with pytest.raises(MetricError, match=match):
            moments.update(values, mask)
    with pytest.raises(MetricError, match="merged"):
        moments.merge(RunningMoments())
    with pytest.raises(MetricError, match="pairs"):
        RunningCorrelation().update([1.0, 2], [1.0])
    assert moments.count().tolist() == [0, 0, 0]
