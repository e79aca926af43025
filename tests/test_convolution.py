"""Each form of a convolution, against loops in float64."""

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.models import convolution, layers


def grouped(x, kernel, stride, padding):
  return lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    ((padding, padding),) * 2,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=x.shape[-1],
  )


def looped(x, kernel, stride, padding):
  """Returns the convolution, and its two gradients for the loss sum(y^2)/2."""
  size = len(kernel)
  around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
  padded = np.pad(x, around)
  x_gradient, kernel_gradient = np.zeros_like(padded), np.zeros_like(kernel)
  rows, columns = ((n + 2 * padding - size) // stride + 1 for n in x.shape[1:3])
  y = np.zeros((len(x), rows, columns, x.shape[-1]))
  for i, j in np.ndindex(rows, columns):
    top, left = stride * i, stride * j
    window = np.s_[:, top : top + size, left : left + size]
    y[:, i, j] = (padded[window] * kernel[:, :, 0]).sum((1, 2))
    slope = y[:, i, j][:, None, None]
    x_gradient[window] += slope * kernel[:, :, 0]
    kernel_gradient[:, :, 0] += (slope * padded[window]).sum(0)
  height, width = x.shape[1:3]
  inside = np.s_[:, padding : padding + height, padding : padding + width]
  return y, x_gradient[inside], kernel_gradient


@pytest.mark.parametrize('form', [grouped, convolution.shifted_sum])
@pytest.mark.parametrize(
  ('shape', 'size', 'stride'),
  [
    ((6, 5, 3), 3, 1),
    ((6, 5, 3), 3, 2),
    ((7, 8, 2), 5, 2),
    ((2, 3, 2), 7, 1),
    ((1, 1, 4), 3, 2),
  ],
)
def test_both_forms_of_a_depthwise_convolution(form, shape, size, stride):
  rng = np.random.default_rng(0)
  x = rng.standard_normal((3, *shape))
  kernel = rng.standard_normal((size, size, 1, shape[-1]))

  def loss(x, kernel):
    y = form(x, kernel, stride, size // 2)
    return jnp.square(y).sum() / 2, y

  gradients, y = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(
    jnp.float32(x), jnp.float32(kernel)
  )
  for ours, exact in zip(
    (y, *gradients), looped(x, kernel, stride, size // 2), strict=True
  ):
    tolerance = 1e-5 * np.abs(exact).max()
    np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=tolerance)


def test_bfloat16_is_summed_in_float32():
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((2, 6, 6, 3)), jnp.bfloat16)
  kernel = jnp.asarray(rng.standard_normal((7, 7, 1, 3)), jnp.bfloat16)

  def squares(kernel):
    y = convolution.shifted_sum(x, kernel, 1, 3)
    return jnp.square(y.astype(jnp.float32)).sum() / 2, y

  gradient, y = jax.jit(jax.grad(squares, has_aux=True))(kernel)
  exact, _, exact_gradient = looped(np.float64(x), np.float64(kernel), 1, 3)
  # One rounding at the end: half a unit in the last of eight binary places.
  np.testing.assert_allclose(np.float64(y), exact, rtol=2**-8, atol=1e-5)
  assert gradient.dtype == jnp.bfloat16
  error = np.abs(np.float64(gradient) - exact_gradient).max()
  assert error < 0.01 * np.abs(exact_gradient).max()


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize(('side', 'size'), [(1, 3), (2, 3), (5, 3), (6, 5)])
def test_an_unfolded_product_is_the_convolution(side, size, stride):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((2, side, side + 1, 3)), jnp.float32)
  kernel = jnp.asarray(rng.standard_normal((size, size, 3, 4)), jnp.float32)
  pad = size // 2

  def plain(x, kernel):
    return lax.conv_general_dilated(
      x,
      kernel,
      (stride, stride),
      ((pad, pad), (pad, pad)),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )

  ours, pull = jax.vjp(
    lambda x, kernel: convolution.unfolded_product(x, kernel, stride, pad),
    x,
    kernel,
  )
  theirs, their_pull = jax.vjp(plain, x, kernel)
  slope = jnp.cos(theirs)
  for our, their in zip(
    (ours, *pull(slope)), (theirs, *their_pull(slope)), strict=True
  ):
    np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('size', [1, 3])
@pytest.mark.parametrize(('stride', 'padding'), [(1, 0), (1, 1), (2, 1)])
def test_padding_is_that_of_lax(size, stride, padding):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((2, 6, 5, 3)), jnp.float32)
  kernel = jnp.asarray(rng.standard_normal((size, size, 3, 4)), jnp.float32)
  strides, around = (stride, stride), ((padding, padding),) * 2
  options = {
    'feature_group_count': 1,
    'dimension_numbers': ('NHWC', 'HWIO', 'NHWC'),
  }
  np.testing.assert_allclose(
    convolution.convolve(x, kernel, strides, around, **options),
    lax.conv_general_dilated(x, kernel, strides, around, **options),
    rtol=1e-4,
    atol=1e-5,
  )


class Layers(nn.Module):
  """A depthwise convolution, one of 1x1 and one on a tiny map."""

  @nn.compact
  def __call__(self, x):
    options = {'dtype': x.dtype, 'stride': 2, 'use_bias': True}
    y = layers.depthwise_conv(x, 3, name='depthwise', **options)
    y = layers.conv(y, 5, 1, name='one', **options)
    return layers.conv(y, 6, 3, name='tiny', **options)


def test_layers_agree_on_every_backend(monkeypatch):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((2, 9, 7, 4)), jnp.float32)
  variables = jax.jit(Layers().init)(jax.random.key(0), x)
  assert jax.tree.map(jnp.shape, variables['params']) == {
    'depthwise': {'kernel': (3, 3, 1, 4), 'bias': (4,)},
    'one': {'kernel': (1, 1, 4, 5), 'bias': (5,)},
    'tiny': {'kernel': (3, 3, 5, 6), 'bias': (6,)},
  }

  def value_and_slopes(variables, x):
    def loss(variables):
      y = Layers().apply(variables, x)
      return jnp.square(y).sum(), y

    return jax.grad(loss, has_aux=True)(variables)

  ours = jax.jit(value_and_slopes)(variables, x)
  trace = jax.make_jaxpr(value_and_slopes)
  assert 'conv_general_dilated' not in str(trace(variables, x))
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  theirs = jax.jit(lambda *inputs: value_and_slopes(*inputs))(variables, x)
  assert 'conv_general_dilated' in str(
    jax.make_jaxpr(lambda *inputs: value_and_slopes(*inputs))(variables, x)
  )
  assert theirs[1].shape == (2, 2, 1, 6)
  for our, their in zip(
    jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True
  ):
    np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-4)
