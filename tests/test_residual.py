"""What residual branches do, against NumPy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.models import residual


def test_squeeze_excitation_against_numpy():
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 3, 5, 8))
  params = {
    'reduce': {
      'kernel': rng.standard_normal((1, 1, 8, 2)),
      'bias': rng.standard_normal(2),
    },
    'expand': {
      'kernel': rng.standard_normal((1, 1, 2, 8)),
      'bias': rng.standard_normal(8),
    },
  }
  module = residual.SqueezeExcitation(2, nn.silu)
  y = module.apply(
    {'params': jax.tree.map(jnp.float32, params)}, jnp.float32(x)
  )
  hidden = x.mean((1, 2)) @ params['reduce']['kernel'][0, 0]
  hidden += params['reduce']['bias']
  hidden /= 1 + np.exp(-hidden)
  gate = hidden @ params['expand']['kernel'][0, 0] + params['expand']['bias']
  gate = 1 / (1 + np.exp(-gate))
  np.testing.assert_allclose(y, x * gate[:, None, None], rtol=1e-4, atol=1e-6)


class Dropped(nn.Module):
  """Nothing but stochastic depth."""

  @nn.compact
  def __call__(self, y, train):
    return residual.stochastic_depth(y, 0.25, train)


def test_stochastic_depth_drops_whole_examples_and_keeps_the_mean():
  y = jnp.ones((4000, 2, 3))
  out = Dropped().apply({}, y, True, rngs={'dropout': jax.random.key(0)})
  factors = np.asarray(out)[:, 0, 0]
  expected = np.broadcast_to(factors[:, None, None], out.shape)
  np.testing.assert_array_equal(out, expected)
  assert set(np.unique(factors)) == {np.float32(0), np.float32(1 / 0.75)}
  assert factors.mean() == pytest.approx(1, abs=0.04)  # 4 deviations


def test_stochastic_depth_is_off_in_evaluation():
  y = jnp.ones((8, 2))
  np.testing.assert_array_equal(Dropped().apply({}, y, False), y)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_layer_scale_begins_small_and_is_each_channels_own(dtype):
  class Scaled(nn.Module):
    @nn.compact
    def __call__(self, y):
      return residual.layer_scale(y, self)

  y = jnp.ones((2, 3, 3, 4), dtype)
  first, variables = Scaled().init_with_output(jax.random.key(0), y)
  np.testing.assert_allclose(first.astype(jnp.float32), 1e-6, rtol=0.01)
  assert variables['params']['layer_scale'].dtype == jnp.float32
  scale = jnp.arange(4.0)
  out = Scaled().apply({'params': {'layer_scale': scale}}, y)
  assert out.dtype == dtype
  expected = np.broadcast_to(np.arange(4.0), y.shape)
  np.testing.assert_array_equal(out.astype(jnp.float32), expected)
