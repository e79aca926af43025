"""Residual networks (He et al. 2015, arXiv:1512.03385).

With `squeeze_excitation` they are those of Hu et al. 2017, arXiv:1709.01507, in
timm's form: biases, and a sixteenth of the channels in between.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import initial, layers, residual

# Channels of a block over those that its squeeze-excitation has in between.
REDUCTION = 16


class BasicBlock(nn.Module):
  """Two 3x3 convolutions beside a shortcut.

  Attributes:
    width: channels of the block.
    stride: of the first convolution and the shortcut.
    conv: as `layers.conv`.
    norm: as `layers.batch_norm`.
    squeeze_excitation: whether to weigh the channels before the sum.
  """

  width: int
  stride: int
  conv: Callable[..., jax.Array]
  norm: Callable[..., jax.Array]
  squeeze_excitation: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `width` channels."""
    y = self.conv(x, self.width, 3, stride=self.stride, name='conv1')
    y = nn.relu(self.norm(y, name='norm1'))
    y = self.conv(y, self.width, 3, name='conv2')
    return join(x, self.norm(y, name=initial.LAST_NORM), self)


class Bottleneck(nn.Module):
  """A 3x3 convolution between two of 1x1, beside a shortcut.

  The 3x3 convolution has the stride, as in torchvision; the paper gives it to
  the first. Attributes are those of `BasicBlock`; the output has four times
  `width` channels.
  """

  width: int
  stride: int
  conv: Callable[..., jax.Array]
  norm: Callable[..., jax.Array]
  squeeze_excitation: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `4 * width` channels."""
    y = self.conv(x, self.width, 1, name='conv1')
    y = nn.relu(self.norm(y, name='norm1'))
    y = self.conv(y, self.width, 3, stride=self.stride, name='conv2')
    y = nn.relu(self.norm(y, name='norm2'))
    y = self.conv(y, 4 * self.width, 1, name='conv3')
    return join(x, self.norm(y, name=initial.LAST_NORM), self)


def join(
  x: jax.Array, y: jax.Array, block: BasicBlock | Bottleneck
) -> jax.Array:
  """Ends a block: adds its input to its branch.

  Args:
    x: the input, projected where its shape differs from the branch's.
    y: the branch.
    block: whose layers these are.
  """
  features = y.shape[-1]
  if block.squeeze_excitation:
    reduced = max(1, features // REDUCTION)
    y = residual.SqueezeExcitation(reduced, dtype=y.dtype, name='squeeze')(y)
  if block.stride > 1 or x.shape[-1] != features:
    x = block.conv(x, features, 1, stride=block.stride, name='shortcut_conv')
    x = block.norm(x, name='shortcut_norm')
  return nn.relu(x + y)


class ResNet(nn.Module):
  """A stem, stages of residual blocks, the mean over positions, a classifier.

  Attributes:
    num_classes: how many logits.
    stage_sizes: blocks of each stage; all but the first halve the resolution.
    block: `BasicBlock` or `Bottleneck`.
    width: channels of the stem and the first stage; each next doubles them.
    squeeze_excitation: whether each block weighs its channels.
    stem: one of `STEMS`.
    dropout: the part of the last features that is dropped in training.
    dtype: of the computation; parameters and statistics are float32.
    axis_name: the mapped axis that batch norm spans, or None.
  """

  STEMS: ClassVar = layers.STEMS

  num_classes: int
  stage_sizes: Sequence[int]
  block: type[nn.Module]
  width: int = 64
  squeeze_excitation: bool = False
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
    for i, size in enumerate(self.stage_sizes):
      for j in range(size):
        x = self.block(
          width=self.width * 2**i,
          stride=2 if i > 0 and j == 0 else 1,
          conv=conv,
          norm=norm,
          squeeze_excitation=self.squeeze_excitation,
          name=f'stage{i + 1}_block{j + 1}',
        )(x)
    x = x.mean((1, 2))
    return layers.classify(x, self.num_classes, self.dropout, train)


SIZES = {
  'resnet18': functools.partial(
    ResNet, stage_sizes=(2, 2, 2, 2), block=BasicBlock
  ),
  'resnet34': functools.partial(
    ResNet, stage_sizes=(3, 4, 6, 3), block=BasicBlock
  ),
  'resnet50': functools.partial(
    ResNet, stage_sizes=(3, 4, 6, 3), block=Bottleneck
  ),
  'resnet101': functools.partial(
    ResNet, stage_sizes=(3, 4, 23, 3), block=Bottleneck
  ),
  'resnet152': functools.partial(
    ResNet, stage_sizes=(3, 8, 36, 3), block=Bottleneck
  ),
}
