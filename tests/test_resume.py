"""A killed or stopped run goes on as if nothing had happened, bit for bit."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
from orbax.checkpoint import args
import pytest

from ferjax import logs
from ferjax.checkpoint import Checkpoints

ROOT = pathlib.Path(__file__).parent.parent
NUM_STEPS = 24


@pytest.fixture
def start(data_dir):
  """Starts `ferjax.main` on CPU devices, in a process of its own."""

  def start(workdir, *flags, devices=1):
    environment = dict(os.environ)
    environment['XLA_FLAGS'] = (
      f'--xla_force_host_platform_device_count={devices}'
    )
    command = [
      *(sys.executable, '-m', 'ferjax.main'),
      '--config=configs/simple_cnn.py',
      f'--workdir={workdir}',
      f'--config.data.dir={data_dir}',
      '--config.num_epochs=0',
      f'--config.num_steps={NUM_STEPS}',
      '--config.batch_size=16',
      '--config.schedule.warmup_epochs=0',
      '--config.ema_decay=0.9',
      '--config.log_every_steps=3',
      '--config.eval_every_epochs=0',
      '--config.eval_every_steps=6',
      '--config.checkpoint_every_epochs=0',
      '--config.checkpoint_every_steps=2',
      *flags,
    ]
    return subprocess.Popen(
      command,
      cwd=ROOT,
      env=environment,
      text=True,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
    )

  return start


def run(process):
  output, _ = process.communicate(timeout=300)
  assert process.returncode == 0, output
  return output


def wait_for(condition, process):
  deadline = time.monotonic() + 120
  while not condition():
    assert process.poll() is None, process.stdout.read()
    assert time.monotonic() < deadline
    time.sleep(0.01)


def final_arrays(workdir):
  """Returns every array of the last checkpoint, by path."""
  with Checkpoints(workdir) as checkpoints:
    assert checkpoints.steps()[-1] == NUM_STEPS
    items = checkpoints._manager.restore(
      NUM_STEPS,
      args=args.Composite(
        model=args.StandardRestore(), training=args.StandardRestore()
      ),
    )
  flat, _ = jax.tree.flatten_with_path({**items})
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}


@pytest.mark.slow
def test_kill_at_any_moment_changes_nothing(start, tmp_path):
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  run(start(whole))
  saved = killed / 'checkpoints'
  for target in (2, 10, 18):  # the newest checkpoint when the kill comes
    process = start(killed)
    wait_for(
      lambda target=target: any(
        (saved / f'{target + i}').exists() for i in (0, 2, 4)
      ),
      process,
    )
    time.sleep(0.02 * target % 0.07)
    process.kill()
    process.communicate()
  output = run(start(killed))
  resumed = output.partition('resumed at step ')[2].split()[0]
  assert 18 <= int(resumed) < NUM_STEPS

  expected, actual = final_arrays(whole), final_arrays(killed)
  assert expected.keys() == actual.keys()
  assert len(expected) > 30
  for name, value in expected.items():
    np.testing.assert_array_equal(value, actual[name], err_msg=name)
  histories = [
    {
      record['step']: (record['val/loss'], record['val/accuracy'])
      for record in logs.read_metrics(workdir)
      if 'val/loss' in record
    }
    for workdir in (whole, killed)
  ]
  assert list(histories[0]) == [6, 12, 18, 24]
  assert histories[0] == histories[1]


@pytest.mark.slow
def test_sigterm_saves_and_four_devices_go_on(start, tmp_path):
  process = start(tmp_path, '--config.checkpoint_every_steps=0')
  metrics = tmp_path / 'metrics.jsonl'
  wait_for(lambda: metrics.exists() and metrics.stat().st_size, process)
  process.send_signal(signal.SIGTERM)
  output = run(process)
  assert 'stopped by SIGTERM' in output
  with Checkpoints(tmp_path) as checkpoints:
    stopped = checkpoints.steps()[-1]
  assert 3 <= stopped < NUM_STEPS
  assert f'step {stopped} is saved' in output
  output = run(start(tmp_path, '--config.checkpoint_every_steps=0', devices=4))
  assert f'resumed at step {stopped}' in output
