"""Pooling in forms whose gradients are quick on CPUs."""

import jax
import jax.numpy as jnp

from ferjax.errors import UserError


def _windows(x: jax.Array) -> jax.Array:
  """Cuts 2x2 windows: `[batch, height / 2, 2, width / 2, 2, channels]`.

  An odd last row or column is left out.
  """
  batch, height, width, channels = x.shape
  if min(height, width) < 2:
    raise UserError(
      f'a feature map of {height}x{width} cannot be halved: the images are too'
      ' small for this model; give a larger config.image_size, or another model'
    )
  x = x[:, : height // 2 * 2, : width // 2 * 2]
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels)


def _larger(a: jax.Array, b: jax.Array) -> jax.Array:
  """Takes the larger of each pair, or NaN; the gradient goes to `a` of equals.

  The gradients of `max` and `maximum` look for what equals the result. Where
  the compiler computes that a second time and rounds it otherwise, nothing
  does: the gradient is NaN, or lost. Here, which is larger is decided once.
  """
  return jnp.where((a >= b) | jnp.isnan(a), a, b)


def max_pool(x: jax.Array) -> jax.Array:
  """Takes the maximum of each 2x2 window of `[batch, height, width, channels]`.

  On CPUs the gradient is much faster than that of `nn.max_pool`; like that, it
  is of the first of equals.
  """
  x = _windows(x)
  x = _larger(x[:, :, :, :, 0], x[:, :, :, :, 1])
  return _larger(x[:, :, 0], x[:, :, 1])


def max_pool_3x3(x: jax.Array, stride: int) -> jax.Array:
  """Takes the maximum of 3x3 windows, `stride` apart, padded by one.

  On CPUs the gradient is 3 to 10 times as fast as that of `nn.max_pool`; it is
  of one of the equals.

  Args:
    x: `[batch, height, width, channels]`.
    stride: 1 or 2.

  Returns:
    The same with each side divided by `stride`, rounded up.
  """
  around = ((0, 0), (1, 1), (1, 1), (0, 0))
  x = jnp.pad(x, around, constant_values=-jnp.inf)
  for axis in (1, 2):
    side = x.shape[axis] - 2
    first, second, third = (
      jax.lax.slice_in_dim(x, i, i + side, stride, axis) for i in range(3)
    )
    x = _larger(_larger(first, second), third)
  return x


def average_pool(x: jax.Array) -> jax.Array:
  """Takes the mean of each 2x2 window of `[batch, height, width, channels]`."""
  return _windows(x).mean((2, 4))


def space_to_depth(x: jax.Array) -> jax.Array:
  """Moves each 2x2 window's pixels to channels: a quarter of the positions."""
  windows = jnp.moveaxis(_windows(x), 3, 2)
  return windows.reshape(*windows.shape[:3], 4 * x.shape[-1])
