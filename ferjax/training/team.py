"""Trainings that make their steps together, as one compiled program.

An axis of members stands in front of every leaf of the state, and in the
batches; the images of all are in one table, each once. Of a single training
there is no such axis, and all is as if this file were not.
"""

from collections.abc import Iterator, Sequence
import dataclasses
from typing import Any

import jax
from jax import lax
import numpy as np

from ferjax import parallel
from ferjax.data import pipeline
from ferjax.data.dataset import Split
from ferjax.run import Run
from ferjax.train_state import TrainState


class Team:
  """One or more trainings of one form: network, recipe and number of steps.

  They may differ in seed, first weights, class weights and examples.
  """

  def __init__(self, runs: Sequence[Run]) -> None:
    """Makes their step, which is not compiled yet.

    Args:
      runs: at least one.
    """
    self.runs = tuple(runs)
    self._splits = [run.dataset.splits['train'] for run in runs]
    first = runs[0]
    self.train_step = first.train_step
    if len(runs) > 1:
      self.train_step = first.make_train_step(
        np.stack([run.class_weights for run in runs]), has_members=True
      )

  def place_table(self) -> tuple[Any, list[np.ndarray]]:
    """Puts on the devices what lives there.

    Returns:
      The table of the train step, and where each member finds its rows in it.
    """
    if len(self.runs) == 1:
      split = self._splits[0]
      rows = [np.arange(len(split))]
    else:
      split, rows = join(self._splits)
    return pipeline.table(split, self.runs[0].placement), rows

  def batches(
    self, calls: Sequence[pipeline.Call], rows: Sequence[np.ndarray]
  ) -> Iterator[dict[str, jax.Array]]:
    """Yields the batches of all calls, placed on the devices.

    Args:
      calls: of the train step, from the step that comes next.
      rows: of `place_table`.
    """
    config, placement = self.runs[0].config, self.runs[0].placement
    streams = [
      pipeline.train_batches(
        split,
        calls,
        config.batch_size,
        run.config.seed,
        placement,
        run.recovery.skip,
      )
      for run, split in zip(self.runs, self._splits, strict=True)
    ]
    if len(streams) == 1:
      batches = streams[0]
    else:
      batches = (_stack(each, rows) for each in zip(*streams, strict=True))
    return pipeline.prefetch_to_devices(
      batches, config.sharding, config.data.prefetch
    )

  def stack(self, states: Sequence[TrainState]) -> TrainState:
    """Puts the members' states on all devices, as the train step takes them.

    Args:
      states: one of each member, on the host or on all devices.
    """
    if len(states) == 1:
      return parallel.replicate(states[0])
    states = [jax.tree.map(_on_host, state) for state in states]
    return parallel.replicate(jax.tree.map(lambda *x: np.stack(x), *states))

  def pick(self, tree: Any, member: int) -> Any:
    """Returns a member's part of a state, or of its variables."""
    return tree if len(self.runs) == 1 else _pick(tree, np.int32(member))


def join(splits: Sequence[Split]) -> tuple[Split, list[np.ndarray]]:
  """Joins splits; an example that several of them have is held once.

  Args:
    splits: at least one; all with soft targets, or all without.

  Returns:
    The examples in the order in which they first occur, and where those of
    each split are among them, int `[n]`.
  """
  places, kept, rows = {}, [], []
  for number, split in enumerate(splits):
    twin = next((i for i in range(number) if splits[i] is split), None)
    if twin is not None:
      rows.append(rows[twin])
      continue
    own = np.empty(len(split), np.int64)
    new = []
    for i in range(len(split)):
      known = len(places)
      own[i] = places.setdefault(_example(split, i), known)
      if own[i] == known:
        new.append(i)
    kept.append(split.take(np.array(new, np.int64)))
    rows.append(own)
  arrays = {}
  for field in dataclasses.fields(Split):
    parts = [getattr(split, field.name) for split in kept]
    arrays[field.name] = None if parts[0] is None else np.concatenate(parts)
  return Split(**arrays), rows


def _example(split: Split, i: int) -> tuple[bytes, int, bytes]:
  """Returns all that a step sees of an example, as a key."""
  target = b'' if split.targets is None else split.targets[i].tobytes()
  return split.images[i].tobytes(), int(split.labels[i]), target


def _stack(
  batches: Sequence[pipeline.HostBatch], rows: Sequence[np.ndarray]
) -> pipeline.HostBatch:
  """Returns `[devices, steps, members, n, ...]` of all members' batches."""
  batches = [
    batch | {'index': own[batch['index']].astype(np.int32)}
    for batch, own in zip(batches, rows, strict=True)
  ]
  return jax.tree.map(lambda *x: np.stack(x, axis=2), *batches)


def _on_host(x: Any) -> np.ndarray:
  return np.asarray(parallel.to_host(x) if isinstance(x, jax.Array) else x)


@jax.jit
def _pick(tree: Any, member: jax.Array) -> Any:
  return jax.tree.map(
    lambda x: lax.dynamic_index_in_dim(x, member, keepdims=False), tree
  )
