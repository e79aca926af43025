"""What several tests ask of a network: its shapes, and a training step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import models


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def random_images(batch, shape):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.standard_normal((batch, *shape)), jnp.float32)


def trace(model, shape):
  """Shapes of the logits and of the variables, without compiling."""
  return jax.eval_shape(
    functools.partial(model.init_with_output, train=False),
    jax.random.key(0),
    jax.ShapeDtypeStruct((2, *shape), jnp.float32),
  )


def check_bfloat16_step(build, shape):
  """All kernels learn, all statistics move, logits are float32's rounded.

  Args:
    build: makes a small network that drops nothing, given `dtype`.
    shape: of its images.
  """
  variables = models.init(build(), shape, seed=0)
  images = random_images(32, shape)

  def loss(params, dtype):
    logits, updates = build(dtype=dtype).apply(
      {**variables, 'params': params},
      images,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(0)},
    )
    return -jax.nn.log_softmax(logits)[:, 0].mean(), (logits, updates)

  @jax.jit
  def step(params):
    gradients, auxiliary = jax.grad(loss, has_aux=True)(params, jnp.bfloat16)
    return gradients, auxiliary, loss(params, jnp.float32)[1][0]

  gradients, (rounded, updates), exact = step(variables['params'])
  assert rounded.dtype == jnp.float32
  for path, leaf in jax.tree.leaves_with_path(gradients):
    assert leaf.dtype == jnp.float32, path
    assert np.isfinite(leaf).all(), path
    assert path[-1].key != 'kernel' or np.any(leaf), path
  statistics = variables.get('batch_stats', {})
  for before, after in zip(
    jax.tree.leaves(statistics), jax.tree.leaves(updates), strict=True
  ):
    assert after.dtype == jnp.float32
    assert np.all(before != after)
  assert np.abs(rounded - exact).max() < 0.1 * np.abs(exact).max()
