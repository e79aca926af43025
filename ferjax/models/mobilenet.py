"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) and its kind."""

from collections.abc import Callable, Sequence
import functools
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import initial, layers, residual


class InvertedResidual(nn.Module):
  """Widens, convolves each channel alone, and narrows again.

  The input is added where the shape allows it.

  Attributes:
    features: channels of the output.
    size: of the depthwise kernel.
    stride: of the depthwise convolution.
    expanded: channels in between; those of the input mean no widening.
    reduced: channels of the squeeze-excitation, 0 for none.
    activation: after the first two convolutions.
    drop_path: probability to drop the branch of an example in training.
    dtype: of the computation.
    norm: as `layers.batch_norm`.
  """

  features: int
  size: int
  stride: int
  expanded: int
  reduced: int
  activation: Callable[[jax.Array], jax.Array]
  drop_path: float
  dtype: Any
  norm: Callable[..., jax.Array]

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `features` channels."""
    conv = functools.partial(layers.conv, dtype=self.dtype)
    y = x
    if self.expanded != x.shape[-1]:
      y = conv(y, self.expanded, 1, name='expand_conv')
      y = self.activation(self.norm(y, name='expand_norm'))
    y = layers.depthwise_conv(
      y,
      self.size,
      name='depthwise_conv',
      dtype=self.dtype,
      stride=self.stride,
    )
    y = self.activation(self.norm(y, name='depthwise_norm'))
    if self.reduced:
      y = residual.SqueezeExcitation(
        self.reduced, self.activation, self.dtype, name='squeeze'
      )(y)
    y = conv(y, self.features, 1, name='project_conv')
    if self.stride > 1 or x.shape[-1] != self.features:
      return self.norm(y, name='project_norm')
    y = self.norm(y, name=initial.LAST_NORM)
    return x + residual.stochastic_depth(y, self.drop_path, train)


class Stage(NamedTuple):
  """Blocks in a row: the first has the stride, the others 1.

  Attributes:
    expansion: widening within a block.
    size: of the depthwise kernels.
    stride: of the first block.
    width: channels of each block's output.
    depth: how many blocks.
  """

  expansion: int
  size: int
  stride: int
  width: int
  depth: int


class MobileNet(nn.Module):
  """A convolution, inverted residuals, a 1x1 convolution, mean, classifier.

  Attributes:
    num_classes: how many logits.
    stages: of inverted residuals, numbered through as `block1`, `block2`, ...
    stem_width: channels of the first convolution.
    head_width: channels of the last.
    activation: after every convolution that does not end a block.
    squeeze_excitation: whether each block has one, with a quarter of the
      channels of the block's input.
    stem: one of `STEMS`: `small` keeps the resolution, for images of about
      48x48, `imagenet` halves it. The parameters are the same.
    dropout: the part of the last features that is dropped in training.
    drop_path: probability to drop the branch of a block in training, growing
      evenly from 0 at the first block to this after the last.
    dtype: of the computation; parameters and statistics are float32.
    axis_name: the mapped axis that batch norm spans, or None.
  """

  STEMS: ClassVar = {'small': 1, 'imagenet': 2}  # the first stride

  num_classes: int
  stages: Sequence[Stage]
  stem_width: int = 32
  head_width: int = 1280
  activation: Callable[[jax.Array], jax.Array] = nn.relu6
  squeeze_excitation: bool = False
  stem: str = 'small'
  dropout: float = 0.2
  drop_path: float = 0.0
  dtype: Any = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Returns logits, float32 `[batch, num_classes]`.

    Args:
      images: float `[batch, height, width, channels]`, normalised.
      train: whether to use the batch's own statistics, dropout and stochastic
        depth.
    """
    conv, norm = layers.bind(self, train)
    x = conv(
      images,
      self.stem_width,
      3,
      stride=self.STEMS[self.stem],
      name='stem_conv',
    )
    x = self.activation(norm(x, name='stem_norm'))
    blocks = [
      (stage, stage.stride if j == 0 else 1)
      for stage in self.stages
      for j in range(stage.depth)
    ]
    for i, (stage, stride) in enumerate(blocks):
      x = InvertedResidual(
        features=stage.width,
        size=stage.size,
        stride=stride,
        expanded=x.shape[-1] * stage.expansion,
        reduced=max(1, x.shape[-1] // 4) if self.squeeze_excitation else 0,
        activation=self.activation,
        drop_path=self.drop_path * i / len(blocks),
        dtype=self.dtype,
        norm=norm,
        name=f'block{i + 1}',
      )(x, train)
    x = conv(x, self.head_width, 1, name='head_conv')
    x = self.activation(norm(x, name='head_norm')).mean((1, 2))
    return layers.classify(x, self.num_classes, self.dropout, train)


SIZES = {
  'mobilenet_v2': functools.partial(
    MobileNet,
    stages=(
      Stage(1, 3, 1, 16, 1),
      Stage(6, 3, 2, 24, 2),
      Stage(6, 3, 2, 32, 3),
      Stage(6, 3, 2, 64, 4),
      Stage(6, 3, 1, 96, 3),
      Stage(6, 3, 2, 160, 3),
      Stage(6, 3, 1, 320, 1),
    ),
  )
}
