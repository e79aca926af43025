"""The vision transformer: its size, its block against NumPy, a step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from probes import check_bfloat16_step, trace
import pytest
import scipy.special

from ferjax import models
from ferjax.errors import UserError
from ferjax.models import vit

TINY = functools.partial(
  vit.VisionTransformer, num_classes=7, width=8, depth=2, num_heads=2
)


def test_parameters():
  logits, variables = trace(vit.SIZES['vit'](num_classes=7), (48, 48, 1))
  assert (logits.shape, logits.dtype) == ((2, 7), jnp.float32)
  width, hidden = 192, 768
  block = 4 * (width + 1) * width + (width + 1) * hidden
  block += (hidden + 1) * width + 4 * width
  patches, places = (36 + 1) * width, 64 * width
  expected = patches + places + 8 * block + 2 * width + (width + 1) * 7
  leaves = jax.tree.leaves(variables)
  assert sum(leaf.size for leaf in leaves) == expected == 3_580_039


def test_any_multiple_of_the_patch_and_any_channels():
  logits, variables = trace(TINY(), (18, 30, 3))
  assert logits.shape == (2, 7)
  assert variables['params']['embedding'].shape == (1, 15, 8)


def test_other_sizes_are_named():
  with pytest.raises(
    UserError, match='28x28 cannot be cut into patches of 6x6'
  ):
    trace(TINY(), (28, 28, 1))


def normalize(x, params):
  x = x - x.mean(-1, keepdims=True)
  x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
  return x * params['scale'] + params['bias']


def apply_dense(x, params):
  return x @ params['kernel'] + params['bias']


def test_block_against_numpy():
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 5, 8))
  block = vit.Block(num_heads=2, drop_path=0.5, dtype=jnp.float32)
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

  z = normalize(x, params['attention_norm'])
  heads = []
  for head in range(2):
    own = np.s_[:, :, 4 * head : 4 * head + 4]
    query, key, value = (
      apply_dense(z, params[name])[own] for name in ('query', 'key', 'value')
    )
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(4)
    heads.append(scipy.special.softmax(scores, -1) @ value)
  expected = x + apply_dense(
    np.concatenate(heads, -1), params['attention_output']
  )
  z = apply_dense(normalize(expected, params['norm']), params['hidden'])
  expected += apply_dense(z * scipy.special.ndtr(z), params['output'])
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_it_sees_where_a_patch_lies():
  model, shape = TINY(), (12, 12, 1)
  variables = models.init(model, shape, seed=0)
  images = jnp.zeros((2, *shape)).at[0, :6, :6].set(1).at[1, 6:, 6:].set(1)
  first, second = model.apply(variables, images, train=False)
  assert np.abs(first - second).max() > 1e-4
  blind = {'params': {**variables['params'], 'embedding': jnp.zeros((1, 4, 8))}}
  first, second = model.apply(blind, images, train=False)
  np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_training_step_in_bfloat16():
  build = functools.partial(TINY, drop_path=0.0)
  check_bfloat16_step(build, (12, 12, 1))
