"""Temporary folders that do not pile up: what killed processes left goes."""

from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile
import time

_PREFIX = 'ferjax-'
_YOUNG = 60.0  # seconds: its maker may not have locked it yet


@contextlib.contextmanager
def folder() -> Iterator[pathlib.Path]:
  """Gives an empty folder of this process, and removes it at the end.

  Those of processes that were killed on this machine are removed first.
  """
  home = pathlib.Path(tempfile.gettempdir())
  for other in home.glob(f'{_PREFIX}*'):
    with contextlib.suppress(OSError):  # of another user, or just removed
      _remove_if_left(other)
  mine = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX))
  handle = os.open(mine, os.O_RDONLY)
  try:
    fcntl.flock(handle, fcntl.LOCK_EX)  # ends with the process
    yield mine
  finally:
    shutil.rmtree(mine, ignore_errors=True)
    os.close(handle)


def _remove_if_left(other: pathlib.Path) -> None:
  if time.time() - other.stat().st_mtime < _YOUNG:
    return
  handle = os.open(other, os.O_RDONLY | os.O_DIRECTORY)
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    shutil.rmtree(other)
  finally:
    os.close(handle)
