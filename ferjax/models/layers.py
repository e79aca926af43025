"""The layers that the networks share."""

from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.errors import UserError
from ferjax.models import convolution, initial


def conv(
  x: jax.Array,
  features: int,
  size: int,
  *,
  name: str,
  dtype: Any,
  stride: int = 1,
  padding: int | None = None,
  use_bias: bool = False,
) -> jax.Array:
  """Applies a square convolution, padded by half its size unless told."""
  return nn.Conv(
    features,
    (size, size),
    stride,
    padding=size // 2 if padding is None else padding,
    use_bias=use_bias,
    kernel_init=initial.kernel_init,
    dtype=dtype,
    conv_general_dilated=convolution.convolve,
    name=name,
  )(x)


def depthwise_conv(
  x: jax.Array,
  size: int,
  *,
  name: str,
  dtype: Any,
  stride: int = 1,
  use_bias: bool = False,
) -> jax.Array:
  """Applies a square convolution to each channel, padded by half its size.

  Raises:
    ValueError: if the name does not begin with `initial.DEPTHWISE`.
  """
  if not name.startswith(initial.DEPTHWISE):
    raise ValueError(f'{name!r} does not begin with {initial.DEPTHWISE!r}')
  channels = x.shape[-1]
  return nn.Conv(
    channels,
    (size, size),
    stride,
    padding=size // 2,
    feature_group_count=channels,
    use_bias=use_bias,
    kernel_init=initial.depthwise_init,
    dtype=dtype,
    conv_general_dilated=convolution.convolve,
    name=name,
  )(x)


def batch_norm(
  x: jax.Array,
  *,
  name: str,
  train: bool,
  dtype: Any,
  axis_name: str | None,
) -> jax.Array:
  """Applies batch normalisation, computed in float32.

  Momentum is 0.9 as JAX counts it: a running value keeps 0.9 of itself at each
  step. PyTorch calls the same 0.1. Running variances are biased (divided by n),
  where PyTorch's are not. Epsilon is 1e-5.

  Args:
    x: `[batch, height, width, channels]`.
    name: of the layer.
    train: whether to use, and remember, the statistics of this batch.
    dtype: of the result.
    axis_name: the mapped axis to average the statistics over, or None.
  """
  init = nn.initializers
  normalized = nn.BatchNorm(
    use_running_average=not train,
    momentum=0.9,
    epsilon=1e-5,
    scale_init=init.zeros if name == initial.LAST_NORM else init.ones,
    axis_name=axis_name,
    name=name,
  )(x.astype(jnp.float32))
  return normalized.astype(dtype)


def layer_norm(
  x: jax.Array, *, name: str, dtype: Any, epsilon: float = 1e-6
) -> jax.Array:
  """Applies layer normalisation over the channels, computed in float32."""
  normalized = nn.LayerNorm(epsilon=epsilon, name=name)(x.astype(jnp.float32))
  return normalized.astype(dtype)


def dense(x: jax.Array, features: int, *, name: str, dtype: Any) -> jax.Array:
  """Applies a dense layer with bias to `[..., channels]`."""
  return nn.Dense(
    features, kernel_init=initial.kernel_init, dtype=dtype, name=name
  )(x)


def patches(
  x: jax.Array,
  features: int,
  size: int,
  *,
  name: str,
  dtype: Any,
  stride: int | None = None,
  padding: int = 0,
) -> jax.Array:
  """Maps squares of `size` pixels to `features`, with bias.

  They lie side by side unless a stride is given. One that the edge would cut
  is left out.
  """
  height, width = (side + 2 * padding for side in x.shape[1:3])
  if min(height, width) < size:
    raise UserError(
      f'a feature map of {height}x{width} has no patch of {size}x{size}: the '
      "images are too small for this model; take a smaller one, or stem='small'"
    )
  return conv(
    x,
    features,
    size,
    name=name,
    dtype=dtype,
    stride=size if stride is None else stride,
    padding=padding,
    use_bias=True,
  )


def _windows(x: jax.Array) -> jax.Array:
  """Cuts 2x2 windows: `[batch, height / 2, 2, width / 2, 2, channels]`.

  An odd last row or column is left out.
  """
  batch, height, width, channels = x.shape
  if min(height, width) < 2:
    raise UserError(
      f'a feature map of {height}x{width} cannot be halved: the images are too'
      " small for this model; take a smaller one, or stem='small'"
    )
  x = x[:, : height // 2 * 2, : width // 2 * 2]
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels)


def max_pool(x: jax.Array) -> jax.Array:
  """Takes the maximum of each 2x2 window of `[batch, height, width, channels]`.

  On CPUs the gradient is much faster than that of `nn.max_pool`. It is shared
  among the largest where those are equal, instead of given to the first: as
  true a subgradient. After a ReLU most ties are zeros, which pass none on.
  """
  return _windows(x).max((2, 4))


def max_pool_3x3(x: jax.Array, stride: int) -> jax.Array:
  """Takes the maximum of 3x3 windows, `stride` apart, padded by one.

  On CPUs the gradient is 3 to 10 times as fast as that of `nn.max_pool`; equals
  share it, as in `max_pool`.

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
    x = jnp.maximum(jnp.maximum(first, second), third)
  return x


def average_pool(x: jax.Array) -> jax.Array:
  """Takes the mean of each 2x2 window of `[batch, height, width, channels]`."""
  return _windows(x).mean((2, 4))


def space_to_depth(x: jax.Array) -> jax.Array:
  """Moves each 2x2 window's pixels to channels: a quarter of the positions."""
  windows = jnp.moveaxis(_windows(x), 3, 2)
  return windows.reshape(*windows.shape[:3], 4 * x.shape[-1])


def small_stem(
  x: jax.Array, width: int, conv: Callable, norm: Callable
) -> jax.Array:
  """Starts a network at full resolution, for images of about 48x48."""
  return nn.relu(norm(conv(x, width, 3, name='stem_conv'), name='stem_norm'))


def space_to_depth_stem(
  x: jax.Array, width: int, conv: Callable, norm: Callable
) -> jax.Array:
  """Starts a network at half resolution, all pixels kept, for slow devices."""
  return small_stem(space_to_depth(x), width, conv, norm)


def imagenet_stem(
  x: jax.Array, width: int, conv: Callable, norm: Callable
) -> jax.Array:
  """Starts a network at a quarter of the resolution, for images of 224x224."""
  x = conv(x, width, 7, stride=2, name='stem_conv')
  x = nn.relu(norm(x, name='stem_norm'))
  return max_pool_3x3(x, stride=2)


STEMS = {
  'small': small_stem,
  'space_to_depth': space_to_depth_stem,
  'imagenet': imagenet_stem,
}


def check_stem(stem: str, known: Iterable[str]) -> None:
  """Raises a UserError unless the network has this stem."""
  if stem not in known:
    raise UserError(
      f'this network has no stem {stem!r}; it has {sorted(known)}'
    )


def classify(
  x: jax.Array, num_classes: int, dropout: float, train: bool
) -> jax.Array:
  """Ends a network: dropout and a dense layer in float32.

  Args:
    x: features `[batch, channels]`.
    num_classes: how many logits.
    dropout: the part of the features that is dropped in training.
    train: whether to drop any.

  Returns:
    Logits, float32 `[batch, num_classes]`.
  """
  x = nn.Dropout(dropout, deterministic=not train)(x)
  return dense(x, num_classes, name='classifier', dtype=jnp.float32)
