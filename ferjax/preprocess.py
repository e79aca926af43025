"""From stored pixels to what the network sees."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ferjax.errors import UserError


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


NORMALIZATIONS = {
  'none': _keep,
  'center': _center,
  'per_image': _standardize_each,
}


def make_normalize(name: str) -> Callable[[jax.Array], jax.Array]:
  """Returns the last function before the network.

  Args:
    name: 'none'; 'center', from [0, 1] to [-1, 1]; or 'per_image', each image
      to zero mean and unit deviation over all its pixels and channels. The
      deviation counts as 1 / sqrt(number of values) at least, as in
      `tf.image.per_image_standardization`, so that blank images become zeros.

  Returns:
    A function of images, float32 `[..., height, width, channels]` in [0, 1],
    that returns the like.

  Raises:
    UserError: where the name is unknown.
  """
  validate(name)
  return NORMALIZATIONS[name]


def validate(name: str) -> None:
  """Raises a `UserError` where `config.normalization` is not one of ours."""
  if name not in NORMALIZATIONS:
    raise UserError(
      f'config.normalization is {name!r}; '
      f'it is one of {", ".join(NORMALIZATIONS)}'
    )
