"""Convolutions in the forms that are quick on CPUs.

XLA's CPU backend works through a grouped convolution channel by channel; as a
sum of shifted images, which becomes one loop, it is about ten times quicker in
a training step. It takes long for the gradients of a convolution of 1x1, and up
to a hundred times too long where the map is tiny; as a matrix product the first
is about twice as quick, and the second as it should be. Accelerators get what
they are made for: plain convolutions.
"""

from collections.abc import Iterator, Sequence
import functools
import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

# A map of this many positions or fewer is tiny. At 6x6 it depends on the
# channels which form is quicker; at 2x2, of 512, unfolding is a hundred times.
_TINY = 9


def convolve(
  x: jax.Array,
  kernel: jax.Array,
  strides: Sequence[int],
  padding: Sequence[tuple[int, int]],
  *,
  feature_group_count: int,
  **options: Any,
) -> jax.Array:
  """Convolves as `lax.conv_general_dilated` does; a hook of `nn.Conv`.

  Args:
    x: `[batch, height, width, channels]`.
    kernel: `[size, size, channels / groups, features]`.
    strides: of height and width, alike.
    padding: zeros before and after each of them, all alike.
    feature_group_count: 1, or a group for each channel.
    **options: what else `nn.Conv` passes to `lax.conv_general_dilated`; only
      its defaults are supported, so no dilation and no precision.

  Returns:
    `[batch, height, width, features]`.
  """
  stride, pad = strides[0], padding[0][0]
  if jax.default_backend() == 'cpu':
    if feature_group_count > 1:
      return shifted_sum(x, kernel, stride, pad)
    if kernel.shape[:2] == (1, 1) and not pad:
      return x[:, ::stride, ::stride] @ kernel[0, 0]
    if math.prod(_sides(x, kernel, stride, pad)) <= _TINY:
      return unfolded_product(x, kernel, stride, pad)
  return lax.conv_general_dilated(
    x,
    kernel,
    strides,
    padding,
    feature_group_count=feature_group_count,
    **options,
  )


def unfolded_product(
  x: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> jax.Array:
  """Convolves as a product of all that the kernel sees and the kernel.

  Args:
    x: `[batch, height, width, channels]`.
    kernel: `[size, size, channels, features]`.
    stride: of both sides.
    padding: zeros on each of the four sides.

  Returns:
    `[batch, height, width, features]` in the type of `x`.
  """
  shape = _sides(x, kernel, stride, padding)
  pad = (padding, padding, 0)
  views = _views(_pad(x, pad, pad), len(kernel), stride, shape)
  seen = jnp.concatenate(list(views), axis=-1)
  return seen @ kernel.reshape(-1, kernel.shape[-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def shifted_sum(
  x: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> jax.Array:
  """Convolves each channel alone, as a sum over the places in its kernel.

  Args:
    x: `[batch, height, width, channels]`.
    kernel: `[size, size, 1, channels]`.
    stride: of both sides.
    padding: zeros on each of the four sides.

  Returns:
    `[batch, height, width, channels]` in the type of `x`, summed in float32.
  """
  pad = (padding, padding, 0)
  x_padded = _pad(x, pad, pad)
  shape = _sides(x, kernel, stride, padding)
  weights = kernel.astype(jnp.float32).reshape(-1, 1, 1, 1, x.shape[-1])
  views = _views(x_padded, len(kernel), stride, shape)
  return sum(
    weight * view.astype(jnp.float32)
    for weight, view in zip(weights, views, strict=True)
  ).astype(x.dtype)


def _forward(
  x: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return shifted_sum(x, kernel, stride, padding), (x, kernel)


def _backward(
  stride: int,
  padding: int,
  saved: tuple[jax.Array, jax.Array],
  gradient: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Returns the gradients of `x` and of the kernel."""
  x, kernel = saved
  size = len(kernel)
  # Of x: the mirrored kernel over the gradient, spread out by the stride.
  pads = []
  for side, out_side in zip(x.shape[1:3], gradient.shape[1:3], strict=True):
    before = size - 1 - padding
    spread = (out_side - 1) * stride + 1
    pads.append((before, side + size - 1 - before - spread, stride - 1))
  x_gradient = shifted_sum(_pad(gradient, *pads), kernel[::-1, ::-1], 1, 0)

  # Of the kernel: all its places in one pass over the images, which is what
  # makes it quick. Sums per image first keep float32 exact.
  pad = (padding, padding, 0)
  views = _views(_pad(x, pad, pad), size, stride, gradient.shape[1:3])
  slope = gradient.astype(jnp.float32)
  products = tuple(view.astype(jnp.float32) * slope for view in views)
  sums = lax.reduce(
    products,
    (jnp.float32(0),) * len(products),
    lambda left, right: tuple(map(jnp.add, left, right)),
    dimensions=(1, 2),
  )
  kernel_gradient = jnp.stack(sums).sum(1).reshape(kernel.shape)
  return x_gradient, kernel_gradient.astype(kernel.dtype)


shifted_sum.defvjp(_forward, _backward)


def _sides(
  x: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> list[int]:
  """Returns the height and the width of the result."""
  return [
    (side + 2 * padding - len(kernel)) // stride + 1 for side in x.shape[1:3]
  ]


def _pad(
  x: jax.Array, rows: tuple[int, int, int], columns: tuple[int, int, int]
) -> jax.Array:
  """Adds zeros `(before, after, between)` the rows and the columns."""
  none = (0, 0, 0)
  return lax.pad(x, jnp.zeros((), x.dtype), (none, rows, columns, none))


def _views(
  x: jax.Array, size: int, stride: int, shape: Sequence[int]
) -> Iterator[jax.Array]:
  """Yields what each place in the kernel sees."""
  rows, columns = (stride * (side - 1) + 1 for side in shape)
  for i in range(size):
    for j in range(size):
      yield x[:, i : i + rows : stride, j : j + columns : stride]
