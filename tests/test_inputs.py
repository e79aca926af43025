"""What a step sees of soft targets, wherever they come from."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from scipy import stats

from ferjax import inputs
from ferjax.config import default_config
from ferjax.data import pipeline
from ferjax.data.dataset import Split
from ferjax.errors import UserError
from ferjax.parallel import AXIS

BATCH = 16


def make_split(targets=None):
  rng = np.random.default_rng(0)
  if targets is None:
    targets = rng.dirichlet(np.ones(3), 40).astype(np.float32)
    targets[::3] = [0, 0.25, 0.75]
  num_examples = len(targets)
  return Split(
    rng.integers(0, 256, (num_examples, 6, 6, 1), np.uint8),
    targets.argmax(1).astype(np.int32),
    np.arange(num_examples),
    targets,
  )


def make_config(mode):
  config = default_config()
  config.data.label_mode = mode
  config.augment.flip = False  # quicker to compile
  return config


def prepare(config, batch, table=(), step=3, weights=(1, 1, 1)):
  """Prepares `[devices, n, ...]` as a step does; returns `[batch, ...]`."""
  key = jax.random.fold_in(jax.random.key(config.seed), step)

  @functools.partial(jax.vmap, axis_name=AXIS)
  def on_device(batch):
    return inputs.prepare(
      config,
      key,
      jax.random.key(0),
      inputs.take(table, batch),
      np.array(weights, np.float32),
    )

  result = jax.jit(on_device)(batch)
  return {k: np.asarray(v).reshape(-1, *v.shape[2:]) for k, v in result.items()}


def first_batch(split, placement='host', devices=None):
  calls = [pipeline.Call(0, 1)]
  (batch,) = pipeline.train_batches(split, calls, BATCH, 0, placement)
  batch = {name: values[:, 0] for name, values in batch.items()}
  if devices:
    batch = {
      name: values.reshape(devices, -1, *values.shape[2:])
      for name, values in batch.items()
    }
  return batch


@pytest.mark.parametrize('mode', ['probability', 'cross_entropy'])
def test_both_placements_and_any_devices_give_the_same(mode):
  split, config = make_split(), make_config(mode)
  host = prepare(config, first_batch(split))
  device = prepare(
    config, first_batch(split, 'device'), pipeline.table(split, 'device')
  )
  one = prepare(config, first_batch(split, devices=1))
  for name, values in host.items():
    np.testing.assert_array_equal(values, device[name], err_msg=name)
    np.testing.assert_array_equal(values, one[name], err_msg=name)
  rows = first_batch(split)['index'].ravel()
  np.testing.assert_array_equal(host['label'], split.labels[rows])
  if mode == 'cross_entropy':
    np.testing.assert_array_equal(host['target'], split.targets[rows])
  else:
    assert set(np.unique(host['target'])) == {0, 1}
    assert (host['target'].argmax(1) != host['label']).any()


def test_draws_depend_on_seed_step_and_place_alone():
  split = make_split(targets=np.full((40, 3), 1 / 3, np.float32))
  config = make_config('probability')
  batch = first_batch(split)
  draw = functools.partial(prepare, config, batch)
  first = draw()['target']
  np.testing.assert_array_equal(first, draw()['target'])
  assert (first != draw(step=4)['target']).any()
  config.seed = 1
  assert (first != draw()['target']).any()
  config.seed = 0
  del batch['seed']  # of all its examples
  turned = {name: np.roll(v, 1, axis=1) for name, v in batch.items()}
  np.testing.assert_array_equal(prepare(config, turned)['target'], first)


def test_labels_are_drawn_by_their_shares():
  target = np.array([0.6, 0, 0.4], np.float32)
  split = make_split(targets=np.tile(target, (2000, 1)))
  batch = {
    'image': split.images[None],
    'label': split.labels[None],
    'target': split.targets[None],
    'mask': np.ones((1, 2000), bool),
  }
  config = make_config('probability')
  config.augment.erase = 0.5
  result = prepare(config, batch)
  drawn = result['target']
  counts = drawn.sum(0)
  assert counts[1] == 0
  assert stats.chisquare(counts[[0, 2]], [1200, 800]).pvalue > 0.001
  # Drawing the labels leaves the augmentation as it was.
  hard = {name: batch[name] for name in ('image', 'label', 'mask')}
  np.testing.assert_array_equal(result['image'], prepare(config, hard)['image'])


@pytest.mark.parametrize('mode', ['probability', 'cross_entropy'])
def test_smoothing_mixup_and_weights_work_on_soft_targets(mode):
  split, config = make_split(), make_config(mode)
  batch = first_batch(split)
  plain = prepare(config, batch)['target']
  config.loss.label_smoothing = 0.1
  result = prepare(config, batch, weights=(1, 2, 5))
  smooth = 0.9 * plain + 0.1 / 3
  np.testing.assert_allclose(result['target'], smooth, rtol=1e-5)
  np.testing.assert_allclose(
    result['weight'], smooth @ np.array([1, 2, 5]), rtol=1e-5
  )
  config.augment.mixup = 1.0
  inputs.validate(config)
  mixed = prepare(config, batch)['target']
  np.testing.assert_allclose(mixed.sum(1), 1, rtol=1e-5)
  assert np.abs(mixed - smooth).max() > 0.01


def test_hard_labels_are_what_they_were():
  split = dataclasses.replace(make_split(), targets=None)
  result = prepare(make_config('majority'), first_batch(split))
  np.testing.assert_array_equal(result['target'], np.eye(3)[result['label']])


@pytest.mark.parametrize(
  ('section', 'name'),
  [('loss', 'label_smoothing'), ('augment', 'mixup'), ('augment', 'cutmix')],
)
def test_several_labels_are_not_blended(section, name):
  config = make_config('multi_target')
  inputs.validate(config)
  config[section][name] = 0.2
  with pytest.raises(
    UserError, match=rf'config\.{section}\.{name} is 0\.2; it'
  ):
    inputs.validate(config)
  config.data.label_mode = 'cross_entropy'
  inputs.validate(config)
