"""DeXpression (Burkert et al. 2015, arXiv:1509.05371)."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import layers, pooling


def local_response_norm(
  x: jax.Array,
  size: int = 5,
  k: float = 2.0,
  alpha: float = 1e-4,
  beta: float = 0.75,
) -> jax.Array:
  """Divides each value by the strength of its neighbours among the channels.

  y_c = x_c / (k + alpha * sum of x_d^2 over |d - c| <= size // 2)^beta, section
  3.3 of Krizhevsky et al. 2012, with their constants. Libraries that call the
  same parameter alpha often divide it by `size`.

  Args:
    x: float `[..., channels]`.
    size: channels of the sum, odd.
    k: what the sum begins with.
    alpha: the weight of the squares.
    beta: the power.

  Returns:
    The like of `x`; the sums are in float32.
  """
  values = x.astype(jnp.float32)
  around = ((0, 0),) * (x.ndim - 1) + ((size // 2, size // 2),)
  squares = jnp.pad(jnp.square(values), around)
  channels = x.shape[-1]
  total = sum(squares[..., i : i + channels] for i in range(size))
  return (values * (k + alpha * total) ** -beta).astype(x.dtype)


class FeatEx(nn.Module):
  """A convolution over a reduced map beside pooling: parallel extraction.

  Attributes:
    reduced: channels of the 1x1 convolution.
    width: channels of the 3x3 convolution behind it.
    pooled: channels of the 1x1 convolution behind the pooling.
    dtype: of the computation.
  """

  reduced: int
  width: int
  pooled: int
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `width + pooled` at half."""
    conv = functools.partial(layers.conv, dtype=self.dtype, use_bias=True)
    y = nn.relu(conv(x, self.reduced, 1, name='reduce'))
    y = nn.relu(conv(y, self.width, 3, name='conv'))
    pooled = pooling.max_pool_3x3(x, stride=1)
    pooled = nn.relu(conv(pooled, self.pooled, 1, name='project'))
    y = jnp.concatenate([y, pooled], axis=-1)
    return pooling.max_pool_3x3(y, stride=2)


class DeXpression(nn.Module):
  """A convolution, response normalisation, two FeatEx blocks, a classifier.

  It has no batch norm. Each convolution has a bias and a ReLU.

  Attributes:
    num_classes: how many logits.
    stem_pool: whether 3x3/2 pooling follows the first convolution.
    stem_width: channels of the first convolution, 7x7/2.
    reduced: of the blocks; see `FeatEx`.
    width: of the blocks.
    pooled: of the blocks.
    dropout: the part of the last features that is dropped in training.
    dtype: of the computation; parameters are float32.
  """

  num_classes: int
  stem_pool: bool = True
  stem_width: int = 64
  reduced: int = 96
  width: int = 208
  pooled: int = 64
  dropout: float = 0.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Returns logits, float32 `[batch, num_classes]`.

    Args:
      images: float `[batch, height, width, channels]`, normalised.
      train: whether to drop any features.
    """
    x = layers.conv(
      images,
      self.stem_width,
      7,
      stride=2,
      use_bias=True,
      name='stem_conv',
      dtype=self.dtype,
    )
    x = nn.relu(x)
    if self.stem_pool:
      x = pooling.max_pool_3x3(x, stride=2)
    x = local_response_norm(x)
    for i in (1, 2):
      x = FeatEx(
        reduced=self.reduced,
        width=self.width,
        pooled=self.pooled,
        dtype=self.dtype,
        name=f'block{i}',
      )(x)
    x = x.reshape(len(x), -1)
    return layers.classify(x, self.num_classes, self.dropout, train)


SIZES = {
  'dexpression': DeXpression,  # the paper's, for 224x224 grayscale
  # Of a 48x48 face the paper's blocks would see 12x12; these see 24x24.
  'dexpression_48': functools.partial(DeXpression, stem_pool=False),
}
