"""Members of one program do what each does alone."""

import json
import math
import os
import shutil
import signal
from unittest import mock

import jax
import numpy as np
import pytest
import test_checkpoint

from ferjax import config as config_lib
from ferjax import logs
from ferjax import run as run_lib
from ferjax import workdir as workdir_lib
from ferjax.checkpoint import Checkpoints
from ferjax.errors import UserError
from ferjax.meter import Meter
from ferjax.parallel import to_host
from ferjax.studies import outcome
from ferjax.train import member_config, train_and_evaluate
from ferjax.training import loop, members


def last_state(workdir):
  config = json.loads((workdir / 'config.json').read_text())
  run = run_lib.build(workdir_lib.read_config(workdir))
  with Checkpoints(workdir) as checkpoints:
    restored = checkpoints.restore_latest(run.state)
  assert restored.next_index == config['num_steps']
  return to_host(restored.state)


@pytest.fixture
def short(make_config):
  """Makes configs of 20 steps of a network without batch norm."""

  def short(**changes):
    config = make_config()
    config.model.name, config.num_steps = 'mlp', 20
    config.model.dropout = 0.3
    config.augment.shift = 0.1
    config.ema_decay = 0.9
    config.loss.class_weights = 'balanced'
    config.update(changes)
    return config

  return short


def assert_equal(first, second, **tolerance):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, **tolerance),
    last_state(first),
    last_state(second),
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  'changes',
  [
    {},
    {'sharding': 'shard_map', 'data': {'placement': 'device'}},
  ],
)
def test_an_ensemble_equals_its_seeds_alone(short, tmp_path, changes):
  config = short(seed=5, num_members=2, member_mode='vmap', **changes)
  figures = train_and_evaluate(config, tmp_path / 'both')
  assert figures['num_examples'] == 28
  for i in range(2):
    train_and_evaluate(member_config(config, i), tmp_path / f'{i}')
    together = tmp_path / 'both' / f'member_{i}'
    assert_equal(tmp_path / f'{i}', together, rtol=1e-4, atol=1e-5)
    alone = logs.read_metrics(tmp_path / f'{i}')
    for a, b in zip(alone, logs.read_metrics(together), strict=True):
      assert a['step'] == b['step']
      for name in ('train/loss', 'train/accuracy', 'train/grad_norm', 'epoch'):
        assert a[name] == pytest.approx(b[name], rel=1e-3)


def plan(config, folder, count=2):
  configs = [member_config(config, i) for i in range(count)]
  return configs, [folder / f'{i}' for i in range(count)]


def interrupt(monkeypatch, num_calls):
  """Lets a signal come after some calls of the step."""
  add, calls = Meter.add, []

  def add_and_stop(self, sums):
    calls.append(sums)
    if len(calls) == num_calls:
      os.kill(os.getpid(), signal.SIGTERM)
    add(self, sums)

  monkeypatch.setattr(Meter, 'add', add_and_stop)


@pytest.mark.slow
def test_members_go_on_after_a_signal(short, tmp_path, monkeypatch, capsys):
  config = short(num_steps=14, checkpoint_every_steps=4)
  whole, stopped = tmp_path / 'whole', tmp_path / 'stopped'
  assert members.train_all(*plan(config, whole), 'vmap') == [None, None]
  with monkeypatch.context() as patch:
    interrupt(patch, 10)
    assert members.train_all(*plan(config, stopped), 'vmap') is None
  # As if it had been killed between two checkpoints of step 10.
  shutil.rmtree(stopped / '1' / 'checkpoints' / '10')
  assert members.train_all(*plan(config, stopped), 'vmap') == [None, None]
  assert 'resumed at step 8 of 14' in capsys.readouterr().out
  for name in ('0', '1'):
    assert_equal(whole / name, stopped / name, rtol=1e-6, atol=1e-7)
    steps = [r['step'] for r in logs.read_metrics(stopped / name)]
    assert steps == [5, 10, 14]


@pytest.mark.slow
def test_members_without_a_common_step_go_on_alone(
  short, tmp_path, monkeypatch, capsys
):
  config = short(num_steps=6)
  with monkeypatch.context() as patch:
    interrupt(patch, 3)
    assert members.train_all(*plan(config, tmp_path), 'vmap') is None
  shutil.rmtree(tmp_path / '1' / 'checkpoints' / '3')
  assert members.train_all(*plan(config, tmp_path), 'vmap') == [None, None]
  assert 'each goes on by itself' in capsys.readouterr().out
  for name in ('0', '1'):
    assert last_state(tmp_path / name).step == 6


def test_no_later_checkpoint_goes_before_all_read_the_common_one(tmp_path):
  """Or a member would lose the only one that it can read."""
  for name, steps in (('a', (10, 20)), ('b', (10,))):
    test_checkpoint.save(tmp_path / name, dict.fromkeys(steps))
  test_checkpoint.damage(tmp_path / 'a', 10, 'model/**/d/*')
  run = mock.Mock(state=test_checkpoint.make_state())
  with (
    Checkpoints(tmp_path / 'a') as a,
    Checkpoints(tmp_path / 'b') as b,
    pytest.raises(loop.ApartError, match='step 10 cannot be read by all'),
  ):
    loop._begin([mock.Mock(run=run, checkpoints=each) for each in (a, b)])
  with Checkpoints(tmp_path / 'a') as a:
    assert a.steps() == [10, 20]
    assert a.restore_latest(run.state).next_index == 20


@pytest.mark.slow
@pytest.mark.parametrize('mode', ['vmap', 'loop'])
def test_one_that_fails_does_not_stop_the_others(
  short, tmp_path, monkeypatch, mode
):
  configs, workdirs = plan(short(num_steps=4), tmp_path, 3)
  configs[2].loss.class_weights = 'nobody=2'
  read, reads = Meter.read, []

  def read_nan(self, member=None):
    reads.append(member)
    broken = member == 1 if mode == 'vmap' else len(reads) == 2
    nan = {'train/loss': math.nan} if broken else {}
    return read(self, member) | nan

  monkeypatch.setattr(Meter, 'read', read_nan)
  problems = members.train_all(configs, workdirs, mode)
  assert problems[0] is None
  assert 'train/loss is nan between steps 1 and 4' in str(problems[1])
  assert 'class_weights' in str(problems[2])
  assert outcome.is_finished(workdirs[0], configs[0])
  assert not outcome.is_finished(workdirs[1], configs[1])


@pytest.mark.slow
def test_a_damaged_workdir_does_not_stop_the_others(
  short, tmp_path, monkeypatch
):
  configs, workdirs = plan(short(num_steps=4), tmp_path)
  with monkeypatch.context() as patch:
    interrupt(patch, 2)
    assert members.train_all(configs, workdirs, 'vmap') is None
  for path in (workdirs[1] / 'checkpoints' / '2').rglob('*'):
    if path.is_file() and path.stat().st_size and 'metrics' not in path.parts:
      path.write_bytes(b'')
  problems = members.train_all(configs, workdirs, 'vmap')
  assert problems[0] is None
  assert 'can be read' in str(problems[1])
  assert outcome.is_finished(workdirs[0], configs[0])


def test_another_training_is_refused_before_any_begins(short, tmp_path):
  configs, workdirs = plan(short(num_steps=1), tmp_path)
  workdirs[1].mkdir()
  other = short(num_steps=2)
  (workdirs[1] / 'config.json').write_text(config_lib.to_json(other))
  with pytest.raises(UserError, match='num_steps: 2, now 1') as error:
    members.train_all(configs, workdirs, 'loop')
  assert '\n' not in str(error.value)
  assert not workdirs[0].exists()


@pytest.mark.parametrize(
  ('found', 'num_members', 'words'),
  [
    (['config.json'], 2, 'holds a single run'),
    (['member_0', 'member_1', 'member_2'], 2, 'holds an ensemble of 3'),
    (['member_0', 'member_1'], 1, 'holds an ensemble of 2'),
  ],
)
def test_no_folder_holds_networks_of_two_trainings(
  short, tmp_path, found, num_members, words
):
  for name in found:
    (tmp_path / name).mkdir()
  with pytest.raises(UserError, match=words):
    train_and_evaluate(short(num_members=num_members), tmp_path)


def test_a_wrong_setting_of_an_ensemble_is_said_once(short, tmp_path, capsys):
  config = short(num_members=3)
  config.loss.class_weights = 'nobody=2'
  with pytest.raises(UserError, match='class_weights'):
    train_and_evaluate(config, tmp_path)
  printed = capsys.readouterr()
  assert 'class_weights' not in printed.out + printed.err
