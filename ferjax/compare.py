"""Compares finished runs: python -m ferjax.compare DIR [DIR ...]."""

from collections.abc import Sequence
import pathlib
import sys
import typing

from absl import flags

from ferjax import cli
from ferjax.errors import UserError

if typing.TYPE_CHECKING:
  from ferjax.outcome import Outcome
  from ferjax.ranking import Groups

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
  from ferjax import comparison, logs, parallel, ranking, tables

  parallel.use_compilation_cache()
  outcomes = _read(
    dict.fromkeys(pathlib.Path(d).expanduser() for d in argv[1:])
  )
  speeds, speed_note = None, comparison.RECORDED_NOTE
  if _TIME.value:
    speeds, speed_note = _time(outcomes)
  groups = ranking.rank(outcomes, speeds)
  console = logs.make_console()
  for rows in groups:
    print(f'\n{comparison.title(rows)}')
    tables.print_table(comparison.columns(rows), console)
  remarks = [
    *ranking.differences(groups),
    *comparison.notes(groups, speed_note),
  ]
  print('', *remarks, sep='\n')
  warnings = ranking.warnings(groups)
  for line in warnings:
    _warn(line)
  folder = pathlib.Path(_OUTPUT.value).expanduser()
  try:
    _write(folder, groups, [*(f'Warning: {w}' for w in warnings), *remarks])
  except OSError as error:
    raise UserError(
      f'cannot write to --output={folder} ({error.strerror})'
    ) from error
  print(f'written to {folder}')


def _read(workdirs: Sequence[pathlib.Path]) -> 'list[Outcome]':
  """Reads the runs that are finished, and warns of the others."""
  from ferjax import outcome

  outcomes = []
  for workdir in workdirs:
    try:
      outcomes.append(outcome.read(workdir))
    except UserError as error:
      _warn(f'left out: {error}')
  if not outcomes:
    raise UserError('no finished run is left to compare')
  return outcomes


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
    'images/s: of the network alone, on batches that lie on the device; '
    f'medians of rounds in turn on {jax.device_count()} x '
    f'{device.device_kind}, jax {jax.__version__}.'
  )
  return speed.race(racers), note


def _write(
  folder: pathlib.Path, groups: 'Groups', remarks: Sequence[str]
) -> None:
  from ferjax import comparison, plots  # matplotlib takes a second to import

  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'comparison.csv').write_text(comparison.to_csv(groups))
  text = comparison.to_markdown(groups, remarks)
  (folder / 'comparison.md').write_text(text)
  plots.plot_comparison(comparison.bars(groups), folder / 'comparison.png')


def _warn(line: str) -> None:
  print(f'warning: {line}', file=sys.stderr)


if __name__ == '__main__':
  cli.run(main, takes='workdir')
