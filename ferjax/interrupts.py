"""Signals that ask a run to stop, answered between two steps."""

import os
import signal
import sys
import types
from typing import NoReturn

# SLURM sends USR1 before a job's time is up.
_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
STOPPED = tuple(128 + number for number in _NUMBERS)  # exit statuses

_pending: signal.Signals | None = None  # has come, and no training stopped yet
_last = signal.SIGTERM  # by which a training stopped


class StopSignals:
  """Notes SIGTERM, SIGUSR1 and the first SIGINT; the next SIGINT stops at once.

  A context manager: the handlers of before come back at its end. Outside the
  main thread, where Python takes no signals, it notes none. What came and was
  not answered by `stop` is noted still in the next one: a signal in the last
  step of a training stops the one after it.
  """

  def __init__(self) -> None:
    self._before = {}

  @property
  def received(self) -> signal.Signals | None:
    """The last signal that came, and is not answered yet."""
    return _pending

  def __enter__(self) -> 'StopSignals':
    for number in _NUMBERS:
      try:
        self._before[number] = signal.signal(number, self._note)
      except ValueError:
        break
    return self

  def __exit__(self, *error: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _note(self, number: int, frame: types.FrameType | None) -> None:
    global _pending
    _pending = signal.Signals(number)
    if number == signal.SIGINT:
      signal.signal(signal.SIGINT, _end)


def stop(number: int) -> None:
  """Notes that a training stops here, by a signal to some process."""
  global _pending, _last
  _pending, _last = None, signal.Signals(number)


def status() -> int:
  """Returns the exit status of a run that a signal stopped: 128 and its number.

  Not 0: what started the run is to know that it is not finished.
  """
  return 128 + _last


def end(message: str, status: int) -> NoReturn:
  """Ends the process at once, from any thread, whatever the others wait for."""
  try:
    # Not by print, which may wait for a lock that another thread holds.
    if sys.stdout.isatty():
      os.write(1, b'\x1b[?25h')  # a bar hides the cursor
    os.write(2, f'\nerror: {message}\n'.encode(errors='backslashreplace'))
  finally:  # also where nobody can read it
    os._exit(status)


def _end(number: int, frame: types.FrameType | None) -> None:
  end('interrupted; what was saved before is whole', 128 + number)
