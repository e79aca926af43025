"""What is frozen stays, what thaws catches up, what is slowed is slower."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import backbone, optim
from ferjax.config import default_config
from ferjax.errors import UserError

PARAMS = {
  'conv1': {'kernel': np.array([[1.0, -2.0]], np.float32)},
  'classifier': {'kernel': np.array([[0.5], [1.5]], np.float32)},
}


def make_config(name='sgd', **settings):
  config = default_config()
  config.optimizer.name = name
  config.optimizer.weight_decay = 0.1
  config.backbone.update(settings)
  return config


def rate(step):
  return 0.1 / (1.0 + jnp.asarray(step).astype(jnp.float32))


def train(config, thaw_step=0, num_steps=6, schedule=rate):
  """Descends on the sum of squares; returns the parameters of each step."""
  optimizer = optim.make_optimizer(
    config.optimizer, schedule, config.backbone, thaw_step
  )
  hold = functools.partial(backbone.hold, config.backbone, thaw_step)

  def loss(params, step):
    leaves = jax.tree.leaves(hold(params, step))
    return sum(jnp.sum(jnp.square(leaf)) for leaf in leaves)

  @jax.jit
  def update(params, state, step):
    grads = jax.grad(loss)(params, step)
    updates, state = optimizer.update(grads, state, params)
    return jax.tree.map(jnp.add, params, updates), state

  params, history = PARAMS, [PARAMS]
  state = optimizer.init(params)
  with jax.numpy_dtype_promotion('standard'):  # for optax's adam
    for step in range(num_steps):
      params, state = update(params, state, jnp.int32(step))
      history.append(params)
  return history


def kernels(history, name):
  return np.array([params[name]['kernel'] for params in history])


@pytest.mark.parametrize('name', ['sgd', 'adamw'])
def test_a_frozen_backbone_stays_to_the_bit(name):
  history = train(make_config(name, freeze=True))
  assert (kernels(history, 'conv1') == PARAMS['conv1']['kernel']).all()
  free = train(make_config(name))
  np.testing.assert_allclose(
    kernels(history, 'classifier'), kernels(free, 'classifier'), rtol=1e-6
  )


@pytest.mark.parametrize('name', ['sgd', 'adamw'])
def test_a_thawed_backbone_trains_as_from_a_first_step(name):
  thaw = 2
  history = kernels(
    train(make_config(name, freeze=True), thaw_step=thaw), 'conv1'
  )
  assert (history[: thaw + 1] == PARAMS['conv1']['kernel']).all()
  later = train(
    make_config(name), num_steps=4, schedule=lambda step: rate(step + thaw)
  )
  np.testing.assert_allclose(history[thaw:], kernels(later, 'conv1'), rtol=1e-6)


@pytest.mark.parametrize('name', ['sgd', 'adamw'])
def test_a_slower_backbone_has_a_part_of_the_rate(name):
  history = train(make_config(name, learning_rate_factor=0.25))
  slow = train(make_config(name), schedule=lambda step: 0.25 * rate(step))
  free = train(make_config(name))
  for part, expected in (('conv1', slow), ('classifier', free)):
    np.testing.assert_allclose(
      kernels(history, part), kernels(expected, part), rtol=1e-6
    )


def test_the_norm_that_is_clipped_has_no_frozen_part():
  config = make_config(freeze=True)
  config.optimizer.clip_norm = 1.0
  config.optimizer.weight_decay = 0.0
  moved = np.diff(kernels(train(config, num_steps=1), 'classifier'), axis=0)
  # Nesterov's first step is 1.9 times the rate of 0.1; the norm is clipped.
  assert np.linalg.norm(moved) == pytest.approx(0.19, rel=1e-5)


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'learning_rate_factor': 0.0}, 'give config.backbone.freeze=True'),
    (
      {'freeze': True, 'learning_rate_factor': 0.1},
      'never thaws; give config.backbone.thaw_epochs',
    ),
    ({'thaw_epochs': 2.0}, 'thaw_epochs is given, but nothing is frozen'),
  ],
)
def test_contradictions_are_refused(settings, message):
  with pytest.raises(UserError, match=message):
    backbone.validate(make_config(**settings).backbone)
