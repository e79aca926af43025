"""Pooling against Flax's own and loops."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.models import pooling


def random_images(batch, shape):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.standard_normal((batch, *shape)), jnp.float32)


@pytest.mark.parametrize('shape', [(6, 4, 3), (5, 7, 2)])
def test_max_pool_against_flax(shape):
  x = random_images(2, shape)

  def sum_of_squares(pool, x):
    return (pool(x) ** 2).sum()

  def pool(x):
    return nn.max_pool(x, (2, 2), (2, 2))

  np.testing.assert_array_equal(pooling.max_pool(x), pool(x))
  ours, theirs = (
    jax.grad(functools.partial(sum_of_squares, function))(x)
    for function in (pooling.max_pool, pool)
  )
  np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize('place', [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_no_pool_hides_what_is_not_a_number(place):
  x = jnp.zeros((1, 2, 2, 1)).at[0, *place, 0].set(jnp.nan)
  assert jnp.isnan(pooling.max_pool(x)).all()
  assert jnp.isnan(pooling.max_pool_3x3(x, 2)).all()


def test_max_pool_gives_the_gradient_to_the_first_of_equals():
  x = jnp.asarray([[1.0, 5.0], [5.0, 0.0]])[None, :, :, None]
  gradient = jax.grad(lambda x: pooling.max_pool(x).sum())(x)
  np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 1], [0, 0]])


@pytest.mark.parametrize(
  ('shape', 'stride'), [((6, 8, 3), 2), ((5, 7, 2), 1), ((1, 2, 2), 2)]
)
def test_max_pool_3x3_against_flax(shape, stride):
  x = random_images(2, shape) - 3  # below the zeros of a wrong padding
  weights = random_images(2, pooling.max_pool_3x3(x, stride).shape[1:])

  def pool(x, stride):
    return nn.max_pool(x, (3, 3), (stride, stride), ((1, 1), (1, 1)))

  ours, theirs = (
    jax.value_and_grad(lambda x, pool=pool: (pool(x, stride) * weights).sum())(
      x
    )
    for pool in (pooling.max_pool_3x3, pool)
  )
  np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
  np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)
  rounded = pooling.max_pool_3x3(x.astype(jnp.bfloat16), stride)
  assert rounded.dtype == jnp.bfloat16


def test_average_pool_and_space_to_depth_against_loops():
  x = np.asarray(random_images(2, (4, 6, 3)))
  means = pooling.average_pool(x)
  depths = pooling.space_to_depth(x)
  assert means.shape == (2, 2, 3, 3)
  assert depths.shape == (2, 2, 3, 12)
  for i, j in np.ndindex(2, 3):
    window = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
    np.testing.assert_allclose(means[:, i, j], window.mean((1, 2)), atol=1e-6)
    np.testing.assert_array_equal(depths[:, i, j], window.reshape(2, 12))


def test_images_that_are_too_small_are_named():
  with pytest.raises(UserError, match='1x5 cannot be halved'):
    pooling.average_pool(jnp.zeros((2, 1, 5, 3)))
