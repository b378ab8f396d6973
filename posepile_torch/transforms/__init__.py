"""From a stored record to the image and labels that a network sees."""

from posepile_torch.transforms.geometry import evaluation_camera
from posepile_torch.transforms.recipes import Recipe, evaluation
from posepile_torch.transforms.render import render

__all__ = ["Recipe", "evaluation", "evaluation_camera", "render"]
