"""The two ways to the best rotation, against the SVD."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posepile_torch.metrics._rotations import (
    COSINE_OF_THIRD,
    best_rotation,
    by_jacobi,
    closed_form,
)

CASES = {
    "general": lambda n, rng: rng.uniform(0, 1, (n, 3)),
    "rank 2": lambda n, rng: rng.uniform(0, 1, (n, 3)) * [1, 1, 0],
    "rank 1": lambda n, rng: rng.uniform(0, 1, (n, 3)) * [1, 0, 0],
    "zero": lambda n, rng: np.zeros((n, 3)),
    "equal": lambda n, rng: np.ones((n, 3)),
    "nearly equal": lambda n, rng: 1 + rng.uniform(0, 1e-7, (n, 3)),
    "nearly rank 1": lambda n, rng: rng.uniform(0, 1, (n, 3)) * [1, 1e-6, 1e-6],
    "two equal small": lambda n, rng: rng.uniform(0.5, 1, (n, 1)) * [1, 0.3, 0.3],
}


def matrices(case, n=500, seed=0):
    """Matrices with the given singular values; half of them have a negative determinant."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.normal(size=(n, 3, 3)))[0] for _ in range(2))
    B = (U * CASES[case](n, rng)[:, None]) @ V
    return torch.from_numpy(B).permute(1, 2, 0).contiguous()


def svd_rotation(B):
    U, _, Vh = torch.linalg.svd(B.permute(2, 0, 1))
    sign = torch.sign(torch.linalg.det(U) * torch.linalg.det(Vh))
    U = torch.cat((U[..., :2], U[..., 2:] * sign[:, None, None]), dim=-1)
    return (U @ Vh).permute(1, 2, 0)


def trace(R, B):
    return (R * B).sum((0, 1))


@pytest.mark.parametrize("case", CASES)
def test_jacobi_reaches_the_optimum_of_the_svd(case):
    B = matrices(case)
    R = by_jacobi(B)
    identity = torch.eye(3, dtype=torch.float64)[..., None].expand_as(R)
    orthogonality = torch.einsum("ikn,jkn->ijn", R, R)
    torch.testing.assert_close(orthogonality, identity, rtol=0, atol=5e-15)
    torch.testing.assert_close(
        torch.linalg.det(R.permute(2, 0, 1)), torch.ones(500, dtype=torch.float64)
    )
    torch.testing.assert_close(trace(R, B), trace(svd_rotation(B), B), rtol=0, atol=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_trusted_closed_form_equals_the_svd(case):
    B = matrices(case)
    R, trusted = closed_form(B)
    error = (R - svd_rotation(B)).abs().amax((0, 1))[trusted]
    assert not len(error) or float(error.max()) < 5e-13
    if case in ("rank 1", "zero", "nearly rank 1"):
        assert not trusted.any()
    if case in ("general", "rank 2"):
        assert trusted.double().mean() > 0.7


@pytest.mark.parametrize("case", CASES)
def test_best_rotation_chooses(case):
    B = matrices(case, seed=3)
    R, trusted = best_rotation(B)
    assert trusted.all()
    torch.testing.assert_close(trace(R, B), trace(svd_rotation(B), B), rtol=0, atol=1e-13)
    R, _ = best_rotation(B, allow_reflection=True)
    _, S, _ = torch.linalg.svd(B.permute(2, 0, 1))
    torch.testing.assert_close(trace(R, B), S.sum(-1), rtol=0, atol=1e-13)


def test_determinant_of_rank_two_is_taken_from_the_factors():
    # A flat pose has a covariance whose determinant is rounding of either sign.
    B = matrices("rank 2", n=2000)
    assert 0.3 < (torch.linalg.det(B.permute(2, 0, 1)) < 0).double().mean() < 0.7
    R, _ = best_rotation(B)
    torch.testing.assert_close(R, svd_rotation(B), rtol=0, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(-30, 30))
@settings(max_examples=25, deadline=None)
def test_scale_of_the_matrix_does_not_matter(seed, exponent):
    B = matrices("general", n=50, seed=seed)
    R, _ = best_rotation(B)
    scaled, _ = best_rotation(B * 10.0**exponent)
    torch.testing.assert_close(scaled, R, rtol=0, atol=1e-11)


def test_extreme_scales_take_the_slow_way():
    B = matrices("general", n=50)
    for factor in (1e-120, 1e120):
        assert not closed_form(B * factor)[1].any()
        torch.testing.assert_close(
            best_rotation(B * factor)[0], svd_rotation(B), rtol=0, atol=1e-9
        )


def test_what_is_not_finite_gives_nan():
    B = matrices("general", n=4)
    B[0, 0, 1] = torch.nan
    B[2, 1, 2] = torch.inf
    R, _ = best_rotation(B)
    assert torch.isnan(R).flatten(0, 1).any(0).tolist() == [False, True, True, False]


def test_polynomial_is_the_cosine_of_a_third():
    angle = np.linspace(0, np.pi, 10001)
    v = np.sqrt(2) * np.cos(angle / 2)
    error = np.polynomial.polynomial.polyval(v, COSINE_OF_THIRD) - np.cos(angle / 3)
    assert np.abs(error).max() < 1.5e-6
