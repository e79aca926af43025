"""How fast networks run, and which part of a training holds it back."""

from collections.abc import Callable, Iterator, Sequence
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
from ferjax.data.dataset import Split
from ferjax.run import Run, build

Batches = Iterator[dict[str, jax.Array]]

_ROUNDS = 5
_ROUND_SECONDS = 1.0  # that each of several networks gets in a round


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


class Racer:
  """A network, compiled, that can be timed in turn with others.

  It works on one batch of its training, which lies on the devices already:
  what is timed is the network, not the way of the images.
  """

  def __init__(self, config: config_dict.ConfigDict) -> None:
    """Builds, compiles and first runs what a training of `config` runs.

    Raises:
      UserError: when the config cannot be used, or the data is not here.
    """
    run = build(config, resumes=True)
    devices = jax.device_count()
    per_call, size = run.steps_per_call, config.batch_size
    eval_size = -(-config.eval_batch_size // devices) * devices
    split = run.dataset.splits['train']
    train_batches = pipeline.train_batches(
      split, [pipeline.Call(0, per_call)], size, config.seed, 'host'
    )
    # Cut or repeated to one batch that is full, as nearly all of them are.
    rows = np.arange(eval_size) % len(split)
    full = Split(split.images[rows], split.labels[rows], rows)
    eval_batches = pipeline.eval_batches(full, eval_size, 'host')
    self._train_batch, self._eval_batch = (
      parallel.shard(next(batches), config.sharding)
      for batches in (train_batches, eval_batches)
    )
    self._train_step, self._eval_step = run.train_step, run.eval_step
    self._state = parallel.replicate(run.state)
    self._works = (
      (self._train, per_call * size),
      (self._infer, eval_size),
    )
    self._calls = [self._calls_a_round(work) for work, _ in self._works]

  def run(self) -> tuple[float, float]:
    """Makes one round; returns images/s of training and of inference."""
    training, inference = (
      calls * images / _seconds(work, calls)
      for (work, images), calls in zip(self._works, self._calls, strict=True)
    )
    return training, inference

  def _calls_a_round(self, work: Callable[[], Any]) -> int:
    _seconds(work, 1)  # compiles
    return max(1, round(_ROUND_SECONDS / _seconds(work, 1)))

  def _train(self) -> Any:
    self._state, sums = self._train_step(self._state, (), self._train_batch)
    return parallel.settle(sums)

  def _infer(self) -> Any:
    return parallel.settle(
      self._eval_step(self._state.variables, (), self._eval_batch)
    )


def race(racers: Sequence[Racer]) -> list[tuple[float, float]]:
  """Times networks in turn, so that a machine that wanders is fair to all.

  Returns:
    The medians over the rounds of images/s in training and in inference, for
    each network.
  """
  rounds = [[racer.run() for racer in racers] for _ in range(_ROUNDS)]
  return [tuple(pair) for pair in np.median(rounds, axis=0).tolist()]


def _seconds(work: Callable[[], Any], calls: int) -> float:
  began = time.perf_counter()
  for _ in range(calls):
    last = work()
  jax.block_until_ready(last)
  return time.perf_counter() - began


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
