"""Whole folders and files between this machine and a bucket."""

from collections.abc import Iterator, Sequence
import contextlib
import os
import pathlib
import re
from typing import Any, NamedTuple

from ferjax import scratch, storage
from ferjax.errors import UserError, printable
from ferjax.storage import Path

# What tells that an object is another than before; each client has its own.
_MARKS = ('generation', 'ETag', 'etag', 'updated', 'LastModified', 'created')


class Object(NamedTuple):
  """One object of a folder in a bucket.

  Attributes:
    name: below the folder, with slashes.
    size: bytes.
    mark: changes whenever the object does.
  """

  name: str
  size: int
  mark: str


def listing(folder: Path) -> list[Object]:
  """Returns all objects below a folder in a bucket, sorted; none if none."""
  files = storage.file_system(folder)
  with storage.answering(folder):
    try:
      found = files.find(os.fspath(folder), detail=True)
    except FileNotFoundError:
      return []
  home = f'{files._strip_protocol(os.fspath(folder))}/'
  return sorted(
    Object(name.removeprefix(home), info['size'], _mark(info))
    for name, info in found.items()
    if name.startswith(home)
    and info['type'] == 'file'
    and not name.endswith('/')  # some tools let a folder be an empty object
  )


def download(folder: Path, names: Sequence[str], target: pathlib.Path) -> None:
  """Fetches objects of a folder in a bucket into one of this machine.

  Raises:
    OSError: if one cannot be fetched or written; others may be there then.
    UserError: if one has a name that would lead elsewhere; nothing is fetched.
  """
  for name in names:
    if name[1:3] == ':\\' or {'', '.', '..'} & {*re.split(r'[/\\]', name)}:
      raise UserError(
        f'{folder}: an object there is called {printable(name, 80)!r}, which is'
        ' no name for a file; remove it'
      )
  target.mkdir(parents=True, exist_ok=True)
  if names:
    sources = [f'{folder}/{name}' for name in names]
    targets = [str(target / name) for name in names]
    with storage.answering(folder):
      storage.file_system(folder).get(sources, targets)


def upload(source: pathlib.Path, names: Sequence[str], folder: Path) -> None:
  """Puts files of a folder of this machine into one in a bucket.

  Raises:
    OSError: if one cannot be put there; others may be there then.
  """
  if names:
    sources = [str(source / name) for name in names]
    targets = [f'{folder}/{name}' for name in names]
    with storage.answering(folder):
      storage.file_system(folder).put(sources, targets)


def remove(folder: Path, names: Sequence[str]) -> None:
  """Removes objects of a folder in a bucket."""
  with storage.answering(folder):
    for name in names:  # not all at once: brackets would be a pattern
      storage.file_system(folder).rm_file(f'{folder}/{name}')


def move(source: Path, target: Path) -> None:
  """Gives a folder another name; in a bucket, object by object."""
  if not storage.is_remote(source):
    source.rename(target)
    return
  names = [each.name for each in listing(source)]
  with storage.answering(source):
    for name in names:
      storage.file_system(source).cp_file(
        f'{source}/{name}', f'{target}/{name}'
      )
  remove(source, names)


@contextlib.contextmanager
def fetched(path: Path) -> Iterator[pathlib.Path]:
  """Gives a file or a folder on this machine; what errors tell is the path.

  One in a bucket is fetched into a temporary place, and removed at the end.

  Args:
    path: of this machine, which is just returned, or in a bucket.

  Raises:
    OSError: if it cannot be fetched.
    UserError: if the disk has no room for it.
  """
  if not storage.is_remote(path):
    yield path
    return
  with scratch.folder() as temporary:
    local = temporary / path.name
    with storage.answering(path):
      is_file = storage.file_system(path).isfile(os.fspath(path))
    if is_file:
      download(path.parent, [path.name], local.parent)
    else:
      objects = listing(path)
      if objects:  # else nothing is there, and the reader says so
        download(path, [each.name for each in objects], local)
    try:
      yield local
    except UserError as error:
      raise UserError(str(error).replace(str(local), str(path))) from error


def _mark(info: dict[str, Any]) -> str:
  return str(next((info[name] for name in _MARKS if name in info), ''))
