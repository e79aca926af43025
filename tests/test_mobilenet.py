"""MobileNetV2: its size, its block against NumPy, a training step."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from probes import check_bfloat16_step, trace
import pytest

from ferjax.models import layers, mobilenet

TINY = functools.partial(
  mobilenet.MobileNet,
  num_classes=7,
  stages=(mobilenet.Stage(1, 3, 1, 4, 1), mobilenet.Stage(2, 5, 2, 8, 1)),
  stem_width=4,
  head_width=8,
)


def test_as_many_parameters_as_published():
  model = mobilenet.SIZES['mobilenet_v2'](num_classes=1000, stem='imagenet')
  _, variables = trace(model, (224, 224, 3))
  leaves = jax.tree.leaves(variables['params'])
  assert sum(leaf.size for leaf in leaves) == 3_504_872
  # torchvision's features.1 to features.17.
  blocks = [name for name in variables['params'] if name.startswith('block')]
  assert len(blocks) == 17


@pytest.mark.parametrize(('stem', 'stride'), [('small', 1), ('imagenet', 2)])
def test_stems_share_their_parameters(stem, stride):
  model = TINY(stem=stem)
  logits, variables = trace(model, (27, 21, 3))
  assert logits.shape == (2, 7)
  _, default = trace(TINY(), (48, 48, 3))
  assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, default)

  _, seen = jax.eval_shape(
    functools.partial(model.apply, train=False, capture_intermediates=True),
    variables,
    jax.ShapeDtypeStruct((2, 27, 21, 3), jnp.float32),
  )
  (stem_output,) = seen['intermediates']['stem_conv']['__call__']
  assert stem_output.shape[1:3] == (-(-27 // stride), -(-21 // stride))


def normalize(y, params, stats):
  factor = params['scale'] / np.sqrt(stats['var'] + 1e-5)
  return (y - stats['mean']) * factor + params['bias']


def block_in_numpy(x, params, stats, activation, size, stride):
  """The block once more in evaluation, in float64."""
  y = x
  if 'expand_conv' in params:
    y = y @ params['expand_conv']['kernel'][0, 0]
    name = 'expand_norm'
    y = activation(normalize(y, params[name], stats[name]))
  pad = size // 2
  padded = np.pad(y, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  windows = np.lib.stride_tricks.sliding_window_view(
    padded, (size, size), (1, 2)
  )
  windows = windows[:, ::stride, ::stride]
  kernel = params['depthwise_conv']['kernel'][:, :, 0]
  y = np.einsum('bhwcij,ijc->bhwc', windows, kernel)
  name = 'depthwise_norm'
  y = activation(normalize(y, params[name], stats[name]))
  if 'squeeze' in params:
    reduce, expand = params['squeeze']['reduce'], params['squeeze']['expand']
    z = y.mean((1, 2)) @ reduce['kernel'][0, 0] + reduce['bias']
    z = activation(z) @ expand['kernel'][0, 0] + expand['bias']
    y = y / (1 + np.exp(-z))[:, None, None]
  y = y @ params['project_conv']['kernel'][0, 0]
  if 'last_norm' in params:
    return x + normalize(y, params['last_norm'], stats['last_norm'])
  return normalize(y, params['project_norm'], stats['project_norm'])


@pytest.mark.parametrize(
  ('features', 'size', 'stride', 'expanded', 'reduced', 'name'),
  [
    (4, 3, 1, 12, 0, 'relu6'),  # with the input added
    (6, 3, 2, 4, 0, 'relu6'),  # neither widened nor added
    (4, 5, 1, 8, 3, 'silu'),  # EfficientNet's
  ],
)
def test_block_against_numpy(features, size, stride, expanded, reduced, name):
  activations = {
    'relu6': (nn.relu6, lambda y: np.clip(y, 0, 6)),
    'silu': (nn.silu, lambda y: y / (1 + np.exp(-y))),
  }
  ours, theirs = activations[name]
  block = mobilenet.InvertedResidual(
    features=features,
    size=size,
    stride=stride,
    expanded=expanded,
    reduced=reduced,
    activation=ours,
    drop_path=0.5,
    dtype=jnp.float32,
    norm=functools.partial(
      layers.batch_norm, train=False, dtype=jnp.float32, axis_name=None
    ),
  )
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 5, 6, 4))
  shapes = jax.eval_shape(
    functools.partial(block.init, train=False),
    jax.random.key(0),
    jnp.float32(x),
  )
  # Positive, so that variances may be drawn like all else.
  variables = jax.tree.map(lambda leaf: rng.uniform(0.2, 2, leaf.shape), shapes)
  variables = jax.tree.map_with_path(
    lambda path, leaf: leaf - 1.1 if path[-1].key == 'kernel' else leaf,
    variables,
  )
  y = block.apply(
    jax.tree.map(jnp.float32, variables), jnp.float32(x), train=False
  )
  expected = block_in_numpy(
    x, variables['params'], variables['batch_stats'], theirs, size, stride
  )
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_a_training_step_in_bfloat16():
  stages = (mobilenet.Stage(1, 3, 1, 6, 1), mobilenet.Stage(2, 5, 2, 8, 1))
  build = functools.partial(
    TINY, stages=stages, dropout=0.0, squeeze_excitation=True
  )
  check_bfloat16_step(build, (12, 12, 1))
