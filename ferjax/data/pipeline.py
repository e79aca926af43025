"""The order of the examples, and batches of them on their way to the devices.

A record of the grain source is everything that one call of a step needs on
this process, so that Python's work per image is one copy.
"""

import collections
from collections.abc import Callable, Iterator, Sequence
import functools
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np

from ferjax import durations, parallel
from ferjax.data import mapped
from ferjax.data.dataset import Split
from ferjax.errors import UserError

PLACEMENTS = ('auto', 'host', 'device')

HostBatch = dict[str, np.ndarray]


class Call(NamedTuple):
  """One call of the train step: `num_steps` steps from step `start` on."""

  start: int
  num_steps: int


def plan_calls(
  start: int, stop: int, steps_per_call: int, intervals: Sequence[float]
) -> list[Call]:
  """Returns calls from step `start` to `stop`, none of them over an interval.

  Where fewer than `steps_per_call` steps are left before something is to be
  done, they are made one by one: only two lengths are ever compiled.
  """
  calls = []
  step = start
  while step < stop:
    events = [durations.next_event(step, n) for n in intervals if n]
    left = min([stop, *events]) - step
    length = steps_per_call if left >= steps_per_call else 1
    calls.append(Call(step, length))
    step += length
  return calls


class TrainOrder:
  """Batch k is places [kB, (k+1)B) of one permutation per epoch, joined.

  A permutation costs 4 bytes and some 40 ns an example; two are kept.
  """

  def __init__(
    self, num_examples: int, batch_size: int, seed: int, skip: int = 0
  ) -> None:
    self._num_examples = num_examples
    self._batch_size = batch_size
    self._skip = skip  # batches that are left out
    self._permutation = functools.lru_cache(maxsize=2)(
      lambda epoch: np.random.default_rng((seed, epoch)).permutation(
        np.arange(num_examples, dtype=np.int32)
      )
    )

  def __getitem__(self, step: int) -> np.ndarray:
    """Returns the rows of the global batch `step`, int32 `[batch_size]`."""
    first = (step + self._skip) * self._batch_size
    places = np.arange(first, first + self._batch_size)
    epochs, places = np.divmod(places, self._num_examples)
    rows = [
      self._permutation(int(epoch))[places[epochs == epoch]]
      for epoch in range(epochs[0], epochs[-1] + 1)
    ]
    return np.concatenate(rows)


class EvalOrder:
  """Batch k is rows [kB, (k+1)B); what is missing in the last one is -1."""

  def __init__(self, num_examples: int, batch_size: int) -> None:
    self._num_examples = num_examples
    self._batch_size = batch_size

  def __getitem__(self, step: int) -> np.ndarray:
    """Returns the rows of the global batch `step`, int64 `[batch_size]`."""
    rows = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
    return np.where(rows < self._num_examples, rows, -1)

  def __len__(self) -> int:
    return -(-self._num_examples // self._batch_size)


class CallSource:
  """A grain source whose records are this process's share of each call."""

  def __init__(
    self,
    order: TrainOrder | EvalOrder,
    calls: Sequence[Call],
    gather: Callable[[np.ndarray], HostBatch],
  ) -> None:
    self._order = order
    self._calls = calls
    self._gather = gather

  def __len__(self) -> int:
    return len(self._calls)

  def __getitem__(self, record: int) -> HostBatch:
    """Returns leaves `[local devices, steps, n, ...]`."""
    start, num_steps = self._calls[record]
    rows = np.stack([self._order[start + i] for i in range(num_steps)])
    devices = rows.reshape(
      num_steps, jax.process_count(), jax.local_device_count(), -1
    )
    return self._gather(devices[:, jax.process_index()].swapaxes(0, 1))


def gather(split: Split, placement: str, rows: np.ndarray) -> HostBatch:
  """Returns what travels to the devices for `rows`, of which -1 is padding."""
  batch = {'index': rows.astype(np.int32), 'mask': rows >= 0}
  if placement == 'host':
    rows = np.maximum(rows, 0)
    batch |= {name: values[rows] for name, values in _values(split).items()}
  return batch


def table(split: Split, placement: str) -> Any:
  """Returns what lives on the devices: everything of a split, or nothing."""
  if placement == 'host':
    return ()
  values = _values(split)
  if not isinstance(split.images, mapped.Mapped):
    return parallel.replicate(values)
  images = _upload(values.pop('image'))
  return parallel.replicate(values) | {'image': images}


def _upload(images: mapped.Mapped) -> jax.Array:
  """Puts images on all devices; the host holds a chunk of them at a time."""
  update = jax.lax.dynamic_update_slice_in_dim
  put = jax.jit(functools.partial(update, axis=0), donate_argnums=0)
  sharding, start = parallel.replicated(), 0
  table = jnp.zeros(images.shape, images.dtype, device=sharding)
  for chunk in mapped.chunks(images):
    table = put(table, parallel.replicate(chunk), start)
    jax.block_until_ready(table)  # else the chunks would queue up
    start += len(chunk)
  return table


def _values(split: Split) -> HostBatch:
  """Returns what a step takes of the examples, by its name in a batch."""
  values = {'image': split.images, 'label': split.labels}
  return values if split.targets is None else values | {'target': split.targets}


def validate(config: config_dict.ConfigDict) -> None:
  """Checks what the section `config.data` says of placement.

  Raises:
    UserError: naming the field that is wrong.
  """
  if config.placement not in PLACEMENTS:
    raise UserError(
      f'config.data.placement is {config.placement!r}; have {PLACEMENTS}'
    )
  if config.prefetch < 0:
    raise UserError(
      f'config.data.prefetch is {config.prefetch}; it cannot be negative'
    )


def choose_placement(placement: str, splits: Sequence[Split]) -> str:
  """Returns `host` or `device`; `auto` is `device` where the images fit well.

  They fit well in a quarter of an accelerator's memory. A CPU's memory is the
  host's, so there is nothing to gain.
  """
  if placement != 'auto':
    return placement
  device = jax.local_devices()[0]
  limit = (device.memory_stats() or {}).get('bytes_limit', 0)
  fits = sum(split.images.nbytes for split in splits) < limit / 4
  return 'device' if device.platform != 'cpu' and fits else 'host'


def train_batches(
  split: Split,
  calls: Sequence[Call],
  batch_size: int,
  seed: int,
  placement: str,
  skip: int = 0,
) -> Iterator[HostBatch]:
  """Returns this process's batches for `calls`, read ahead in a thread.

  Args:
    split: the training examples.
    calls: of the train step, from the step that comes next.
    batch_size: images a step, over all processes.
    seed: of the order, and of whatever the step draws; it travels with the
      batches as `seed`, uint32 `[devices, steps]`, so that one compiled program
      serves them all.
    placement: `host` or `device`.
    skip: how many batches of the stream are left out before step `start`.
  """
  order = TrainOrder(len(split), batch_size, seed, skip)
  source = CallSource(order, calls, functools.partial(gather, split, placement))
  for batch in _read(source):
    shape = batch['index'].shape[:2]
    yield batch | {'seed': np.full(shape, seed % 2**32, np.uint32)}


def eval_batches(
  split: Split, batch_size: int, placement: str
) -> Iterator[HostBatch]:
  """Returns batches in which every example of `split` stands exactly once.

  Args:
    split: the examples.
    batch_size: over all processes; a multiple of the number of devices.
    placement: `host` or `device`.
  """
  order = EvalOrder(len(split), batch_size)
  source = CallSource(
    order,
    [Call(i, 1) for i in range(len(order))],
    functools.partial(gather, split, placement),
  )
  for batch in _read(source):
    yield {name: values[:, 0] for name, values in batch.items()}


def _read(source: CallSource) -> grain.IterDataset:
  # One thread: a record is one gather, and more of them fight for the GIL.
  options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
  return grain.MapDataset.source(source).to_iter_dataset(options)


def prefetch_to_devices(
  batches: Iterator[HostBatch], sharding: str, size: int
) -> Iterator[dict[str, jax.Array]]:
  """Places `size` batches on the devices before they are asked for."""
  queue = collections.deque()
  for batch in batches:
    queue.append(parallel.shard(batch, sharding))
    if len(queue) > size:
      yield queue.popleft()
  yield from queue
