"""Normalisation of pixels: explicit order of channels, explicit constants, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posepile_torch.errors import ImageError
from posepile_torch.transforms import pixels, recipes
from posepile_torch.transforms.families import Pixels

RGB = (10, 100, 200)
CONSTANT = torch.tensor(RGB, dtype=torch.uint8)[:, None, None].expand(3, 4, 5)


def test_row_55_rgb_and_255():
    numbers = recipes.posewarper().pixels
    result = pixels.normalised(CONSTANT, numbers)
    assert result.dtype == torch.float32
    assert result.shape == (3, 4, 5)
    expected = (np.array(RGB) / 255 - recipes.IMAGENET_MEAN) / recipes.IMAGENET_STD
    np.testing.assert_allclose(result[:, 1, 2], expected, atol=1e-6)


def test_row_55_bgr_and_256_as_published():
    numbers = recipes.hg3d(published=True).pixels
    assert (numbers.order, numbers.divisor) == ("bgr", 256)
    result = pixels.normalised(CONSTANT[None], numbers)[0]
    expected = (np.array(RGB[::-1]) / 256 - recipes.IMAGENET_MEAN) / recipes.IMAGENET_STD
    np.testing.assert_allclose(result[:, 0, 0], expected, atol=1e-6)
    # Without asking for it, the same recipe is right: RGB and 255.
    assert recipes.hg3d().pixels == recipes.posewarper().pixels


@pytest.mark.parametrize("recipe", [recipes.metrabs(), recipes.hg3d(published=True)])
def test_row_55_values_come_back(recipe):
    images = torch.randint(0, 256, (2, 3, 8, 9), dtype=torch.uint8)
    there = pixels.normalised(images, recipe.pixels)
    assert torch.equal(pixels.restored(there, recipe.pixels), images)
    image = images[0].numpy().transpose(1, 2, 0)
    single = pixels.to_network_array(image, recipe.pixels)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, there[0], atol=1e-5)


def test_plain_recipes_give_shares_of_255():
    assert pixels.normalised(CONSTANT, Pixels())[2, 0, 0] == pytest.approx(200 / 255)


def test_images_are_normalised_once():
    for wrong in (CONSTANT.float(), CONSTANT[0], CONSTANT[:2]):
        with pytest.raises(ImageError, match="uint8 RGB"):
            pixels.normalised(wrong, Pixels())
