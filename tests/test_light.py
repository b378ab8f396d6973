import numpy as np
import pytest

from posepile_torch.errors import ImageError, UnknownNameError
from posepile_torch.light import CURVES, from_linear, to_linear


@pytest.mark.parametrize("curve", CURVES)
def test_every_value_survives_the_round_trip(curve):
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    light = to_linear(image, curve)
    assert light.dtype == np.float32
    assert light.min() == 0
    assert light.max() == 1
    np.testing.assert_array_equal(from_linear(light, curve), image)


def test_known_values_of_the_curves():
    image = np.array([[10, 188, 255]], np.uint8)
    # 10/255 is on the straight part of the sRGB curve.
    np.testing.assert_allclose(to_linear(image), [[10 / 255 / 12.92, 0.502886, 1]], atol=1e-6)
    np.testing.assert_allclose(
        to_linear(image, "gamma22"), [[(10 / 255) ** 2.2, (188 / 255) ** 2.2, 1]], atol=1e-7
    )
    assert from_linear(np.float32([0.5]))[0] == 188
    assert from_linear(np.float32([0.5]), "gamma22")[0] == 186


@pytest.mark.parametrize("curve", CURVES)
def test_rounding_is_to_the_nearest_value(curve):
    light = np.linspace(0, 1, 200_001, dtype=np.float32)
    values = from_linear(light, curve).astype(int)
    assert (np.diff(values) >= 0).all()
    x = light.astype(np.float64)
    exact = (
        np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
        if curve == "srgb"
        else x ** (1 / 2.2)
    )
    assert np.abs(values - 255 * exact).max() < 0.51


def test_light_out_of_range_is_clipped():
    light = np.float32([-1, 2, np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(from_linear(light), [0, 255, 0, 255, 0])


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_shape_is_kept(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert to_linear(image).shape == shape
    assert from_linear(to_linear(image)).shape == shape


def test_wrong_input_is_refused():
    with pytest.raises(ImageError, match="float64"):
        to_linear(np.zeros((2, 2)))
    with pytest.raises(UnknownNameError, match="srgb"):
        to_linear(np.zeros((2, 2), np.uint8), "sRGB")
    with pytest.raises(UnknownNameError, match="gamma22"):
        from_linear(np.zeros((2, 2), np.float32), "gamma2.2")
