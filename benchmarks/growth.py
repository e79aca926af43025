"""How start, speed and memory change as the data grow, under `host` placement.

Each size is trained on, but for the step, in a process of its own.
"""

from collections.abc import Iterator, Sequence
import contextlib
import json
import os
import pathlib
import re
import shutil
import sys
import threading
import time
from typing import Any

from absl import flags
import child
import numpy as np

from ferjax import config as config_lib
from ferjax import heap
from ferjax.data import pipeline, records, synthetic, training
from ferjax.data.dataset import CLASS_NAMES, Dataset, Split
from ferjax.data.mapped import Mapped
from ferjax.data.raw import Raw
from ferjax.errors import UserError

_DRAWN = 500  # faces; more are these, shifted
_SIDE = 48
BATCH_SIZE = 128


def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns faces, uint8 `[count, 48, 48, 1]`, and labels, int32 `[count]`.

  Drawing takes long: they are `_DRAWN` at most, again and again, shifted.
  """
  own = np.arange(min(count, _DRAWN), dtype=np.int32) % 7
  images = synthetic.draw_faces(own, seed=0).reshape(-1, _SIDE, _SIDE, 1)
  repeats = range(-(-count // len(own)))
  images = np.concatenate([np.roll(images, n % _SIDE, axis=2) for n in repeats])
  return images[:count], np.tile(own, len(repeats))[:count]


def measure(
  folder: pathlib.Path, sizes: Sequence[int], num_images: int, num_batches: int
) -> list[dict[str, Any]]:
  """Starts on sets of any size, each time in a process of its own.

  Args:
    folder: for the sets.
    sizes: how many times `num_images` each one has.
    num_images: of the set that is linked so often.
    num_batches: to make of each.

  Returns:
    Two for each size, at the `start` that is the first and at a later one;
    see `train_on`.

  Raises:
    UserError: where the disk has not the space, or a process fails.
  """
  needed = (max(sizes) + 2) * num_images * _SIDE**2
  free = shutil.disk_usage(folder).free
  if needed > free:
    raise UserError(
      f'--growth={max(sizes)} needs {needed / 1e9:.1f} GB of disk, where'
      f' temporary files go has {free / 1e9:.1f}; set TMPDIR or give less'
    )
  images, labels = draw(num_images)
  train = Split(images, labels, np.arange(len(labels)))
  splits = {'train': train, 'validation': train.take(np.arange(100))}
  dataset = Dataset('faces', CLASS_NAMES[:7], splits, 'drawn')
  one = records.write(
    Raw(dataset, {}, {}, ()), str(folder / 'one'), False, lambda part: None
  )
  figures = []
  for times in sizes:
    data_dir = folder / f'times{times}'
    grow(one, data_dir / 'faces' / one.name, times)
    for start in ('first', 'later'):
      found = _in_process(str(data_dir), num_batches)
      figures.append({'times': times, 'start': start, **found})
    shutil.rmtree(data_dir)
  return figures


def grow(one: pathlib.Path, target: pathlib.Path, times: int) -> None:
  """Makes a prepared set whose train split is `times` that of another."""
  target.mkdir(parents=True)
  for file in one.iterdir():
    shard = re.fullmatch(r'(faces-train\..*)-00000-of-00001', file.name)
    if not shard:
      shutil.copy(file, target)
      continue
    for n in range(times):
      (target / f'{shard[1]}-{n:05}-of-{times:05}').symlink_to(file)
  info = json.loads((one / 'dataset_info.json').read_text())
  for split in info['splits']:
    if split['name'] == 'train':
      split['shardLengths'] *= times
      split['numBytes'] = str(int(split['numBytes']) * times)
  (target / 'dataset_info.json').write_text(json.dumps(info))


def _in_process(data_dir: str, num_batches: int) -> dict[str, Any]:
  """Returns what `train_on` finds in a process of its own.

  On a GPU that process must live beside this one.
  """
  done = child.run(
    __file__, data_dir, num_batches, XLA_PYTHON_CLIENT_PREALLOCATE='false'
  )
  return json.loads(done.said.splitlines()[-1])


def train_on(data_dir: str, num_batches: int) -> dict[str, Any]:
  """Does what a training does with its data, for some batches.

  Returns:
    `num_images`; `is_mapped`, whether they stayed on disk; `start_seconds`
    until the first batch, the content hash included; `images_per_second`
    after it; `own_bytes`, the peak of the memory that is the process's own,
    over what it was before.
  """
  config = config_lib.default_config().data
  config.update({'name': 'faces', 'dir': data_dir})
  with _peak() as peak:
    began = time.perf_counter()
    dataset = training.load(config)
    dataset.describe()
    split, size = dataset.splits['train'], BATCH_SIZE
    calls = pipeline.plan_calls(0, 1 + num_batches, 1, [])
    batches = pipeline.train_batches(split, calls, size, 0, 'host')
    batches = pipeline.prefetch_to_devices(batches, 'pmap', config.prefetch)
    next(batches)
    begun = time.perf_counter()
    count = size * sum(1 for _ in batches)
    rate = count / (time.perf_counter() - begun)
  return {
    'num_images': len(split),
    'is_mapped': isinstance(split.images, Mapped),
    'start_seconds': begun - began,
    'images_per_second': rate,
    'own_bytes': peak[0],
  }


@contextlib.contextmanager
def _peak() -> Iterator[list[int]]:
  """Watches how far this process's own memory rises above where it was."""
  before, peak, done = _own_bytes(), [0], threading.Event()

  def watch() -> None:
    while not done.wait(0.02):
      peak[0] = max(peak[0], _own_bytes() - before)

  thread = threading.Thread(target=watch)
  thread.start()
  try:
    yield peak
  finally:
    done.set()
    thread.join()


def _own_bytes() -> int:
  """Returns the resident memory that no file stands behind (Linux)."""
  status = pathlib.Path('/proc/self/status').read_text()
  return 1024 * int(re.search(r'RssAnon:\s+(\d+) kB', status)[1])


if __name__ == '__main__':
  heap.keep_freed_memory()  # as a training does
  flags.FLAGS.mark_as_parsed()  # grain reads its own flags
  print(json.dumps(train_on(sys.argv[1], int(sys.argv[2]))), flush=True)
  os._exit(0)  # no thread of the reader holds it up
