"""Muon against its definition, worked out by NumPy in float64."""

import jax
import numpy as np
import pytest

from ferjax import optim
from ferjax.config import default_config

RATE, DECAY, MOMENTUM = 0.02, 0.5, 0.9

SHAPES = {
  'stem': {'kernel': (3, 3, 4, 16)},
  'depthwise': {'kernel': (3, 3, 1, 16)},
  'block': {'conv': {'kernel': (3, 3, 16, 8)}, 'norm': {'scale': (8,)}},
  'wide': {'kernel': (1, 1, 16, 64)},
  'hidden': {'kernel': (24, 10), 'bias': (10,)},
  'classifier': {'kernel': (16, 7), 'bias': (7,)},
}
MATRICES = {
  ('block', 'conv', 'kernel'),
  ('wide', 'kernel'),
  ('hidden', 'kernel'),
}


@pytest.fixture(scope='module')
def updated():
  """Parameters, two gradients, and what two steps make of the parameters."""
  rng = np.random.default_rng(0)

  def draw(shape):
    return rng.normal(size=shape).astype(np.float32)

  params, *grads = (
    jax.tree.map(draw, SHAPES, is_leaf=lambda x: isinstance(x, tuple))
    for _ in range(3)
  )
  config = default_config().optimizer
  config.update({'name': 'muon', 'momentum': MOMENTUM, 'weight_decay': DECAY})
  optimizer = optim.make_optimizer(config, lambda count: RATE)
  after = params
  with jax.numpy_dtype_promotion('standard'):
    state = optimizer.init(params)
    for grad in grads:
      updates, state = optimizer.update(grad, state, after)
      after = jax.tree.map(lambda p, u: np.asarray(p + u), after, updates)
  flat = (by_path(tree) for tree in (params, *grads, after))
  return list(zip(*flat, strict=True))


def by_path(tree):
  return [
    (tuple(part.key for part in path), np.asarray(leaf, np.float64))
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  ]


def orthogonal(gradient):
  """Three steps of Newton and Schulz, with the coefficients published."""
  x = gradient.reshape(-1, gradient.shape[-1])
  tall = x.shape[0] > x.shape[1]
  x = x.T if tall else x
  x = x / np.linalg.norm(x)
  for _ in range(3):
    a = x @ x.T
    x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
  x = x.T if tall else x
  rows, columns = x.shape
  return (x * np.sqrt(max(1, columns / rows))).reshape(gradient.shape)


def test_matrices_move_by_orthogonal_updates(updated):
  seen = set()
  for (path, value), (_, first), (_, second), (_, after) in updated:
    if path not in MATRICES:
      continue
    seen.add(path)
    memory = np.zeros_like(value)
    for t, gradient in enumerate((first, second), start=1):
      memory = MOMENTUM * memory + (1 - MOMENTUM) * gradient
      # Nesterov's, with the bias of either part taken out.
      ahead = MOMENTUM * memory / (1 - MOMENTUM ** (t + 1))
      ahead = ahead + (1 - MOMENTUM) * gradient / (1 - MOMENTUM**t)
      value = value - RATE * (orthogonal(ahead) + DECAY * value)
    np.testing.assert_allclose(after, value, rtol=1e-3, atol=1e-4)
  assert seen == MATRICES


def test_the_rest_is_adams_at_a_tenth_of_the_rate(updated):
  for (path, value), _, _, (_, after) in updated:
    moved = np.abs(after - value).max()
    if path in MATRICES:
      continue
    # Two steps of Adam move by the rate each, at most; Nesterov leans ahead.
    assert 0 < moved < 2 * 0.1 * RATE * 1.6, path
