"""From stored pixels to what the network sees."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np

from ferjax import models
from ferjax.errors import UserError

COLORS = ('data', 'gray', 'rgb')

# Of red, green and blue (ITU-R BT.601, as Pillow's mode `L`).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# Of ImageNet's training images, as every published network was trained with.
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


def to_float(images: jax.Array) -> jax.Array:
  """Maps uint8 pixels of any shape to float32 in [0, 1]."""
  return images.astype(jnp.float32) / 255.0


def _keep(images: jax.Array) -> jax.Array:
  return images


def _center(images: jax.Array) -> jax.Array:
  return (images - 0.5) / 0.5


def _standardize_each(images: jax.Array) -> jax.Array:
  image_axes = (-3, -2, -1)
  centered = images - images.mean(image_axes, keepdims=True)
  variance = jnp.square(centered).mean(image_axes, keepdims=True)
  height, width, channels = images.shape[-3:]
  # The floor is taken under the root, whose slope at 0 is infinite.
  floor = 1.0 / (height * width * channels)
  return centered / jnp.sqrt(jnp.maximum(variance, floor))


def _imagenet(images: jax.Array) -> jax.Array:
  mean, std = _IMAGENET_MEAN, _IMAGENET_STD
  if images.shape[-1] == 1:  # the three are close: their means stand for gray
    mean, std = mean.mean(keepdims=True), std.mean(keepdims=True)
  channels = (1,) * (images.ndim - 1) + (-1,)
  return (images - mean.reshape(channels)) / std.reshape(channels)


NORMALIZATIONS = {
  'none': _keep,
  'center': _center,
  'per_image': _standardize_each,
  'imagenet': _imagenet,
}


def make_normalize(name: str) -> Callable[[jax.Array], jax.Array]:
  """Returns the last function before the network.

  Args:
    name: 'none'; 'center', from [0, 1] to [-1, 1]; 'imagenet', by the mean
      and deviation of ImageNet's channels; or 'per_image', each image
      to zero mean and unit deviation over all its pixels and channels. The
      deviation counts as 1 / sqrt(number of values) at least, as in
      `tf.image.per_image_standardization`, so that blank images become zeros.

  Returns:
    A function of images, float32 `[..., height, width, channels]` in [0, 1],
    that returns the like.

  Raises:
    KeyError: where the name is unknown; `validate` tells the user before.
  """
  return NORMALIZATIONS[name]


def input_shape(
  config: config_dict.ConfigDict, data_shape: tuple[int, int, int]
) -> tuple[int, int, int]:
  """Returns height, width and channels of what the network sees.

  Args:
    config: the whole config: `image_size`, `color` and the network decide.
    data_shape: of the stored images.
  """
  height, width, channels = data_shape
  side = config.image_size or models.IMAGE_SIZES.get(config.model.name)
  if side:
    height = width = side
  channels = {'data': channels, 'gray': 1, 'rgb': 3}[config.color]
  return height, width, channels


def make_preprocess(
  config: config_dict.ConfigDict,
) -> Callable[[jax.Array], jax.Array]:
  """Returns what stands between augmented images and the network.

  Colour becomes gray by its luma, gray becomes colour by repetition; then the
  image is resized (bilinear, averaging where it shrinks) and normalised.

  Args:
    config: the whole config; see `input_shape` and `make_normalize`.

  Returns:
    A function of images, float32 `[n, height, width, channels]` in [0, 1],
    one or three channels.
  """
  normalize = make_normalize(config.normalization)

  def preprocess(images: jax.Array) -> jax.Array:
    shape = input_shape(config, images.shape[1:])
    if (images.shape[-1], shape[-1]) == (3, 1):
      images = jnp.sum(images * _LUMA.reshape(1, 1, 1, 3), -1, keepdims=True)
    elif images.shape[-1] != shape[-1]:
      images = jnp.repeat(images, 3, axis=-1)
    if images.shape[1:] != shape:
      images = jax.image.resize(images, (len(images), *shape), 'linear')
    return normalize(images)

  return preprocess


def validate(config: config_dict.ConfigDict) -> None:
  """Raises a `UserError` where no network can see what `config` asks for."""
  for name, known in (('normalization', NORMALIZATIONS), ('color', COLORS)):
    if config[name] not in known:
      raise UserError(
        f'config.{name} is {config[name]!r}; it is one of {", ".join(known)}'
      )
  if config.image_size < 0:
    raise UserError(
      f'config.image_size is {config.image_size}; give the side in pixels, or '
      "0 for the network's own"
    )
