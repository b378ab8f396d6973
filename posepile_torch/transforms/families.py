"""The parts of a recipe: one frozen dataclass of numbers for each family of augmentations.

This module only gathers the names; the numbers are described in
:mod:`posepile_torch.transforms.view_numbers`, :mod:`posepile_torch.transforms.look_numbers` and
:mod:`posepile_torch.transforms.label_numbers`.
"""

from posepile_torch.transforms.label_numbers import (
    HeatmapNumbers,
    Labels,
    Pixels,
)
from posepile_torch.transforms.look_numbers import (
    BUILTIN_BANK,
    Artefacts,
    Background,
    Colour,
    Occlusion,
)
from posepile_torch.transforms.view_numbers import (
    Framing,
    Geometry,
    HalfBody,
    PartialView,
    Sampling,
    Spread,
    standard_normal,
)

__all__ = [
    "BUILTIN_BANK",
    "Artefacts",
    "Background",
    "Colour",
    "Framing",
    "Geometry",
    "HalfBody",
    "HeatmapNumbers",
    "Labels",
    "Occlusion",
    "PartialView",
    "Pixels",
    "Sampling",
    "Spread",
    "standard_normal",
]
