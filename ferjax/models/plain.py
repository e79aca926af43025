"""Convolutions with pooling between them: what a course tries in turn."""

from collections.abc import Sequence
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.models import layers, pooling


class PlainCNN(nn.Module):
  """Stages of 3x3 convolutions, dense layers, a classifier.

  `cnn38` is this project's reading of a network of 38 layers, as Keras counts
  them, of convolution blocks A and B and fully connected blocks:

  | block | layers | at 48x48 | number |
  |---|---|---|---|
  | A | convolution, norm, ReLU, pooling, dropout | 48 to 24 | 5 |
  | B | twice (convolution, norm, ReLU), pooling, dropout | 24 to 12 | 8 |
  | B | the same | 12 to 6 | 8 |
  | B | the same | 6 to 3 | 8 |
  | fully connected | dense, norm, ReLU, dropout | | 4 |
  | fully connected | the same | | 4 |
  | classifier | dense | | 1 |

  Attributes:
    num_classes: how many logits.
    stages: for each stage the channels of its convolutions.
    hidden: features of each dense layer.
    dropout: the part of the dense layers' features that is dropped in training.
    stage_dropout: the part of each stage's channels that is. Whole channels go
      (Tompson et al. 2014, arXiv:1411.4280), since the neighbours of a lone
      value would tell it; few random numbers also cost less.
    dtype: of the computation; parameters and statistics are float32.
    axis_name: the mapped axis that batch norm spans, or None.
  """

  num_classes: int
  stages: Sequence[Sequence[int]]
  hidden: Sequence[int]
  dropout: float = 0.25
  stage_dropout: float = 0.0
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
    for i, widths in enumerate(self.stages, start=1):
      for j, width in enumerate(widths, start=1):
        name = f'stage{i}_conv{j}'
        x = conv(x, width, 3, name=name)
        x = nn.relu(norm(x, name=f'stage{i}_norm{j}'))
      if min(x.shape[1:3]) > 3:  # of 3x3, pooling would leave out the most
        x = pooling.max_pool(x)
      x = nn.Dropout(
        self.stage_dropout, broadcast_dims=(1, 2), deterministic=not train
      )(x)
    x = x.reshape(len(x), -1)
    for i, width in enumerate(self.hidden, start=1):
      if i > 1:
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
      x = layers.dense(x, width, name=f'hidden{i}', dtype=self.dtype)
      x = nn.relu(norm(x, name=f'hidden{i}_norm'))
    return layers.classify(x, self.num_classes, self.dropout, train)


# Each of the seven has about twice the parameters of the one before, from 0.1
# to 10 million for 48x48 images. All leave full resolution after one
# convolution of few channels, and widen late: on CPUs thin layers of large maps
# are bound by memory.
SIZES = {
  'cnn_s1': functools.partial(
    PlainCNN, stages=((16,), (32,), (64,)), hidden=(32,)
  ),
  'cnn_s2': functools.partial(
    PlainCNN, stages=((24,), (48,), (96,)), hidden=(48,)
  ),
  'cnn_s3': functools.partial(
    PlainCNN, stages=((32,), (64,), (128,), (192,)), hidden=(96,)
  ),
  'cnn_s4': functools.partial(
    PlainCNN, stages=((32,), (32, 64), (64, 128), (192,)), hidden=(320,)
  ),
  'cnn_s5': functools.partial(
    PlainCNN, stages=((32,), (32, 64), (64, 128), (128, 256)), hidden=(640,)
  ),
  'cnn_s6': functools.partial(
    PlainCNN,
    stages=((32,), (32, 64), (64, 128), (128, 256), (256,)),
    hidden=(1024, 1024),
  ),
  'cnn_s7': functools.partial(
    PlainCNN,
    stages=((32,), (32, 64), (64, 128), (128, 256), (256, 512)),
    hidden=(1536, 512),
  ),
  # The last of such a sweep: five blocks of one convolution of many filters.
  'cnn5': functools.partial(
    PlainCNN,
    stages=((32,), (64,), (192,), (384,), (512,)),
    hidden=(256,),
    stage_dropout=0.1,
  ),
  'cnn38': functools.partial(
    PlainCNN,
    stages=((32,), (32, 64), (64, 128), (128, 256)),
    hidden=(256, 128),
    stage_dropout=0.1,
  ),
}
