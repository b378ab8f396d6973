"""From a stored record to the image and labels that a network sees."""

from posepile_torch.transforms.clips import apply_recipe_to_clip
from posepile_torch.transforms.geometry import (
    evaluation_camera,
    target_camera,
    weak_perspective_camera,
)
from posepile_torch.transforms.pipeline import PreparedImage, apply_recipe
from posepile_torch.transforms.recipes import Recipe, evaluation
from posepile_torch.transforms.render import render
from posepile_torch.transforms.streams import RandomKey
from posepile_torch.transforms.views import View, plan_view

__all__ = [
    "PreparedImage",
    "RandomKey",
    "Recipe",
    "View",
    "apply_recipe",
    "apply_recipe_to_clip",
    "evaluation",
    "evaluation_camera",
    "plan_view",
    "render",
    "target_camera",
    "weak_perspective_camera",
]
