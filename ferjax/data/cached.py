"""Prepared sets in a bucket, copied to this machine once.

What reads their records works on local files alone. The copy lies in
CACHE/NAME-ID/KEY: ID is of the place in the bucket, KEY of the objects there,
their sizes and when they were written. It appears whole or not at all, takes
the place of copies of earlier objects, and may be deleted at any time.
"""

import hashlib
import os
import pathlib

from ferjax import storage, transfer
from ferjax.data import atomic, once
from ferjax.errors import UserError
from ferjax.storage import Path


def root() -> pathlib.Path:
  """Returns the folder of all copies, in the user's cache."""
  cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  return pathlib.Path(cache) / 'ferjax' / 'datasets'


def local(folder: Path) -> Path:
  """Returns a prepared set on this machine: itself, or its copy.

  Args:
    folder: of the set, DATA_DIR/NAME/VERSION.

  Raises:
    OSError: if it cannot be read.
    UserError: if the copy cannot be written, or the set changed meanwhile.
  """
  if not storage.is_remote(folder):
    return folder
  objects = _objects(folder)
  if not any(each.name == atomic.LAST for each in objects):
    raise UserError(
      f'{folder} is not whole: its upload is under way, or was stopped; then'
      ' prepare it again'
    )
  place = root() / f'{folder.parent.name}-{_hash(os.fspath(folder))}'
  target = place / _hash(repr(objects))
  size = sum(each.size for each in objects)
  note = f'copying {size / 1e6:,.0f} MB of {folder} to {target}, once'

  def fill(workspace: pathlib.Path) -> None:
    transfer.download(folder, [each.name for each in objects], workspace)
    if _objects(folder) != objects:
      raise UserError(f'{folder} changed while it was read; try again')

  try:
    once.make(target, size, note, fill)
  except OSError as error:
    raise UserError(
      f'cannot copy {folder} to {place} ({storage.reason(error)}); set'
      ' XDG_CACHE_HOME to a folder with room'
    ) from error
  return target


def _objects(folder: Path) -> list[transfer.Object]:
  return [each for each in transfer.listing(folder) if '/' not in each.name]


def _hash(text: str) -> str:
  return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
