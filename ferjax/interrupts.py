"""Signals that ask a run to stop, answered between two steps."""

import signal
import types


class StopSignals:
  """Notes SIGTERM and the first SIGINT; a second SIGINT stops at once.

  A context manager: the handlers of before come back at its end. Outside the
  main thread, where Python takes no signals, it notes none.
  """

  def __init__(self) -> None:
    self.received: str | None = None
    self._before = {}

  def __enter__(self) -> 'StopSignals':
    for number in (signal.SIGTERM, signal.SIGINT):
      try:
        self._before[number] = signal.signal(number, self._note)
      except ValueError:
        break
    return self

  def __exit__(self, *error: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _note(self, number: int, frame: types.FrameType | None) -> None:
    self.received = signal.Signals(number).name
    if number == signal.SIGINT:
      signal.signal(signal.SIGINT, signal.default_int_handler)
