"""Schedules and optimizers against loops written by hand in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ferjax import optim
from ferjax.config import default_config
from ferjax.errors import UserError


def make_config(**settings):
  config = default_config().optimizer
  config.update(settings)
  return config


def make_schedule_config(**settings):
  config = default_config().schedule
  config.update(settings)
  return config


def schedule(step):
  """A rate that changes with every step."""
  return 0.1 / (1.0 + jnp.asarray(step).astype(jnp.float32))


@pytest.fixture
def params():
  rng = np.random.default_rng(0)
  shapes = {
    'dense': {'kernel': (3, 2), 'bias': (2,)},
    'norm': {'scale': (2,), 'bias': (2,)},
  }
  return jax.tree.map(
    lambda shape: rng.normal(size=shape).astype(np.float32),
    shapes,
    is_leaf=lambda node: isinstance(node, tuple),
  )


@pytest.fixture
def grads(params):
  rng = np.random.default_rng(1)

  def draw(x):
    return rng.normal(size=x.shape).astype(np.float32)

  return [jax.tree.map(draw, params) for _ in range(5)]


def run(config, params, grads):
  """Updates the parameters as a training step does."""
  optimizer = optim.make_optimizer(config, schedule)
  # Optax's Adam raises a float to the int32 step count.
  with jax.numpy_dtype_promotion('standard'):

    @jax.jit
    def step(params, state, grad):
      updates, state = optimizer.update(grad, state, params)
      return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for grad in grads:
      params, state = step(params, state, grad)
  return params


def run_by_hand(update, params, grads):
  """Calls `update(p, g, memory, t, rate, is_kernel)` on each leaf's copy."""
  params = jax.tree.map(lambda x: x.astype(np.float64), params)
  memories = {}
  for t, grad in enumerate(grads):
    for layer, leaves in params.items():
      for name, p in leaves.items():
        memory = memories.setdefault((layer, name), {'m': 0.0, 'v': 0.0})
        g = grad[layer][name].astype(np.float64)
        rate = 0.1 / (1 + t)
        leaves[name] = update(p, g, memory, t, rate, name == 'kernel')
  return params


def assert_same(tree, expected):
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
    tree,
    expected,
  )


@pytest.mark.parametrize('nesterov', [False, True])
def test_sgd_matches_torchs_rule(nesterov, params, grads):
  def update(p, g, memory, t, rate, is_kernel):
    g = g + 0.3 * p * is_kernel
    memory['m'] = 0.9 * memory['m'] + g
    return p - rate * (g + 0.9 * memory['m'] if nesterov else memory['m'])

  config = make_config(weight_decay=0.3, nesterov=nesterov)
  assert_same(run(config, params, grads), run_by_hand(update, params, grads))


@pytest.mark.parametrize('name', ['adam', 'adamw'])
def test_adam_and_adamw_differ_in_where_the_decay_goes(name, params, grads):
  def update(p, g, memory, t, rate, is_kernel):
    decay = 0.3 * p * is_kernel
    if name == 'adam':
      g = g + decay
    memory['m'] = 0.9 * memory['m'] + 0.1 * g
    memory['v'] = 0.999 * memory['v'] + 0.001 * g**2
    m = memory['m'] / (1 - 0.9 ** (t + 1))
    v = memory['v'] / (1 - 0.999 ** (t + 1))
    step = m / (np.sqrt(v) + 1e-8)
    return p - rate * (step + decay if name == 'adamw' else step)

  config = make_config(name=name, weight_decay=0.3)
  assert_same(run(config, params, grads), run_by_hand(update, params, grads))


def test_the_gradient_is_clipped_before_the_decay(params, grads):
  def norm(tree):
    return np.sqrt(
      sum((x.astype(float) ** 2).sum() for x in jax.tree.leaves(tree))
    )

  limit = sorted(map(norm, grads))[2]  # some gradients are above, some below
  clipped = [
    jax.tree.map(lambda x, g=grad: x * min(1, limit / norm(g)), grad)
    for grad in grads
  ]

  def update(p, g, memory, t, rate, is_kernel):
    return p - rate * (g + 0.3 * p * is_kernel)

  config = make_config(
    momentum=0.0, nesterov=False, weight_decay=0.3, clip_norm=float(limit)
  )
  assert_same(run(config, params, grads), run_by_hand(update, params, clipped))


@pytest.mark.parametrize('name', optim.OPTIMIZERS)
def test_only_kernels_decay_whatever_the_optimizer(name, params, grads):
  plain = run(make_config(name=name, weight_decay=0.0), params, grads[:2])
  # Much, so that it turns a gradient's sign for those who look at nothing else.
  decayed = run(make_config(name=name, weight_decay=2.0), params, grads[:2])
  changed = jax.tree.map(lambda x, y: bool((x != y).any()), plain, decayed)
  assert changed == {
    'dense': {'kernel': True, 'bias': False},
    'norm': {'scale': False, 'bias': False},
  }
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(decayed))


def test_the_step_count_is_saved_with_the_state(params, grads):
  optimizer = optim.make_optimizer(make_config(), schedule)
  state, at_once = optimizer.init(params), []
  for grad in grads:
    updates, state = optimizer.update(grad, state, params)
    at_once.append(updates)
  state = optimizer.init(params)
  for grad, expected in zip(grads, at_once, strict=True):
    # As after a restart: another optimizer, the state out of a file.
    state = jax.tree.map(np.asarray, state)
    optimizer = optim.make_optimizer(make_config(), schedule)
    updates, state = optimizer.update(grad, state, params)
    assert_same(updates, expected)


def expected_rates(name, num_steps, warmup_steps):
  t = np.arange(num_steps, dtype=np.float64)
  rates = np.full(num_steps, 0.4)
  rates[:warmup_steps] *= (t[:warmup_steps] + 1) / max(warmup_steps, 1)
  if name == 'cosine':
    progress = np.maximum(0, t - warmup_steps) / (num_steps - warmup_steps)
    rates *= 0.05 + 0.95 * (1 + np.cos(np.pi * progress)) / 2
  if name == 'step':
    rates[num_steps // 2 :] *= 0.1
    rates[num_steps * 3 // 4 :] *= 0.1
  return rates


@pytest.mark.parametrize('name', optim.SCHEDULES)
@pytest.mark.parametrize('warmup_steps', [0, 1, 13])
def test_schedules_match_numpy(name, warmup_steps):
  config = make_schedule_config(name=name, end_factor=0.05)
  rate = optim.make_schedule(config, 0.4, 40, warmup_steps)
  rates = jax.jit(jax.vmap(rate))(jnp.arange(40))
  assert rates.dtype == np.float32
  np.testing.assert_allclose(
    rates, expected_rates(name, 40, warmup_steps), rtol=1e-5
  )


def test_warmup_wastes_no_step_and_reaches_the_rate():
  rate = optim.make_schedule(make_schedule_config(), 0.4, 100, 4)
  np.testing.assert_allclose(
    [rate(t) for t in range(5)], [0.1, 0.2, 0.3, 0.4, 0.4], rtol=1e-6
  )


def test_cosine_is_exact_to_the_end_and_stays_there():
  num_steps = 1_000_000
  rate = optim.make_schedule(make_schedule_config(), 1.0, num_steps, 0)
  last = np.sin(np.pi / 2 / num_steps) ** 2
  assert float(rate(num_steps - 1)) == pytest.approx(last, rel=0.1)
  assert float(rate(num_steps)) == pytest.approx(0, abs=1e-13)
  assert float(rate(2 * num_steps)) == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize('warmup_steps', [10, 11])
def test_a_warmup_of_the_whole_training_is_refused(warmup_steps):
  with pytest.raises(UserError, match=f'{warmup_steps} steps of warm-up'):
    optim.make_schedule(make_schedule_config(), 0.1, 10, warmup_steps)


def test_the_optimizers_are_optaxs_by_name():
  *names, last = optim.OPTIMIZERS
  assert (len(names), last) == (25, 'muon')
  assert names == sorted(names)
  for name in names:
    assert optim.OPTIMIZERS[name] is getattr(optax, name)
    optim.validate(make_config(name=name), make_schedule_config())


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'name': 'adaam'}, "optimizer.name is 'adaam'; it is one of .*adamw"),
    ({'name': 'scale_by_learning_rate'}, 'optimizer.name is'),
    ({'learning_rate': 0.0}, 'optimizer.learning_rate is 0.0; it is above 0'),
    ({'learning_rate': float('nan')}, 'optimizer.learning_rate is nan'),
    ({'momentum': 1.0}, 'optimizer.momentum is 1.0; it is at least 0'),
    ({'weight_decay': -0.1}, 'optimizer.weight_decay is -0.1'),
    ({'clip_norm': -1.0}, 'optimizer.clip_norm is -1.0'),
  ],
)
def test_wrong_optimizer_settings_are_refused(settings, message):
  with pytest.raises(UserError, match=message):
    optim.validate(make_config(**settings), make_schedule_config())


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'name': 'plateau'}, "schedule.name is 'plateau'; it is one of cosine"),
    ({'decay_at': (0.75, 0.5)}, r'schedule.decay_at is \(0.75, 0.5\)'),
    ({'decay_at': (0.5, 1.0)}, 'schedule.decay_at is'),
    ({'decay_at': (30.0, 60.0)}, 'schedule.decay_at is'),
    ({'decay_factor': 0.0}, 'schedule.decay_factor is 0.0; it is above 0'),
    ({'end_factor': 1.5}, 'schedule.end_factor is 1.5; it is 0 to 1'),
  ],
)
def test_wrong_schedule_settings_are_refused(settings, message):
  with pytest.raises(UserError, match=message):
    optim.validate(make_config(), make_schedule_config(**settings))
