"""The networks: sizes, values at the start, what a step sees."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from probes import count, random_images, trace
import pytest

from ferjax import models
from ferjax.models import layers, resnet

# The smallest of each family, for what has to be compiled.
TINY = {
  'simple_cnn': {'widths': (4, 8), 'hidden': 8},
  'resnet50': {'stage_sizes': (1, 1), 'width': 4},
  'densenet121': {'block_sizes': (1, 1), 'growths': (4, 8), 'width': 4},
}
SHAPE = (8, 8, 1)


def tiny(name, **options):
  return models.create_model(name, 7, **TINY[name], **options)


@pytest.mark.parametrize(
  ('name', 'expected'),
  [  # torchvision's, for the 1,000 classes of ImageNet
    ('resnet18', 11_689_512),
    ('resnet34', 21_797_672),
    ('resnet50', 25_557_032),
    ('resnet101', 44_549_160),
    ('resnet152', 60_192_808),
    ('densenet121', 7_978_856),
    ('densenet169', 14_149_480),
    ('densenet201', 20_013_928),
  ],
)
def test_as_many_parameters_as_published(name, expected):
  model = models.create_model(name, 1000, stem='imagenet')
  logits, variables = trace(model, (224, 224, 3))
  assert count(variables['params']) == expected
  assert logits.shape == (2, 1000)


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('simple_cnn', 1_274_599),
    ('densenet_small', 452_007),
    ('fast_resnet', 1_185_671),
  ],
)
def test_parameters_of_own_networks(name, expected):
  _, variables = trace(models.create_model(name, 7), (48, 48, 1))
  assert count(variables['params']) == expected


@pytest.mark.parametrize('name', models.MODELS)
def test_every_network_takes_the_common_image(name):
  model = models.create_model(name, 7, dtype=jnp.bfloat16)
  logits, variables = trace(model, (48, 48, 1))
  assert (logits.shape, logits.dtype) == ((2, 7), jnp.float32)
  assert set(variables) <= {'params', 'batch_stats'}
  assert {leaf.dtype.name for leaf in jax.tree.leaves(variables)} == {'float32'}


@pytest.mark.parametrize('stem', layers.STEMS)
@pytest.mark.parametrize('name', ['resnet50', 'densenet121'])
def test_every_stem_takes_odd_sizes_and_colours(name, stem):
  logits, _ = trace(tiny(name, stem=stem), (27, 21, 3))
  assert logits.shape == (2, 7)


@pytest.mark.parametrize(
  ('name', 'options'),  # each with a kernel of 9,216 values
  [
    ('simple_cnn', {'widths': (32, 32)}),
    ('resnet50', {'stage_sizes': (1,), 'width': 32}),
    ('densenet121', {'block_sizes': (1,), 'growths': (16,), 'width': 16}),
  ],
)
def test_init_is_that_of_the_modules(name, options):
  model = models.create_model(name, 7, **options)
  ours = models.init(model, SHAPE, seed=0)
  theirs = jax.jit(functools.partial(model.init, train=False))(
    jax.random.key(0), random_images(1, SHAPE)
  )
  assert jax.tree.structure(ours) == jax.tree.structure(theirs)
  compared = 0
  for (path, our), their in zip(
    jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True
  ):
    assert (our.shape, our.dtype) == (their.shape, their.dtype), path
    if path[-1].key != 'kernel':
      np.testing.assert_array_equal(our, their, err_msg=str(path))
    elif our.size > 4000:
      assert our.std() == pytest.approx(float(their.std()), rel=0.03), path
      assert abs(our.mean()) < 0.05 * our.std(), path
      compared += 1
  assert compared


def test_init_depends_on_the_seed_alone():
  model = tiny('resnet50')
  first, again, other = (models.init(model, SHAPE, seed) for seed in (1, 1, 2))
  jax.tree.map(np.testing.assert_array_equal, first, again)
  kernels = [tree['params']['stem_conv']['kernel'] for tree in (first, other)]
  assert not np.any(kernels[0] == kernels[1])


def test_init_refuses_variables_without_a_rule():
  class Odd(nn.Module):
    @nn.compact
    def __call__(self, images, train):
      return images * self.param('gain', nn.initializers.ones, (1, 1, 1, 1))

  with pytest.raises(ValueError, match='params/gain'):
    models.init(Odd(), SHAPE, seed=0)


@pytest.mark.parametrize(
  ('block', 'width'), [(resnet.BasicBlock, 8), (resnet.Bottleneck, 2)]
)
def test_residual_blocks_begin_as_their_shortcut(block, width):
  conv = functools.partial(layers.conv, dtype=jnp.float32)
  norm = functools.partial(
    layers.batch_norm, train=True, dtype=jnp.float32, axis_name=None
  )
  module = block(width=width, stride=1, conv=conv, norm=norm)
  x = random_images(4, (4, 4, 8))
  y, _ = jax.jit(module.init_with_output)(jax.random.key(0), x)
  np.testing.assert_array_equal(y, np.maximum(x, 0))


def apply(model, variables, images):
  """Returns the logits and the new statistics of a training step."""
  return model.apply(
    variables,
    images,
    train=True,
    mutable=['batch_stats'],
    rngs={'dropout': jax.random.key(0)},
  )


@pytest.mark.parametrize('name', TINY)
def test_training_in_bfloat16(name):
  """Everything outside stays float32; the inside is rounded, but right."""
  exact, rounded = tiny(name), tiny(name, dtype=jnp.bfloat16)
  variables = models.init(exact, SHAPE, seed=0)
  images = random_images(16, SHAPE)

  @jax.jit
  def gradient(params):
    def loss(params):
      logits, updates = apply(rounded, {**variables, 'params': params}, images)
      return -jax.nn.log_softmax(logits)[:, 0].mean(), (logits, updates)

    return jax.grad(loss, has_aux=True)(params)

  gradients, (logits, updates) = gradient(variables['params'])
  leaves = jax.tree.leaves((gradients, logits, updates))
  assert {leaf.dtype.name for leaf in leaves} == {'float32'}
  assert all(np.isfinite(leaf).all() for leaf in leaves)
  assert np.any(gradients['stem_conv' if 'net' in name else 'conv1']['kernel'])
  old = jax.tree.leaves(variables['batch_stats'])
  for before, after in zip(old, jax.tree.leaves(updates), strict=True):
    assert np.any(before != after)
  expected, _ = jax.jit(functools.partial(apply, exact))(variables, images)
  error = np.abs(logits - expected).max()
  assert 0 < error < 0.1 * np.abs(expected).max()


def test_evaluation_changes_no_statistics_and_needs_no_key():
  model = tiny('simple_cnn', dropout=0.9)
  variables = models.init(model, SHAPE, seed=0)
  logits, updates = model.apply(
    variables, random_images(4, SHAPE), train=False, mutable=['batch_stats']
  )
  before = {'batch_stats': variables['batch_stats']}
  jax.tree.map(np.testing.assert_array_equal, updates, before)
  # Each image is judged alone.
  alone = model.apply(variables, random_images(4, SHAPE)[:1], train=False)
  np.testing.assert_allclose(logits[:1], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('name', TINY)
def test_batch_norm_spans_the_named_axis(name):
  """That it equals the joined batch's is tested in test_model_layers.py."""
  model = tiny(name, axis_name='replica')
  variables = models.init(model, SHAPE, seed=0)
  step = functools.partial(apply, model, variables)
  with pytest.raises(NameError, match='replica'):
    jax.eval_shape(step, random_images(4, SHAPE))
  mapped = jax.vmap(step, axis_name='replica')
  logits, _ = jax.eval_shape(
    mapped, random_images(8, SHAPE).reshape(4, 2, *SHAPE)
  )
  assert logits.shape == (4, 2, 7)
