"""The rotation that best carries one point set onto another, for many pairs at once.

LAPACK needs microseconds for one 3×3 decomposition, and on many cores it spends most of them on
waking threads. Both methods here are elementwise arithmetic over all poses instead:

- :func:`closed_form`, the "fast optimal attitude matrix" (F. L. Markley, J. Astronautical
  Sciences 41, 1993), loses digits as the optimum loses its uniqueness, and says where;
- :func:`by_jacobi`, Horn's quaternion matrix diagonalised by Jacobi rotations, is accurate for
  every input and some ten times slower; it serves the few poses that the first one refuses.

Matrices are laid out ``[3, 3, N]``: one contiguous row of numbers per entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from posepile_torch.metrics._arrays import ArrayT, length, returned

# (s1+s2)(s2+s3)(s3+s1) / (s1+s2+s3)^3 for signed singular values s; 8/27 at best. Below this the
# closed form is wrong by more than about 2.5e-13 (measured), so that a joint a metre from the
# centre would be off by more than 1e-9 mm.
UNIQUE_ENOUGH = 0.02
# The last Newton step relative to the root. The next is about step² / UNIQUE_ENOUGH, rounding.
CONVERGED = 1e-8
# Below this value of det(A) / tr(A)^3 (see `_axis_matrix`) the rotation counts as not unique.
NO_GRADIENT = 1e-14
# Chebyshev interpolation of v -> cos(2/3 acos(v / √2)) on [0, √2]; largest error 1.4e-6.
COSINE_OF_THIRD = (0.500001373, 0.408177676, -0.05494223, 0.016841341, -0.004780457, 0.000728462)
# Cyclic Jacobi converges quadratically; 4×4 matrices need four to six sweeps.
MAX_SWEEPS = 12


def namespace(array: ArrayT) -> Any:
    """Return the module, ``numpy`` or ``torch``, whose functions fit an array."""
    return np if isinstance(array, np.ndarray) else torch


def best_rotation(
    covariance: ArrayT, *, allow_reflection: bool = False, exact: bool = True
) -> tuple[ArrayT, ArrayT]:
    """Return the rotations R that maximise trace(Rᵀ B), and whether each can be trusted.

    With ``B = Σ g pᵀ`` over centred points, R carries p onto g. R has determinant +1. Where
    several rotations are equally good, one of them is returned. The gradient is exact, has no
    pole at equal singular values, and is zero where the rotation is not unique.

    Args:
        covariance: ``[3, 3, N]`` float64, any rank; a tensor, or an array without gradient.
        allow_reflection: Search all orthogonal matrices, mirrors included.
        exact: Use the slower method where the closed form is not accurate enough. Otherwise
            those rotations are not trusted and may hold anything.
    """
    if allow_reflection:
        det = (covariance[0] * _cofactors(covariance)[0]).sum(0)
        signs = namespace(covariance).where(det < 0, -1.0, 1.0)
        rotation, trusted = best_rotation(signs * covariance, exact=exact)
        return signs * rotation, trusted
    if isinstance(covariance, Tensor) and covariance.requires_grad:
        return _Rotation.apply(covariance, exact)  # type: ignore[no-untyped-call,no-any-return]
    return _chosen(covariance, exact)


def multiply(a: ArrayT, b: ArrayT) -> ArrayT:
    """Return the matrix products of two ``[3, 3, N]`` stacks."""
    product: ArrayT = a[:, :1] * b[:1] + a[:, 1:2] * b[1:2] + a[:, 2:] * b[2:]
    return product


def _chosen(covariance: ArrayT, exact: bool) -> tuple[ArrayT, ArrayT]:
    rotation, trusted = closed_form(covariance)
    if exact and not bool(trusted.all()):
        doubtful = ~trusted
        slow = torch.as_tensor(covariance[:, :, doubtful])
        rotation[:, :, doubtful] = returned(by_jacobi(slow), covariance)
        trusted = trusted | doubtful
    return rotation, trusted


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, covariance: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
        rotation, trusted = _chosen(covariance, exact)
        ctx.save_for_backward(covariance, rotation)
        ctx.mark_non_differentiable(trusted)
        return rotation, trusted

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        # The optimum keeps S = Rᵀ B symmetric. With dR = R [w], that gives A w = axis(Rᵀ dB),
        # where A = trace(S) I - S has the eigenvalues s1+s2, s2+s3, s3+s1. No singular vectors
        # appear, hence no pole where two singular values are equal.
        covariance, rotation = ctx.saved_tensors
        transposed = rotation.transpose(0, 1)
        A = _axis_matrix(multiply(transposed, covariance))
        adjugate = _cofactors(A)
        det = (A[0] * adjugate[0]).sum(0)
        trace = A[0, 0] + A[1, 1] + A[2, 2]
        unique = det > NO_GRADIENT * trace**3
        inverse = adjugate / torch.where(unique, det, torch.ones_like(det))
        turn = _axis(multiply(transposed, grads[0]))
        w = (inverse * turn).sum(1).masked_fill(~unique, 0.0)
        return multiply(rotation, _cross_matrix(w)), None


def closed_form(covariance: ArrayT) -> tuple[ArrayT, ArrayT]:
    """Return rotations and whether each is accurate; the others may hold anything.

    Sixth powers occur: entries beyond about 1e±45 come out as not accurate.
    """
    B, C = covariance, _cofactors(covariance)
    squares = (B * B).sum((0, 1))
    det = (B[0] * C[0]).sum(0)
    root, step = _largest_root(squares, (C * C).sum((0, 1)), det)
    root_squared = root * root
    # (s1+s2)(s2+s3)(s3+s1), by the sum of the signed singular values, which is `root`
    zeta = 0.5 * root * (root_squared - squares) - det
    factor = -multiply(B, B.swapaxes(0, 1))
    for k in range(3):
        factor[k, k] += 0.5 * (root_squared + squares)
    rotation = (multiply(factor, B) + root * C) / zeta
    trusted = (zeta > UNIQUE_ENOUGH * root * root_squared) & (abs(step) < CONVERGED * root)
    return rotation, trusted


def _largest_root(squares: ArrayT, minors: ArrayT, det: ArrayT) -> tuple[ArrayT, ArrayT]:
    """Return s1 + s2 + s3 and the last Newton step, s3 carrying the sign of the determinant.

    It is the largest root of (x² - Σs²)² - 4 Σ(s_i s_j)² - 8 det x. The start comes from s1², the
    largest eigenvalue of BᵀB, and (s2 + s3)² = Σs² - s1² + 2 det / s1. Three equal singular values
    give NaN.
    """
    sqrt = namespace(squares).sqrt
    mean, third = squares / 3, minors / 3
    spread = (mean * mean - third).clip(min=0)
    radius = sqrt(spread)
    cosine = (mean * (spread - 0.5 * third) + 0.5 * det * det) / (spread * radius)
    first_squared = mean + 2 * radius * _cosine_of_third(cosine)
    first = sqrt(first_squared)
    root = first + sqrt((squares - first_squared + 2 * det / first).clip(min=0))
    minors4, det8, step = 4 * minors, 8 * det, root
    for _ in range(2):
        gap = root * root - squares
        step = (gap * gap - minors4 - det8 * root) / (4 * root * gap - det8)
        root = root - step
    return root, step


def _cosine_of_third(cosine: ArrayT) -> ArrayT:
    """Return cos(acos(c) / 3) to six digits, by a polynomial in √2 cos(acos(c) / 2)."""
    half = namespace(cosine).sqrt((cosine + 1).clip(min=0))
    total = half * COSINE_OF_THIRD[-1]
    for coefficient in COSINE_OF_THIRD[-2:0:-1]:
        total = (total + coefficient) * half
    result: ArrayT = total + COSINE_OF_THIRD[0]
    return result


def by_jacobi(covariance: Tensor) -> Tensor:
    """Return the rotations by the eigenvector of Horn's 4×4 quaternion matrix.

    Its largest eigenvalue is s1 + s2 + s3 with s3 carrying the sign of the determinant: mirrors
    need no special case, and the vectors stay orthonormal whatever the rank. A
    matrix that is not finite gives NaN.
    """
    largest = covariance.abs().amax((0, 1))
    matrix = _quaternion_matrix(covariance / torch.where(largest > 0, largest, 1.0))
    vectors = torch.eye(4, dtype=matrix.dtype, device=matrix.device)
    vectors = vectors[..., None].repeat(1, 1, matrix.shape[-1])
    # Entries below rounding are cleared without a rotation, so that the sweeps come to an end.
    negligible = torch.finfo(matrix.dtype).eps / 8 * (matrix * matrix).sum((0, 1)).sqrt()
    for _ in range(MAX_SWEEPS):
        turned = [
            _jacobi_step(matrix, vectors, negligible, i, j)
            for i in range(3)
            for j in range(i + 1, 4)
        ]
        if not bool(torch.stack(turned).any()):
            break
    best = matrix.diagonal().argmax(1)
    quaternion = vectors.gather(1, best.expand(4, 1, -1)).squeeze(1)
    rotation = _from_quaternion(quaternion / length(quaternion.t()))
    finite = torch.isfinite(covariance).all(0).all(0)
    return rotation.masked_fill(~finite, torch.nan)


def _jacobi_step(matrix: Tensor, vectors: Tensor, negligible: Tensor, i: int, j: int) -> Tensor:
    """Zero entry (i, j) of symmetric matrices in place, turning the columns of ``vectors``.

    Returns:
        For which matrices there was anything to do.
    """
    off = matrix[i, j].clone()
    turned = off.abs() > negligible
    ratio = (matrix[j, j] - matrix[i, i]) / torch.where(turned, 2 * off, 1.0)
    tangent = torch.copysign(1 / (ratio.abs() + (ratio * ratio + 1).sqrt()), ratio)
    tangent = torch.where(turned, tangent, 0.0)
    cosine = 1 / (tangent * tangent + 1).sqrt()
    sine = tangent * cosine
    for target in (matrix, matrix.transpose(0, 1), vectors.transpose(0, 1)):
        first, second = target[i], target[j]
        target[i], target[j] = (
            cosine * first - sine * second,
            sine * first + cosine * second,
        )
    matrix[i, j] = 0.0
    matrix[j, i] = 0.0
    return turned


def _quaternion_matrix(covariance: Tensor) -> Tensor:
    """Return the matrices ``[4, 4, N]`` whose top eigenvector is the best quaternion (w, xyz)."""
    trace = covariance[0, 0] + covariance[1, 1] + covariance[2, 2]
    w = _axis(covariance)
    rows = [torch.stack((trace, *w))]
    for i in range(3):
        row = covariance[i] + covariance[:, i]
        row[i] = row[i] - trace
        rows.append(torch.stack((w[i], *row)))
    return torch.stack(rows)


def _from_quaternion(q: Tensor) -> Tensor:
    """Return rotations ``[3, 3, N]`` of unit quaternions ``[4, N]`` (w, x, y, z)."""
    w, v = q[0], q[1:]
    identity = torch.eye(3, dtype=q.dtype, device=q.device)[..., None]
    outer = v[:, None] * v[None]
    return (w * w - (v * v).sum(0)) * identity + 2 * (outer + w * _cross_matrix(v))


def _cofactors(matrix: ArrayT) -> ArrayT:
    """Return the cofactor matrices of a ``[3, 3, N]`` stack."""
    concatenate = namespace(matrix).concatenate
    wide = concatenate((matrix, matrix[:2]), 0)
    wide = concatenate((wide, wide[:, :2]), 1)
    cofactors: ArrayT = wide[1:4, 1:4] * wide[2:5, 2:5] - wide[1:4, 2:5] * wide[2:5, 1:4]
    return cofactors


def _axis(matrix: Tensor) -> Tensor:
    """Return the axial vectors ``[3, N]`` of M - Mᵀ."""
    return torch.stack(
        (
            matrix[2, 1] - matrix[1, 2],
            matrix[0, 2] - matrix[2, 0],
            matrix[1, 0] - matrix[0, 1],
        )
    )


def _axis_matrix(symmetric: Tensor) -> Tensor:
    """Return A = trace(S) I - S for the symmetric part of S."""
    trace = symmetric[0, 0] + symmetric[1, 1] + symmetric[2, 2]
    identity = torch.eye(3, dtype=symmetric.dtype, device=symmetric.device)[..., None]
    return trace * identity - 0.5 * (symmetric + symmetric.transpose(0, 1))


def _cross_matrix(w: Tensor) -> Tensor:
    """Return the matrices ``[3, 3, N]`` that take the cross product with ``w``."""
    zero = torch.zeros_like(w[0])
    rows = ((zero, -w[2], w[1]), (w[2], zero, -w[0]), (-w[1], w[0], zero))
    return torch.stack([torch.stack(row) for row in rows])
