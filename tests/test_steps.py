"""A step computes the same on one device and on four, however it is spread."""

import functools
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np
import optax
import pytest

from ferjax import config as config_lib
from ferjax import parallel, steps, train_state, views
from ferjax.data import pipeline
from ferjax.data.dataset import Split
from ferjax.errors import UserError
from ferjax.recovery import Recovery
from ferjax.training import team as team_lib


class Tiny(nn.Module):
  """One convolution, perhaps batch norm, and a classifier."""

  norm: bool = False
  axis_name: str | None = 'batch'
  dropout: float = 0.0

  @nn.compact
  def __call__(self, images, train):
    x = nn.Conv(4, (3, 3))(images)
    if self.norm:
      x = nn.BatchNorm(not train, momentum=0.9, axis_name=self.axis_name)(x)
    x = nn.relu(x).mean((1, 2))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return nn.Dense(3)(x)


@pytest.fixture(scope='module')
def split():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (50, 8, 8, 1), np.uint8)
  return Split(images, rng.integers(0, 3, 50).astype(np.int32), np.arange(50))


@pytest.fixture
def one_device(monkeypatch):
  """Lets steps of `shard_map` run on one device of the four."""
  mesh = Mesh(np.array(jax.devices()[:1]), ('batch',))
  monkeypatch.setattr(parallel, 'global_mesh', lambda: mesh)
  monkeypatch.setattr(jax, 'local_device_count', lambda: 1)


def make_config(**changes):
  config = config_lib.default_config()
  config.batch_size = 16
  config.augment.shift = 0.2
  config.augment.erase = 0.5
  config.loss.label_smoothing = 0.1
  config.update(changes)
  return config


def train(config, split, model=None, num_steps=6, placement='host', per_call=1):
  """Returns the state after some steps, and the sums of each call."""
  model = model or Tiny(norm=True)
  optimizer = optax.sgd(0.1, momentum=0.9)
  variables = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), train=True)
  state = train_state.create(variables, optimizer, config.ema_decay > 0)
  state = parallel.replicate(state)
  step = steps.make_train_step(
    config, model, optimizer, np.array([1.0, 2.0, 0.5], np.float32)
  )
  calls = pipeline.plan_calls(0, num_steps, per_call, [])
  table = pipeline.table(split, placement)
  sums = []
  for batch in pipeline.prefetch_to_devices(
    pipeline.train_batches(
      split, calls, config.batch_size, config.seed, placement
    ),
    config.sharding,
    2,
  ):
    state, more = step(state, table, batch)
    sums.append(jax.block_until_ready(more))
  return state, parallel.to_host(sums)


def assert_close(a, b, **tolerance):
  tolerance = {'rtol': 1e-4, 'atol': 1e-5} | tolerance
  jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), a, b)


@pytest.fixture(scope='module')
def four_devices(split):
  return jax.device_get(train(make_config(), split))


def test_pmap_equals_shard_map(split, four_devices):
  other = train(make_config(sharding='shard_map'), split)
  assert_close(four_devices, other, rtol=1e-6, atol=1e-7)


def test_four_devices_equal_one(split, four_devices, one_device):
  other = train(make_config(sharding='shard_map'), split)
  assert_close(four_devices, other)


def test_device_placement_equals_host(split, four_devices):
  assert_close(four_devices, train(make_config(), split, placement='device'))


def test_several_steps_a_call_equal_one_by_one(split, four_devices):
  state, sums = train(make_config(), split, per_call=3)
  assert_close(four_devices[0], state)
  assert len(sums) == 2
  for name in ('loss', 'correct', 'count', 'grad_norm', 'steps'):
    expected = sum(each[name] for each in four_devices[1])
    np.testing.assert_allclose(
      sum(each[name] for each in sums), expected, rtol=1e-5
    )


def test_all_replicas_agree(split):
  # Each device has batch statistics of its own, which must be averaged.
  model = Tiny(norm=True, axis_name=None)
  state, _ = train(make_config(ema_decay=0.9), split, model)
  for leaf in jax.tree.leaves(state):
    shards = [np.asarray(shard.data) for shard in leaf.addressable_shards]
    assert len(shards) == 4
    for shard in shards[1:]:
      np.testing.assert_array_equal(shards[0], shard)


def test_accumulation_equals_the_whole_batch(split):
  whole, sums = train(make_config(), split, Tiny())
  parts, part_sums = train(make_config(accumulation_steps=4), split, Tiny())
  assert_close(whole, parts)
  assert_close(sums, part_sums)


def test_step_is_the_gradient_of_the_weighted_mean(split):
  """Against one plain gradient over the whole batch."""
  config = make_config()
  config.augment.update({'flip': False, 'shift': 0.0, 'erase': 0.0})
  config.normalization = 'none'
  model = Tiny()
  state, (sums,) = train(config, split, model, num_steps=1)
  rows = pipeline.TrainOrder(50, 16, 0)[0]
  images = split.images[rows].astype(np.float32) / 255.0
  labels = split.labels[rows]
  params = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), train=True)
  targets = np.eye(3, dtype=np.float32)[labels] * 0.9 + np.float32(0.1 / 3)
  weights = targets @ np.array([1.0, 2.0, 0.5], np.float32)

  def loss(params):
    logs = jax.nn.log_softmax(model.apply(params, images, train=True))
    each = -jnp.sum(logs * targets, axis=-1)
    return jnp.sum(each * weights) / jnp.sum(weights), jnp.sum(each)

  grads, total = jax.grad(loss, has_aux=True)(params)
  expected = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)['params']
  assert_close(state.params, expected)
  np.testing.assert_allclose(sums['loss'], total, rtol=1e-5)
  np.testing.assert_allclose(
    sums['grad_norm'], optax.tree.norm(grads), rtol=1e-4
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ('sharding', 'placement', 'per_call'),
  [('pmap', 'host', 1), ('shard_map', 'device', 2)],  # unrolled on CPUs
)
def test_each_member_does_what_it_does_alone(
  split, sharding, placement, per_call
):
  """Twenty steps of other seeds, weights, rows and class weights."""
  model, optimizer = Tiny(norm=True, dropout=0.2), optax.sgd(0.1, momentum=0.9)
  parts = [split.take(np.arange(i, 50, 2)) for i in range(2)]
  parts = [*parts, split.take(np.arange(10, 40))]
  runs = []
  for i, part in enumerate(parts):
    config = make_config(seed=i + 3, sharding=sharding, ema_decay=0.9)
    config.augment.mixup = 0.5
    weights = np.array([1.0, i, 2.0], np.float32)
    variables = model.init(
      jax.random.key(i), jnp.zeros((1, 8, 8, 1)), train=True
    )
    make = functools.partial(steps.make_train_step, config, model, optimizer)
    runs.append(
      types.SimpleNamespace(
        config=config,
        dataset=types.SimpleNamespace(splits={'train': part}),
        state=train_state.create(variables, optimizer, use_ema=True),
        class_weights=weights,
        make_train_step=make,
        train_step=make(weights),
        placement=placement,
        recovery=Recovery(),
      )
    )
  together, sums = train_team(runs, per_call)
  for i, run in enumerate(runs):
    alone, own = train_team([run], per_call)
    assert_close(
      alone, jax.tree.map(lambda x, i=i: np.asarray(x)[i], together), rtol=1e-3
    )
    assert_close(own, jax.tree.map(lambda x, i=i: x[i], sums), rtol=1e-3)


def train_team(runs, per_call):
  """Returns the state after twenty steps, and the sums of each call."""
  team = team_lib.Team(runs)
  state = team.stack([run.state for run in runs])
  table, rows = team.place_table()
  sums = []
  for batch in team.batches(pipeline.plan_calls(0, 20, per_call, []), rows):
    state, more = team.train_step(state, table, batch)
    sums.append(jax.block_until_ready(more))
  return parallel.to_host(state), parallel.to_host(sums)


def test_randomness_changes_with_the_step_and_the_seed(split):
  config = make_config()
  same = Split(split.images[:1], split.labels[:1], split.index[:1])
  _, sums = train(config, same, Tiny(), num_steps=2)
  config.seed = 1
  _, other = train(config, same, Tiny(), num_steps=1)
  assert abs(sums[0]['grad_norm'] - other[0]['grad_norm']) > 1e-6
  assert abs(sums[0]['loss'] - sums[1]['loss']) > 1e-6


def test_all_seeds_share_one_program(split):
  """Else none would find what another left in the compilation cache."""
  optimizer = optax.sgd(0.1)
  variables = Tiny().init(
    jax.random.key(0), jnp.zeros((1, 8, 8, 1)), train=True
  )
  state = train_state.create(variables, optimizer, use_ema=False)
  programs = set()
  for seed in (0, 1):
    config = make_config(seed=seed)
    step = steps.make_train_step(
      config, Tiny(), optimizer, np.ones(3, np.float32)
    )
    batch = next(
      pipeline.train_batches(split, [pipeline.Call(0, 1)], 16, seed, 'host')
    )
    assert (batch['seed'] == seed).all()
    programs.add(step.lower(state, (), batch).as_text())
  assert len(programs) == 1


def test_dropout_and_mixing_run_and_differ(split):
  config = make_config()
  plain, _ = train(config, split, Tiny())
  dropped, _ = train(config, split, Tiny(dropout=0.5))
  config.augment.update({'mixup': 1.0, 'cutmix': 1.0})
  mixed, _ = train(config, split, Tiny())
  kernels = [s.params['Dense_0']['kernel'] for s in (plain, dropped, mixed)]
  for a, b in ((0, 1), (0, 2), (1, 2)):
    assert np.abs(np.asarray(kernels[a]) - kernels[b]).max() > 1e-4


def test_moving_average(split):
  config = make_config(ema_decay=0.5)
  state, _ = train(config, split, Tiny(), num_steps=1)
  start = Tiny().init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), train=True)
  expected = jax.tree.map(  # after the first step the decay is 1/10
    lambda old, new: 0.1 * old + 0.9 * np.asarray(new),
    start['params'],
    state.params,
  )
  assert_close(state.variables['params'], expected, rtol=1e-5)


@pytest.mark.parametrize('sharding', ['pmap', 'shard_map'])
def test_evaluation_counts_every_example_once(split, sharding):
  """Against NumPy, over a last batch that is mostly padding."""
  config = make_config(sharding=sharding)
  model = Tiny()
  variables = model.init(
    jax.random.key(1), jnp.zeros((1, 8, 8, 1)), train=False
  )
  step = steps.make_eval_step(config, model)
  weights = parallel.replicate(
    {'params': variables['params'], 'model_state': {}}
  )
  sums, probabilities = [], []
  for batch in pipeline.prefetch_to_devices(
    pipeline.eval_batches(split, 16, 'host'), sharding, 1
  ):
    more, p = step(weights, (), batch)
    sums.append(parallel.to_host(more))
    probabilities.append(np.asarray(p).reshape(-1, 3))
  probabilities = np.concatenate(probabilities)[:50]

  images = split.images.astype(np.float64) / 255.0
  mean = images.mean((1, 2, 3), keepdims=True)
  images = (images - mean) / images.std((1, 2, 3), keepdims=True)
  logits = np.asarray(
    model.apply(variables, images.astype(np.float32), train=False), np.float64
  )
  expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  np.testing.assert_allclose(probabilities, expected, rtol=1e-4)
  loss = -np.log(expected[np.arange(50), split.labels]).sum()
  np.testing.assert_allclose(sum(s['loss'] for s in sums), loss, rtol=1e-5)
  confusion = np.zeros((3, 3))
  np.add.at(confusion, (split.labels, expected.argmax(-1)), 1)
  np.testing.assert_array_equal(sum(s['confusion'] for s in sums), confusion)
  assert sum(s['count'] for s in sums) == 50
  assert sum(s['correct'] for s in sums) == np.trace(confusion)


def test_views_are_averaged_as_probabilities(split):
  """Loss, accuracy and confusion are those of the mean, too."""
  config, model = make_config(), Tiny()
  variables = model.init(
    jax.random.key(1), jnp.zeros((1, 8, 8, 1)), train=False
  )
  weights = parallel.replicate(
    {'params': variables['params'], 'model_state': {}}
  )
  part = split.take(np.arange(16))
  (batch,) = pipeline.prefetch_to_devices(
    pipeline.eval_batches(part, 16, 'host'), 'pmap', 1
  )
  seen = [(views.keep,), (views.mirror,), (views.keep, views.mirror)]
  plain, mirrored, both = (
    jax.device_get(steps.make_eval_step(config, model, s)(weights, (), batch))
    for s in seen
  )
  expected = (plain[1] + mirrored[1]) / 2
  assert np.abs(plain[1] - mirrored[1]).max() > 1e-3
  np.testing.assert_allclose(both[1], expected, rtol=1e-5)
  mean = expected.reshape(16, 3).astype(np.float64)
  loss = -np.log(mean[np.arange(16), part.labels]).sum()
  np.testing.assert_allclose(both[0]['loss'], loss, rtol=1e-5)
  assert both[0]['correct'] == (mean.argmax(1) == part.labels).sum()
  assert both[0]['confusion'].sum() == 16


@pytest.mark.parametrize(
  ('field', 'value', 'words'),
  [
    ('batch_size', 30, 'multiple of 4'),
    ('sharding', 'pjit', 'shard_map'),
    ('ema_decay', 1.5, '[0, 1)'),
    ('accumulation_steps', 3, 'multiple of 12'),
    ('member_mode', 'map', "'vmap', 'loop'"),
  ],
)
def test_bad_settings_are_named(field, value, words):
  with pytest.raises(UserError, match='config') as error:
    steps.validate(make_config(**{field: value}))
  assert words in str(error.value)
