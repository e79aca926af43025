"""Reads a data set's raw files, checks them and writes them for training.

python -m ferjax.prepare --dataset=fer2013 --source=fer2013.csv
python -m ferjax.prepare --dataset=ckplus --source=CK+48
python -m ferjax.prepare --dataset=mnist --source=FOLDER
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import functools
import os
import pathlib
import time
import typing

from absl import flags

from ferjax import cli
from ferjax.config import default_config
from ferjax.errors import UserError

if typing.TYPE_CHECKING:
  import rich.console
  import rich.table

  from ferjax.data.raw import Raw

SOURCES = ('fer2013', 'ckplus', 'mnist')

_LISTED = 20  # bad rows that are printed; all are kept in metadata.json

_DATASET = flags.DEFINE_string('dataset', None, f'One of {", ".join(SOURCES)}.')
_SOURCE = flags.DEFINE_string(
  'source', None, 'The raw file, or the folder of the raw files.'
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', default_config().data.dir, 'Where prepared data sets lie.'
)
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Replace a prepared data set that is there.'
)
_SKIP_BAD_ROWS = flags.DEFINE_bool(
  'skip_bad_rows', False, 'Leave bad rows out, count and list them.'
)
_SEED = flags.DEFINE_integer(
  'seed',
  0,
  'Draws the validation split of a source without one (train.csv, mnist).',
  lower_bound=0,
)


def main(argv: Sequence[str]) -> None:
  """Prepares the data set that the flags name."""
  del argv  # flags only
  if _DATASET.value not in SOURCES:
    raise UserError(
      f'--dataset={_DATASET.value or ""}: must be one of {", ".join(SOURCES)}'
    )
  if not _SOURCE.value:
    raise UserError('--source=PATH is missing: the raw file or its folder')
  import rich.console

  from ferjax.data import atomic, records

  start = time.monotonic()
  target = records.target(_DATA_DIR.value, _DATASET.value)
  atomic.check(target, _OVERWRITE.value)
  with _progress('reading') as progress:
    raw = _read(progress)
  with _progress('writing') as progress:
    records.write(raw, _DATA_DIR.value, _OVERWRITE.value, progress)
  console = rich.console.Console(highlight=False, soft_wrap=True)
  console.print(counts_table(raw))
  for line in report_lines(raw):
    console.print(line, markup=False)
  seconds = time.monotonic() - start
  console.print(f'written to {target} in {seconds:.1f} s', markup=False)


def _read(progress: Callable[[float], None]) -> 'Raw':
  from ferjax.data import ckplus, fer2013, mnist, raw

  seed = _SEED.value
  readers = {
    'fer2013': functools.partial(fer2013.read, seed=seed),
    'ckplus': ckplus.read,
    'mnist': functools.partial(mnist.read, seed=seed),
  }
  # Unlike pathlib's, this leaves the home of nobody as it is: not found.
  source = pathlib.Path(os.path.expanduser(_SOURCE.value))
  bad_rows = raw.BadRows(skip=_SKIP_BAD_ROWS.value)
  try:
    return readers[_DATASET.value](source, bad_rows, progress)
  except OSError as error:
    where = error.filename or source
    raise UserError(
      f'cannot read {where}: {error.strerror or error}'
    ) from error


def counts_table(raw: 'Raw') -> 'rich.table.Table':
  """Returns the examples of every split and class.

  A count that is not the published one has the difference beside it.
  """
  import rich.box
  import rich.table

  table = rich.table.Table('class', box=rich.box.SIMPLE_HEAD)
  columns = []
  for name, split in raw.dataset.splits.items():
    table.add_column(name, justify='right')
    counts = split.counts(raw.dataset.num_classes).tolist()
    surplus = _surplus(raw, name)
    columns.append(
      [
        f'{count:,} ({more:+,})' if more else f'{count:,}'
        for count, more in zip(
          [*counts, sum(counts)], [*surplus, sum(surplus)], strict=True
        )
      ]
    )
  names = [*raw.dataset.class_names, 'all']
  for name, *row in zip(names, *columns, strict=True):
    table.add_row(name, *row)
  return table


def report_lines(raw: 'Raw') -> list[str]:
  """Returns what is to be said below the table, line by line."""
  differing = [name for name in raw.dataset.splits if any(_surplus(raw, name))]
  lines = [
    f'{raw.dataset.source}: the counts '
    + (
      f'of {", ".join(differing)} are not the published ones (more or fewer in'
      ' brackets)'
      if differing
      else 'are the published ones'
    )
  ]
  lines += [f'no {name} split: {why}' for name, why in raw.missing.items()]
  lines += [f'note: {note}' for note in raw.dataset.notes]
  lines += [f'left out: {line}' for line in raw.skipped[:_LISTED]]
  if len(raw.skipped) > _LISTED:
    more = len(raw.skipped) - _LISTED
    lines.append(f'left out: {more:,} more, listed in metadata.json')
  return lines


def _surplus(raw: 'Raw', split_name: str) -> list[int]:
  """Returns how many more examples each class has than were published."""
  counts = raw.dataset.splits[split_name].counts(raw.dataset.num_classes)
  return (counts - raw.published[split_name]).tolist()


@contextlib.contextmanager
def _progress(action: str) -> Iterator[Callable[[float], None]]:
  """Shows how much is done: a bar, or a line every five seconds."""
  import rich.console
  import rich.progress

  console = rich.console.Console(stderr=True, highlight=False)
  if console.is_terminal:
    with rich.progress.Progress(console=console, transient=True) as bar:
      task = bar.add_task(action, total=1.0)
      yield lambda part: bar.update(task, completed=part)
    return
  shown = time.monotonic()

  def show(part: float) -> None:
    nonlocal shown
    if time.monotonic() - shown > 5:
      shown = time.monotonic()
      console.print(f'{action}: {part:.0%}')

  yield show


if __name__ == '__main__':
  cli.run(main)
