"""Lens models: from ideal image-plane points to the points a real lens makes of them, and back.

All points here are on the *normalised image plane*: ``(x/z, y/z)`` of a camera-frame point, no
units. The focal lengths and the principal point are no part of a lens; they are in the camera's
``K``. A lens always carries the name of its model, because the number of coefficients does not
tell the model: four numbers are a Kannala-Brandt fisheye in one library and a Brown-Conrady lens
without its fifth number in the next.

Every model has a *valid region* around the optical axis in which no two ideal points share one
distorted point. Fitted polynomials fold back on themselves somewhere outside the calibrated field
of view; past the fold a formula still yields finite numbers, which are wrong. Here everything
outside the valid region is NaN, in both directions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch.errors import CameraError
from posepile_torch.lens_maths import FisheyeFormula, Formula, PolynomialFormula

Floats = NDArray[np.float64]

LENS_MODELS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "none": (0,),
        "brown-conrady": (5, 8, 12, 14),
        "kannala-brandt": (4,),
        "h36m-toolbox": (5,),
    }
)
"""Known lens models and the numbers of coefficients that each may have."""

_MAX_COEFFICIENT = 1e6  # far above any calibration; keeps the polynomials free of overflow

_SIDEWAYS = {"brown-conrady": (3, 8, 9, 13), "h36m-toolbox": (3,)}
"""Places of the coefficients that push points sideways: p2, s1, s2, tau_y; q_x."""


@dataclass(frozen=True)
class Lens:
    """A lens model and its coefficients.

    Points are ``[..., 2]`` on the normalised image plane (x right, y down, unitless). The formulae
    are in ``docs/conventions.md``.

    Args:
        model: One of ``"none"``, ``"brown-conrady"``, ``"kannala-brandt"``, ``"h36m-toolbox"``.
        coefficients: In the order of the model: OpenCV's ``k1 k2 p1 p2 k3 [k4 k5 k6 [s1 s2 s3 s4
            [tau_x tau_y]]]`` for Brown-Conrady, ``k1 k2 k3 k4`` for Kannala-Brandt, and
            ``k1 k2 k3 q_x q_y`` for the Human3.6M toolbox model.

    Raises:
        CameraError: If the model is unknown, has another number of coefficients, or one of them is
            not finite or absurdly large.
    """

    model: str = "none"
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", _as_floats(self.coefficients))
        if len(self.coefficients) not in LENS_MODELS.get(self.model, ()):
            raise _unknown_lens(self.model, len(self.coefficients))
        if not all(abs(c) <= _MAX_COEFFICIENT for c in self.coefficients):
            raise CameraError(
                f"lens coefficients {list(self.coefficients)}",
                rule=f"lens coefficients are finite numbers of at most {_MAX_COEFFICIENT:g}",
                fix="use Lens.none() if the calibration has no distortion",
            )

    @classmethod
    def none(cls) -> Lens:
        """Return the ideal pinhole lens."""
        return cls()

    @classmethod
    def brown_conrady(cls, coefficients: Iterable[float]) -> Lens:
        """Return OpenCV's standard lens from 5, 8, 12 or 14 coefficients in OpenCV's order.

        Shorter calibrations must be filled up with zeros by the caller, who knows what they are.
        """
        return cls("brown-conrady", _as_floats(coefficients))

    @classmethod
    def kannala_brandt(cls, coefficients: Iterable[float]) -> Lens:
        """Return the equidistant-polynomial fisheye (``cv2.fisheye``) from its 4 coefficients."""
        return cls("kannala-brandt", _as_floats(coefficients))

    @classmethod
    def h36m_toolbox(cls, k: Iterable[float], q: Iterable[float]) -> Lens:
        """Return the lens of the Human3.6M toolbox from its radial triple and tangential pair.

        ``q`` is ``(q_x, q_y)`` as the widely copied camera tables store it, which is ``(p2, p1)``
        of the dataset's own ``metadata.xml``. The cross term has no factor 2, unlike OpenCV's.
        """
        return cls("h36m-toolbox", (*_as_floats(k), *_as_floats(q)))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Lens:
        """Rebuild a lens from :meth:`to_dict`."""
        if set(data) != {"model", "coefficients"}:
            raise CameraError(
                f"a stored lens has the keys {sorted(data)}",
                rule="a stored lens has exactly the keys 'coefficients' and 'model'",
                fix="store lenses with Lens.to_dict()",
            )
        return cls(data["model"], _as_floats(data["coefficients"]))

    def to_dict(self) -> dict[str, Any]:
        """Return the lens as JSON-able values; floats keep every bit."""
        return {"model": self.model, "coefficients": list(self.coefficients)}

    @property
    def is_ideal(self) -> bool:
        """Whether the lens leaves every point where it is."""
        return _formula(self) is None

    @property
    def valid_radius(self) -> float:
        """Radius of the disk of ideal points in which the model is one-to-one; may be infinite.

        It is the tangent of the largest usable angle to the optical axis. Inside the disk the map
        is strictly monotone (the symmetric part of its Jacobian is positive definite), which
        proves that it does not fold. The bound on the tangential terms is a little cautious. Two
        models are bounded further, see :meth:`is_valid`.
        """
        formula = _formula(self)
        return math.inf if formula is None else formula.radius

    def is_valid(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Tell which ideal points ``[..., 2]`` lie in the valid region; NaN points do not.

        That is the disk of :attr:`valid_radius`; for the Human3.6M toolbox also the square
        ``|x|, |y| <= 1``, where the toolbox starts to clamp; and for a tilted sensor also the
        points whose rays reach the sensor plane.
        """
        return np.asarray(np.isfinite(self.distort(points)).all(axis=-1))

    def distort(self, points: ArrayLike) -> Floats:
        """Map ideal points ``[..., 2]`` to distorted points; NaN outside the valid region."""
        ideal = _as_points(points)
        formula = _formula(self)
        if formula is None:
            return ideal.copy()
        with np.errstate(all="ignore"):
            return formula.distort(ideal)

    def undistort(self, points: ArrayLike) -> Floats:
        """Map distorted points ``[..., 2]`` to ideal points; NaN where no valid one exists.

        Solved by Newton's method with the analytic Jacobian, from a bracketed radial solution, to
        the last digits of float64.
        """
        distorted = _as_points(points)
        formula = _formula(self)
        if formula is None:
            return distorted.copy()
        with np.errstate(all="ignore"):
            return formula.undistort(distorted)

    def jacobian(self, points: ArrayLike) -> Floats:
        """Return the derivative ``[..., 2, 2]`` of :meth:`distort` at ideal points ``[..., 2]``.

        Row i, column j is the change of distorted coordinate i with ideal coordinate j; NaN
        outside the valid region.
        """
        ideal = _as_points(points)
        formula = _formula(self)
        if formula is None:
            return np.broadcast_to(np.eye(2), (*ideal.shape, 2)).copy()
        with np.errstate(all="ignore"):
            derivative = formula.jacobian(ideal)
        return np.where(self.is_valid(ideal)[..., None, None], derivative, np.nan)

    def mirrored(self) -> Lens:
        """Return the lens of the left-right mirrored image.

        ``mirrored().distort((-x, y))`` is ``(-x', y')`` where ``distort((x, y))`` is ``(x', y')``:
        the coefficients that push sideways change sign, all others stay.
        """
        sideways = _SIDEWAYS.get(self.model, ())
        return Lens(
            self.model,
            tuple(-c if i in sideways else c for i, c in enumerate(self.coefficients)),
        )


@functools.lru_cache(maxsize=4096)
def _formula(lens: Lens) -> Formula | None:
    """Return the formula of a lens; None if it leaves every point where it is."""
    if lens.model == "kannala-brandt":
        return FisheyeFormula.kannala_brandt(lens.coefficients)
    if lens.model == "h36m-toolbox":
        return PolynomialFormula.h36m_toolbox(lens.coefficients)
    if any(lens.coefficients):
        return PolynomialFormula.brown_conrady(lens.coefficients)
    return None


def _as_floats(values: Iterable[float]) -> tuple[float, ...]:
    try:
        listed = values if isinstance(values, np.ndarray) else list(values)
        return tuple(np.asarray(listed, dtype=np.float64).ravel().tolist())
    except (TypeError, ValueError):
        raise CameraError(
            f"lens coefficients {values!r} are not numbers",
            rule="lens coefficients are a flat list of numbers",
            fix="use Lens.none() if the calibration has no distortion",
        ) from None


def _as_points(points: ArrayLike) -> Floats:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != 2:
        raise CameraError(
            f"image points have the shape {array.shape}",
            rule="image points are [..., 2]",
            fix="put x and y on the last axis",
        )
    return array


def _unknown_lens(model: str, count: int) -> CameraError:
    known = "; ".join(
        f"{name} ({', '.join(map(str, counts))})" for name, counts in LENS_MODELS.items()
    )
    hint = ""
    if count == 4 and model == "brown-conrady":
        hint = (
            "; four numbers are either k1 k2 p1 p2 (append k3 = 0) or a Kannala-Brandt fisheye: "
            "look it up, do not guess"
        )
    return CameraError(
        f"no lens model {model!r} with {count} coefficients",
        rule=f"known models (numbers of coefficients): {known}",
        fix="name the model the dataset documents and pad its coefficients with zeros" + hint,
    )
