"""How fast a training runs, and which of its parts holds it back."""

from collections.abc import Callable, Iterator
import itertools
import resource
import sys
import time
from typing import Any

import jax
from ml_collections import config_dict
import numpy as np

from ferjax import parallel
from ferjax.data import pipeline
from ferjax.run import Run, build

Batches = Iterator[dict[str, jax.Array]]

_ROUNDS = 5


def measure(config: config_dict.ConfigDict, num_calls: int) -> dict[str, Any]:
  """Times the input pipeline, the step, and both together.

  The three take turns over several rounds, and medians are given, so that a
  machine whose speed wanders is fair to all of them. The state that the steps
  train is thrown away.

  Args:
    config: of the training.
    num_calls: of the step, in each round of each part.

  Returns:
    `input_images_per_second` (batches made and placed on the devices),
    `step_images_per_second` (on one batch, again and again),
    `training_images_per_second` (the step, fed by the pipeline), `kept`, the
    last over the one before, round by round; `build_seconds`,
    `compile_seconds` (of the first call), `peak_memory_bytes` (of a device
    where it tells, else of the process) and what the machine is.
  """
  began = time.perf_counter()
  run = build(config)
  build_seconds = time.perf_counter() - began
  trainer = _Trainer(run, num_calls)
  first = next(trainer.batches())
  began = time.perf_counter()
  trainer.train([first])
  compile_seconds = time.perf_counter() - began

  rounds = []
  for _ in range(_ROUNDS):
    again = itertools.repeat(first, num_calls + 1)
    rounds.append(
      [
        trainer.rate(_exhaust, trainer.batches()),
        trainer.rate(trainer.train, again),
        trainer.rate(trainer.train, trainer.batches()),
      ]
    )
  medians = np.median(rounds, axis=0).tolist()
  kept = float(np.median([both / alone for _, alone, both in rounds]))
  device = jax.local_devices()[0]
  return {
    'network': config.model.name,
    'dtype': config.model.dtype,
    'batch_size': config.batch_size,
    'placement': run.placement,
    'steps_per_call': run.steps_per_call,
    'devices': f'{jax.device_count()} x {device.device_kind}',
    'jax': jax.__version__,
    'input_images_per_second': medians[0],
    'step_images_per_second': medians[1],
    'training_images_per_second': medians[2],
    'kept': kept,
    'build_seconds': build_seconds,
    'compile_seconds': compile_seconds,
    'peak_memory_bytes': _peak_memory(device),
  }


class _Trainer:
  """A state, and the steps that change it."""

  def __init__(self, run: Run, num_calls: int) -> None:
    self._run = run
    self._split = run.dataset.splits['train']
    self._state = parallel.replicate(run.state)
    self._table = pipeline.table(self._split, run.placement)
    per_call = run.steps_per_call
    self._num_images = num_calls * per_call * run.config.batch_size
    # One call more than is timed: it starts the reader.
    num_steps = (num_calls + 1) * per_call
    self._calls = pipeline.plan_calls(0, num_steps, per_call, [])

  def batches(self) -> Batches:
    """Yields the batches of all calls, placed on the devices."""
    config = self._run.config
    return pipeline.prefetch_to_devices(
      pipeline.train_batches(
        self._split,
        self._calls,
        config.batch_size,
        config.seed,
        self._run.placement,
      ),
      config.sharding,
      config.data.prefetch,
    )

  def train(self, batches: Batches) -> None:
    """Makes the steps and waits for the last."""
    for batch in batches:
      self._state, sums = self._run.train_step(self._state, self._table, batch)
      parallel.settle(sums)
    jax.block_until_ready(self._state)

  def rate(self, work: Callable[[Batches], None], batches: Batches) -> float:
    """Returns images per second of `work` over all batches but the first."""
    next(batches)
    began = time.perf_counter()
    work(batches)
    return self._num_images / (time.perf_counter() - began)


def _exhaust(batches: Batches) -> None:
  for batch in batches:
    jax.block_until_ready(batch)


def _peak_memory(device: jax.Device) -> int:
  """Returns bytes."""
  stats = device.memory_stats() or {}
  if 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use']
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == 'darwin' else peak * 1024
