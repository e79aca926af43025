"""Batch normalisation (arXiv:1502.03167) with a gradient written by hand.

What automatic differentiation makes of it passes over the features up to five
times on the way back; two passes are enough: one for both sums that the
gradient needs, one for the gradient itself. Only the features are kept for it,
in the type that they came in.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

MOMENTUM = 0.9  # what a running value keeps of itself at each step
EPSILON = 1e-5


class BatchNorm(nn.Module):
  """Normalises each channel, computed in float32.

  Momentum is 0.9 as JAX counts it; PyTorch calls the same 0.1. Running
  variances are biased (divided by n), where PyTorch's are not. Variables are
  named as those of `nn.BatchNorm`.

  Attributes:
    dtype: of the result.
    axis_name: the mapped axis to average the statistics over, or None.
    scale_init: of the factors.
  """

  dtype: Any = jnp.float32
  axis_name: str | None = None
  scale_init: nn.initializers.Initializer = nn.initializers.ones

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps `[batch, ..., channels]` to the like.

    Args:
      x: the features.
      train: whether to use, and remember, the statistics of this batch.
    """
    shape = x.shape[-1:]
    scale = self.param('scale', self.scale_init, shape, jnp.float32)
    bias = self.param('bias', nn.initializers.zeros, shape, jnp.float32)
    running = {
      'mean': self.variable('batch_stats', 'mean', jnp.zeros, shape),
      'var': self.variable('batch_stats', 'var', jnp.ones, shape),
    }
    if not train:
      mean, var = (value.value for value in running.values())
      scale = scale * lax.rsqrt(var + EPSILON)
      y = _each(x, mean) * _wide(scale, x) + _wide(bias, x)
      return y.astype(self.dtype)
    # While variables begin there is no axis to average over.
    axis_name = None if self.is_initializing() else self.axis_name
    y, mean, var = normalize(axis_name, x, scale, bias)
    if not self.is_initializing():
      for name, new in (('mean', mean), ('var', var)):
        old = running[name].value
        running[name].value = MOMENTUM * old + (1.0 - MOMENTUM) * new
    return y.astype(self.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def normalize(
  axis_name: str | None, x: jax.Array, scale: jax.Array, bias: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Brings each channel of a batch to the mean `bias` and deviation `scale`.

  Args:
    axis_name: the mapped axis to average the statistics over, or None.
    x: float `[batch, ..., channels]`.
    scale: float32 `[channels]`.
    bias: float32 `[channels]`.

  Returns:
    The result, float32 in the shape of `x`, and the batch's means and biased
    variances, float32 `[channels]`. No gradient flows through these two.
  """
  return _forward(axis_name, x, scale, bias)[0]


def _forward(
  axis_name: str | None, x: jax.Array, scale: jax.Array, bias: jax.Array
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
  mean = _mean(x.astype(jnp.float32), axis_name)
  centered = _each(x, mean)
  # Not E[x^2] - E[x]^2, which loses two more digits to rounding.
  var = _mean(jnp.square(centered), axis_name)
  inverse = lax.rsqrt(var + EPSILON)
  y = centered * _wide(inverse * scale, x) + _wide(bias, x)
  return (y, mean, var), (x, mean, inverse, scale)


def _backward(
  axis_name: str | None,
  saved: tuple[jax.Array, ...],
  gradients: tuple[jax.Array, ...],
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns the gradients of features, scale and bias."""
  x, mean, inverse, scale = saved
  gradient, _, _ = gradients
  centered = _each(x, mean)
  slope = _mean(gradient, None)
  lean = _mean(gradient * centered, None)
  count = x.size // x.shape[-1]
  own = inverse * lean * count, slope * count
  if axis_name is not None:
    slope, lean = lax.pmean((slope, lean), axis_name)
  x_gradient = _wide(inverse * scale, x) * (
    gradient - _wide(slope, x) - centered * _wide(inverse**2 * lean, x)
  )
  return x_gradient.astype(x.dtype), *own


normalize.defvjp(_forward, _backward)


def _mean(x: jax.Array, axis_name: str | None) -> jax.Array:
  """Returns the mean of each channel, `[channels]`."""
  # In two steps, the first of which all cores of a CPU share.
  mean = x.mean(tuple(range(1, x.ndim - 1))).mean(0)
  return mean if axis_name is None else lax.pmean(mean, axis_name)


def _each(x: jax.Array, mean: jax.Array) -> jax.Array:
  return x.astype(jnp.float32) - _wide(mean, x)


def _wide(values: jax.Array, x: jax.Array) -> jax.Array:
  """Gives `[channels]` the rank of the features."""
  return values.reshape((1,) * (x.ndim - 1) + (-1,))
