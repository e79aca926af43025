"""A plain convolutional network: the baseline that every other must beat."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import layers, pooling


class SimpleCNN(nn.Module):
  """Convolutions with pooling between them, a hidden layer, a classifier.

  Attributes:
    num_classes: how many logits.
    widths: channels of each 3x3 convolution.
    hidden: features of the dense layer.
    dropout: the part of these that is dropped in training.
    dtype: of the computation; parameters and statistics are float32.
    axis_name: the mapped axis that batch norm spans, or None.
  """

  num_classes: int
  widths: Sequence[int] = (32, 64, 128)
  hidden: int = 256
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
    x = images
    for i, width in enumerate(self.widths, start=1):
      x = conv(x, width, 3, name=f'conv{i}')
      x = pooling.max_pool(nn.relu(norm(x, name=f'norm{i}')))
    x = x.reshape(len(x), -1)
    x = layers.dense(x, self.hidden, name='hidden', dtype=self.dtype)
    return layers.classify(nn.relu(x), self.num_classes, self.dropout, train)
