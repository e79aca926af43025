"""Checkpoints in a bucket that Orbax cannot write to, through a local folder.

Orbax 0.12 saves to `gs://` itself, but not to `s3://`. There, it works in a
temporary folder of this machine, which begins with what is in the bucket, and
whose changes follow into the bucket after each save.
"""

from collections.abc import Sequence
from concurrent import futures
import os
import shutil
from typing import Any

import jax
from orbax.checkpoint.checkpoint_manager import (
  CheckpointManager,
  CheckpointManagerOptions,
)

from ferjax import damage, keeping, scratch, storage, transfer
from ferjax.errors import StorageError, UserError
from ferjax.storage import Path

_LAST = '_CHECKPOINT_METADATA'  # put last: a step that has it is whole


def open_manager(
  folder: Path, options: CheckpointManagerOptions, item_names: Sequence[str]
) -> CheckpointManager:
  """Opens a folder of checkpoints, see Orbax's `CheckpointManager`.

  Raises:
    UserError: if this is one of several processes, which cannot save there.
    OSError, StorageError: if checkpoints cannot be fetched from a bucket.
  """
  if os.fspath(folder).startswith('s3://'):
    return _MirroredManager(folder, options, item_names)
  return CheckpointManager(
    storage.absolute(folder), options=options, item_names=item_names
  )


def whole_steps(manager: CheckpointManager) -> list[int]:
  """Returns the steps that are whole where they are to stay, as last known."""
  if isinstance(manager, _MirroredManager):
    return manager.whole_steps()
  try:
    return damage.steps(manager.directory)
  except (OSError, StorageError):  # the disk is gone
    return []


class _MirroredManager(CheckpointManager):
  """A manager of a local folder, which a bucket follows."""

  def __init__(
    self,
    remote: Path,
    options: CheckpointManagerOptions,
    item_names: Sequence[str],
  ) -> None:
    if jax.process_count() > 1:
      raise UserError(
        f'{remote}: several processes cannot save to s3://; give a --workdir in'
        ' gs:// or on a disk that all of them see'
      )
    # Who only reads wants the weights, not what a training goes on from.
    self._mirror = _Mirror(remote, 'training' if options.read_only else '')
    super().__init__(
      self._mirror.folder, options=options, item_names=item_names
    )

  def save(self, *args: Any, **kwargs: Any) -> bool:
    self._mirror.wait()  # saving may remove what is on its way
    saved = super().save(*args, **kwargs)
    super().wait_until_finished()
    self._mirror.push()
    return saved

  def delete(self, step: int) -> None:
    self._mirror.wait()
    super().delete(step)
    self._mirror.push()

  def whole_steps(self) -> list[int]:
    """Returns the steps that the bucket holds, as last known."""
    return sorted(map(int, self._mirror.whole))

  def wait_until_finished(self) -> None:
    super().wait_until_finished()
    self._mirror.wait()

  def reload(self) -> None:
    self._mirror.drop()
    super().reload()

  def close(self) -> None:
    try:
      super().close()
    finally:
      self._mirror.close()


class _Mirror:
  """A local folder of checkpoints, and the one in a bucket that follows it.

  Attributes:
    folder: of this machine, for Orbax.
    whole: steps in the bucket, those that others put there later left out.
  """

  def __init__(self, remote: Path, skipped: str = '') -> None:
    """Fetches the whole checkpoints of a bucket.

    Args:
      remote: the folder of all checkpoints.
      skipped: an item of each that is not needed.

    Raises:
      OSError: if they cannot be fetched.
    """
    self._remote = remote
    self._temporary = scratch.folder()
    self.folder = self._temporary.__enter__() / remote.name
    try:
      self._fetch(skipped)
    except FileNotFoundError:  # the training has just removed a step
      shutil.rmtree(self.folder)
      self._fetch(skipped)
    # One thread, as the order matters.
    self._thread = futures.ThreadPoolExecutor(1, 'checkpoints')
    self._pushing: futures.Future | None = None

  def _fetch(self, skipped: str) -> None:
    names = [each.name for each in transfer.listing(self._remote)]
    self.whole = _whole(names)
    wanted = [
      name
      for name in names
      if _step(name) in self.whole
      and not (skipped and name.startswith(f'{_step(name)}/{skipped}/'))
    ]
    transfer.download(self._remote, wanted, self.folder)
    self._ours = set(self.whole)  # nothing else there is ever removed

  def push(self) -> None:
    """Begins to bring the bucket to what is in the folder now.

    The folder must not change before `wait`.
    """
    self.wait()
    self._pushing = self._thread.submit(self._push)

  def drop(self) -> None:
    """Removes the steps here that are no longer in the bucket."""
    self.wait()
    there = {_step(each.name) for each in transfer.listing(self._remote)}
    self.whole &= there
    for path in list(self.folder.iterdir()):
      if path.name not in there:
        shutil.rmtree(path)

  def wait(self) -> None:
    """Waits until the bucket is as the folder was.

    Raises:
      OSError: if something could not be put there.
    """
    if self._pushing:
      pushing, self._pushing = self._pushing, None
      pushing.result()

  def close(self) -> None:
    """Waits, and removes the folder of this machine."""
    try:
      self.wait()
    finally:
      self._thread.shutdown()
      self._temporary.__exit__(None, None, None)

  def _push(self) -> None:
    here = sorted(
      path.relative_to(self.folder).as_posix()
      for path in self.folder.glob('[0-9]*/**/*')
      if path.is_file()
    )
    there = [each.name for each in transfer.listing(self._remote)]
    known = _whole(there)
    new = [name for name in here if _step(name) not in known]
    coming, kept = set(map(_step, new)), set(map(_step, here))
    self._ours |= coming
    # What half a copy of the same step left would be taken for part of it.
    half = [n for n in there if _step(n) in coming and n not in new]
    transfer.remove(self._remote, half)
    transfer.upload(self.folder, _without_last(new), self._remote)
    transfer.upload(self.folder, _only_last(new), self._remote)
    self.whole |= coming
    old = [name for name in there if _step(name) in self._ours - kept]
    self.whole &= kept
    transfer.remove(self._remote, _only_last(old))  # no longer whole
    transfer.remove(self._remote, _without_last(old))


def _step(name: str) -> str:
  return name.partition('/')[0]


def _whole(names: list[str]) -> set[str]:
  steps = {_step(name) for name in _only_last(names)}
  return set(filter(keeping.is_step, steps))


def _only_last(names: list[str]) -> list[str]:
  return [name for name in names if name.endswith(f'/{_LAST}')]


def _without_last(names: list[str]) -> list[str]:
  return [name for name in names if not name.endswith(f'/{_LAST}')]
