"""The small network for robots of Arriaga et al. 2017 (arXiv:1710.07557)."""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import layers, pooling


class Block(nn.Module):
  """Two separable convolutions and pooling beside a 1x1/2 shortcut.

  Attributes:
    width: channels of the block.
    conv: as `layers.conv`.
    depthwise_conv: as `layers.depthwise_conv`.
    norm: as `layers.batch_norm`.
  """

  width: int
  conv: Callable[..., jax.Array]
  depthwise_conv: Callable[..., jax.Array]
  norm: Callable[..., jax.Array]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to half the size."""
    y = self.depthwise_conv(x, 3, name='depthwise1')
    y = self.conv(y, self.width, 1, name='pointwise1')
    y = nn.relu(self.norm(y, name='norm1'))
    y = self.depthwise_conv(y, 3, name='depthwise2')
    y = self.conv(y, self.width, 1, name='pointwise2')
    y = pooling.max_pool_3x3(self.norm(y, name='norm2'), stride=2)
    shortcut = self.conv(x, self.width, 1, stride=2, name='shortcut_conv')
    return y + self.norm(shortcut, name='shortcut_norm')


class MiniXception(nn.Module):
  """Two convolutions, four separable blocks, the mean, a classifier.

  The authors' network ends in a 3x3 convolution to the classes and the mean
  over positions. Here the mean comes first, and the dense layer has the same
  weights: `[3 * 3 * channels, num_classes]`.

  Attributes:
    num_classes: how many logits.
    stem_width: channels of the first two convolutions.
    widths: channels of the blocks.
    dropout: the part of the last features that is dropped in training.
    dtype: of the computation; parameters and statistics are float32.
    axis_name: the mapped axis that batch norm spans, or None.
  """

  num_classes: int
  stem_width: int = 8
  widths: Sequence[int] = (16, 32, 64, 128)
  dropout: float = 0.0
  dtype: Any = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Returns logits, float32 `[batch, num_classes]`.

    Args:
      images: float `[batch, height, width, channels]`, normalised.
      train: whether to use the batch's own statistics, and dropout.
    """
    conv, norm = layers.bind(self, train)
    x = images
    for i in (1, 2):
      x = conv(x, self.stem_width, 3, padding=0, name=f'stem_conv{i}')
      x = nn.relu(norm(x, name=f'stem_norm{i}'))
    for i, width in enumerate(self.widths, start=1):
      x = Block(
        width=width,
        conv=conv,
        depthwise_conv=functools.partial(
          layers.depthwise_conv, dtype=self.dtype
        ),
        norm=norm,
        name=f'block{i}',
      )(x)
    x = means_under_3x3(x)
    return layers.classify(x, self.num_classes, self.dropout, train)


def means_under_3x3(x: jax.Array) -> jax.Array:
  """Returns the mean input of each tap of a padded 3x3 convolution.

  Args:
    x: `[batch, height, width, channels]`.

  Returns:
    `[batch, 3 * 3 * channels]`. A dense layer on it is the convolution with
    the same weights followed by the mean over positions.
  """
  _, height, width, _ = x.shape
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  return jnp.concatenate(
    [
      x[:, i : i + height, j : j + width].mean((1, 2))
      for i in range(3)
      for j in range(3)
    ],
    axis=-1,
  )


SIZES = {'mini_xception': MiniXception}
