"""EfficientNet (Tan and Le 2019, arXiv:1905.11946), in torchvision's form.

The blocks are those of MobileNetV2 with squeeze-excitation, SiLU and stochastic
depth; the sizes are one table, scaled in width and in depth.
"""

import functools
import math

import flax.linen as nn

from ferjax.models.mobilenet import MobileNet, Stage

B0 = (
  Stage(1, 3, 1, 16, 1),
  Stage(6, 3, 2, 24, 2),
  Stage(6, 5, 2, 40, 2),
  Stage(6, 3, 2, 80, 3),
  Stage(6, 5, 1, 112, 3),
  Stage(6, 5, 2, 192, 4),
  Stage(6, 3, 1, 320, 1),
)


def scale_width(width: int, factor: float) -> int:
  """Returns the multiple of 8 nearest to the product, 10% below it at most."""
  product = width * factor
  nearest = max(8, int(product + 4) // 8 * 8)
  return nearest + 8 if nearest < 0.9 * product else nearest


def _scaled(
  width: float, depth: float, dropout: float
) -> functools.partial[MobileNet]:
  """Returns EfficientNet, scaled by these factors."""
  stages = tuple(
    stage._replace(
      width=scale_width(stage.width, width),
      depth=math.ceil(stage.depth * depth),
    )
    for stage in B0
  )
  return functools.partial(
    MobileNet,
    stages=stages,
    stem_width=scale_width(32, width),
    head_width=4 * stages[-1].width,
    activation=nn.silu,
    squeeze_excitation=True,
    dropout=dropout,
    drop_path=0.2,
  )


SIZES = {
  'efficientnet_b0': _scaled(width=1.0, depth=1.0, dropout=0.2),
  'efficientnet_b1': _scaled(width=1.0, depth=1.1, dropout=0.2),
  'efficientnet_b2': _scaled(width=1.1, depth=1.2, dropout=0.3),
  'efficientnet_b3': _scaled(width=1.2, depth=1.4, dropout=0.3),
}
