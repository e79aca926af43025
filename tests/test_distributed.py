"""Several real processes on this machine train what one process does."""

import pathlib
import shutil
import signal
import time

import company
import numpy as np
import pytest

from ferjax import logs

CONFIG = '--config=configs/simple_cnn.py'


@pytest.fixture
def make(data_dir, tmp_path):
  """Makes companies, and leaves none of their processes behind."""
  made = []

  def make(workdir, count, *more, steps=8, devices=1, binary=None):
    given = [CONFIG, *company.flags(workdir, data_dir, steps), *more]
    folder = tmp_path / f'outputs-{len(made)}'
    made.append(company.Company(folder, count, *given, devices=devices))
    return made[-1]

  yield make
  for each in made:
    each.kill()


def finish(some):
  """Waits for all to finish; returns what they said."""
  statuses = some.statuses()
  assert set(statuses.values()) == {0}, some.output(0)
  return [some.output(i) for i in statuses]


def read_predictions(workdir, split='validation'):
  """Returns the index and the probabilities of each row."""
  path = workdir / 'eval' / split / 'predictions.csv'
  columns = (0, *range(3, 10))
  return np.loadtxt(path, delimiter=',', skiprows=1, usecols=columns)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('count', 'sharding'), [(2, 'pmap'), (2, 'shard_map'), (4, 'pmap')]
)
def test_several_processes_train_the_losses_of_one(
  make, tmp_path, count, sharding
):
  one, several = tmp_path / 'one', tmp_path / 'several'
  flag = f'--config.sharding={sharding}'
  finish(make(one, 1, flag, devices=count).start_all())
  first, *others = finish(make(several, count, flag).start_all())
  assert f'in {count} processes' in first
  assert 'step 8/8' in first
  assert not any('accuracy' in other for other in others)  # only 0 tells

  expected, actual = logs.read_metrics(one), logs.read_metrics(several)
  assert [r['step'] for r in actual] == [2, 4, 6, 8]
  for a, b in zip(expected, actual, strict=True):
    assert a.keys() == b.keys()
    for name in a.keys() - {'images_per_second', 'input_wait'}:
      assert a[name] == pytest.approx(b[name], rel=1e-3), name
  assert 'val/accuracy' in actual[-1]
  rows = [read_predictions(workdir) for workdir in (one, several)]
  np.testing.assert_array_equal(rows[0][:, 0], rows[1][:, 0])
  np.testing.assert_allclose(rows[0], rows[1], atol=1e-3)
  for name in ('curves.png', 'samples.png', 'eval/validation/metrics.json'):
    assert (several / name).is_file()


@pytest.mark.slow
def test_any_number_goes_on_where_another_stopped(make, tmp_path):
  finish(make(tmp_path / 'run', 2, devices=2).start_all())
  expected = logs.read_metrics(tmp_path / 'run')[-1]
  for count, devices, start in ((4, 1, 4), (1, 4, 4), (2, 2, 8)):
    if start < 8:
      shutil.rmtree(tmp_path / 'run' / 'checkpoints' / '8')
    outputs = finish(
      make(
        tmp_path / 'run',
        count,
        '--config.data.placement=device',
        devices=devices,
      ).start_all()
    )
    assert f'resumed at step {start} of 8' in outputs[0]
    last = logs.read_metrics(tmp_path / 'run')[-1]
    assert last['train/loss'] == pytest.approx(expected['train/loss'], 1e-3)


@pytest.mark.slow
def test_evaluation_by_two_processes_is_that_of_one(make, data_dir, tmp_path):
  workdir = tmp_path / 'run'
  finish(make(workdir, 1).start_all())
  tests = []
  for count in (1, 2):
    some = company.Company(
      tmp_path / f'evaluate-{count}',
      count,
      f'--workdir={workdir}',
      '--split=test',
      '--tta=flip',
      f'--output={tmp_path / "eval" / str(count)}',
      binary='evaluate',
    ).start_all()
    try:
      outputs = finish(some)
    finally:
      some.kill()
    assert not any('accuracy' in other for other in outputs[1:])
    tests.append(read_predictions(tmp_path, str(count)))
  assert len(tests[0]) == 28
  np.testing.assert_allclose(tests[0], tests[1], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('lost', [0, 2])
def test_all_stop_where_one_is_killed_and_a_restart_goes_on(
  make, tmp_path, lost
):
  some = make(tmp_path / 'run', 3, '--config.batch_size=12', steps=100_000)
  some.start_all('--config.checkpoint_every_steps=2')
  some.wait_for('step      6/')
  some.processes[lost].kill()
  began = time.monotonic()
  statuses = some.statuses(60)
  assert time.monotonic() - began < 10
  assert statuses.pop(lost) == -signal.SIGKILL
  assert set(statuses.values()) == {4}
  for i in statuses:
    assert f'error: process {lost} (' in some.output(i)
    assert 'is gone; the others stop' in some.output(i)
    assert 'Traceback' not in some.output(i)
  again = make(tmp_path / 'run', 3, '--config.batch_size=12', steps=100_000)
  again.start_all('--config.checkpoint_every_steps=2')
  again.wait_for('resumed at step ')


@pytest.mark.slow
def test_one_that_stands_still_is_named_then_missed(make, tmp_path):
  some = make(tmp_path / 'run', 2, '--silence_timeout=12', steps=100_000)
  some.start_all()
  some.wait_for('step      4/')
  some.processes[1].send_signal(signal.SIGSTOP)
  began = time.monotonic()
  some.processes[0].wait(120)
  assert 8 < time.monotonic() - began < 60
  assert some.processes[0].returncode == 4
  output = some.output(0)
  assert 'error: process 1 (' in output
  assert 'has been silent for 12 s; the others stop' in output
  assert 'Traceback' not in output


@pytest.mark.slow
def test_another_config_or_other_data_is_named(make, tmp_path):
  some = make(tmp_path / 'run', 2)
  some.start(0)
  some.start(1, '--config.batch_size=32', '--config.seed=1')
  assert set(some.statuses().values()) == {2}
  for i in range(2):
    assert 'error: process 1 (' in some.output(i)
    assert 'batch_size 32, not 16; seed 1, not 0' in some.output(i)
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_one_that_starts_late_is_waited_for_and_named(make, tmp_path):
  some = make(tmp_path / 'run', 2)
  some.start(0)
  some.wait_for('warning: waiting for process 1 of 2 since ')
  some.start(1)
  finish(some)
  never = make(tmp_path / 'never', 2, '--start_timeout=2')
  never.start(0)
  assert never.statuses() == {0: 4}
  assert 'process 1 of 2 did not start within 2 s' in never.output(0)


SLOW_READER = """
import runpy, time
from ferjax.data import pipeline
read = pipeline.CallSource.__getitem__
def slow(self, record):
  time.sleep(0.2)
  return read(self, record)
pipeline.CallSource.__getitem__ = slow
runpy.run_module('ferjax.main', run_name='__main__', alter_sys=True)
"""


@pytest.mark.slow
def test_a_straggler_is_named(make, tmp_path):
  some = make(tmp_path / 'run', 2, '--config.model.name=logistic', steps=24)
  some.start(0)
  some.start(1, program=['-c', SLOW_READER])
  outputs = finish(some)
  assert 'warning: process 1 (' in outputs[0]
  assert 'holds the others up: it waits ' in outputs[0]
  assert 'warning: process 0 (' not in outputs[0]


@pytest.mark.slow
def test_a_signal_to_one_stops_all_and_saves(make, tmp_path):
  some = make(tmp_path / 'run', 2, steps=100_000).start_all()
  some.wait_for('step      4/')
  some.processes[1].send_signal(signal.SIGTERM)
  assert set(some.statuses().values()) == {128 + signal.SIGTERM}
  assert 'stopped by a signal to another process, step ' in some.output(0)


@pytest.mark.slow
def test_where_one_process_cannot_go_on_none_does(make, tmp_path):
  (tmp_path / 'file').touch()
  began = time.monotonic()
  some = make(pathlib.Path(tmp_path, 'file', 'run'), 2).start_all()
  assert set(some.statuses().values()) == {2}
  assert time.monotonic() - began < 120
  assert 'cannot write to the workdir' in some.output(0)
  assert 'cannot write' in some.output(1) or 'another' in some.output(1)
