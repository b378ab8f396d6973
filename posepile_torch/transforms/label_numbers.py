"""Numbers of a recipe that say what a network learns from: labels, heatmaps, normalised pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from posepile_torch.transforms.number_checks import (
    check_choice,
    check_number,
    is_size,
    require,
)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What is done to 2D labels.

    Attributes:
        lowest_share: 2D labels of records without 3D labels count as unknown below this share
            of the height of the stored image, where annotators guessed feet at the border.
        drops_outside: Whether such labels count as unknown where they lie outside the stored
            image, too.
        noise_px: Standard deviation of noise added to 2D labels, in pixels of the sample. For
            networks that take 2D joints as input.
    """

    lowest_share: float = 1.0
    drops_outside: bool = False
    noise_px: float = 0.0

    def __post_init__(self) -> None:
        check_number(self, "lowest_share", 0.1, 1.0)
        check_number(self, "noise_px", 0.0, 1000.0)


@dataclass(frozen=True, kw_only=True)
class HeatmapNumbers:
    """How heatmaps are drawn; see :mod:`posepile_torch.transforms.heatmaps`.

    Attributes:
        size: ``(width, height)`` of a heatmap.
        sigma_px: Standard deviation of the Gaussian, in heatmap pixels.
        window_sigmas: The Gaussian is cut off beyond a square of this half-width; 0 never.
        blend: What happens where two people's Gaussians meet: ``"max"`` or ``"overwrite"``.
        place: Where the Gaussian is centred: on the ``"exact"`` point, on its ``"nearest"``
            pixel, or on the pixel found by rounding ``"down"``.
        grid: How image pixels map to heatmap pixels. ``"exact"``: by their areas,
            ``(x + 0.5) s - 0.5``. ``"scaled"``: ``x s``, as published pipelines have it.
        weight: ``"in_window"``: a joint counts while its cut-off Gaussian reaches into the map.
            ``"in_map"``: while its pixel lies in the map.
        needs_visible: Whether occluded joints count as unknown.
    """

    size: tuple[int, int] = (64, 64)
    sigma_px: float = 2.0
    window_sigmas: float = 3.0
    blend: Literal["max", "overwrite"] = "max"
    place: Literal["exact", "nearest", "down"] = "exact"
    grid: Literal["exact", "scaled"] = "exact"
    weight: Literal["in_window", "in_map"] = "in_map"
    needs_visible: bool = False

    def __post_init__(self) -> None:
        require(is_size(self.size), self, "size", "it is (width, height), whole, 1 to 8192")
        check_number(self, "sigma_px", 0.05, 1000.0)
        check_number(self, "window_sigmas", 0.0, 100.0)
        check_choice(self, "blend", "max", "overwrite")
        check_choice(self, "place", "exact", "nearest", "down")
        check_choice(self, "grid", "exact", "scaled")
        check_choice(self, "weight", "in_window", "in_map")


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """How uint8 RGB becomes what the network takes: ``(value / divisor - mean) / std``.

    Attributes:
        order: Order of the channels that the network sees, ``"rgb"`` or ``"bgr"``. ``mean`` and
            ``std`` follow this order.
        divisor: 255, or 256 in some published pipelines.
        mean: One number a channel.
        std: One number a channel.
    """

    order: Literal["rgb", "bgr"] = "rgb"
    divisor: float = 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        check_choice(self, "order", "rgb", "bgr")
        check_number(self, "divisor", 1.0, 1e6)
        for field in ("mean", "std"):
            value = np.asarray(getattr(self, field), np.float64)
            require(value.shape == (3,), self, field, "it has one number for each channel")
            fine = np.isfinite(value).all() and (field == "mean" or (value > 0).all())
            require(bool(fine), self, field, "it is finite, and std is above 0")
