"""A folder that appears whole or not at all, though its writer be killed."""

from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib
import shutil

from ferjax import scratch, storage, transfer
from ferjax.errors import UserError
from ferjax.storage import Path

RESULT = 'result'
# In a bucket, where no folder can be renamed, this is put last: a data set
# that has it is whole.
LAST = 'dataset_info.json'


def check(target: Path, overwrite: bool) -> None:
  """Checks that the folder `target` may be made.

  Raises:
    UserError: if it is there already and not to be overwritten, or if nothing
      can be written there.
  """
  parent = target.parent
  if storage.is_remote(target):
    try:
      storage.make_folder(parent)
    except OSError as error:
      raise UserError(f'cannot write into {parent}: {error.strerror}') from None
    is_there = (target / LAST).exists()
  else:
    _check_local(target)
    is_there = target.exists()
  if is_there and not overwrite:
    raise UserError(f'{target}: already prepared; --overwrite replaces it')


@contextlib.contextmanager
def folder(target: Path, overwrite: bool) -> Iterator[pathlib.Path]:
  """Gives a workspace whose folder `RESULT` becomes `target` at the end.

  Args:
    target: the folder to make.
    overwrite: whether to replace one that is there. It stays until the new
      one is whole, in a bucket until the new one is uploaded.

  Yields:
    An empty folder of this process alone.

  Raises:
    UserError: see `check`; if another process is at work on the same folder;
      if the disk is full.
  """
  check(target, overwrite)
  try:
    if storage.is_remote(target):
      with scratch.folder() as temporary:
        yield temporary
        _publish(temporary / RESULT, target, overwrite)
      return
    with _workspace(target) as workspace:
      yield workspace
      _replace(target, workspace)
  except OSError as error:
    raise UserError(f'cannot write {target}: {error}') from error


def _check_local(target: pathlib.Path) -> None:
  parent = target.parent
  try:
    parent.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(f'cannot make {parent}: {error.strerror}') from None
  if not os.access(parent, os.W_OK):
    raise UserError(f'cannot write into {parent}: it is read-only')
  if _was_replacing(target):
    with _workspace(target):  # nobody is at it any more
      if _was_replacing(target):
        _old(target).rename(target)


def _was_replacing(target: pathlib.Path) -> bool:
  return _old(target).exists() and not target.exists()


def _publish(new: pathlib.Path, target: Path, overwrite: bool) -> None:
  """Puts a folder of files into a bucket, in the place of what is there.

  Args:
    new: the folder of files.
    target: the folder in the bucket.
    overwrite: whether all else there goes; otherwise it may be anybody's.
  """
  names = sorted(path.name for path in new.iterdir())
  old = [each.name for each in transfer.listing(target)]
  transfer.remove(target, [name for name in old if name == LAST])
  transfer.upload(new, [name for name in names if name != LAST], target)
  if overwrite:
    transfer.remove(target, sorted({*old} - {*names, LAST}))
  transfer.upload(new, [LAST], target)


@contextlib.contextmanager
def _workspace(target: pathlib.Path) -> Iterator[pathlib.Path]:
  workspace = target.with_name('.incomplete')
  workspace.mkdir(exist_ok=True)
  handle = os.open(workspace, os.O_RDONLY)
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process
  except BlockingIOError:
    os.close(handle)
    raise UserError(f'{target}: another process is writing it') from None
  try:
    for leftover in workspace.iterdir():
      remove(leftover)
    yield workspace
  finally:
    shutil.rmtree(workspace, ignore_errors=True)
    os.close(handle)


def remove(path: pathlib.Path) -> None:
  """Removes whatever this is; of a link, not where it leads."""
  if path.is_dir() and not path.is_symlink():
    shutil.rmtree(path)
  else:
    path.unlink()


def _replace(target: pathlib.Path, workspace: pathlib.Path) -> None:
  """Renames alone, so that under a name nothing is ever half deleted."""
  old = _old(target)
  if old.exists():
    old.rename(workspace / 'older')
  if target.exists():
    target.rename(old)
  (workspace / RESULT).rename(target)
  if old.exists():
    old.rename(workspace / 'old')


def _old(target: pathlib.Path) -> pathlib.Path:
  return target.with_name('.replaced')
