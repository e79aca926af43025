"""The layers that networks share, against NumPy and Flax's own."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.models import initial, layers


def random_images(batch, shape):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.standard_normal((batch, *shape)), jnp.float32)


@pytest.mark.parametrize(
  ('shape', 'published'),
  [
    (
      (3, 3, 64, 128),
      nn.initializers.variance_scaling(2.0, 'fan_out', 'normal'),
    ),
    ((512, 128), nn.initializers.lecun_normal()),
  ],
)
def test_kernels_have_the_published_deviations(shape, published):
  values = published(jax.random.key(0), shape, jnp.float32)
  expected = float(values.std())
  assert initial.kernel_std(shape) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
  ('stem', 'side'), [('small', 48), ('space_to_depth', 24), ('imagenet', 12)]
)
def test_resolution_after_each_stem(stem, side):
  conv = functools.partial(layers.conv, dtype=jnp.float32)

  class OnlyStem(nn.Module):
    @nn.compact
    def __call__(self, images):
      return layers.STEMS[stem](images, 5, conv, lambda x, name: x)

  images = jnp.zeros((2, 48, 48, 1))
  features, _ = jax.eval_shape(
    OnlyStem().init_with_output, jax.random.key(0), images
  )
  assert features.shape == (2, side, side, 5)


class Norm(nn.Module):
  """One batch norm."""

  axis_name: str | None = None

  @nn.compact
  def __call__(self, x):
    return layers.batch_norm(
      x, name='norm', train=True, dtype=jnp.float32, axis_name=self.axis_name
    )


def norm_variables():
  scale, bias = np.float32([1, 2, 3]), np.float32([0, 1, -1])
  mean, var = np.zeros(3, np.float32), np.ones(3, np.float32)
  return {
    'params': {'norm': {'scale': scale, 'bias': bias}},
    'batch_stats': {'norm': {'mean': mean, 'var': var}},
  }


def test_batch_norm_against_numpy():
  x = 3 + 2 * random_images(8, (5, 4, 3))
  y, updates = Norm().apply(norm_variables(), x, mutable=['batch_stats'])
  exact = np.asarray(x, np.float64)
  mean, var = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
  expected = (exact - mean) / np.sqrt(var + 1e-5) * [1, 2, 3] + [0, 1, -1]
  np.testing.assert_allclose(y, expected, atol=1e-4)
  running = updates['batch_stats']['norm']
  np.testing.assert_allclose(running['mean'], 0.1 * mean, rtol=1e-4)
  np.testing.assert_allclose(running['var'], 0.9 + 0.1 * var, rtol=1e-4)


def test_batch_norm_keeps_its_digits_far_from_zero():
  x = 1000 + random_images(8, (5, 4, 3))
  y, _ = Norm().apply(norm_variables(), x, mutable=['batch_stats'])
  exact = np.asarray(x, np.float64)
  mean, var = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
  expected = (exact - mean) / np.sqrt(var + 1e-5) * [1, 2, 3] + [0, 1, -1]
  np.testing.assert_allclose(y, expected, atol=1e-3)


def test_batch_norm_across_replicas_is_that_of_the_joined_batch():
  # Parts that differ, so that their own statistics would be wrong.
  x = random_images(8, (5, 4, 3)) * jnp.arange(8.0)[:, None, None, None]
  parts = x.reshape(4, 2, 5, 4, 3)
  y, updates = jax.pmap(
    lambda part: Norm('batch').apply(
      norm_variables(), part, mutable=['batch_stats']
    ),
    axis_name='batch',
  )(parts)
  expected, joined = Norm().apply(norm_variables(), x, mutable=['batch_stats'])
  np.testing.assert_allclose(y.reshape(x.shape), expected, atol=1e-5)
  for ours, theirs in zip(
    jax.tree.leaves(updates), jax.tree.leaves(joined), strict=True
  ):
    np.testing.assert_allclose(ours, np.tile(theirs, (4, 1)), atol=1e-5)


def norm_gradients(network, variables, x, weights):
  """Of a sum that weighs each result, by parameters and features."""

  def loss(params, x, weights):
    y, _ = network.apply(
      {**variables, 'params': params}, x, mutable=['batch_stats']
    )
    return jnp.sum(weights * y**2)

  return jax.grad(loss, (0, 1))(variables['params'], x, weights)


def test_batch_norm_has_the_gradient_of_automatic_differentiation():
  class Plain(nn.Module):
    @nn.compact
    def __call__(self, x):
      return nn.BatchNorm(False, use_fast_variance=False, name='norm')(x)

  x, weights = 3 + 2 * random_images(8, (5, 4, 3)), random_images(8, (5, 4, 3))
  for ours, theirs in zip(
    jax.tree.leaves(norm_gradients(Norm(), norm_variables(), x, weights[::-1])),
    jax.tree.leaves(
      norm_gradients(Plain(), norm_variables(), x, weights[::-1])
    ),
    strict=True,
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_batch_norm_across_replicas_has_the_gradient_of_the_joined_batch():
  x = random_images(8, (5, 4, 3)) * jnp.arange(8.0)[:, None, None, None]
  weights = random_images(8, (5, 4, 3))[::-1]
  expected_params, expected_x = norm_gradients(
    Norm(), norm_variables(), x, weights
  )
  parts = (4, 2, 5, 4, 3)
  params, parts_x = jax.pmap(
    lambda *part: norm_gradients(Norm('batch'), norm_variables(), *part),
    axis_name='batch',
  )(x.reshape(parts), weights.reshape(parts))
  np.testing.assert_allclose(
    parts_x.reshape(x.shape), expected_x, rtol=1e-4, atol=1e-4
  )
  for ours, theirs in zip(
    jax.tree.leaves(params), jax.tree.leaves(expected_params), strict=True
  ):
    np.testing.assert_allclose(ours.sum(0), theirs, rtol=1e-4, atol=1e-4)


def test_dropout_acts_in_training_alone():
  x = jnp.ones((64, 100))

  class Head(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      return layers.classify(x, 7, 0.25, train)

  ones = jnp.full((100, 7), 0.01)
  params = {'classifier': {'kernel': ones, 'bias': jnp.zeros(7)}}
  still = Head().apply({'params': params}, x, train=False)
  np.testing.assert_allclose(still, 1, rtol=1e-5)
  rngs = {'dropout': jax.random.key(0)}
  moving = Head().apply({'params': params}, x, train=True, rngs=rngs)
  kept = np.asarray(moving) * 75  # features of weight 1 / (100 * 0.75)
  np.testing.assert_allclose(kept, np.round(kept), atol=1e-3)
  assert kept.mean() == pytest.approx(75, abs=3)
  assert kept.std() > 1
