"""Two real processes on this machine train what one process does."""

import os
import pathlib
import socket
import subprocess
import sys

import pytest

from ferjax import logs

ROOT = pathlib.Path(__file__).parent.parent


def launch(workdir, data_dir, num_processes, *flags):
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
    assert process.returncode == 0, output
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

  # One process goes on where the two stopped.
  resumed = launch(two, data_dir, 1, flag)
  assert 'resumed at step 8 of 8' in resumed[0]
