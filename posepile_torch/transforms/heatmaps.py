"""Heatmaps: one picture per joint with a Gaussian at the joint, as networks learn them.

Points are pixels of the heatmap with pixel centres at integers; :func:`to_grid` brings image
pixels there. Everything is vectorised over any leading axes and works on NumPy arrays and on
torch tensors alike, the latter on the device that they are on.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from posepile_torch.errors import RecipeError
from posepile_torch.transforms.families import HeatmapNumbers

Array = Any
"""A NumPy array or a torch tensor."""


class HeatmapTargets(NamedTuple):
    """What a network with heatmaps learns from.

    Attributes:
        heatmaps: ``[..., J, H, W]`` float32, 1 at the joint.
        weights: ``[..., J]`` float32, 0 for joints that say nothing.
        points: ``[..., J, 2]``, where the joints are, in heatmap pixels, not rounded.
    """

    heatmaps: Array
    weights: Array
    points: Array


def heatmap_targets(
    points: Array,
    known: Array,
    visible: Array,
    image_size: tuple[int, int],
    numbers: HeatmapNumbers,
    *,
    joint_weights: Array | None = None,
) -> HeatmapTargets:
    """Make the heatmaps and weights of samples, by the numbers of a recipe.

    Args:
        points: ``[..., J, 2]`` pixels of the image; anything where not known.
        known: ``[..., J]`` bool: which joints are annotated. An unannotated joint has weight 0
            wherever its numbers say it is.
        visible: ``[..., J]`` int8: -1 unknown, 0 occluded, 1 visible.
        image_size: ``(width, height)`` of the image.
        numbers: Size, sigma, cut-off, rounding and weight rules.
        joint_weights: ``[J]`` factors for the weights, none by default.
    """
    placed = to_grid(points, image_size, numbers)
    counts = known & (visible != 0) if numbers.needs_visible else known
    weights = weights_of(placed, counts, numbers)
    maps = drawn_heatmaps(placed, weights > 0, numbers)
    return HeatmapTargets(
        maps, weights if joint_weights is None else weights * joint_weights, placed
    )


def to_grid(points: Array, image_size: tuple[int, int], numbers: HeatmapNumbers) -> Array:
    """Map image pixels ``[..., 2]`` to heatmap pixels, not rounded.

    With ``grid == "exact"`` the areas that the pixels cover are mapped to each other,
    ``(x + 0.5) s - 0.5``; with ``"scaled"`` coordinates are multiplied by ``s``.
    """
    xp = _namespace(points)
    scale = [numbers.size[0] / image_size[0], numbers.size[1] / image_size[1]]
    factor = xp.asarray(scale, dtype=points.dtype, device=points.device)
    shift = (factor - 1) / 2 if numbers.grid == "exact" else factor * 0
    return points * factor + shift


def from_grid(points: Array, image_size: tuple[int, int], numbers: HeatmapNumbers) -> Array:
    """Map heatmap pixels ``[..., 2]`` to image pixels: the inverse of :func:`to_grid`."""
    xp = _namespace(points)
    scale = [numbers.size[0] / image_size[0], numbers.size[1] / image_size[1]]
    factor = xp.asarray(scale, dtype=points.dtype, device=points.device)
    shift = (factor - 1) / 2 if numbers.grid == "exact" else factor * 0
    return (points - shift) / factor


def weights_of(points: Array, counts: Array, numbers: HeatmapNumbers) -> Array:
    """Return 1 for joints that a heatmap can show, and 0 for all others.

    Args:
        points: ``[..., J, 2]`` heatmap pixels.
        counts: ``[..., J]`` bool: which joints may have a weight at all.
        numbers: ``weight`` says how far outside the map a joint may lie.
    """
    xp = _namespace(points)
    pixels = _pixels(points, numbers.place)
    reach = _reach(numbers) if numbers.weight == "in_window" else 0.0
    last = xp.asarray(numbers.size, dtype=points.dtype, device=points.device) - 1
    is_inside = (pixels + reach >= 0) & (pixels - reach <= last)
    return xp.where(counts & is_inside.all(-1), _one(points), _one(points) * 0)


def drawn_heatmaps(points: Array, is_drawn: Array, numbers: HeatmapNumbers) -> Array:
    """Draw Gaussians with peak 1, as ``[..., J, H, W]`` float32.

    Args:
        points: ``[..., J, 2]`` heatmap pixels, not rounded.
        is_drawn: ``[..., J]`` bool; the maps of other joints are zero.
        numbers: Size, sigma, cut-off, and where the Gaussian is centred.
    """
    maps, _ = _gaussians(points, is_drawn, numbers)
    return maps


def drawn_people(points: Array, is_drawn: Array, numbers: HeatmapNumbers) -> Array:
    """Draw several people into the same maps, as ``[..., J, H, W]`` float32.

    Where Gaussians of one joint meet, the larger value stays, or with ``blend == "overwrite"``
    that of the later person, over the whole window of its Gaussian.

    Args:
        points: ``[..., P, J, 2]`` heatmap pixels, not rounded.
        is_drawn: ``[..., P, J]`` bool.
        numbers: Size, sigma, cut-off, blending.
    """
    xp = _namespace(points)
    maps, is_covered = _gaussians(points, is_drawn, numbers)
    if numbers.blend == "max":
        return xp.amax(maps, -4)
    result = maps[..., 0, :, :, :]
    for person in range(1, maps.shape[-4]):
        result = xp.where(is_covered[..., person, :, :, :], maps[..., person, :, :, :], result)
    return result


def _gaussians(points: Array, is_drawn: Array, numbers: HeatmapNumbers) -> tuple[Array, Array]:
    """Return the maps, and where each Gaussian has its window."""
    xp = _namespace(points)
    centres = points if numbers.place == "exact" else _pixels(points, numbers.place)
    profiles, windows = [], []
    for axis, length in enumerate(numbers.size):
        grid = xp.arange(length, dtype=points.dtype, device=points.device)
        distance = grid - centres[..., axis, None]
        profiles.append(xp.exp(distance * distance * (-0.5 / numbers.sigma_px**2)))
        windows.append(abs(distance) <= _reach(numbers))
    is_covered = windows[1][..., :, None] & windows[0][..., None, :]
    is_covered = is_covered & is_drawn[..., None, None]
    # The Gaussian is the product of its profiles: two exponentials per row and column, not one
    # per pixel.
    maps = profiles[1][..., :, None] * profiles[0][..., None, :]
    one = _one(points)
    return xp.where(is_covered, xp.asarray(maps, dtype=one.dtype), one * 0), is_covered


def _reach(numbers: HeatmapNumbers) -> float:
    """Half-width of the window, in pixels; unbounded without a cut-off."""
    return numbers.window_sigmas * numbers.sigma_px if numbers.window_sigmas else float("inf")


def _pixels(points: Array, place: str) -> Array:
    """Round points to the pixels that stand for them."""
    xp = _namespace(points)
    return xp.floor(points if place == "down" else points + 0.5)


def _one(like: Array) -> Array:
    xp = _namespace(like)
    return xp.ones((), dtype=xp.float32, device=like.device)


def _namespace(array: Array) -> ModuleType:
    """Return the module whose functions fit an array: numpy or torch."""
    if isinstance(array, np.ndarray):
        return np
    module = type(array).__module__.partition(".")[0]
    if module != "torch":
        raise RecipeError(
            f"heatmaps of a {type(array).__name__}",
            rule="points are a NumPy array or a torch tensor",
            fix="pass np.asarray(points)",
        )
    import torch

    return torch


__all__ = [
    "HeatmapTargets",
    "drawn_heatmaps",
    "drawn_people",
    "from_grid",
    "heatmap_targets",
    "to_grid",
    "weights_of",
]
