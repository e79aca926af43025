"""What a run tells: `metrics.jsonl`, TensorBoard and the terminal.

A terminal shows colour and a bar, anything else plain lines, one a log event.
Only one process should tell: with `enabled=False` nothing comes out.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import io
import json
import math
import os
import time
from typing import Self

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ferjax import documents, events, storage
from ferjax.appended import Appended
from ferjax.errors import UserError
from ferjax.storage import Path

# How each metric reads in a line, in this order; others are not shown.
FORMATS = {
  'epoch': 'epoch {:5.2f}',
  'train/loss': 'loss {:.3f}',
  'train/accuracy': 'acc {:.3f}',
  'val/loss': 'val loss {:.3f}',
  'val/accuracy': 'val acc {:.3f}',
  'train/learning_rate': 'lr {:<6.3g}',
  'images_per_second': '{:4.0f} images/s',
  'input_wait': 'input {:.1%}',
}


class MetricLogger(contextlib.AbstractContextManager):
  """Appends scalars to `metrics.jsonl` and to TensorBoard's event files.

  A line is `{"step": 50, "train/loss": 1.53, ...}`, strict JSON: null stands
  for a value that is not finite (TensorBoard gets it as it is).
  """

  def __init__(
    self,
    workdir: str | os.PathLike,
    start_step: int = 0,
    tensorboard: bool = True,
    enabled: bool = True,
  ) -> None:
    """Opens both logs and forgets what they hold of steps past `start_step`.

    Args:
      workdir: gets `metrics.jsonl` and, for TensorBoard, `tensorboard/`.
      start_step: the step that was restored; 0 at the start of a run.
      tensorboard: whether to write event files.
      enabled: whether this process tells anything.
    """
    self._file = self._events = self._events_at = None
    if not enabled:
      return
    path = storage.path(workdir) / 'metrics.jsonl'
    storage.make_folder(path.parent)
    kept = [line for line, r in _lines(path) if r['step'] <= start_step]
    self._file = Appended(path, ''.join(kept).encode())
    if tensorboard:
      self._events_at = str(path.with_name('tensorboard')), start_step + 1

  def write(self, step: int, metrics: Mapping[str, float]) -> None:
    """Records scalars that are known after `step` steps."""
    if self._file is None:
      return
    record: dict[str, float | None] = {'step': int(step)}
    for name, value in metrics.items():
      record[name] = float(value) if math.isfinite(value) else None
    self._file.write(f'{json.dumps(record, allow_nan=False)}\n'.encode())
    # The best checkpoint is found by its line: not to be lost to a kill.
    self._file.flush(now='val/accuracy' in record)
    if self._events_at and not self._events:
      self._events = events.Events(*self._events_at)
    if self._events:
      for name, value in metrics.items():
        self._events.add_scalar(name, float(value), step)

  def close(self) -> None:
    """Writes what is left and closes both logs."""
    for log in filter(None, (self._file, self._events)):
      log.close()

  def __exit__(self, *_: object) -> None:
    self.close()


def read_metrics(workdir: str | os.PathLike) -> list[dict[str, float]]:
  """Returns the records of `metrics.jsonl`, oldest first; none without a file.

  Null reads as NaN. A last line without its end, as a running or a killed
  process leaves it, is left out; any other that is no record, a `UserError`.
  """
  return [
    {key: math.nan if value is None else value for key, value in record.items()}
    for _, record in _lines(storage.path(workdir) / 'metrics.jsonl')
  ]


def _lines(path: Path) -> Iterator[tuple[str, dict[str, float | None]]]:
  """Yields the finished lines of a metrics file, raw and parsed."""
  if not path.exists():
    return
  text = storage.read_text(path, errors='replace')
  # Not by splitlines, which ends a line at a form feed and others too.
  for number, line in enumerate(io.StringIO(text), start=1):
    if not line.endswith('\n'):
      return
    try:
      record = documents.parse(line)
    except ValueError:
      record = None
    if not documents.is_record(record):
      raise UserError(f'{path}:{number}: not a record, remove it')
    yield line, record


def make_console(enabled: bool = True) -> Console:
  """Returns a console on standard output, mute if not enabled."""
  console = Console(quiet=not enabled, highlight=False, markup=False)
  if not console.is_terminal:
    console.width = 100  # what this file prints fits
  return console


def format_metrics(metrics: Mapping[str, float]) -> str:
  """Returns the metrics of `FORMATS` as text, `loss 1.532  acc 0.412  ...`."""
  return '  '.join(
    text.format(metrics[n]) for n, text in FORMATS.items() if n in metrics
  )


class Progress:
  """How far the training is: a bar on a terminal, lines elsewhere."""

  def __init__(
    self,
    total_steps: int,
    start_step: int = 0,
    console: Console | None = None,
    enabled: bool = True,
  ) -> None:
    """Prepares what entering the context shows.

    Args:
      total_steps: where the training ends.
      start_step: where it begins now.
      console: as `make_console` makes it, the default.
      enabled: whether this process prints anything.
    """
    self._total, self._step, self._metrics = total_steps, start_step, ''
    self._first: tuple[int, float] | None = None  # step and time of an update
    self._console = console if console and enabled else make_console(enabled)
    self._has_bar = enabled and self._console.is_interactive
    self._live = Live(self, console=self._console, refresh_per_second=2)

  def update(
    self, step: int, metrics: Mapping[str, float] | None = None
  ) -> None:
    """Moves to `step`; metrics, if any, are shown (see `FORMATS`)."""
    self._step = step
    # The first update starts the clock: compilation comes before it.
    self._first = self._first or (step, time.monotonic())
    if metrics:
      self._metrics = format_metrics(metrics)
      if not self._has_bar:
        count = f'{step:{len(str(self._total))}}/{self._total}'
        self.line(f'step {count}  {self._metrics}  eta {self._eta()}')

  def line(self, text: str) -> None:
    """Prints a line, above the bar where there is one."""
    self._console.print(Text(text), soft_wrap=True)

  def __enter__(self) -> Self:
    if self._has_bar:
      self._live.start()
    return self

  def __exit__(self, *_: object) -> None:
    self._live.stop()

  def __rich__(self) -> RenderableType:
    bar = Table.grid(padding=(0, 2), expand=True)
    bar.add_column(ratio=1)
    bar.add_row(
      ProgressBar(self._total, self._step, complete_style='cyan'),
      f'step {self._step}/{self._total}',
      f'eta {self._eta()}',
    )
    return Group(bar, Text(self._metrics, no_wrap=True, overflow='crop'))

  def _eta(self) -> str:
    """Returns the time that is left at the pace so far: 45s, 12m, 1h05m."""
    step, start = self._first or (self._step, 0.0)
    if self._step == step:
      return '-'
    pace = (time.monotonic() - start) / (self._step - step)
    seconds = round(pace * (self._total - self._step))
    if seconds < 60:
      return f'{seconds}s'
    hours, minutes = divmod(seconds // 60, 60)
    return f'{hours}h{minutes:02}m' if hours else f'{minutes}m'


def print_header(title: str, rows: Mapping[str, str], console: Console) -> None:
  """Prints a title and, below it, what there is to know by name."""
  table = Table.grid(padding=(0, 2))
  for name, value in rows.items():
    table.add_row(Text(f'  {name}', 'cyan'), Text(value))
  console.print(Text(title, 'bold'), table, '')


def print_confusion(
  confusion: np.ndarray,
  class_names: Sequence[str],
  scores: Mapping[str, np.ndarray],
  console: Console,
) -> None:
  """Prints a confusion matrix with scores of each class beside it.

  Args:
    confusion: int `[k, k]`, true classes on the rows.
    class_names: k names.
    scores: columns by name, float `[k]` in [0, 1], as
      `statistics.class_scores(confusion)._asdict()`.
    console: where to.
  """
  table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style='')
  table.add_column(no_wrap=True, overflow='crop', max_width=16)
  cut = {'justify': 'right', 'no_wrap': True, 'overflow': 'crop'}
  for name, counts in zip(class_names, confusion.T, strict=True):
    widest = len(str(counts.max()))  # a name may be cut, a count must not
    table.add_column(Text(name, 'cyan'), min_width=widest, max_width=12, **cut)
  for name in scores:
    table.add_column(Text(name), min_width=6, **cut)
  for row, name in enumerate(class_names):
    cells = [Text(str(n), '' if n else 'dim') for n in confusion[row]]
    cells[row].stylize('bold green')
    shares = [f'{column[row]:.1%}' for column in scores.values()]
    table.add_row(Text(name, 'cyan'), *cells, *shares)
  console.print(Text('rows: true class, columns: predicted', 'dim'), table)
