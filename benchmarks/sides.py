"""The two sides of a race: ferjax in this process, PyTorch in another."""

import json
import pathlib
import subprocess
import sys
from typing import Any

import child
import clock
import jax
from ml_collections import config_dict
from trial import Trial

from ferjax.errors import TrainingError

SCRIPT = pathlib.Path(__file__).with_name('torch_training.py')


class Ours:
  """A network of ferjax, and one batch that lies on the device."""

  def __init__(self, config: config_dict.ConfigDict) -> None:
    """Builds and compiles what a training of `config` runs."""
    self._trial = Trial(config)
    self.steps_per_call = self._trial.steps_per_call
    self.num_parameters = self._trial.num_parameters
    self.time(1)

  def time(self, calls: int) -> float:
    """Calls the step so often; returns the seconds of one call."""
    return clock.turn(self._trial.train, calls)


class Theirs:
  """What the process of torch_training.py is asked to do."""

  steps_per_call = 1

  def __init__(self, process: subprocess.Popen) -> None:
    """Waits until it is built."""
    self._process = process
    built = self._answer()
    self.num_parameters = built['parameters']
    self.setting = built['setting']

  def time(self, calls: int) -> float:
    """Lets it make so many steps; returns the seconds of one, as it counts."""
    print(calls, file=self._process.stdin, flush=True)
    return self._answer()['seconds'] / calls

  def _answer(self) -> dict[str, Any]:
    line = self._process.stdout.readline()
    if not line:
      raise TrainingError('PyTorch stopped; it says why above')
    return json.loads(line)


def start_torch(name: str, batch_size: int) -> subprocess.Popen:
  """Starts PyTorch's side, which ends when its input is closed."""
  network = {
    'name': name,
    'batch_size': batch_size,
    'device': 'cpu' if jax.default_backend() == 'cpu' else 'cuda',
    'cores': clock.cores(),
  }
  return subprocess.Popen(
    [sys.executable, str(SCRIPT), json.dumps(network)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    # Threads that wait for work would take the cores from JAX.
    env=child.environment(OMP_WAIT_POLICY='PASSIVE'),
    text=True,
  )
