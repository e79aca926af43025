"""VGG networks (Simonyan & Zisserman 2014, arXiv:1409.1556)."""

from collections.abc import Sequence
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import layers, pooling

POOLED_SIDE = 7  # of the map that the dense layers see, at most


def pooling_windows(side: int, size: int) -> list[tuple[int, int]]:
  """Returns the start and end of each of `size` windows over `side` values.

  Those of torch's adaptive pooling: as even as whole numbers can be, and
  overlapping where `size` does not divide `side`.
  """
  return [
    (i * side // size, ((i + 1) * side + size - 1) // size) for i in range(size)
  ]


def map_sides(name: str, image_shape: tuple[int, int, int]) -> tuple[int, int]:
  """Returns height and width of the map that `SIZES[name]` flattens."""
  halvings = len(SIZES[name].keywords['stages'])
  height, width = (
    min(POOLED_SIDE, side // 2**halvings) for side in image_shape[:2]
  )
  return height, width


def adaptive_average_pool(x: jax.Array, size: int) -> jax.Array:
  """Averages `[batch, height, width, channels]` to `size` by `size`.

  A side that is smaller stays as it is: torchvision enlarges it, which tells
  the dense layers nothing more.
  """
  for axis in (1, 2):
    side = x.shape[axis]
    if side > size:
      means = [
        jax.lax.slice_in_dim(x, start, end, axis=axis).mean(axis)
        for start, end in pooling_windows(side, size)
      ]
      x = jnp.stack(means, axis)
  return x


class VGG(nn.Module):
  """Stages of 3x3 convolutions, two wide dense layers, a classifier.

  Torchvision's form: convolutions with bias, batch norm, if any, before the
  ReLU, pooling behind each stage, adaptive pooling to 7x7, dropout behind the
  dense layers. The map is flattened as `[height, width, channels]`, where
  torchvision has the channels first.

  Attributes:
    num_classes: how many logits.
    stages: for each stage the channels of its convolutions.
    batch_norm: whether each convolution has one.
    hidden: features of each of the two dense layers.
    dropout: the part of these that is dropped in training.
    dtype: of the computation; parameters and statistics are float32.
    axis_name: the mapped axis that batch norm spans, or None.
  """

  num_classes: int
  stages: Sequence[Sequence[int]]
  batch_norm: bool = False
  hidden: int = 4096
  dropout: float = 0.5
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
    x, number = images, 0
    for widths in self.stages:
      for width in widths:
        number += 1
        x = conv(x, width, 3, use_bias=True, name=f'conv{number}')
        if self.batch_norm:
          x = norm(x, name=f'norm{number}')
        x = nn.relu(x)
      x = pooling.max_pool(x)
    x = adaptive_average_pool(x, POOLED_SIDE)
    x = x.reshape(len(x), -1)
    x = nn.relu(layers.dense(x, self.hidden, name='hidden1', dtype=self.dtype))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    x = nn.relu(layers.dense(x, self.hidden, name='hidden2', dtype=self.dtype))
    return layers.classify(x, self.num_classes, self.dropout, train)


def _stages(*sizes: int) -> tuple[tuple[int, ...], ...]:
  """Returns the stages of that many convolutions, of VGG's widths."""
  widths = (64, 128, 256, 512, 512)
  return tuple(
    (width,) * size for width, size in zip(widths, sizes, strict=True)
  )


_PLAIN = {
  'vgg11': functools.partial(VGG, stages=_stages(1, 1, 2, 2, 2)),
  'vgg13': functools.partial(VGG, stages=_stages(2, 2, 2, 2, 2)),
  'vgg16': functools.partial(VGG, stages=_stages(2, 2, 3, 3, 3)),
  'vgg19': functools.partial(VGG, stages=_stages(2, 2, 4, 4, 4)),
}

SIZES = {
  **_PLAIN,
  **{
    f'{name}_bn': functools.partial(build, batch_norm=True)
    for name, build in _PLAIN.items()
  },
  # Khaireddin & Chen 2021 (arXiv:2105.03588), for FER2013.
  'vgg_fer': functools.partial(
    VGG,
    stages=((64, 64), (128, 128), (256, 256), (512, 512)),
    batch_norm=True,
    dropout=0.2,
  ),
}
