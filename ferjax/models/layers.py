"""The layers that the networks share."""

from collections.abc import Callable
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.errors import UserError
from ferjax.models import convolution, initial, normalization, pooling

CLASSIFIER = 'classifier'  # the last layer of every network


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
  """Applies a square convolution, padded by half its size unless told.

  Raises:
    UserError: if nothing would be left of the map.
  """
  padding = size // 2 if padding is None else padding
  height, width = (side + 2 * padding for side in x.shape[1:3])
  if min(height, width) < size:
    raise UserError(
      f'a feature map of {height}x{width} has no patch of {size}x{size}: the '
      'images are too small for this model; give a larger config.image_size, '
      'or another model'
    )
  return nn.Conv(
    features,
    (size, size),
    stride,
    padding=padding,
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
  """Applies `normalization.BatchNorm`.

  Args:
    x: `[batch, ..., channels]`.
    name: of the layer.
    train: whether to use, and remember, the statistics of this batch.
    dtype: of the result.
    axis_name: the mapped axis to average the statistics over, or None.
  """
  init = nn.initializers
  return normalization.BatchNorm(
    dtype=dtype,
    axis_name=axis_name,
    scale_init=init.zeros if name == initial.LAST_NORM else init.ones,
    name=name,
  )(x, train)


def bind(
  network: nn.Module, train: bool
) -> tuple[Callable[..., jax.Array], Callable[..., jax.Array]]:
  """Returns `conv` and `batch_norm` with the settings of a network.

  Args:
    network: with the fields `dtype` and `axis_name`.
    train: whether to use, and remember, the statistics of a batch.
  """
  return (
    functools.partial(conv, dtype=network.dtype),
    functools.partial(
      batch_norm,
      train=train,
      dtype=network.dtype,
      axis_name=network.axis_name,
    ),
  )


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


def small_stem(
  x: jax.Array, width: int, conv: Callable, norm: Callable
) -> jax.Array:
  """Starts a network at full resolution, for images of about 48x48."""
  return nn.relu(norm(conv(x, width, 3, name='stem_conv'), name='stem_norm'))


def space_to_depth_stem(
  x: jax.Array, width: int, conv: Callable, norm: Callable
) -> jax.Array:
  """Starts a network at half resolution, all pixels kept, for slow devices."""
  return small_stem(pooling.space_to_depth(x), width, conv, norm)


def imagenet_stem(
  x: jax.Array, width: int, conv: Callable, norm: Callable
) -> jax.Array:
  """Starts a network at a quarter of the resolution, for images of 224x224."""
  x = conv(x, width, 7, stride=2, name='stem_conv')
  x = nn.relu(norm(x, name='stem_norm'))
  return pooling.max_pool_3x3(x, stride=2)


STEMS = {
  'small': small_stem,
  'space_to_depth': space_to_depth_stem,
  'imagenet': imagenet_stem,
}


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
  return dense(x, num_classes, name=CLASSIFIER, dtype=jnp.float32)
