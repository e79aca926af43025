"""DeXpression against float64 NumPy and the table of its paper."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import models
from ferjax.models import dexpression


def random_images(batch, shape):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.standard_normal((batch, *shape)), jnp.float32)


def trace(name, side):
  model = dexpression.SIZES[name](num_classes=7)
  _, variables = jax.eval_shape(
    functools.partial(model.init_with_output, train=False),
    jax.random.key(0),
    jax.ShapeDtypeStruct((2, side, side, 1), jnp.float32),
  )
  return variables['params']


@pytest.mark.parametrize(
  ('name', 'side', 'last'),
  [('dexpression', 224, 14), ('dexpression_48', 48, 6)],
)
def test_parameters_by_the_table_of_the_paper(name, side, last):
  table = [  # side of the kernel, channels in and out
    (7, 1, 64),
    *((1, 64, 96), (3, 96, 208), (1, 64, 64)),
    *((1, 272, 96), (3, 96, 208), (1, 272, 64)),
    (last, 272, 7),
  ]
  expected = sum((size**2 * ins + 1) * outs for size, ins, outs in table)
  params = trace(name, side)
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected
  assert expected == {'dexpression': 790_311, 'dexpression_48': 485_671}[name]


@pytest.mark.parametrize(
  'constants', [{}, {'size': 3, 'k': 1.0, 'alpha': 0.5, 'beta': 0.6}]
)
@pytest.mark.parametrize('channels', [1, 4, 9])
def test_local_response_norm_against_a_loop(channels, constants):
  x = 30 * random_images(2, (3, 2, channels))
  exact = np.asarray(x, np.float64)
  size, k, alpha, beta = (
    {'size': 5, 'k': 2.0, 'alpha': 1e-4, 'beta': 0.75} | constants
  ).values()
  expected = np.empty_like(exact)
  for c in range(channels):
    around = range(max(0, c - size // 2), min(channels, c + size // 2 + 1))
    total = sum(exact[..., d] ** 2 for d in around)
    expected[..., c] = exact[..., c] / (k + alpha * total) ** beta
  norm = functools.partial(dexpression.local_response_norm, **constants)
  np.testing.assert_allclose(norm(x), expected, rtol=1e-5)
  rounded = norm(x.astype(jnp.bfloat16))
  assert rounded.dtype == jnp.bfloat16
  np.testing.assert_allclose(
    rounded.astype(jnp.float32), expected, rtol=0.05, atol=1e-6
  )
  gradient = jax.grad(lambda x: norm(x).sum())(jnp.zeros_like(x))
  np.testing.assert_allclose(gradient, k**-beta, rtol=1e-5)


def windows(x, value):
  """All 3x3 windows of `x`, padded: `[batch, height, width, 3, 3, in]`."""
  _, height, width, _ = x.shape
  around = ((0, 0), (1, 1), (1, 1), (0, 0))
  x = np.pad(x, around, constant_values=value)
  return np.stack(
    [
      np.stack([x[:, i : i + 3, j : j + 3] for j in range(width)], 1)
      for i in range(height)
    ],
    1,
  )


def test_a_block_against_numpy():
  block = dexpression.FeatEx(reduced=3, width=5, pooled=2, dtype=jnp.float32)
  x = random_images(2, (5, 6, 4))
  shapes = jax.eval_shape(block.init, jax.random.key(0), x)
  rng = np.random.default_rng(1)
  params = jax.tree.map(
    lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes
  )
  weights = jax.tree.map(np.float64, params['params'])

  def pointwise(x, layer):
    kernel, bias = weights[layer]['kernel'][0, 0], weights[layer]['bias']
    return np.maximum(x @ kernel + bias, 0)

  exact = np.asarray(x, np.float64)
  reduced = pointwise(exact, 'reduce')
  kernel = weights['conv']['kernel']
  y = np.einsum('bhwijc,ijco->bhwo', windows(reduced, 0), kernel)
  y = np.maximum(y + weights['conv']['bias'], 0)
  pooled = pointwise(windows(exact, -np.inf).max((3, 4)), 'project')
  joined = np.concatenate([y, pooled], -1)
  expected = windows(joined, -np.inf).max((3, 4))[:, ::2, ::2]
  ours = block.apply(params, x)
  assert ours.shape == (2, 3, 3, 7)
  np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_the_network_uses_the_response_norm():
  """Strong inputs are damped, where all other layers would only scale."""
  model = dexpression.DeXpression(7, stem_width=6, reduced=4, width=6, pooled=3)
  images = random_images(2, (12, 12, 1))
  variables = models.init(model, (12, 12, 1), seed=0)  # biases begin at zero
  apply = jax.jit(functools.partial(model.apply, variables, train=False))
  weak, strong = apply(images), apply(1000 * images)
  assert np.abs(strong).max() < 500 * np.abs(weak).max()
