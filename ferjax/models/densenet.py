"""Densely connected networks (Huang et al. 2016, arXiv:1608.06993)."""

from collections.abc import Callable, Sequence
import functools
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import layers, pooling


class DenseLayer(nn.Module):
  """Adds `growth` channels to those that it is given.

  Attributes:
    growth: channels added.
    bottleneck: channels of a 1x1 convolution in front, 0 for none.
    conv: as `layers.conv`.
    norm: as `layers.batch_norm`.
  """

  growth: int
  bottleneck: int
  conv: Callable[..., jax.Array]
  norm: Callable[..., jax.Array]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `channels + growth`."""
    y = nn.relu(self.norm(x, name='norm1'))
    if self.bottleneck:
      y = self.conv(y, self.bottleneck, 1, name='conv1')
      y = nn.relu(self.norm(y, name='norm2'))
    y = self.conv(y, self.growth, 3, name='conv2')
    return jnp.concatenate([x, y], axis=-1)


class DenseNet(nn.Module):
  """A stem, dense blocks with transitions between, the mean, a classifier.

  Attributes:
    num_classes: how many logits.
    block_sizes: layers of each dense block.
    growths: channels that each layer of a block adds, by block.
    bottleneck: channels of a layer's 1x1 convolution in multiples of its
      growth, 0 for none.
    width: channels of the stem.
    stem: one of `STEMS`.
    dropout: the part of the last features that is dropped in training.
    dtype: of the computation; parameters and statistics are float32.
    axis_name: the mapped axis that batch norm spans, or None.
  """

  STEMS: ClassVar = layers.STEMS

  num_classes: int
  block_sizes: Sequence[int]
  growths: Sequence[int] = (32, 32, 32, 32)
  bottleneck: int = 4
  width: int = 64
  stem: str = 'small'
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
    x = self.STEMS[self.stem](images, self.width, conv, norm)
    for i, (size, growth) in enumerate(
      zip(self.block_sizes, self.growths, strict=True), start=1
    ):
      if i > 1:
        x = nn.relu(norm(x, name=f'transition{i - 1}_norm'))
        # The mean commutes with a 1x1 convolution, which then costs a quarter.
        x = pooling.average_pool(x)
        x = conv(x, x.shape[-1] // 2, 1, name=f'transition{i - 1}_conv')
      for j in range(1, size + 1):
        x = DenseLayer(
          growth=growth,
          bottleneck=self.bottleneck * growth,
          conv=conv,
          norm=norm,
          name=f'block{i}_layer{j}',
        )(x)
    x = nn.relu(norm(x, name='norm')).mean((1, 2))
    return layers.classify(x, self.num_classes, self.dropout, train)


SIZES = {
  'densenet121': functools.partial(DenseNet, block_sizes=(6, 12, 24, 16)),
  'densenet169': functools.partial(DenseNet, block_sizes=(6, 12, 32, 32)),
  'densenet201': functools.partial(DenseNet, block_sizes=(6, 12, 48, 32)),
  # For 48x48 images on CPUs: 0.45 million parameters, 29 million multiply-adds.
  # Few wide layers without bottlenecks, most of them at 6x6, keep the cores at
  # their matrix products; thin layers at 24x24 are bound by memory.
  'densenet_small': functools.partial(
    DenseNet,
    block_sizes=(2, 3, 4),
    growths=(16, 32, 64),
    bottleneck=0,
    width=32,
    stem='space_to_depth',
  ),
}
