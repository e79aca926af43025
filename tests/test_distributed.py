"""Two real processes on this machine train what one process does."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from ferjax import logs

ROOT = pathlib.Path(__file__).parent.parent


def launch(workdir, data_dir, num_processes, *flags, status=0):
  """Runs a training on two devices in all, and waits for its processes."""
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    port = probe.getsockname()[1]
  processes = []
  for process in range(num_processes):
    command = [
      *(sys.executable, '-m', 'ferjax.main'),
      '--config=configs/simple_cnn.py',
      f'--workdir={workdir}',
      f'--config.data.dir={data_dir}',
      '--config.num_epochs=0',
      '--config.num_steps=8',
      '--config.batch_size=16',
      '--config.model.dropout=0',
      '--config.log_every_steps=2',
      '--config.eval_every_epochs=0',
      '--config.eval_every_steps=4',
      '--config.checkpoint_every_epochs=0',
      '--config.checkpoint_every_steps=4',
      *flags,
    ]
    if num_processes > 1:
      command += [
        f'--coordinator_address=127.0.0.1:{port}',
        f'--num_processes={num_processes}',
        f'--process_id={process}',
      ]
    devices = 2 // num_processes
    flag = f'--xla_force_host_platform_device_count={devices}'
    processes.append(
      subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(os.environ, XLA_FLAGS=flag),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
      )
    )
  outputs = [process.communicate(timeout=240)[0] for process in processes]
  for process, output in zip(processes, outputs, strict=True):
    assert process.returncode == status, output
  return outputs


@pytest.mark.slow
@pytest.mark.parametrize('sharding', ['pmap', 'shard_map'])
def test_two_processes_train_the_losses_of_one(data_dir, tmp_path, sharding):
  one, two = tmp_path / 'one', tmp_path / 'two'
  flag = f'--config.sharding={sharding}'
  launch(one, data_dir, 1, flag)
  first, second = launch(two, data_dir, 2, flag)
  assert 'in 2 processes' in first
  assert 'step 8/8' in first
  assert 'accuracy' not in second  # only process 0 tells

  expected, actual = logs.read_metrics(one), logs.read_metrics(two)
  assert [r['step'] for r in actual] == [2, 4, 6, 8]
  for a, b in zip(expected, actual, strict=True):
    assert a.keys() == b.keys()
    for name in a.keys() - {'images_per_second', 'input_wait'}:
      assert a[name] == pytest.approx(b[name], rel=1e-3), name
  assert 'val/accuracy' in actual[-1]
  rows = [read_predictions(workdir) for workdir in (one, two)]
  np.testing.assert_array_equal(rows[0][:, 0], rows[1][:, 0])
  np.testing.assert_allclose(rows[0], rows[1], atol=1e-3)


@pytest.mark.slow
def test_two_processes_or_one_go_on_where_two_stopped(data_dir, tmp_path):
  launch(tmp_path, data_dir, 2)
  expected = logs.read_metrics(tmp_path)[-1]
  shutil.rmtree(tmp_path / 'checkpoints' / '8')
  for num_processes, start in ((2, 4), (1, 8)):
    outputs = launch(
      tmp_path, data_dir, num_processes, '--config.data.placement=device'
    )
    assert f'resumed at step {start} of 8' in outputs[0]
    last = logs.read_metrics(tmp_path)[-1]
    assert last['train/loss'] == pytest.approx(expected['train/loss'], 1e-3)


def read_predictions(workdir):
  """Returns the index and the probabilities of each row."""
  path = workdir / 'eval' / 'validation' / 'predictions.csv'
  columns = (0, *range(3, 10))
  return np.loadtxt(path, delimiter=',', skiprows=1, usecols=columns)


@pytest.mark.slow
def test_where_one_process_cannot_go_on_none_does(data_dir, tmp_path):
  (tmp_path / 'file').touch()
  began = time.monotonic()
  outputs = launch(tmp_path / 'file' / 'run', data_dir, 2, status=2)
  assert time.monotonic() - began < 60
  assert 'cannot write to the workdir' in outputs[0]
  assert 'another process failed' in outputs[1]
