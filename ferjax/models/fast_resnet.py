"""A residual network for a small budget of seconds, the speed run's."""

from collections.abc import Sequence
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import layers, pooling


class FastResNet(nn.Module):
  """Windows of 2x2 pixels, then stages that halve, widen and refine.

  In the manner of the small residual networks of the CIFAR-10 speed runs: each
  stage is a maximum over 2x2, a convolution that widens, and one with a
  shortcut around it. No convolution sees the full resolution, where those of
  few channels are slow.

  Attributes:
    num_classes: how many logits.
    width: channels of the stem, at half the resolution.
    widths: channels of each stage.
    dropout: the part of the last features that is dropped in training.
    dtype: of the computation; parameters and statistics are float32.
    axis_name: the mapped axis that batch norm spans, or None.
  """

  num_classes: int
  width: int
  widths: Sequence[int]
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
    x = layers.space_to_depth_stem(images, self.width, conv, norm)
    for i, width in enumerate(self.widths, start=1):
      x = conv(pooling.max_pool(x), width, 3, name=f'stage{i}_conv1')
      x = nn.relu(norm(x, name=f'stage{i}_norm1'))
      y = conv(x, width, 3, name=f'stage{i}_conv2')
      x = nn.relu(x + norm(y, name=f'stage{i}_norm2'))
    x = x.mean((1, 2))
    return layers.classify(x, self.num_classes, self.dropout, train)


SIZES = {
  'fast_resnet': functools.partial(FastResNet, width=64, widths=(64, 128, 256)),
}
