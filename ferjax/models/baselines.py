"""The networks without convolutions, which show what these are worth."""

from collections.abc import Sequence
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import layers


class MLP(nn.Module):
  """Dense layers over the flattened pixels; without any, a linear softmax.

  The last layer, and so all of the linear one, is computed in float32.

  Attributes:
    num_classes: how many logits.
    widths: features of each hidden layer.
    dropout: the part of what goes into each layer but the first that is
      dropped in training; of the pixels where there are no hidden layers.
    dtype: of the computation; parameters are float32.
  """

  num_classes: int
  widths: Sequence[int]
  dropout: float = 0.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Returns logits, float32 `[batch, num_classes]`.

    Args:
      images: float `[batch, height, width, channels]`, normalised.
      train: whether to drop any features.
    """
    x = images.reshape(len(images), -1)
    for i, width in enumerate(self.widths, start=1):
      if i > 1:
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
      x = layers.dense(x, width, name=f'hidden{i}', dtype=self.dtype)
      x = nn.relu(x)
    return layers.classify(x, self.num_classes, self.dropout, train)


SIZES = {
  'logistic': functools.partial(MLP, widths=()),
  'mlp': functools.partial(MLP, widths=(512, 256), dropout=0.2),
}
