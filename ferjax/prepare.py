"""Reads a data set's raw files, checks them and writes them for training.

python -m ferjax.prepare --dataset=fer2013 --source=fer2013.csv
python -m ferjax.prepare --dataset=fer2013 --source=kaggle
python -m ferjax.prepare --dataset=ferplus --source=fer2013.csv --votes=FILE
python -m ferjax.prepare --dataset=ckplus --source=CK+48
python -m ferjax.prepare --dataset=folders --source=FOLDER --image_size=48
python -m ferjax.prepare --dataset=mnist --source=FOLDER
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import re
import time
import typing
from typing import Any

from absl import flags

from ferjax import cli, transfer
from ferjax.config import default_config
from ferjax.errors import UserError, printable
from ferjax.storage import Path

if typing.TYPE_CHECKING:
  from ferjax.data.raw import BadRows, Raw

# What each data set takes beside --source.
OPTIONS = {
  'fer2013': ('seed',),
  'ferplus': ('votes',),
  'ckplus': ('image_size', 'crop', 'neutral'),
  'folders': ('image_size', 'color', 'seed'),
  'mnist': ('seed',),
}
SOURCES = tuple(OPTIONS)

_CKEXTENDED = 'ckextended'  # what ckplus makes of ckextended.csv

_LARGEST = 1024  # pixels of a side

_DATASET = flags.DEFINE_string('dataset', None, f'One of {", ".join(SOURCES)}.')
_SOURCE = flags.DEFINE_string(
  'source',
  None,
  'The raw file, or the folder of the raw files; of fer2013 and ckplus also'
  ' "kaggle", to fetch them.',
)
_NAME = flags.DEFINE_string(
  'name', None, 'Its name from now on, as in config.data.name; else its own.'
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
# Not given, they are left to the readers' defaults.
flags.DEFINE_string('votes', None, 'ferplus: the file fer2013new.csv.')
flags.DEFINE_integer(
  'image_size',
  None,
  'ckplus (48), folders (that of the images): pixels of each side.',
  lower_bound=0,
  upper_bound=_LARGEST,
)
flags.DEFINE_string(
  'color', None, 'folders: "data" (gray if all images are), "gray" or "rgb".'
)
flags.DEFINE_string(
  'crop',
  None,
  'ckplus, its original tree: how faces are cut from the frames, "center",'
  ' "detect" (needs ferjax[faces]) or "none".',
)
flags.DEFINE_bool(
  'neutral',
  None,
  'ckplus, its original tree: take the first frame of each sequence too.',
)
flags.DEFINE_integer(
  'seed',
  None,
  'fer2013, folders, mnist: draws the splits that a source is without (0).',
  lower_bound=0,
)


def main(argv: Sequence[str]) -> None:
  """Prepares the data set that the flags name."""
  del argv  # flags only
  options = _options()
  import rich.console

  from ferjax import census
  from ferjax.data import atomic, ferplus, records

  start = time.monotonic()
  # That of ckplus hangs on its form, which is not known before it is read.
  if _NAME.value or _DATASET.value != 'ckplus':
    name = _NAME.value or _DATASET.value
    atomic.check(records.target(_DATA_DIR.value, name), _OVERWRITE.value)
  with _progress('reading') as progress:
    raw = _read(options, progress)
  with _progress('writing') as progress:
    target = records.write(raw, _DATA_DIR.value, _OVERWRITE.value, progress)
  console = rich.console.Console(highlight=False, soft_wrap=True)
  console.print(census.counts_table(raw))
  lines = census.lines(raw)
  if _DATASET.value == 'ferplus':
    lines.append(ferplus.kept_line(raw))
  for line in lines:
    console.print(line, markup=False)
  seconds = time.monotonic() - start
  console.print(f'written to {target} in {seconds:.1f} s', markup=False)


def _options() -> dict[str, Any]:
  """Returns what was given for the reader alone, if all flags make sense."""
  dataset = _DATASET.value
  if dataset not in SOURCES:
    raise UserError(
      f'--dataset={dataset or ""}: must be one of {", ".join(SOURCES)}'
    )
  if not _SOURCE.value:
    raise UserError('--source=PATH is missing: the raw file or its folder')
  given = {
    name: flags.FLAGS[name].value
    for name in sorted({name for names in OPTIONS.values() for name in names})
    if flags.FLAGS[name].value is not None
  }
  for name in given:
    if name not in OPTIONS[dataset]:
      takers = [other for other in SOURCES if name in OPTIONS[other]]
      raise UserError(
        f'--{name}: is for --dataset={" and ".join(takers)}, not for {dataset}'
      )
  if dataset == 'ferplus':
    if not given.get('votes'):
      raise UserError(
        '--votes=FILE is missing: fer2013new.csv of'
        ' github.com/microsoft/FERPlus'
      )
    given['votes'] = cli.path(given['votes'])
  # Its form decides which of the two ckplus is.
  _check_name((dataset, _CKEXTENDED) if dataset == 'ckplus' else (dataset,))
  return given


def _check_name(own: Sequence[str]) -> None:
  """Raises UserError if --name is no name, or known and not one of `own`."""
  from ferjax.data import DATASETS

  name = _NAME.value
  if name is None:
    return
  if not re.fullmatch('[a-z][a-z0-9_]*', name):
    raise UserError(
      f'--name={name}: must be of the letters a-z, digits and underscores, a'
      ' letter first'
    )
  if name not in own and name in {*DATASETS, *SOURCES, _CKEXTENDED}:
    raise UserError(f'--name={name}: is the name of another data set')


def _read(options: dict[str, Any], progress: Callable[[float], None]) -> 'Raw':
  from ferjax.data import kaggle, raw

  source = cli.path(_SOURCE.value)
  if _SOURCE.value == kaggle.SOURCE:
    source = kaggle.fetch(_DATASET.value)
  bad_rows = raw.BadRows(skip=_SKIP_BAD_ROWS.value)
  result = read(_DATASET.value, source, bad_rows, progress, **options)
  if not _NAME.value:
    return result
  _check_name((result.dataset.name,))
  dataset = dataclasses.replace(result.dataset, name=_NAME.value)
  return dataclasses.replace(result, dataset=dataset)


def read(
  dataset: str,
  source: Path,
  bad_rows: 'BadRows',
  progress: Callable[[float], None],
  **options: Any,
) -> 'Raw':
  """Reads a data set's raw files, whatever they hold and are called.

  Args:
    dataset: one of `SOURCES`.
    source: the file or folder.
    bad_rows: told of every row that cannot be taken.
    progress: told how much is done.
    **options: of `OPTIONS`.

  Raises:
    UserError: if they cannot be read, in one line.
  """
  from ferjax.data import ckplus, fer2013, ferplus, folders, mnist

  readers = {
    'fer2013': fer2013.read,
    'ferplus': ferplus.read,
    'ckplus': ckplus.read,
    'folders': folders.read,
    'mnist': mnist.read,
  }
  try:
    with contextlib.ExitStack() as stack:
      local = stack.enter_context(transfer.fetched(source))
      places = {str(local): str(source)}
      if 'votes' in options:
        given = options['votes']
        votes = stack.enter_context(transfer.fetched(given))
        options = options | {'votes': votes}
        places[str(votes)] = str(given)
      result = readers[dataset](
        local, bad_rows=bad_rows, progress=progress, **options
      )
      return _renamed(result, places)
  except UserError as error:  # it may name a file, whose name may be anything
    raise UserError(printable(str(error))) from error
  except OSError as error:
    where = printable(str(error.filename or source))
    raise UserError(
      f'cannot read {where}: {error.strerror or error}'
    ) from error


def _renamed(result: 'Raw', places: Mapping[str, str]) -> 'Raw':
  """Lets what is told of a data set name the places that were given."""

  def rename(text: str) -> str:
    for fetched, given in places.items():
      text = text.replace(fetched, given)
    return text

  dataset = dataclasses.replace(
    result.dataset,
    source=rename(result.dataset.source),
    notes=tuple(map(rename, result.dataset.notes)),
  )
  skipped = list(map(rename, result.skipped))
  return dataclasses.replace(result, dataset=dataset, skipped=skipped)


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
