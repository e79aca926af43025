"""A training of seconds in a process of its own, to be stopped and resumed."""

import os
import pathlib
import subprocess
import sys
import time

import jax
import numpy as np
from orbax.checkpoint import args

from ferjax.checkpoint import Checkpoints

ROOT = pathlib.Path(__file__).parent.parent


def command(workdir, data_dir, num_steps, *flags):
  """Returns what trains `simple_cnn`, saving every second step."""
  return [
    *(sys.executable, '-m', 'ferjax.main'),
    '--config=configs/simple_cnn.py',
    f'--workdir={workdir}',
    f'--config.data.dir={data_dir}',
    '--config.num_epochs=0',
    f'--config.num_steps={num_steps}',
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


def start(*given, devices=1, cwd=ROOT):
  """Starts `command` of what is given, on CPU devices."""
  environment = dict(os.environ, PYTHONUNBUFFERED='1')
  environment['XLA_FLAGS'] = f'--xla_force_host_platform_device_count={devices}'
  return subprocess.Popen(
    command(*given),
    cwd=cwd,
    env=environment,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
  )


def finish(process, status=0, seconds=300):
  """Waits for its end; returns what it said."""
  output, _ = process.communicate(timeout=seconds)
  assert process.returncode == status, output
  return output


def wait_for(condition, process, seconds=120):
  """Waits until a condition holds, while the process runs."""
  deadline = time.monotonic() + seconds
  while not condition():
    assert process.poll() is None, process.stdout.read()
    assert time.monotonic() < deadline
    time.sleep(0.01)


def final_arrays(workdir, num_steps):
  """Returns every array of the last checkpoint, by path."""
  with Checkpoints(workdir) as checkpoints:
    assert checkpoints.steps()[-1] == num_steps
    items = checkpoints._manager.restore(
      num_steps,
      args=args.Composite(
        model=args.StandardRestore(), training=args.StandardRestore()
      ),
    )
  flat, _ = jax.tree.flatten_with_path({**items})
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}


def assert_equal(workdir, other, num_steps):
  """Asserts that two runs came to the same, bit for bit."""
  expected, actual = (final_arrays(w, num_steps) for w in (workdir, other))
  assert expected.keys() == actual.keys()
  assert len(expected) > 30
  for name, value in expected.items():
    np.testing.assert_array_equal(value, actual[name], err_msg=name)
