"""Folders that are made once on a machine, whole or not at all."""

from collections.abc import Callable
import errno
import fcntl
import os
import pathlib
import shutil
import sys

from ferjax.data import atomic


def make(
  target: pathlib.Path,
  size: int,
  note: str,
  fill: Callable[[pathlib.Path], None],
) -> None:
  """Makes a folder if it is not there, and removes all else beside it.

  Of several processes that come at once, one makes it and the others wait.

  Args:
    target: the folder; the one around it is for nothing else.
    size: bytes that it takes.
    note: what is printed when it is made.
    fill: writes its files, without folders, into an empty one.

  Raises:
    OSError: if it cannot be written, or has no room.
  """
  if target.is_dir():
    return
  parent = target.parent
  parent.mkdir(parents=True, exist_ok=True)
  handle = os.open(parent, os.O_RDONLY)
  try:
    fcntl.flock(handle, fcntl.LOCK_EX)  # ends with the process
    if not target.is_dir():
      _make(target, size, note, fill)
  finally:
    os.close(handle)


def _make(
  target: pathlib.Path,
  size: int,
  note: str,
  fill: Callable[[pathlib.Path], None],
) -> None:
  for stale in target.parent.iterdir():  # an older one, half of a killed start
    atomic.remove(stale)
  if size > shutil.disk_usage(target.parent).free:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target.parent))
  print(note, file=sys.stderr)
  workspace = target.with_name('incomplete')
  workspace.mkdir()
  try:
    fill(workspace)
    for path in workspace.iterdir():  # whole on disk before it has its name
      with path.open('rb') as file:
        os.fsync(file.fileno())
    workspace.rename(target)
  finally:
    shutil.rmtree(workspace, ignore_errors=True)
