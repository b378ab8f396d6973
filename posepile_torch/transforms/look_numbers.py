"""Numbers of a recipe that say how the image is changed after it was warped.

Every class starts out switched off. Angles are radians, probabilities and shares between 0 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from posepile_torch.hints import Hints
from posepile_torch.transforms.number_checks import (
    Range,
    check_choice,
    check_number,
    check_range,
    check_shares,
)

BUILTIN_BANK = "builtin"
"""Name of the backgrounds and occluders that the library makes itself."""


@dataclass(frozen=True, kw_only=True)
class Background:
    """Replacing everything outside the mask by another picture.

    Attributes:
        probability: How often, for sources whose hints say nothing about the background.
        probability_realistic: How often where backgrounds are varied and real already.
        probability_blank: How often where people stand before one flat colour.
        with_2d: Whether records without 3D labels take part.
        zoom: Factor beyond covering the image, drawn uniformly from this range.
        shift: Radius of the disc in which the picture moves, as a share of the image.
        bank: Folder of a bank made by ``posepile backgrounds build``, or ``"builtin"``.
    """

    probability: float = 0.0
    probability_realistic: float = 0.0
    probability_blank: float = 0.0
    with_2d: bool = True
    zoom: Range = (1.2, 1.5)
    shift: float = 0.1
    bank: str = BUILTIN_BANK

    def __post_init__(self) -> None:
        check_shares(self, "probability", "probability_realistic", "probability_blank")
        check_range(self, "zoom", 1.0, 10.0)
        check_shares(self, "shift")

    def probability_for(self, hints: Hints, *, has_3d: bool) -> float:
        """Return how often the background of a source with these hints is replaced."""
        if not has_3d and not self.with_2d:
            return 0.0
        if hints.blank_background:
            return self.probability_blank
        return self.probability_realistic if hints.realistic_background else self.probability


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """Hiding parts of the image: pasted objects, or else a rectangle of noise.

    Attributes:
        probability: How often, for records with 3D labels.
        probability_2d: How often, for records without.
        object_share: Share of objects; the rest are erased rectangles.
        object_count: Fewest and most objects.
        object_scale: Range of their scale; 1 leaves an object at its size in the bank for an
            image of 256 px, and grows with the image.
        erase_area: Range of the rectangle's area, as a share of the image.
        erase_aspect: Range of its width over its height.
        bank: Folder of a bank made by ``posepile occluders build``, or ``"builtin"``.
    """

    probability: float = 0.0
    probability_2d: float = 0.0
    object_share: float = 0.5
    object_count: tuple[int, int] = (1, 6)
    object_scale: Range = (0.2, 1.0)
    erase_area: Range = (0.0, 1 / 3)
    erase_aspect: Range = (0.3, 1 / 0.3)
    bank: str = BUILTIN_BANK

    def __post_init__(self) -> None:
        check_shares(self, "probability", "probability_2d", "object_share")
        check_range(self, "object_count", 1, 100, whole=True)
        check_range(self, "object_scale", 0.01, 10.0)
        check_range(self, "erase_area", 0.0, 1.0)
        check_range(self, "erase_aspect", 0.01, 100.0)


@dataclass(frozen=True, kw_only=True)
class Colour:
    """Brightness, contrast, saturation and hue, in random order.

    Attributes:
        probability: How often.
        method: ``"matrix"``: one affine map of RGB, fast. ``"hsv"``: float HSV, as the published
            recipe computes it; about ten times slower.
        brightness: Largest shift, as a share of the full range.
        contrast: Range of the factor about mid-grey.
        saturation: Range of the factor.
        hue_rad: Largest turn of the colour circle.
    """

    probability: float = 0.0
    method: Literal["matrix", "hsv"] = "matrix"
    brightness: float = 0.0
    contrast: Range = (1.0, 1.0)
    saturation: Range = (1.0, 1.0)
    hue_rad: float = 0.0

    def __post_init__(self) -> None:
        check_shares(self, "probability", "brightness")
        check_choice(self, "method", "matrix", "hsv")
        check_range(self, "contrast", 0.0, 10.0)
        check_range(self, "saturation", 0.0, 10.0)
        check_number(self, "hue_rad", 0.0, math.pi)


@dataclass(frozen=True, kw_only=True)
class Artefacts:
    """What recording and storing do to images.

    Attributes:
        jpeg_probability: How often the image is stored as a poor JPEG.
        jpeg_quality: Range of its quality, whole numbers, both ends included.
        noise_probability: How often sensor noise is added.
        noise_levels: Largest standard deviation of the noise, of 255 grey levels.
        border_probability: How often each side of the image is covered by a black, slightly
            tilted border.
        border_depth: Its largest depth, as a share of the image.
        border_tilt_rad: Its largest tilt.
        marker_px: Diameter of a dot drawn on the middle of the person in records without 3D
            labels, which names the person among several; 0 draws none.
    """

    jpeg_probability: float = 0.0
    jpeg_quality: tuple[int, int] = (15, 59)
    noise_probability: float = 0.0
    noise_levels: float = 0.0
    border_probability: float = 0.0
    border_depth: float = 0.08
    border_tilt_rad: float = math.radians(8)
    marker_px: float = 0.0

    def __post_init__(self) -> None:
        check_shares(self, "jpeg_probability", "noise_probability", "border_probability")
        check_range(self, "jpeg_quality", 1, 100, whole=True)
        check_number(self, "noise_levels", 0.0, 255.0)
        check_number(self, "border_depth", 0.0, 0.5)
        check_number(self, "border_tilt_rad", 0.0, math.radians(45))
        check_number(self, "marker_px", 0.0, 1000.0)
