"""Temporary folders that do not pile up: what killed processes left goes."""

from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile

_PREFIX = 'ferjax-'
# Others may call a folder like that; only ours have this file.
_MARK = '.ferjax-scratch'
_FILES = 'files'


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
    (mine / _MARK).touch()  # from now on, it is left if it is not locked
    (mine / _FILES).mkdir()
    yield mine / _FILES
  finally:
    _remove(mine)
    os.close(handle)


def _remove_if_left(other: pathlib.Path) -> None:
  handle = os.open(other, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if (other / _MARK).is_file():
      _remove(other)
  finally:
    os.close(handle)


def _remove(ours: pathlib.Path) -> None:
  shutil.rmtree(ours / _FILES, ignore_errors=True)  # the mark stays till last
  shutil.rmtree(ours, ignore_errors=True)
