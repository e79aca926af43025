"""Processes that die, stand still, differ, come late or are slow: named."""

import re
import signal
import time

import company
import pytest

pytestmark = [pytest.mark.stress, pytest.mark.slow]


@pytest.mark.parametrize('lost', [pytest.param(0, marks=pytest.mark.long), 2])
def test_all_stop_where_one_is_killed_and_a_restart_goes_on(
  train, tmp_path, lost
):
  some = train(tmp_path / 'run', 3, '--config.batch_size=12', steps=100_000)
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
  again = train(tmp_path / 'run', 3, '--config.batch_size=12', steps=100_000)
  again.start_all('--config.checkpoint_every_steps=2')
  again.wait_for('resumed at step ')


def test_one_that_stands_still_is_named_then_missed(train, tmp_path):
  some = train(tmp_path / 'run', 2, '--silence_timeout=12', steps=100_000)
  some.start_all()
  some.wait_for('step      4/')
  some.processes[1].send_signal(signal.SIGSTOP)
  began = time.monotonic()
  some.processes[0].wait(120)
  assert 8 < time.monotonic() - began < 60
  assert some.processes[0].returncode == 4
  output = some.output(0)
  assert re.search(
    r'warning: process 1 \(.*\) has been silent for [45] s', output
  )
  assert 'error: process 1 (' in output
  assert 'has been silent for 12 s; the others stop' in output
  assert 'Traceback' not in output


def test_another_config_or_other_data_is_named(train, tmp_path):
  some = train(tmp_path / 'run', 2)
  some.start(0)
  some.start(1, '--config.batch_size=32', '--config.seed=1')
  assert set(some.statuses().values()) == {2}
  for i in range(2):
    assert 'error: process 1 (' in some.output(i)
    assert 'batch_size 32, not 16; seed 1, not 0' in some.output(i)
  assert not (tmp_path / 'run').exists()


@pytest.mark.long
def test_one_that_starts_late_is_waited_for_and_named(train, tmp_path):
  some = train(tmp_path / 'run', 2)
  some.start(0)
  some.wait_for('warning: waiting for process 1 of 2 since ')
  some.start(1)
  company.finish(some)
  never = train(tmp_path / 'never', 2, '--start_timeout=2')
  never.start(0)
  assert never.statuses() == {0: 4}
  assert 'process 1 of 2 did not start within 2 s' in never.output(0)


SLOW_READER = """
import runpy, time
from ferjax.data import pipeline
read = pipeline.CallSource.__getitem__
def slow(self, record):
  time.sleep(0.6)
  return read(self, record)
pipeline.CallSource.__getitem__ = slow
runpy.run_module('ferjax.main', run_name='__main__', alter_sys=True)
"""


@pytest.mark.long
def test_a_straggler_is_named(train, tmp_path):
  some = train(tmp_path / 'run', 2, '--config.model.name=logistic', steps=20)
  some.start(0)
  some.start(1, program=['-c', SLOW_READER])
  outputs = company.finish(some)
  assert 'warning: process 1 (' in outputs[0]
  assert 'holds the others up: it waits ' in outputs[0]
  assert 'warning: process 0 (' not in outputs[0]


def test_a_signal_to_one_stops_all_and_saves(train, tmp_path):
  some = train(tmp_path / 'run', 2, steps=100_000).start_all()
  some.wait_for('step      4/')
  some.processes[1].send_signal(signal.SIGUSR1)
  assert set(some.statuses().values()) == {128 + signal.SIGUSR1}
  assert 'stopped by SIGUSR1 to another process, step ' in some.output(0)
