"""Compares finished runs: python -m ferjax.compare DIR [DIR ...]."""

from collections.abc import Sequence
import sys
import typing

from absl import flags

from ferjax import cli, storage
from ferjax.errors import UserError
from ferjax.storage import Path

if typing.TYPE_CHECKING:
  from ferjax.models.summary import Counts
  from ferjax.studies.outcome import Outcome
  from ferjax.studies.ranking import Groups

_OUTPUT = flags.DEFINE_string(
  'output', 'comparison', 'A folder for comparison.csv, .md and .png.'
)
_TIME = flags.DEFINE_bool(
  'time',
  False,
  'Time all networks on this machine, in turn, in place of what each run '
  'recorded; needs their data.',
)


def main(argv: Sequence[str]) -> None:
  """Compares the runs in the workdirs that are left of the command line."""
  if not _TIME.value:
    cli.stay_on_cpu()
  from ferjax import parallel
  from ferjax.studies import comparison, ranking

  parallel.use_compilation_cache()
  folder = cli.path(_OUTPUT.value)
  outcomes, counts = _read([cli.path(given) for given in argv[1:]])
  _check(folder)
  speeds, speed_note = None, comparison.RECORDED_NOTE
  if _TIME.value:
    speeds, speed_note = _time(outcomes)
  groups = ranking.rank(outcomes, counts, speeds)
  warnings = ranking.warnings(groups)
  remarks = [
    *ranking.differences(groups),
    *ranking.settings(groups),
    *comparison.notes(groups, speed_note),
  ]
  _print(groups, remarks)
  for line in warnings:
    _warn(line)
  _write(folder, groups, [*(f'Warning: {w}' for w in warnings), *remarks])
  print(f'written to {folder}')


def _read(
  workdirs: Sequence[Path],
) -> 'tuple[list[Outcome], list[Counts]]':
  """Reads the runs that are finished, and warns of the others."""
  from ferjax.studies import outcome, ranking

  outcomes, counts, known = [], [], {}
  for workdir in workdirs:  # by two names, it is one run all the same
    known.setdefault(storage.identity(workdir), workdir)
  for workdir in known.values():
    try:
      run = outcome.read(workdir)
      counts.append(ranking.count(run))
      outcomes.append(run)
    except UserError as error:
      _warn(f'left out: {error}')
  if not outcomes:
    raise UserError('no finished run is left to compare')
  return outcomes, counts


def _check(folder: Path) -> None:
  """Sees that files can be written, before anything takes its time."""
  try:
    storage.make_folder(folder)
  except OSError as error:
    raise _cannot_write(folder, error) from error


def _time(
  outcomes: 'Sequence[Outcome]',
) -> tuple[list[tuple[float, float]], str]:
  """Returns the images/s of each run's network here, and how they came."""
  import jax

  from ferjax import speed

  racers = []
  for run in outcomes:
    print(f'compiling {run.config.model.name} of {run.workdir}')
    racers.append(speed.Racer(run.config))
  print('timing all of them in turn')
  device = jax.local_devices()[0]
  note = (
    'Images/s: of the network alone, on batches that lie on the device; '
    f'medians of rounds in turn on {jax.device_count()} x '
    f'{device.device_kind}, jax {jax.__version__}.'
  )
  return speed.race(racers), note


def _print(groups: 'Groups', remarks: Sequence[str]) -> None:
  from rich.text import Text

  from ferjax import logs, tables
  from ferjax.studies import comparison

  console = logs.make_console()
  for heading, rows in zip(comparison.titles(groups), groups, strict=True):
    console.print('', Text(heading), '', sep='\n')
    tables.print_table(comparison.columns(rows), console)
  console.print()
  tables.print_list(remarks, console)


def _write(folder: Path, groups: 'Groups', remarks: Sequence[str]) -> None:
  from ferjax import plots
  from ferjax.studies import comparison

  csv = comparison.to_csv(groups)
  markdown = comparison.to_markdown(groups, remarks)
  try:
    for name, text in (('csv', csv), ('md', markdown)):
      # The name of a workdir may be no text at all.
      path = folder / f'comparison.{name}'
      storage.write_text(path, text, errors='backslashreplace')
    plots.plot_comparison(comparison.bars(groups), folder / 'comparison.png')
  except OSError as error:
    raise _cannot_write(folder, error) from error


def _cannot_write(folder: Path, error: OSError) -> UserError:
  return UserError(f'cannot write to --output={folder} ({error.strerror})')


def _warn(line: str) -> None:
  print(f'warning: {line}', file=sys.stderr)


if __name__ == '__main__':
  cli.run(main, takes='workdir')
