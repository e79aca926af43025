"""Explores a data set: python -m ferjax.explore --dataset=NAME."""

from collections.abc import Sequence
import typing

from absl import flags

from ferjax import cli, storage
from ferjax.config import default_config
from ferjax.errors import UserError
from ferjax.storage import Path

if typing.TYPE_CHECKING:
  from ferjax.data.audit import Audit
  from ferjax.data.dataset import Dataset
  from ferjax.exploration.suspects import Suspects

_DATASET = flags.DEFINE_string('dataset', None, 'A prepared data set.')
_DATA_DIR = flags.DEFINE_string(
  'data_dir', default_config().data.dir, 'Where prepared data sets lie.'
)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Of a training on it: lists the labels that it doubts.'
)
_PREDICTIONS = flags.DEFINE_multi_string(
  'predictions', [], 'Or predictions.csv of an evaluation; may be repeated.'
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'A folder for all results; default: exploration/NAME.'
)
flags.mark_flag_as_required('dataset')


def main(argv: Sequence[str]) -> None:
  """Explores the data set that the flags name."""
  del argv
  if _WORKDIR.value and _PREDICTIONS.value:
    raise UserError('give --workdir or --predictions, not both')
  name = _DATASET.value
  folder = cli.path(_OUTPUT.value or f'exploration/{name}')
  from ferjax import data
  from ferjax.data import audit as audit_lib

  settings = default_config().data
  settings.name, settings.dir = name, _DATA_DIR.value
  dataset = data.load_dataset(settings, data.split_names(settings))
  _make(folder)
  suspects = _doubt(dataset)  # first: what was given may not fit
  audit = audit_lib.inspect(dataset.splits)
  _print(dataset, audit, suspects)
  _write(dataset, audit, suspects, folder)
  print(f'written to {folder}: open explore.html')


def _make(folder: Path) -> None:
  """Makes the folder before anything takes its time."""
  try:
    storage.make_folder(folder)
  except OSError as error:
    raise _cannot_write(folder, error) from error


def _doubt(dataset: 'Dataset') -> 'Suspects | None':
  from ferjax import parallel
  from ferjax.exploration import suspects

  if _WORKDIR.value:
    parallel.use_compilation_cache()
    workdir = cli.path(_WORKDIR.value)
    return suspects.from_workdir(workdir, dataset.name, _DATA_DIR.value)
  if _PREDICTIONS.value:
    paths = [cli.path(given) for given in _PREDICTIONS.value]
    return suspects.from_files(paths, dataset)
  return None


def _print(
  dataset: 'Dataset', audit: 'Audit', suspects: 'Suspects | None'
) -> None:
  from rich.text import Text

  from ferjax import logs, tables
  from ferjax.exploration import contents as exploration

  console = logs.make_console()
  console.print('', Text(f'{dataset.name}: {dataset.source}'), '', sep='\n')
  tables.print_table(exploration.count_table(dataset), console)
  console.print()
  tables.print_table(exploration.audit_table(audit), console)
  lines = [exploration.summarize(audit), *dataset.notes]
  if suspects is not None:
    lines.append(
      f'{len(suspects.splits):,} labels are in doubt, by {suspects.origin}'
    )
  console.print()
  tables.print_list(lines, console)
  console.print()


def _write(
  dataset: 'Dataset',
  audit: 'Audit',
  suspects: 'Suspects | None',
  folder: Path,
) -> None:
  from ferjax.exploration import contents as exploration
  from ferjax.exploration import page as exploration_page

  faults = list(exploration.findings(audit, dataset.class_names, suspects))
  try:
    exploration.write_findings(faults, folder)
    exploration_page.write(dataset, audit, suspects, folder)
  except OSError as error:
    raise _cannot_write(folder, error) from error


def _cannot_write(folder: Path, error: OSError) -> UserError:
  return UserError(f'cannot write to --output={folder} ({error.strerror})')


if __name__ == '__main__':
  cli.run(main)
