"""Normalisation against NumPy in float64."""

import jax
import numpy as np
import pytest

from ferjax import preprocess
from ferjax.errors import UserError


@pytest.fixture
def images():
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)


def test_pixels_become_floats_from_0_to_1():
  pixels = np.arange(256, dtype=np.uint8)
  floats = preprocess.to_float(pixels)
  assert floats.dtype == np.float32
  np.testing.assert_allclose(floats, np.linspace(0, 1, 256), atol=1e-7)


@pytest.mark.parametrize('name', preprocess.NORMALIZATIONS)
def test_normalizations_match_numpy(name, images):
  x = images / 255
  axes = (1, 2, 3)
  expected = {
    'none': x,
    'center': 2 * x - 1,
    'per_image': (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True),
  }[name]
  normalize = jax.jit(preprocess.make_normalize(name))
  normalized = normalize(preprocess.to_float(images))
  assert normalized.dtype == np.float32
  np.testing.assert_allclose(normalized, expected, atol=2e-6)


def test_blank_images_stay_finite():
  normalize = preprocess.make_normalize('per_image')
  blank = np.zeros((1, 48, 48, 1), np.float32)
  np.testing.assert_array_equal(normalize(blank), blank)
  slope = jax.grad(lambda x: (normalize(x) ** 2).sum())(blank)
  assert np.isfinite(slope).all()


def test_deviation_has_a_floor():
  image = np.zeros((1, 48, 48, 1), np.float32)
  image[0, 0, 0, 0] = 0.1
  normalized = preprocess.make_normalize('per_image')(image)
  # The deviation is 0.1 / 48, below the floor of 1 / 48.
  np.testing.assert_allclose(normalized, (image - 0.1 / 48**2) * 48, atol=1e-6)


def test_unknown_name_is_refused():
  with pytest.raises(UserError, match=r"normalization is 'pca'.*per_image"):
    preprocess.validate('pca')
