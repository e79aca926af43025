"""The plain networks: sizes, what a step sees, layers in their order."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest

from ferjax import models
from ferjax.errors import UserError
from ferjax.models import (
  baselines,
  dexpression,
  layers,
  mini_xception,
  plain,
  pooling,
  vgg,
)

SIZES = {
  **baselines.SIZES,
  **plain.SIZES,
  **mini_xception.SIZES,
  **dexpression.SIZES,
  **vgg.SIZES,
}

# What has to be compiled, is.
TINY = {
  'logistic': {},
  'mlp': {'widths': (16, 8)},
  'cnn38': {'stages': ((8,), (8,)), 'hidden': (16, 8)},
  'mini_xception': {'stem_width': 8, 'widths': (12,)},
  'dexpression_48': {'stem_width': 8, 'reduced': 6, 'width': 8, 'pooled': 6},
  'vgg11': {'stages': ((8,), (8,)), 'hidden': 16},
  'vgg11_bn': {'stages': ((8,), (8,)), 'hidden': 16},
}
SHAPE = (16, 16, 1)


def trace(name, shape, **options):
  return probes.trace(SIZES[name](num_classes=7, **options), shape)


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('logistic', (48 * 48 + 1) * 7),
    ('mlp', (48 * 48 + 1) * 512 + 513 * 256 + 257 * 7),
    ('cnn_s1', 97_463),
    ('cnn_s2', 218_767),
    ('cnn_s3', 481_319),
    ('cnn_s4', 916_903),
    ('cnn_s5', 2_063_271),
    ('cnn_s6', 4_593_831),
    ('cnn_s7', 10_227_367),
    ('cnn5', 3_746_919),
    ('cnn38', 1_206_951),
    # The authors': 58,423 with the 2 * 736 running statistics.
    ('mini_xception', 58_423 - 2 * 736),
  ],
)
def test_parameters(name, expected):
  _, variables = trace(name, (48, 48, 1))
  leaves = jax.tree.leaves(variables['params'])
  assert sum(leaf.size for leaf in leaves) == expected


@pytest.mark.parametrize('name', SIZES)
def test_all_take_gray_and_colour_and_odd_sizes(name):
  for shape in ((48, 48, 1), (37, 51, 3)):
    logits, variables = trace(name, shape, dtype=jnp.bfloat16)
    assert (logits.shape, logits.dtype) == ((2, 7), jnp.float32)
    leaves = jax.tree.leaves(variables)
    assert {leaf.dtype.name for leaf in leaves} == {'float32'}
    assert variables['params']['classifier']['kernel'].shape[1] == 7


@pytest.mark.parametrize('name', TINY)
def test_a_training_step_in_bfloat16(name):
  build = functools.partial(SIZES[name], num_classes=7, **TINY[name])
  probes.check_bfloat16_step(build, SHAPE)


def test_cnn38_has_38_layers_in_the_order_of_its_table(monkeypatch):
  seen = []

  def spy(owner, name):
    function = getattr(owner, name)

    def spied(*args, **kwargs):
      seen.append(name)
      return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, spied)

  for name in ('conv', 'batch_norm', 'dense'):
    spy(layers, name)
  spy(pooling, 'max_pool')
  spy(nn, 'relu')
  spy(nn.Dropout, '__call__')
  trace('cnn38', (48, 48, 1))

  convolution = ['conv', 'batch_norm', 'relu']
  end = ['max_pool', '__call__']
  a, b = convolution + end, 2 * convolution + end
  fully_connected = ['dense', 'batch_norm', 'relu', '__call__']
  assert seen == a + 3 * b + 2 * fully_connected + ['dense']
  assert len(seen) == 38
  rows = [line.split('|') for line in plain.PlainCNN.__doc__.splitlines()]
  table = [cells[-2].strip() for cells in rows if len(cells) > 2]
  assert sum(map(int, filter(str.isdecimal, table))) == 38


def test_the_family_grows():
  sizes = []
  for name in (f'cnn_s{i}' for i in range(1, 8)):
    _, variables = trace(name, (48, 48, 1))
    leaves = jax.tree.leaves(variables['params'])
    depth = sum('conv' in key for key in variables['params'])
    sizes.append((sum(leaf.size for leaf in leaves), depth))
  for (small, shallow), (large, deep) in itertools.pairwise(sizes):
    assert 1.8 < large / small < 2.3
    assert shallow <= deep


def test_maps_of_three_are_not_pooled():
  _, variables = trace('cnn5', (48, 48, 1))
  assert variables['params']['hidden1']['kernel'].shape == (3 * 3 * 512, 256)
  _, variables = trace('cnn5', (5, 3, 1))
  assert variables['params']['hidden1']['kernel'].shape == (5 * 3 * 512, 256)


def test_stage_dropout_drops_whole_channels():
  model = plain.PlainCNN(
    7, stages=((64,),), hidden=(8,), dropout=0.0, stage_dropout=0.25
  )
  variables = models.init(model, SHAPE, seed=0)
  maps = []

  def watch(call, args, kwargs, context):
    y = call(*args, **kwargs)
    if isinstance(context.module, nn.Dropout) and y.ndim == 4:
      maps.append((args[0], y))
    return y

  with nn.intercept_methods(watch):
    model.apply(
      variables,
      probes.random_images(8, SHAPE),
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(0)},
    )
  ((before, after),) = maps
  kept = np.any(after, axis=(1, 2), keepdims=True)
  np.testing.assert_allclose(after, np.where(kept, before / 0.75, 0), rtol=1e-6)
  assert kept.mean() == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize('side', [2, 3, 4])
def test_images_too_small_for_mini_xception_are_named(side):
  trace('mini_xception', (5, 5, 1))
  with pytest.raises(UserError, match=r'has no patch of 3x3: the images are'):
    trace('mini_xception', (5, side, 1))


def test_means_under_3x3_are_a_convolution_and_its_mean():
  x = probes.random_images(2, (5, 7, 4))
  rng = np.random.default_rng(1)
  kernel = jnp.asarray(rng.standard_normal((3, 3, 4, 6)), jnp.float32)
  y = jax.lax.conv_general_dilated(
    x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  means = mini_xception.means_under_3x3(x)
  ours = means @ kernel.reshape(-1, 6)
  np.testing.assert_allclose(ours, y.mean((1, 2)), atol=1e-5)
