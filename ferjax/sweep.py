"""Trains a grid: python -m ferjax.sweep --config=... --grid=seed=0,1.

Each cell is trained by a process of its own, so that one that crashes or runs
out of memory does not end the others. The same command again goes on.
"""

from collections.abc import Iterator, Sequence
import copy
import itertools
import pathlib
import signal
import subprocess
import sys
import types
from typing import NamedTuple
import urllib.parse

from absl import flags
from ml_collections import config_dict, config_flags

from ferjax import cli
from ferjax import config as config_lib
from ferjax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The config file, FILE or FILE:key=value,...'
)
_GRID = flags.DEFINE_multi_string(
  'grid',
  None,
  'FIELD=VALUE,VALUE,... of the config; of several, every combination.',
)
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Gets a workdir for each cell. Default: runs/sweep-<config name>.',
)
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'List the cells, train none.')
flags.mark_flags_as_required(['config', 'grid'])


class Cell(NamedTuple):
  """One training of the grid.

  Attributes:
    name: its values; also that of its workdir.
    settings: the same, as flags of `python -m ferjax.main`.
    config: what they make.
  """

  name: str
  settings: list[str]
  config: config_dict.ConfigDict


def main(argv: Sequence[str]) -> int:
  """Trains what is not finished yet, then compares all."""
  del argv
  file = cli.config_file(_CONFIG)
  overrides = config_flags.get_override_values(flags.FLAGS['config'])
  base = [f'--config={file}']
  base += [f'--config.{name}={value}' for name, value in overrides.items()]
  cells = list(make_cells(_CONFIG.value, _GRID.value))
  name = config_lib.name_of(file)
  folder = pathlib.Path(_WORKDIR.value or f'runs/sweep-{name}').expanduser()
  problems = {}
  for number, cell in enumerate(cells, start=1):
    workdir = folder / cell.name
    finished = is_finished(workdir, cell.config)
    state = 'finished' if finished else 'to resume' if workdir.exists() else ''
    print(f'[{number}/{len(cells)}] {cell.name}  {state}'.rstrip(), flush=True)
    if finished or _DRY_RUN.value:
      continue
    command = [sys.executable, '-m', 'ferjax.main', *base, *cell.settings]
    with _Training([*command, f'--workdir={workdir}']) as training:
      problem = training.wait()
    if training.stopped:
      print('stopped; the same command goes on', file=sys.stderr)
      return 130
    if not problem and not is_finished(workdir, cell.config):
      problem = 'stopped before its end; the same command goes on'
    if problem:
      problems[cell.name] = problem
  if _DRY_RUN.value:
    return 0
  done = [c for c in cells if is_finished(folder / c.name, c.config)]
  status = _compare(folder, done) if done else 0
  for failed, problem in problems.items():
    print(f'failed: {failed}: {problem}', file=sys.stderr)
  return 1 if problems else status


def make_cells(
  base: config_dict.ConfigDict, grid: Sequence[str]
) -> Iterator[Cell]:
  """Yields every combination of a grid, the last field changing fastest.

  Args:
    base: the config that all cells share.
    grid: `FIELD=VALUE,VALUE,...`, one of each field.

  Raises:
    UserError: for a field that there is not, or a value that it cannot have.
  """
  fields, choices = [], []
  for given in grid:
    field, _, values = given.partition('=')
    if not values or '' in values.split(','):
      raise UserError(f'--grid={given}: give FIELD=VALUE,VALUE,...')
    config_lib.check_field(field)
    if field in fields:
      raise UserError(f'--grid={given}: {field} is in the grid already')
    fields.append(field)
    choices.append(list(dict.fromkeys(values.split(','))))
  for values in itertools.product(*choices):
    pairs = [f'{f}={v}' for f, v in zip(fields, values, strict=True)]
    settings = [f'--config.{pair}' for pair in pairs]
    # A value may hold a slash, and no two cells may share a folder.
    name = '-'.join(urllib.parse.quote(pair, safe='=') for pair in pairs)
    try:
      config = _parse(base, settings)
    except (flags.Error, ValueError, TypeError) as error:
      line = str(error).strip().splitlines()[-1]
      raise UserError(f'cell {" ".join(pairs)}: {line}') from error
    yield Cell(name, settings, config)


def is_finished(workdir: pathlib.Path, config: config_dict.ConfigDict) -> bool:
  """Whether the training of `config` in `workdir` needs nothing more.

  That is: its last step is recorded, and `validation` was evaluated at the
  best of all steps that are.
  """
  from ferjax import outcome

  try:
    run = outcome.read(workdir)
  except UserError:
    return False
  return run.is_final and not config_lib.differences(run.config, config)


def _parse(
  base: config_dict.ConfigDict, settings: Sequence[str]
) -> config_dict.ConfigDict:
  """Returns the config as `main` would read it, checked as far as it can be."""
  from ferjax import augment, durations, models, optim, preprocess

  values, argv = flags.FlagValues(), ['sweep', *settings]
  config_flags.DEFINE_config_dict(
    'config', copy.deepcopy(base), flag_values=values, sys_argv=argv
  )
  values(argv)
  config = values.config
  config_lib.validate(config)
  durations.validate(config)
  models.validate(config.model)
  preprocess.validate(config)
  augment.validate(config.augment)
  optim.validate(config.optimizer, config.schedule)
  return config


class _Training:
  """A process that trains, and gets the signals that stop this one.

  It leads a group of its own: a Ctrl-C reaches it once, through here.
  """

  def __init__(self, command: Sequence[str]) -> None:
    self.stopped = False
    self._command = command
    self._before = {}

  def __enter__(self) -> '_Training':
    self._process = subprocess.Popen(
      self._command,
      stderr=subprocess.PIPE,
      text=True,
      errors='replace',
      process_group=0,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
      self._before[number] = signal.signal(number, self._pass_on)
    return self

  def __exit__(self, *error: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)
    if self._process.poll() is None:
      self._process.terminate()
    self._process.stderr.close()

  def _pass_on(self, number: int, frame: types.FrameType | None) -> None:
    self.stopped = True
    if self._process.poll() is None:
      self._process.send_signal(number)

  def wait(self) -> str:
    """Shows what it complains of; returns why it failed, in a line, or ''."""
    said = []
    for line in self._process.stderr:
      print(line, end='', file=sys.stderr, flush=True)
      said = [*said[-50:], line.strip()] if line.strip() else said
    status = self._process.wait()
    if not status:
      return ''
    if status < 0:
      killed = f'killed by {signal.Signals(-status).name}'
      return killed + (', out of memory?' if -status == signal.SIGKILL else '')
    errors = [line for line in said if line.startswith('error: ')]
    last = (errors or said or ['it did not say why'])[-1]
    return f'{last.removeprefix("error: ")} (exit status {status})'


def _compare(folder: pathlib.Path, cells: Sequence[Cell]) -> int:
  # In a process too: this one never takes hold of a device.
  command = [sys.executable, '-m', 'ferjax.compare']
  command += [str(folder / cell.name) for cell in cells]
  command.append(f'--output={folder / "comparison"}')
  return subprocess.run(command, check=False).returncode


if __name__ == '__main__':
  cli.run(main)
