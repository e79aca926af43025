"""A training that goes astray stops, or goes back and takes another way."""

import json
import os
import signal

import jax
import numpy as np
from orbax.checkpoint import args
import pytest

from ferjax import inference, interrupts, logs, parallel, recovery, steps, train
from ferjax.checkpoint import Checkpoints
from ferjax.data import pipeline
from ferjax.errors import TrainingError, UserError

NUM_TRAIN, BATCH = 84, 16


class KilledError(Exception):
  """As if the process were killed."""


@pytest.fixture
def poison(monkeypatch):
  """Spoils what the step makes of some batches of the stream."""
  make = steps.make_train_step
  order = pipeline.TrainOrder(NUM_TRAIN, BATCH, 0)
  spoilers = {}

  def make_spoilt(*given, **more):
    real = make(*given, **more)

    def step(state, table, batch):
      rows = set(np.ravel(jax.device_get(batch['index'])))
      state, sums = real(state, table, batch)
      for number, spoil in spoilers.items():
        if rows == set(order[number]):
          state, sums = spoil(state, sums)
      return state, sums

    return step

  monkeypatch.setattr(steps, 'make_train_step', make_spoilt)
  return spoilers


def times(factor, tree):
  host = jax.tree.map(lambda x: x * np.float32(factor), parallel.to_host(tree))
  with jax.transfer_guard('allow'):
    return parallel.replicate(host)


def nan_everywhere(state, sums):
  params = times(np.nan, state.params)
  return state.replace(params=params), sums | times(
    np.nan, {'loss': sums['loss']}
  )


def nan_weights(state, sums):
  return state.replace(params=times(np.nan, state.params)), sums


def leap(state, sums):
  return state, sums | times(1e4, {'loss': sums['loss']})


def kill(state, sums):
  raise KilledError


def terminate(state, sums):
  os.kill(os.getpid(), signal.SIGTERM)
  return state, sums


@pytest.fixture
def make(make_config):
  def make(**settings):
    config = make_config()
    config.update({'on_nan': 'rollback', 'keep_checkpoints': 3, **settings})
    config.model.name = 'logistic'  # quick to compile
    config.schedule.name = 'constant'
    config.augment.flip = False
    return config

  return make


def final_params(workdir):
  with Checkpoints(workdir) as checkpoints:
    items = checkpoints._manager.restore(
      30, args=args.Composite(model=args.StandardRestore())
    )
  return jax.tree.leaves(items['model']['params'])


def journal(workdir):
  return json.loads((workdir / recovery.NAME).read_text())


def test_nan_goes_back_and_leaves_the_data_out(make, poison, tmp_path, capsys):
  poison[12] = nan_everywhere
  train.train_and_evaluate(make(), tmp_path)
  (record,) = journal(tmp_path)
  assert record == {
    'to_step': 10,
    'why': 'train/loss is nan and train/grad_norm is nan',
    'times': 1,
    'learning_rate_factor': 0.5,
    'skip': 5,
  }
  assert 'between steps 11 and 15: back to step 10' in capsys.readouterr().out
  records = logs.read_metrics(tmp_path)
  assert [r['step'] for r in records if 'train/loss' in r] == [*range(5, 35, 5)]
  assert all(np.isfinite(r['train/loss']) for r in records if 'train/loss' in r)
  rates = [r['train/learning_rate'] for r in records if 'train/loss' in r]
  np.testing.assert_allclose(rates, [0.02] * 2 + [0.01] * 4)


@pytest.mark.slow
def test_a_kill_after_a_rollback_changes_nothing(make, poison, tmp_path):
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  poison[12] = nan_everywhere
  train.train_and_evaluate(make(), whole)
  poison[27] = kill  # of the stream: step 23, after checkpoint 20
  with pytest.raises(KilledError):
    train.train_and_evaluate(make(), killed)
  del poison[27]
  train.train_and_evaluate(make(), killed)
  for a, b in zip(final_params(whole), final_params(killed), strict=True):
    np.testing.assert_array_equal(a, b)


def test_a_signal_is_not_forgotten_where_it_goes_back(
  make, poison, tmp_path, capsys
):
  poison[12] = lambda *state: nan_everywhere(*terminate(*state))
  assert train.train_and_evaluate(make(), tmp_path) is None
  output = capsys.readouterr().out
  assert 'back to step 10' in output
  assert 'stopped by SIGTERM, step 11 is saved' in output
  assert train.train_and_evaluate(make(), tmp_path)  # and then it is


def test_a_signal_in_a_last_step_stops_the_next_training(
  make, poison, tmp_path, monkeypatch
):
  poison[29] = terminate
  config = make(num_members=2)
  assert train.train_and_evaluate(config, tmp_path) is None
  with Checkpoints(tmp_path / 'member_1') as checkpoints:
    assert checkpoints.steps() == [1]
  monkeypatch.setattr(interrupts, '_pending', None)
  assert train.train_and_evaluate(make(), tmp_path / 'one')
  monkeypatch.setattr(interrupts, '_pending', None)


def test_without_a_checkpoint_it_begins_again(make, poison, tmp_path):
  poison[2] = nan_everywhere
  train.train_and_evaluate(make(), tmp_path)
  assert [(r['to_step'], r['skip']) for r in journal(tmp_path)] == [(0, 5)]
  inference.load(tmp_path)


def test_a_checkpoint_that_is_not_finite_is_no_good_one(make, poison, tmp_path):
  poison[9] = nan_weights  # the tenth step, whose own loss is fine
  train.train_and_evaluate(make(), tmp_path)
  assert [(r['to_step'], r['skip']) for r in journal(tmp_path)] == [(0, 15)]


def test_it_goes_back_so_many_times_at_most(make, poison, tmp_path):
  for number in range(11, 60):
    poison[number] = nan_everywhere
  with pytest.raises(
    TrainingError, match='It went back 2 times, as often'
  ) as caught:
    train.train_and_evaluate(make(max_rollbacks=2), tmp_path)
  assert 'on_nan=rollback' not in str(caught.value)  # which it has
  assert [r['skip'] for r in journal(tmp_path)] == [5, 10]
  factors = [r['learning_rate_factor'] for r in journal(tmp_path)]
  assert factors == [0.5, 0.25]
  # Started again, it has not forgotten.
  with pytest.raises(TrainingError, match='It went back 2 times'):
    train.train_and_evaluate(make(max_rollbacks=2), tmp_path)


def test_a_leap_of_the_loss_counts_where_it_is_asked_for(
  make, poison, tmp_path
):
  poison[27] = leap
  train.train_and_evaluate(make(), tmp_path / 'unasked')
  assert not (tmp_path / 'unasked' / recovery.NAME).exists()
  train.train_and_evaluate(make(max_loss_factor=5.0), tmp_path / 'asked')
  (record,) = journal(tmp_path / 'asked')
  assert record['to_step'] == 20
  assert record['why'].startswith('train/loss is ')


def test_it_stops_where_rollback_is_not_asked_for(make, poison, tmp_path):
  poison[12] = nan_everywhere
  with pytest.raises(TrainingError, match='last good checkpoint is step 10'):
    train.train_and_evaluate(make(on_nan='stop'), tmp_path)
  assert not (tmp_path / recovery.NAME).exists()
  # Asked for later, in the same workdir, it goes on.
  train.train_and_evaluate(make(), tmp_path)
  assert len(journal(tmp_path)) == 1


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    ({'on_nan': 'ignore'}, 'config.on_nan'),
    ({'rollback_factor': 0.0}, 'config.rollback_factor'),
    ({'max_loss_factor': 0.5}, 'config.max_loss_factor'),
    ({'max_rollbacks': -1}, 'config.max_rollbacks'),
    ({'member_mode': 'vmap', 'num_members': 2}, 'member_mode=loop'),
  ],
)
def test_wrong_settings_are_refused(make, tmp_path, settings, words):
  with pytest.raises(UserError, match=words):
    train.train_and_evaluate(make(**settings), tmp_path)


WHOLE = {'times': 1, 'learning_rate_factor': 0.5, 'skip': 5}


@pytest.mark.parametrize(
  'text',
  [
    *('', '[]', '{}', 'null', '[1]', '[{"times": 1}]', '{"-1": {}}'),
    *(
      json.dumps([WHOLE | change])
      for change in (
        {'times': 'x'},
        {'times': True},
        {'times': -1},
        {'times': 1.0},
        {'skip': -40},
        {'skip': None},
        {'skip': 10**30},
        {'learning_rate_factor': None},
        {'learning_rate_factor': True},
        {'learning_rate_factor': 0.0},
        {'learning_rate_factor': 1.5},
        {'learning_rate_factor': float('nan')},
        {'learning_rate_factor': float('inf')},
      )
    ),
  ],
)
def test_a_damaged_journal_is_refused(tmp_path, text):
  (tmp_path / recovery.NAME).write_text(text)
  with pytest.raises(UserError, match=r'rollbacks.json is damaged'):
    recovery.read(tmp_path)


def test_a_whole_journal_is_read(tmp_path):
  assert recovery.read(tmp_path) == recovery.NONE
  (tmp_path / recovery.NAME).write_text(json.dumps([{}, WHOLE]))
  assert recovery.read(tmp_path) == (1, 0.5, 5)
