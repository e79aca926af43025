"""ConvNeXt: its size, its block against NumPy and SciPy, a training step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from probes import check_bfloat16_step, trace
import pytest
import scipy.special

from ferjax.errors import UserError
from ferjax.models import convnext

TINY = functools.partial(
  convnext.ConvNeXt, num_classes=7, depths=(1, 1), widths=(4, 8)
)


@pytest.mark.parametrize(
  ('stem', 'shape'), [('imagenet', (224, 224, 3)), ('small', (48, 49, 3))]
)
def test_as_many_parameters_as_published(stem, shape):
  model = convnext.SIZES['convnext_tiny'](num_classes=1000, stem=stem)
  logits, variables = trace(model, shape)
  assert logits.shape == (2, 1000)
  assert set(variables) == {'params'}
  leaves = jax.tree.leaves(variables)
  assert sum(leaf.size for leaf in leaves) == 28_589_128


@pytest.mark.parametrize(('stem', 'side'), [('small', 24), ('imagenet', 12)])
def test_resolution_after_each_stem(stem, side):
  model = TINY(stem=stem)
  _, variables = trace(model, (48, 48, 1))
  _, seen = jax.eval_shape(
    functools.partial(model.apply, train=False, capture_intermediates=True),
    variables,
    jax.ShapeDtypeStruct((2, 48, 48, 1), jnp.float32),
  )
  (output,) = seen['intermediates']['stage1_block1']['__call__']
  assert output.shape == (2, side, side, 4)


@pytest.mark.parametrize(
  ('stem', 'side', 'message'),
  [
    ('imagenet', 3, '3x3 has no patch of 4x4'),
    ('imagenet', 7, '1x1 has no patch of 2x2'),
  ],
)
def test_what_does_not_fit_is_named(stem, side, message):
  with pytest.raises(UserError, match=message):
    trace(TINY(stem=stem), (side, side, 1))


def test_block_against_numpy():
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 5, 3, 4))
  block = convnext.Block(drop_path=0.5, dtype=jnp.float32)
  shapes = jax.eval_shape(
    functools.partial(block.init, train=False),
    jax.random.key(0),
    jnp.float32(x),
  )
  params = jax.tree.map(
    lambda leaf: rng.standard_normal(leaf.shape), shapes['params']
  )
  y = block.apply(
    {'params': jax.tree.map(jnp.float32, params)}, jnp.float32(x), train=False
  )

  padded = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)))
  windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), (1, 2))
  kernel = params['depthwise_conv']['kernel'][:, :, 0]
  z = np.einsum('bhwcij,ijc->bhwc', windows, kernel)
  z += params['depthwise_conv']['bias']
  z -= z.mean(-1, keepdims=True)
  z /= np.sqrt((z**2).mean(-1, keepdims=True) + 1e-6)
  z = z * params['norm']['scale'] + params['norm']['bias']
  z = z @ params['hidden']['kernel'] + params['hidden']['bias']
  z = z * scipy.special.ndtr(z)  # the exact GELU
  z = z @ params['output']['kernel'] + params['output']['bias']
  expected = x + z * params['layer_scale']
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_a_training_step_in_bfloat16():
  build = functools.partial(TINY, drop_path=0.0)
  check_bfloat16_step(build, (16, 16, 1))
