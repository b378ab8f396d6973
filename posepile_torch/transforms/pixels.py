"""From uint8 RGB to what a network takes, and back; on the device, with explicit constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import ImageError
from posepile_torch.transforms.families import Pixels

if TYPE_CHECKING:
    import torch


def normalised(images: torch.Tensor, numbers: Pixels) -> torch.Tensor:
    """Turn uint8 RGB images into the network's input.

    Args:
        images: ``[..., 3, H, W]`` uint8 RGB, on any device.
        numbers: ``recipe.pixels``: order of the channels, divisor, mean and standard deviation.

    Returns:
        float32 of the same shape: ``(value / divisor - mean) / std``.

    Raises:
        ImageError: If the images are not uint8, or the third axis from the end is not 3 long.
    """
    import torch

    if images.dtype != torch.uint8 or images.ndim < 3 or images.shape[-3] != 3:
        raise ImageError(
            f"images are {images.dtype} of shape {tuple(images.shape)}",
            reason="argument",
            rule="images are uint8 RGB [..., 3, H, W] until they are normalised, once",
            fix="pass batch.image",
        )
    factor, offset = _affine(numbers)
    values = images.flip(-3) if numbers.order == "bgr" else images
    scale = torch.from_numpy(factor).to(images.device)[:, None, None]
    shift = torch.from_numpy(offset).to(images.device)[:, None, None]
    return torch.addcmul(shift, values.to(torch.float32), scale)


def restored(values: torch.Tensor, numbers: Pixels) -> torch.Tensor:
    """Turn a network's input back into uint8 RGB, for looking at it."""
    import torch

    factor, offset = _affine(numbers)
    scale = torch.from_numpy(factor).to(values.device)[:, None, None]
    shift = torch.from_numpy(offset).to(values.device)[:, None, None]
    images = ((values - shift) / scale).round().clamp(0, 255).to(torch.uint8)
    return images.flip(-3) if numbers.order == "bgr" else images


def _affine(numbers: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    std = np.array(numbers.std, np.float64)
    factor = 1 / (numbers.divisor * std)
    offset = -np.array(numbers.mean, np.float64) / std
    return factor.astype(np.float32), offset.astype(np.float32)


def to_network_array(image: Any, numbers: Pixels) -> NDArray[np.float32]:
    """Do what :func:`normalised` does to one NumPy image ``[H, W, 3]``; returns ``[3, H, W]``."""
    factor, offset = _affine(numbers)
    values = np.asarray(image, np.float32).transpose(2, 0, 1)
    values = values[::-1] if numbers.order == "bgr" else values
    return values * factor[:, None, None] + offset[:, None, None]


__all__ = ["normalised", "restored", "to_network_array"]
