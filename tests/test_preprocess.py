"""Normalisation, colour and size against NumPy in float64 and Pillow."""

import jax
import numpy as np
from PIL import Image
import pytest

from ferjax import preprocess
from ferjax.config import default_config
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


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('name', preprocess.NORMALIZATIONS)
def test_normalizations_match_numpy(name, channels, images):
  images = images[..., :channels]
  x = images / 255
  axes = (1, 2, 3)
  mean, deviation = {  # one channel has the means of the three
    1: (0.449, 0.226),
    3: ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
  }[channels]
  expected = {
    'none': x,
    'center': 2 * x - 1,
    'per_image': (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True),
    'imagenet': (x - np.array(mean)) / np.array(deviation),
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


def make_config(**settings):
  config = default_config()
  config.normalization = 'none'
  config.update(settings)
  return config


def preprocessed(images, **settings):
  see = jax.jit(preprocess.make_preprocess(make_config(**settings)))
  seen = see(preprocess.to_float(images))
  assert seen.dtype == np.float32
  expected = preprocess.input_shape(make_config(**settings), images.shape[1:])
  assert seen.shape == (len(images), *expected)
  return np.asarray(seen)


def test_colour_becomes_gray_as_in_pillow(images):
  gray = preprocessed(images, color='gray')
  for image, ours in zip(images, gray, strict=True):
    theirs = np.asarray(Image.fromarray(image).convert('L'))
    np.testing.assert_allclose(255 * ours[..., 0], theirs, atol=0.51)


def test_gray_becomes_colour_by_repetition(images):
  gray = images[..., :1]
  colour = preprocessed(gray, color='rgb')
  np.testing.assert_allclose(colour, np.repeat(gray, 3, -1) / 255, atol=1e-7)
  kept = preprocessed(images, color='rgb')
  np.testing.assert_array_equal(kept, preprocessed(images))


@pytest.mark.parametrize('side', [4, 14, 21])
def test_sizes_change_as_in_pillow(side, images):
  resized = preprocessed(images, image_size=side)
  for image, ours in zip(images, resized, strict=True):
    theirs = Image.fromarray(image).resize(
      (side, side), Image.Resampling.BILINEAR
    )
    np.testing.assert_allclose(255 * ours, np.asarray(theirs), atol=1.5)


def test_a_network_may_have_a_size_of_its_own():
  config = make_config()
  assert preprocess.input_shape(config, (48, 40, 1)) == (48, 40, 1)
  config.model.name = 'dexpression'
  assert preprocess.input_shape(config, (48, 48, 1)) == (224, 224, 1)
  config.image_size = 96
  assert preprocess.input_shape(config, (48, 48, 1)) == (96, 96, 1)


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    ('normalization', 'pca', r"normalization is 'pca'.*per_image"),
    ('color', 'grey', r"color is 'grey'.*gray"),
    ('image_size', -1, 'image_size is -1'),
  ],
)
def test_what_cannot_be_is_refused(field, value, message):
  with pytest.raises(UserError, match=message):
    preprocess.validate(make_config(**{field: value}))
