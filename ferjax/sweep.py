"""Trains a grid: python -m ferjax.sweep --config=... --grid=seed=0,1.

Each cell is trained, and evaluated on `train`, by processes of its own, so that
one that crashes or runs out of memory does not end the others. The same command
again goes on.
"""

from collections.abc import Sequence
import os
import signal
import subprocess
import sys
import types
import typing

from absl import flags
from ml_collections import config_flags

from ferjax import cli, interrupts
from ferjax import config as config_lib
from ferjax.errors import UserError
from ferjax.storage import Path

if typing.TYPE_CHECKING:
  from ferjax.studies.grid import Cell

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The config file, FILE or FILE:key=value,...'
)
_GRID = flags.DEFINE_multi_string(
  'grid',
  None,
  'FIELD=VALUE,VALUE,... of the config; of several, every combination. A value '
  'with commas stands in brackets or quotes.',
)
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Gets a workdir for each cell. Default: runs/sweep-<config name>.',
)
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'List the cells, train none.')
flags.mark_flags_as_required(['config', 'grid'])


def main(argv: Sequence[str]) -> int:
  """Trains what is not finished yet, then compares all."""
  del argv
  cli.stay_on_cpu()  # those that train need the accelerators
  from ferjax import workdir as workdir_lib
  from ferjax.studies import grid, outcome

  file = cli.config_file(_CONFIG)
  overrides = config_flags.get_override_values(flags.FLAGS['config'])
  base = [f'--config={file}']
  base += [f'--config.{name}={value}' for name, value in overrides.items()]
  cells = list(grid.make_cells(_CONFIG.value, _GRID.value))
  folder = cli.path(_WORKDIR.value or f'runs/sweep-{config_lib.name_of(file)}')
  if os.path.isfile(folder):
    raise UserError(f'--workdir={folder} is a file; give a folder')
  if not _DRY_RUN.value:
    workdir_lib.create(folder)
  problems = {}
  for number, cell in enumerate(cells, start=1):
    workdir = folder / cell.name
    finished = outcome.is_finished(workdir, cell.config)
    state = 'finished' if finished else 'to resume' if workdir.exists() else ''
    print(f'[{number}/{len(cells)}] {cell.name}  {state}'.rstrip(), flush=True)
    if _DRY_RUN.value:
      continue
    try:
      problem = '' if finished else _train(base, cell, workdir)
      if problem:
        problems[cell.name] = problem
      else:
        _evaluate(cell, workdir)
    except _StoppedError:
      print('stopped; the same command goes on', file=sys.stderr)
      return 130
  if _DRY_RUN.value:
    return 0
  done = [c for c in cells if outcome.is_finished(folder / c.name, c.config)]
  status = _compare(folder, done) if done else 0
  for failed, problem in problems.items():
    print(f'failed: {failed}: {problem}', file=sys.stderr)
  return 1 if problems else status


def _train(base: Sequence[str], cell: 'Cell', workdir: Path) -> str:
  """Trains a cell to its end; returns why it failed, or ''."""
  from ferjax.studies import outcome

  problem = _call('main', *base, *cell.settings, f'--workdir={workdir}')
  if problem or outcome.is_finished(workdir, cell.config):
    return problem
  return 'stopped before its end; the same command goes on'


def _evaluate(cell: 'Cell', workdir: Path) -> None:
  """Evaluates a finished cell on what it was trained on, where it is not."""
  from ferjax.studies import outcome

  if 'train' in outcome.read(workdir).scores:
    return
  data_dir = f'--data_dir={cell.config.data.dir}'
  problem = _call('evaluate', f'--workdir={workdir}', '--split=train', data_dir)
  if problem:
    print(
      f'warning: {cell.name}: no train accuracy: {problem}', file=sys.stderr
    )


def _call(binary: str, *arguments: str) -> str:
  """Runs a binary of ferjax; returns why it failed, in a line, or ''.

  Raises:
    _StoppedError: when a signal stopped it, and is to stop all.
  """
  with _Child([sys.executable, '-m', f'ferjax.{binary}', *arguments]) as child:
    problem = child.wait()
  if child.stopped:
    raise _StoppedError
  return problem


class _StoppedError(Exception):
  """A signal asked this process to stop."""


class _Child:
  """A process that works for this one, and gets the signals that stop it.

  It leads a group of its own: a Ctrl-C reaches it once, through here.
  """

  def __init__(self, command: Sequence[str]) -> None:
    self.stopped = False
    self._command = command
    self._process = None
    self._before = {}
    self._early = []  # signals that came before the process was there

  def __enter__(self) -> '_Child':
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
      # Under nohup, a closed terminal is to stop nothing.
      if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
        self._before[number] = signal.signal(number, self._pass_on)
    try:
      self._process = subprocess.Popen(
        self._command,
        stderr=subprocess.PIPE,
        text=True,
        errors='replace',
        process_group=0,
      )
    except BaseException:
      self._restore()
      raise
    for number in self._early:
      self._process.send_signal(number)
    return self

  def __exit__(self, *error: object) -> None:
    self._restore()
    if self._process.poll() is None:
      self._process.terminate()
    self._process.stderr.close()

  def _restore(self) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _pass_on(self, number: int, frame: types.FrameType | None) -> None:
    self.stopped = True
    # What trains knows a closed terminal no other than by this.
    number = signal.SIGTERM if number == signal.SIGHUP else number
    if self._process is None:
      self._early.append(number)
    elif self._process.poll() is None:
      self._process.send_signal(number)

  def wait(self) -> str:
    """Shows what it complains of; returns why it failed, in a line, or ''."""
    said = []
    for line in self._process.stderr:
      print(line, end='', file=sys.stderr, flush=True)
      said = [*said[-50:], line.strip()] if line.strip() else said
    status = self._process.wait()
    if status in (0, *interrupts.STOPPED):
      return ''
    if status < 0:
      killed = f'killed by {signal.Signals(-status).name}'
      return killed + (', out of memory?' if -status == signal.SIGKILL else '')
    errors = [line for line in said if line.startswith('error: ')]
    last = (errors or said or ['it did not say why'])[-1]
    return f'{last.removeprefix("error: ")} (exit status {status})'


def _compare(folder: Path, cells: 'Sequence[Cell]') -> int:
  # In a process too: this one never takes hold of a device.
  command = [sys.executable, '-m', 'ferjax.compare']
  command += [str(folder / cell.name) for cell in cells]
  command.append(f'--output={folder / "comparison"}')
  return subprocess.run(command, check=False).returncode


if __name__ == '__main__':
  cli.run(main)
