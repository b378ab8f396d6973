"""The formulae behind :mod:`posepile_torch.lenses`, and their inverses.

Everything here works on float64 arrays ``[..., 2]`` of normalised image points. A formula object
maps ideal to distorted points, gives the derivative of that map, inverts it, and knows the disk in
which it is one-to-one; outside, all results are NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MIN_LOCAL_SCALE, MAX_LOCAL_SCALE = 0.01, 100.0
"""The valid region ends where a lens magnifies less or more than this, relative to its centre.

At a fold the magnification is zero, at a pole of a rational model it is infinite, and the inverse
has no digits left. No real lens comes near either limit; the lower one costs about half a percent
of the radius up to the fold.
"""


_MAX_RADIUS = 1e6  # a micro-radian from the image plane; keeps nearly ideal lenses finite


class Formula(Protocol):
    """What every lens model can do; points are ``[..., 2]`` on the normalised image plane."""

    @property
    def radius(self) -> float:
        """Radius of the disk of ideal points in which the map is one-to-one."""

    def distort(self, u: Floats) -> Floats:
        """Map ideal points to distorted ones; NaN outside the valid region."""

    def undistort(self, v: Floats) -> Floats:
        """Map distorted points to ideal ones; NaN where no valid one exists."""

    def jacobian(self, u: Floats) -> Floats:
        """Return the derivative ``[..., 2, 2]`` of :meth:`distort`; anything outside."""


@dataclass(frozen=True, eq=False)
class PolynomialFormula:
    """Brown-Conrady and the Human3.6M toolbox model in one form.

    With s = x^2 + y^2 and u = (x, y), the distorted point is
    ``u (N(s)/D(s) + cross t.u) + s (t + a + s b)``, then passed through the homography ``tilt``.

    Attributes:
        numerator: Coefficients of N, ascending powers of s.
        denominator: Coefficients of D, as many.
        t: Tangential vector, ``(p2, p1)`` in OpenCV's names.
        cross: Factor of the cross term, 2 in OpenCV and 1 in the Human3.6M toolbox.
        a: Thin-prism vector that is multiplied by s.
        b: Thin-prism vector that is multiplied by s^2.
        tilt: Homography ``[3, 3]`` of a tilted sensor, or None.
        max_coordinate: Largest valid absolute coordinate of an ideal point.
    """

    numerator: Floats
    denominator: Floats
    t: Floats
    cross: float
    a: Floats
    b: Floats
    tilt: Floats | None
    max_coordinate: float

    @classmethod
    def brown_conrady(cls, coefficients: tuple[float, ...]) -> PolynomialFormula:
        """Build the formula from OpenCV's 5, 8, 12 or 14 coefficients."""
        padded = (*coefficients, *(0.0,) * (14 - len(coefficients)))
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tau_x, tau_y = padded
        return cls(
            numerator=np.array([1, k1, k2, k3]),
            denominator=np.array([1, k4, k5, k6]),
            t=np.array([p2, p1]),
            cross=2.0,
            a=np.array([s1, s3]),
            b=np.array([s2, s4]),
            tilt=_tilt_homography(tau_x, tau_y) if tau_x or tau_y else None,
            max_coordinate=math.inf,
        )

    @classmethod
    def h36m_toolbox(cls, coefficients: tuple[float, ...]) -> PolynomialFormula:
        """Build the formula from ``k1 k2 k3 q_x q_y``."""
        k1, k2, k3, qx, qy = coefficients
        return cls(
            numerator=np.array([1, k1, k2, k3]),
            denominator=np.array([1.0, 0, 0, 0]),
            t=np.array([qx, qy]),
            cross=1.0,
            a=np.zeros(2),
            b=np.zeros(2),
            tilt=None,
            max_coordinate=1.0,  # the toolbox clamps coordinates there, so nothing is known beyond
        )

    @functools.cached_property
    def _is_radial(self) -> bool:
        return not (self.t.any() or self.a.any() or self.b.any())

    @functools.cached_property
    def _is_rational(self) -> bool:
        return bool(self.denominator[1:].any())

    @functools.cached_property
    def radius(self) -> float:
        """Radius up to which the map without tilt is strictly monotone in every direction.

        The symmetric Jacobian of the radial part has the eigenvalues ``f'(r)`` and ``f(r) / r``
        with ``f(r) = r N/D``; the other terms change an eigenvalue by at most their spectral norm,
        ``(2 cross |t| + 2 |t + a|) r + 4 |b| r^3``. The radius is where an eigenvalue may first
        leave the limits of the local scale. All conditions are polynomials in r: the first
        positive root among them is the answer.
        """
        n, d = np.zeros(7), np.zeros(7)
        n[::2], d[::2] = self.numerator, self.denominator  # now in powers of r
        low, high = np.zeros(4), np.zeros(4)
        low[0], high[0] = MIN_LOCAL_SCALE, MAX_LOCAL_SCALE
        low[1] = 2 * self.cross * np.hypot(*self.t) + 2 * np.hypot(*(self.t + self.a))
        low[3] = 4 * np.hypot(*self.b)
        high[1:] = -low[1:]
        multiply, subtract, derive = polynomial.polymul, polynomial.polysub, polynomial.polyder
        wronskian = subtract(multiply(derive(n), d), multiply(n, derive(d)))
        slope = polynomial.polyadd(multiply(n, d), polynomial.polymulx(wronskian))  # f' D^2
        d2 = multiply(d, d)
        return min(
            _MAX_RADIUS,
            _first_positive_root(d),
            *(_first_positive_root(subtract(n, multiply(bound, d))) for bound in (low, high)),
            *(_first_positive_root(subtract(slope, multiply(bound, d2))) for bound in (low, high)),
        )

    def _radial(self, s: Floats) -> tuple[Floats, Floats]:
        """Return N/D and its derivative by s."""
        n, dn = _polynomial(s, self.numerator), _polynomial(s, self.numerator[1:] * [1, 2, 3])
        if not self._is_rational:
            return n, dn
        d, dd = _polynomial(s, self.denominator), _polynomial(s, self.denominator[1:] * [1, 2, 3])
        return n / d, (dn * d - n * dd) / (d * d)

    def _plain(self, u: Floats) -> Floats:
        """Distort without the tilt and without regard to validity."""
        s = np.sum(u * u, axis=-1, keepdims=True)
        factor = _polynomial(s, self.numerator)
        if self._is_rational:
            factor = factor / _polynomial(s, self.denominator)
        if self._is_radial:
            return np.asarray(u * factor)
        factor = factor + self.cross * (u @ self.t)[..., None]
        return np.asarray(u * factor + s * (self.t + self.a + s * self.b))

    def _plain_jacobian(self, u: Floats) -> Floats:
        s = np.sum(u * u, axis=-1)
        scale, slope = self._radial(s)
        diagonal = (scale + self.cross * (u @ self.t))[..., None, None]
        right = 2 * slope[..., None] * u + self.cross * self.t
        left = 2 * (self.t + self.a + 2 * s[..., None] * self.b)
        return np.asarray(
            diagonal * np.eye(2)
            + u[..., :, None] * right[..., None, :]
            + left[..., :, None] * u[..., None, :]
        )

    def _tilted(self, v: Floats) -> Floats:
        """Go on to the tilted sensor; NaN near and beyond the horizon of its plane."""
        if self.tilt is None:
            return v
        return _through_homography(self.tilt, v, self.tilt[2, 2] / math.sqrt(MAX_LOCAL_SCALE))

    def _is_inside(self, u: Floats) -> Flags:
        inside = np.hypot(u[..., 0], u[..., 1]) <= self.radius
        return np.asarray(inside & (np.abs(u).max(axis=-1) <= self.max_coordinate))

    def distort(self, u: Floats) -> Floats:
        """Map ideal points to distorted ones; NaN outside the valid region."""
        v = self._tilted(self._plain(u))
        is_good = self._is_inside(u) & np.isfinite(v).all(axis=-1)
        return np.where(is_good[..., None], v, np.nan)

    def jacobian(self, u: Floats) -> Floats:
        """Return the derivative ``[..., 2, 2]`` of :meth:`distort`."""
        derivative = self._plain_jacobian(u)
        if self.tilt is None:
            return derivative
        v = self._plain(u)
        w = (v @ self.tilt[2, :2] + self.tilt[2, 2])[..., None, None]
        outer = self.tilt[:2, :2] - self._tilted(v)[..., :, None] * self.tilt[2, :2]
        return np.asarray((outer / w) @ derivative)

    def undistort(self, v: Floats) -> Floats:
        """Map distorted points to ideal ones; NaN where no valid one exists."""
        result = np.full(v.shape, np.nan)
        if self.tilt is not None:
            v = _through_homography(np.asarray(np.linalg.inv(self.tilt)), v, 0.0)
        known = np.isfinite(v).all(axis=-1)
        v = v[known]
        if v.size:
            u = self._radial_start(v)
            if not self._is_radial:
                u = self._refined(u, v)
            error = np.abs(self._plain(u) - v).max(axis=-1)
            is_good = self._is_inside(u) & (error <= 1e-12 * (1 + np.abs(v).max(axis=-1)))
            is_good &= np.isfinite(self._tilted(v)).all(axis=-1)
            result[known] = np.where(is_good[:, None], u, np.nan)
        return result

    def _radial_start(self, v: Floats) -> Floats:
        """Solve the radial part alone; points beyond its reach are put on the rim."""

        def along_radius(r: Floats) -> tuple[Floats, Floats]:
            scale, slope = self._radial(r * r)
            return r * scale, scale + 2 * r * r * slope

        length = np.hypot(v[:, 0], v[:, 1])
        reachable = np.minimum(length, along_radius(np.array(self.radius))[0])
        r = solve_increasing(along_radius, reachable, self.radius)
        return v * (r / np.where(length > 0, length, 1))[:, None]

    def _refined(self, u: Floats, v: Floats) -> Floats:
        """Refine by Newton's method.

        A step that leaves the valid disk, or does not bring the image nearer, is halved.
        """
        error = self._plain(u) - v
        for _ in range(50):
            step = _solve_2x2(self._plain_jacobian(u), error)
            share = np.ones((len(u), 1))
            for _ in range(12):
                trial = u - share * step
                trial_error = self._plain(trial) - v
                worse = ~(np.hypot(*trial_error.T) <= np.hypot(*error.T))  # NaN counts as worse
                worse |= np.hypot(*trial.T) > self.radius
                if not worse.any():
                    break
                share[worse] /= 2
            trial[worse], trial_error[worse] = u[worse], error[worse]
            has_settled = np.abs(trial - u).max() <= 1e-15 * (1 + np.abs(u).max())
            u, error = trial, trial_error
            if has_settled:
                break
        return u


@dataclass(frozen=True, eq=False)
class FisheyeFormula:
    """Kannala-Brandt: the distorted radius is a polynomial of the angle to the optical axis.

    ``theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8)`` with
    ``theta = atan(r)``; a point keeps its direction and gets the radius ``theta_d``. Only angles
    below a right angle exist on the plane z = 1.
    """

    k: Floats  # (1, k1, k2, k3, k4)

    @classmethod
    def kannala_brandt(cls, coefficients: tuple[float, ...]) -> FisheyeFormula:
        """Build the formula from ``k1 k2 k3 k4``."""
        return cls(np.array([1.0, *coefficients]))

    @functools.cached_property
    def _max_angle(self) -> float:
        """Angle up to which the distorted angle grows; at most a right angle."""
        slope = self.k * [1, 3, 5, 7, 9]
        slope[0] -= MIN_LOCAL_SCALE
        return min(math.sqrt(_first_positive_root(slope)), math.pi / 2)

    @property
    def radius(self) -> float:
        """Tangent of the largest usable angle; infinite if the polynomial never folds."""
        return math.tan(self._max_angle) if self._max_angle < math.pi / 2 else math.inf

    def _bend(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return the distorted angle and its derivative."""
        s = theta * theta
        return theta * _polynomial(s, self.k), _polynomial(s, self.k * [1, 3, 5, 7, 9])

    def distort(self, u: Floats) -> Floats:
        """Map ideal points to distorted ones; NaN outside the valid region."""
        r = np.hypot(u[..., 0], u[..., 1])
        theta = np.arctan(r)
        scale = np.where(r > 0, self._bend(theta)[0] / np.where(r > 0, r, 1), 1.0)
        is_inside = np.isfinite(r) & (theta <= self._max_angle)
        return np.where(is_inside[..., None], u * scale[..., None], np.nan)

    def undistort(self, v: Floats) -> Floats:
        """Map distorted points to ideal ones; NaN where no valid one exists."""
        result = np.full(v.shape, np.nan)
        bent = np.hypot(v[..., 0], v[..., 1])
        reachable = bent <= self._bend(np.array(self._max_angle))[0]  # false for NaN
        bent, v = bent[reachable], v[reachable]
        theta = solve_increasing(self._bend, bent, self._max_angle)
        # A ray at a right angle has no point on the plane z = 1.
        radius = np.where(theta < math.pi / 2 - 1e-12, np.tan(theta), np.nan)
        scale = np.where(bent > 0, radius / np.where(bent > 0, bent, 1), 1.0)
        result[reachable] = v * scale[:, None]
        return result

    def jacobian(self, u: Floats) -> Floats:
        """Return the derivative ``[..., 2, 2]`` of :meth:`distort`."""
        r = np.hypot(u[..., 0], u[..., 1])
        bent, slope = self._bend(np.arctan(r))
        is_tiny = r < 1e-4  # there, the first term of the series is exact to float64
        safe = np.where(is_tiny, 1.0, r)
        second = self.k[1] - 1 / 3
        scale = np.where(is_tiny, 1 + second * r * r, bent / safe)
        curve = np.where(is_tiny, 2 * second, (slope / (1 + r * r) - scale) / (safe * safe))
        outer = u[..., :, None] * u[..., None, :]
        return np.asarray(scale[..., None, None] * np.eye(2) + curve[..., None, None] * outer)


def solve_increasing(
    function: Callable[[Floats], tuple[Floats, Floats]], value: Floats, upper: float
) -> Floats:
    """Solve ``function(x) = value`` on ``[0, upper]`` by Newton's method inside a bracket.

    ``function`` returns its value and its slope; it is zero at zero and its slope is at least
    :data:`MIN_LOCAL_SCALE`. A Newton step is taken only from a point whose error is half of the
    point's before, and only inside the bracket; otherwise the bracket is bisected. (Newton's
    method alone runs in circles for some fisheye polynomials.)
    """
    low = np.zeros_like(value)
    high = np.minimum(upper, value / MIN_LOCAL_SCALE)
    x = np.minimum(value, high)
    last_error = np.full_like(value, np.inf)
    for _ in range(200):
        result, slope = function(x)
        error = result - value
        low, high = np.where(error < 0, x, low), np.where(error > 0, x, high)
        is_settled = (np.abs(error) <= 1e-15 * (1 + value)) | (high - low <= 1e-15 * (1 + x))
        if is_settled.all():
            break
        step = x - error / slope
        is_good = (np.abs(error) <= last_error / 2) & (step >= low) & (step <= high)
        x = np.where(is_settled, x, np.where(is_good, step, (low + high) / 2))
        last_error = np.abs(error)
    return x


def _polynomial(x: Floats, coefficients: Floats) -> Floats:
    """Evaluate a polynomial of ascending powers; lighter than numpy's, which checks its input."""
    *lower, highest = coefficients.tolist()
    result = np.full_like(x, highest)
    for coefficient in reversed(lower):
        result *= x
        result += coefficient
    return result


def _solve_2x2(matrix: Floats, right: Floats) -> Floats:
    """Solve ``[N, 2, 2]`` systems; infinite or NaN where singular, without raising."""
    a, b, c, d = (matrix[:, i, j] for i in (0, 1) for j in (0, 1))
    x, y = right.T
    return np.asarray(np.stack([d * x - b * y, a * y - c * x], axis=1) / (a * d - b * c)[:, None])


def _first_positive_root(coefficients: NDArray[np.floating]) -> float:
    """Return the smallest positive real root of a polynomial in ascending powers, or infinity.

    The constant must not be zero. Solved for the reciprocal, so that vanishing coefficients of
    high powers, which belong to far roots, do no harm.
    """
    reverse = polynomial.polytrim(coefficients)[::-1]
    roots = polynomial.polyroots(reverse)
    # A double root comes out as a pair with small imaginary parts; taking it as real is cautious.
    real = roots.real[(np.abs(roots.imag) <= 1e-6 * np.abs(roots)) & (roots.real > 0)]
    # Rounding scatters clusters of roots; what is no root of the polynomial is dropped again.
    residual = np.abs(polynomial.polyval(real, reverse))
    real = real[residual <= 1e-9 * polynomial.polyval(real, np.abs(reverse))]
    nearest = float(real.max(initial=0.0))
    return 1 / nearest if nearest > 1 / _MAX_RADIUS else math.inf


def _tilt_homography(tau_x: float, tau_y: float) -> Floats:
    """Return the homography of a sensor tilted about its x and y axes, as OpenCV defines it."""
    cx, sx, cy, sy = math.cos(tau_x), math.sin(tau_x), math.cos(tau_y), math.sin(tau_y)
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    r = about_y @ about_x
    project = np.array([[r[2, 2], 0, -r[0, 2]], [0, r[2, 2], -r[1, 2]], [0, 0, 1]])
    return np.asarray(project @ r)


def _through_homography(h: Floats, v: Floats, least_w: float) -> Floats:
    """Apply a homography to points ``[..., 2]``; NaN where its denominator is too small."""
    w = (v @ h[2, :2] + h[2, 2])[..., None]
    return np.where(w > least_w, (v @ h[:2, :2].T + h[:2, 2]) / w, np.nan)
