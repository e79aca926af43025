"""A stopped run goes on as if nothing had happened, bit for bit."""

import signal

import pytest
import resumable

from ferjax.checkpoint import Checkpoints

NUM_STEPS = 24


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [
    'SIGTERM',
    pytest.param('SIGINT', marks=pytest.mark.stress),
    pytest.param('SIGUSR1', marks=[pytest.mark.stress, pytest.mark.long]),
  ],
)
def test_a_signal_saves_and_four_devices_go_on(data_dir, tmp_path, name):
  flags = tmp_path, data_dir, 10_000, '--config.checkpoint_every_steps=0'
  process = resumable.start(*flags)
  metrics = tmp_path / 'metrics.jsonl'
  resumable.wait_for(
    lambda: metrics.exists() and metrics.stat().st_size, process
  )
  process.send_signal(signal.Signals[name])
  output = resumable.finish(process, 128 + signal.Signals[name])
  assert f'stopped by {name}' in output
  with Checkpoints(tmp_path) as checkpoints:
    stopped = checkpoints.steps()[-1]
  assert 3 <= stopped < 10_000
  assert f'step {stopped} is saved' in output
  process = resumable.start(*flags, devices=4)
  for line in process.stdout:
    if line.startswith('resumed at step '):
      break
  process.kill()
  process.communicate()
  assert line.startswith(f'resumed at step {stopped} ')


@pytest.mark.slow
def test_the_second_of_two_trainings_in_one_workdir_is_refused(
  data_dir, tmp_path
):
  first = resumable.start(tmp_path, data_dir, 10_000)
  metrics = tmp_path / 'metrics.jsonl'
  resumable.wait_for(lambda: metrics.exists() and metrics.stat().st_size, first)
  second = resumable.start(tmp_path, data_dir, 10_000)
  output = resumable.finish(second, 2)
  assert f'error: {tmp_path} is in use by process {first.pid} on ' in output
  assert first.poll() is None
  first.kill()
  first.communicate()
  third = resumable.start(tmp_path, data_dir, 10_000)
  for line in third.stdout:
    if line.startswith('resumed at step '):
      break
  third.kill()
  third.communicate()
  assert line.startswith('resumed at step ')
