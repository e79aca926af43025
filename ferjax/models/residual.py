"""What the residual branches of several networks do besides convolving."""

from collections.abc import Callable
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import initial, layers


class SqueezeExcitation(nn.Module):
  """Weighs each channel by what all of them are like on the whole image.

  Hu et al. 2017, arXiv:1709.01507, with the biases of timm and torchvision.

  Attributes:
    reduced: channels between the two 1x1 convolutions.
    activation: between them; a sigmoid follows the second.
    dtype: of the computation.
  """

  reduced: int
  activation: Callable[[jax.Array], jax.Array] = nn.relu
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the same shape."""
    conv = functools.partial(layers.conv, dtype=self.dtype, use_bias=True)
    y = x.mean((1, 2), keepdims=True)
    y = self.activation(conv(y, self.reduced, 1, name='reduce'))
    y = conv(y, x.shape[-1], 1, name='expand')
    return x * nn.sigmoid(y)


def stochastic_depth(y: jax.Array, rate: float, train: bool) -> jax.Array:
  """Drops the whole branch for some of the examples (arXiv:1603.09382).

  Args:
    y: the branch, `[batch, ...]`.
    rate: the probability to drop; what is kept is divided by 1 - rate.
    train: whether to drop any, by the key 'dropout'.
  """
  axes = tuple(range(1, y.ndim))
  return nn.Dropout(rate, axes, deterministic=not train)(y)


def layer_scale(y: jax.Array, block: nn.Module) -> jax.Array:
  """Multiplies each channel of a residual branch by a learned factor.

  As ConvNeXt does, after Touvron et al. 2021, arXiv:2103.17239.

  Args:
    y: the branch, `[..., channels]`.
    block: the module that it belongs to.
  """
  scale = block.param(
    initial.LAYER_SCALE,
    nn.initializers.constant(initial.FIRST_LAYER_SCALE),
    y.shape[-1:],
    jnp.float32,
  )
  return y * jnp.expand_dims(scale.astype(y.dtype), tuple(range(y.ndim - 1)))
