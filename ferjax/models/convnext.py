"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545), in torchvision's form."""

from collections.abc import Sequence
import functools
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import layers, residual


class Block(nn.Module):
  """A 7x7 convolution of each channel and two dense layers, as a residual.

  Attributes:
    drop_path: probability to drop the branch of an example in training.
    dtype: of the computation.
  """

  drop_path: float
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the same shape."""
    width = x.shape[-1]
    dense = functools.partial(layers.dense, dtype=self.dtype)
    y = layers.depthwise_conv(
      x, 7, name='depthwise_conv', dtype=self.dtype, use_bias=True
    )
    y = layers.layer_norm(y, name='norm', dtype=self.dtype)
    y = nn.gelu(dense(y, 4 * width, name='hidden'), approximate=False)
    y = dense(y, width, name='output')
    y = residual.layer_scale(y, self)
    return x + residual.stochastic_depth(y, self.drop_path, train)


class ConvNeXt(nn.Module):
  """A stem, stages of blocks with halvings between, the mean, a classifier.

  Attributes:
    num_classes: how many logits.
    depths: blocks of each stage.
    widths: channels of each stage.
    stem: one of `STEMS`: `imagenet` cuts the image into patches of 4x4, as
      published. `small`, for images of about 48x48, moves the same kernel by 2
      pixels, with 1 pixel of padding: twice the resolution, and the same
      parameters.
    dropout: the part of the last features that is dropped in training.
    drop_path: probability to drop the branch of a block in training, growing
      evenly from 0 at the first block to this at the last.
    dtype: of the computation; parameters are float32.
  """

  STEMS: ClassVar = {'small': (2, 1), 'imagenet': (4, 0)}  # stride, padding

  num_classes: int
  depths: Sequence[int]
  widths: Sequence[int]
  stem: str = 'small'
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
      UserError: if the images are too small.
    """
    norm = functools.partial(layers.layer_norm, dtype=self.dtype)
    stride, padding = self.STEMS[self.stem]
    x = layers.patches(
      images,
      self.widths[0],
      4,
      name='stem_conv',
      dtype=self.dtype,
      stride=stride,
      padding=padding,
    )
    x = norm(x, name='stem_norm')
    blocks_before, last = 0, max(1, sum(self.depths) - 1)
    for i, (depth, width) in enumerate(
      zip(self.depths, self.widths, strict=True), start=1
    ):
      if i > 1:
        x = norm(x, name=f'downsample{i - 1}_norm')
        x = layers.patches(
          x, width, 2, name=f'downsample{i - 1}_conv', dtype=self.dtype
        )
      for j in range(depth):
        x = Block(
          drop_path=self.drop_path * (blocks_before + j) / last,
          dtype=self.dtype,
          name=f'stage{i}_block{j + 1}',
        )(x, train)
      blocks_before += depth
    x = norm(x.mean((1, 2)), name='norm')
    return layers.classify(x, self.num_classes, self.dropout, train)


SIZES = {
  'convnext_tiny': functools.partial(
    ConvNeXt, depths=(3, 3, 9, 3), widths=(96, 192, 384, 768)
  )
}
