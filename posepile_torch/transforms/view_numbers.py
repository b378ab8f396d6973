"""Numbers of a recipe that say where the image looks and how its pixels are taken.

Every class starts out switched off. Angles are radians, sizes ``(width, height)`` in pixels,
probabilities and shares between 0 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from posepile_torch.errors import RecipeError
from posepile_torch.transforms.number_checks import (
    check_choice,
    check_number,
    check_shares,
    require,
)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a number varies about its neutral value.

    Attributes:
        kind: ``"uniform"``: within ``width`` to both sides. ``"gaussian"``: normal with standard
            deviation ``width``, clipped at ``limit``.
        width: See ``kind``.
        limit: Largest deviation of the Gaussian; not used by the uniform kind.
        probability: How often it varies at all.
    """

    kind: Literal["uniform", "gaussian"] = "uniform"
    width: float = 0.0
    limit: float = 0.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_choice(self, "kind", "uniform", "gaussian")
        check_number(self, "width", 0.0, 1e6)
        check_number(self, "limit", 0.0, 1e6)
        check_shares(self, "probability")

    @property
    def largest(self) -> float:
        """Largest deviation that can occur."""
        return self.width if self.kind == "uniform" else min(self.limit, 9.0 * self.width)

    def deviation(self, u_apply: float, u_first: float, u_second: float) -> float:
        """Turn three numbers from ``[0, 1)`` into a deviation."""
        if u_apply >= self.probability:
            return 0.0
        if self.kind == "uniform":
            return self.width * (2 * u_first - 1)
        return min(max(self.width * standard_normal(u_first, u_second), -self.limit), self.limit)


def standard_normal(u_first: float, u_second: float) -> float:
    """Turn two numbers from ``[0, 1)`` into one from the standard normal distribution."""
    # Box and Muller: unlike a rejection method it always takes two numbers.
    return math.sqrt(-2 * math.log(1 - u_first)) * math.cos(2 * math.pi * u_second)


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How the person's box is put into the image, before anything random.

    Attributes:
        mode: ``"camera"``: the camera is turned to the box and levelled. ``"affine"``: the image
            is only shifted, scaled and rolled; always so for data without a camera.
        padding: The box is grown by this factor first.
        fits_short_side: Grow the longer side to the aspect of the image, not the shorter: the
            image then cuts the longer side (affine mode).
        limit_to_image: The grown box is at most as large as the longer side of the stored image
            (affine mode).
        centre: Where the box centre lands in affine mode. ``"exact"``: the centre of the image,
            ``((W - 1) / 2, (H - 1) / 2)``. ``"half"``: ``(W / 2, H / 2)``, half a pixel off, as
            published pipelines have it.
    """

    mode: Literal["camera", "affine"] = "camera"
    padding: float = 1.0
    fits_short_side: bool = False
    limit_to_image: bool = False
    centre: Literal["exact", "half"] = "exact"

    def __post_init__(self) -> None:
        check_choice(self, "mode", "camera", "affine")
        check_choice(self, "centre", "exact", "half")
        check_number(self, "padding", 0.1, 10.0)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Random shift, scale, roll and flip.

    Attributes:
        centre_shift: Radius of the disc in which the centre moves, as a share of the long side
            of the box.
        scale: Deviation of the scale factor from 1.
        scale_of: ``"image"``: the person becomes larger by the factor. ``"box"``: the box does,
            so the person becomes smaller.
        roll: Roll about the optical axis, radians.
        full_turn_probability: How often the roll is uniform over the full turn instead.
        flip_probability: How often the image is mirrored.
        flips_bodies: Whether records with body-model parameters may be mirrored.
    """

    centre_shift: float = 0.0
    scale: Spread = Spread()
    scale_of: Literal["image", "box"] = "image"
    roll: Spread = Spread()
    full_turn_probability: float = 0.0
    flip_probability: float = 0.0
    flips_bodies: bool = True

    def __post_init__(self) -> None:
        check_number(self, "centre_shift", 0.0, 2.0)
        check_choice(self, "scale_of", "image", "box")
        check_shares(self, "full_turn_probability", "flip_probability")
        if self.scale.largest >= 0.95:
            raise RecipeError(
                f"the scale may deviate by {self.scale.largest}",
                where="Geometry",
                rule="a scale factor stays well above 0: deviations are below 0.95",
                fix="lower the width or the limit of scale",
            )


@dataclass(frozen=True, kw_only=True)
class PartialView:
    """Showing only a part of the person: a random square within the squared box.

    Attributes:
        probability: How often.
        least_side: Smallest side of the part, as a share of the squared box.
        only_single_person: Leave sources alone in which the part might show somebody else.
    """

    probability: float = 0.0
    least_side: float = 0.5
    only_single_person: bool = True

    def __post_init__(self) -> None:
        check_shares(self, "probability")
        check_number(self, "least_side", 0.1, 0.75)


@dataclass(frozen=True, kw_only=True)
class HalfBody:
    """Showing only the upper or the lower body, by a box around its visible joints.

    Attributes:
        probability: How often.
        more_than: It takes more visible joints than this.
        upper_share: How often the upper body is chosen, where both halves can be.
        least_joints: A half needs at least so many visible joints; else the other is taken.
        growth: The box around the joints is grown by this factor.
    """

    probability: float = 0.0
    more_than: int = 8
    upper_share: float = 0.5
    least_joints: int = 3
    growth: float = 1.5

    def __post_init__(self) -> None:
        check_shares(self, "probability", "upper_share")
        check_number(self, "more_than", 0, 10000)
        check_number(self, "least_joints", 2, 10000)
        check_number(self, "growth", 0.5, 5.0)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How pixels are taken from the stored crop.

    The crop is decoded at a half, quarter or eighth of its size where that loses nothing, which
    also averages; see :func:`posepile_torch.transforms.render.render`.

    Attributes:
        interpolation: ``"linear"``, ``"cubic"`` or ``"nearest"``.
        supersample: Samples along each side of a pixel, averaged; 1 is one per pixel.
    """

    interpolation: Literal["linear", "cubic", "nearest"] = "linear"
    supersample: int = 1

    def __post_init__(self) -> None:
        check_choice(self, "interpolation", "linear", "cubic", "nearest")
        require(
            isinstance(self.supersample, int) and 1 <= self.supersample <= 4,
            self,
            "supersample",
            "it is a whole number from 1 to 4",
        )
