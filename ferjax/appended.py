"""A file that grows: on a disk appended to, in a bucket written anew.

Objects cannot be appended to. A bucket gets the whole file again, but at most
once in `INTERVAL` seconds, and at the end; what is not there yet is in memory.
"""

import sys
import time

from ferjax import storage
from ferjax.errors import StorageError
from ferjax.storage import Path

INTERVAL = 10.0  # seconds


class Appended:
  """A file of bytes that is open for more.

  A bucket that fails is told of in a line, and asked again later: no training
  ends for a log.
  """

  def __init__(self, path: Path, content: bytes = b'') -> None:
    """Begins the file afresh.

    Args:
      path: of the file.
      content: what it holds.

    Raises:
      OSError: if it cannot be written.
    """
    self._path = path
    storage.write_bytes(path, content)
    self._file = None if storage.is_remote(path) else path.open('ab')
    self._content = bytearray(content)
    self._is_behind = False
    self._written_at = time.monotonic()

  def write(self, content: bytes) -> None:
    """Appends to the file."""
    if self._file:
      self._file.write(content)
    else:
      self._content += content
      self._is_behind = True

  def flush(self, now: bool = False) -> None:
    """Lets others see what was written; in a bucket, only now and then.

    Args:
      now: whether in a bucket too.
    """
    if self._file:
      self._file.flush()
    elif self._is_behind and (
      now or time.monotonic() - self._written_at >= INTERVAL
    ):
      self._put()

  def close(self) -> None:
    """Writes what is left."""
    self.flush(now=True)
    if self._file:
      self._file.close()

  def _put(self) -> None:
    self._written_at = time.monotonic()
    try:
      storage.write_bytes(self._path, bytes(self._content))
      self._is_behind = False
    except (OSError, StorageError) as error:
      print(
        f'warning: cannot write {self._path} ({storage.reason(error)})',
        file=sys.stderr,
      )
