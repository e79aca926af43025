"""EfficientNet: its sizes; its block is held in test_mobilenet.py."""

import jax
import jax.numpy as jnp
import numpy as np
from probes import trace
import pytest

from ferjax.models import efficientnet


@pytest.mark.parametrize(
  ('name', 'parameters', 'blocks'),
  [
    ('efficientnet_b0', 5_288_548, 16),
    ('efficientnet_b1', 7_794_184, 23),
    ('efficientnet_b2', 9_109_994, 23),
    ('efficientnet_b3', 12_233_232, 26),
  ],
)
def test_as_many_parameters_as_published(name, parameters, blocks):
  model = efficientnet.SIZES[name](num_classes=1000, stem='imagenet')
  _, variables = trace(model, (224, 224, 3))
  params = variables['params']
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == parameters
  assert sum(key.startswith('block') for key in params) == blocks


def test_the_common_image_in_bfloat16():
  model = efficientnet.SIZES['efficientnet_b0'](
    num_classes=7, dtype=jnp.bfloat16
  )
  logits, variables = trace(model, (47, 48, 1))
  assert (logits.shape, logits.dtype) == ((2, 7), jnp.float32)
  assert {leaf.dtype.name for leaf in jax.tree.leaves(variables)} == {'float32'}
  # A quarter of the channels of the block's input, not of its inside.
  squeeze = variables['params']['block2']['squeeze']['reduce']['kernel']
  assert squeeze.shape == (1, 1, 96, 4)


def test_widths_are_multiples_of_eight():
  widths = [efficientnet.scale_width(32, factor) for factor in (1, 1.1, 1.2)]
  assert widths == [32, 32, 40]  # 35.2 is nearer to 32
  assert efficientnet.scale_width(10, 1.15) == 16  # 8 would lose a third
  for width in np.arange(8, 400, 3):
    scaled = efficientnet.scale_width(int(width), 1.0)
    assert scaled % 8 == 0
    assert scaled >= 0.9 * width
