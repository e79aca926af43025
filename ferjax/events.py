"""TensorBoard's event files, on a disk or in a bucket."""

import time

from etils import epath

from ferjax import storage
from ferjax.appended import Appended

_FLUSH = 30.0  # seconds after which others see what was written


class Events:
  """Writes scalars as they come.

  In the calling thread: that of tensorboardX's own writer dies of a full disk,
  and the training then waits for it without end.
  """

  def __init__(self, folder: str, step: int) -> None:
    """Begins a file; of earlier ones, what is of later steps is hidden.

    Args:
      folder: of all event files of a run.
      step: the first that will be written.

    Raises:
      OSError: where nothing can be written; so do all below.
    """
    # Takes PyTorch along, where it is installed: seconds.
    from tensorboardX import event_file_writer, record_writer, summary
    from tensorboardX.proto import event_pb2

    # Its own way into a bucket needs packages, and keys, that ours does not.
    for scheme in storage.SCHEMES:
      record_writer.register_writer_factory(scheme, _InBucket)
    self._make_summary = summary.scalar
    self._make_event = event_pb2.Event
    record_writer.directory_check(folder)
    # Else one that begins in the same second would have the same name.
    suffix = f'.{time.monotonic_ns()}'
    self._file = event_file_writer.EventsWriter(f'{folder}/events', suffix)
    self._flushed = time.monotonic()
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    for more in ({'file_version': 'brain.Event:2'}, {'session_log': start}):
      self._file.write_event(event_pb2.Event(step=step, **more))

  def add_scalar(self, name: str, value: float, step: int) -> None:
    """Writes the value of a name after so many steps."""
    event = self._make_event(
      wall_time=time.time(), step=step, summary=self._make_summary(name, value)
    )
    self._file.write_event(event)
    if time.monotonic() - self._flushed > _FLUSH:
      self._file.flush()
      self._flushed = time.monotonic()

  def close(self) -> None:
    """Writes what is left."""
    self._file.close()


class _InBucket:
  """How tensorboardX writes into a bucket."""

  @staticmethod
  def directory_check(path: str) -> None:
    """Makes no folder, as buckets have none."""

  @staticmethod
  def open(path: str) -> Appended:
    """Opens an event file."""
    return Appended(epath.Path(path))
