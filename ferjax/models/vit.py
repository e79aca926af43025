"""A small vision transformer (Dosovitskiy et al. 2020, arXiv:2010.11929)."""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.errors import UserError
from ferjax.models import initial, layers, residual


def attend(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
  """Gives each token the mean of all values, weighted by query times key.

  `jax.nn.dot_product_attention` does not take bfloat16 under strict promotion.

  Args:
    query: `[batch, tokens, heads, channels]`.
    key: of the same shape.
    value: of the same shape.

  Returns:
    An array of the same shape; the weights are computed in float32.
  """
  scores = jnp.einsum(
    'bqhc,bkhc->bhqk', query, key, preferred_element_type=jnp.float32
  )
  weights = jax.nn.softmax(scores / math.sqrt(query.shape[-1]))
  return jnp.einsum('bhqk,bkhc->bqhc', weights.astype(value.dtype), value)


class Block(nn.Module):
  """Attention and two dense layers, each a residual behind its own norm.

  Attributes:
    num_heads: of the attention.
    drop_path: probability to drop a branch of an example in training.
    dtype: of the computation.
  """

  num_heads: int
  drop_path: float
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps tokens `[batch, tokens, channels]` to the same shape."""
    batch, tokens, width = x.shape
    dense = functools.partial(layers.dense, dtype=self.dtype)
    norm = functools.partial(layers.layer_norm, dtype=self.dtype)
    drop = functools.partial(
      residual.stochastic_depth, rate=self.drop_path, train=train
    )
    y = norm(x, name='attention_norm')
    heads = (batch, tokens, self.num_heads, width // self.num_heads)
    query, key, value = (
      dense(y, width, name=name).reshape(heads)
      for name in ('query', 'key', 'value')
    )
    y = attend(query, key, value).reshape(x.shape)
    x = x + drop(dense(y, width, name='attention_output'))
    y = dense(norm(x, name='norm'), 4 * width, name='hidden')
    y = dense(nn.gelu(y, approximate=False), width, name='output')
    return x + drop(y)


class VisionTransformer(nn.Module):
  """Patches, a learned embedding of their places, blocks, the mean.

  Made for 48x48 images: 64 patches of 6x6, and 3.6 million parameters, a tenth
  of ViT-S, since the data sets are small. The mean over all tokens goes to the
  classifier instead of a token of its own (Beyer et al. 2022,
  arXiv:2205.01580). There are no published weights for it.

  Attributes:
    num_classes: how many logits.
    patch: the side of a patch, pixels.
    width: channels of a token, a multiple of `num_heads`.
    depth: how many blocks.
    num_heads: of each attention.
    dropout: the part of the last features that is dropped in training.
    drop_path: probability to drop a branch in training, growing evenly from 0
      in the first block to this in the last.
    dtype: of the computation; parameters are float32.
  """

  num_classes: int
  patch: int = 6
  width: int = 192
  depth: int = 8
  num_heads: int = 3
  dropout: float = 0.0
  drop_path: float = 0.1
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Returns logits, float32 `[batch, num_classes]`.

    Args:
      images: float `[batch, height, width, channels]`, normalised.
      train: whether to use dropout and stochastic depth.

    Raises:
      UserError: if the sides are no multiples of the patch.
    """
    height, width = images.shape[1:3]
    if height % self.patch or width % self.patch:
      raise UserError(
        f'images of {height}x{width} cannot be cut into patches of '
        f'{self.patch}x{self.patch}; set config.image_size to a multiple of '
        f'{self.patch}, such as 48'
      )
    x = layers.patches(
      images, self.width, self.patch, name='stem_conv', dtype=self.dtype
    )
    x = x.reshape(len(x), -1, self.width)
    places = self.param(
      initial.EMBEDDING,
      nn.initializers.normal(initial.EMBEDDING_STD),
      (1, *x.shape[1:]),
      jnp.float32,
    )
    x = x + places.astype(x.dtype)
    for i in range(self.depth):
      x = Block(
        num_heads=self.num_heads,
        drop_path=self.drop_path * i / max(1, self.depth - 1),
        dtype=self.dtype,
        name=f'block{i + 1}',
      )(x, train)
    x = layers.layer_norm(x, name='norm', dtype=self.dtype).mean(1)
    return layers.classify(x, self.num_classes, self.dropout, train)


SIZES = {'vit': VisionTransformer}
