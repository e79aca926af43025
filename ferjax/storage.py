"""Paths, on this machine or in a bucket, and files that appear whole or not.

A path of this machine is a `pathlib.Path`, as ever. One in a bucket, `gs://`
or `s3://`, is an `etils.epath.Path`, which fsspec serves: it has most of what
the other has, and this module has the rest. Whole folders: see `transfer`.
"""

from collections.abc import Iterator
import contextlib
import errno
import os
import pathlib
import re
from typing import Any
import uuid

from etils import epath

from ferjax import clients
from ferjax.errors import StorageError, UserError

Path = pathlib.Path | epath.Path

SCHEMES = clients.SCHEMES
file_system = clients.file_system
is_of_client = clients.is_of_client
reason = clients.reason


def path(given: str | os.PathLike) -> Path:
  """Returns the path that a user gave; of `~nobody/x`, just that.

  Of a bucket, it sees once that it can be read.

  Raises:
    UserError: if it is of another kind of storage, what opens the bucket is
      not installed, there is no such bucket, or nobody may read it.
    StorageError: if the bucket does not answer.
  """
  text = os.fspath(given)
  scheme = re.match('([A-Za-z][A-Za-z0-9+.-]*)://', text)
  if not scheme:
    # Unlike pathlib's, this leaves the home of nobody as it is: not found.
    return pathlib.Path(os.path.expanduser(text))
  if scheme[1] not in SCHEMES:
    raise UserError(
      f'{text}: {scheme[0]} is not supported; give a local path, gs:// or s3://'
    )
  if not text[len(scheme[0]) :].partition('/')[0]:
    raise UserError(f'{text} names no bucket; give {scheme[0]}BUCKET/FOLDER')
  clients.check_access(text.rstrip('/'))
  return epath.Path(text)


def is_remote(path: str | os.PathLike) -> bool:
  """Whether this is in a bucket."""
  return os.fspath(path).startswith(tuple(f'{name}://' for name in SCHEMES))


def absolute(path: Path) -> Path:
  """Returns the path without regard to where this process stands."""
  return path if is_remote(path) else path.absolute()


def identity(path: Path) -> str:
  """Returns one text for all paths that lead to the same place."""
  return os.fspath(path) if is_remote(path) else os.path.realpath(path)


def read_text(path: Path, errors: str = 'strict') -> str:
  """Returns a UTF-8 file as it is, ends of lines too.

  Raises:
    OSError: if it cannot be read, with an `strerror`; so do all below.
    StorageError: if the bucket does not answer; so do all below.
    UnicodeDecodeError: if it is no text; never if `errors` says so.
  """
  with answering(path):
    content = path.read_bytes()
  return content.decode(errors=errors)


def write_text(path: Path, text: str, errors: str = 'strict') -> None:
  """Writes a UTF-8 file whole or not at all; see `write_bytes`."""
  write_bytes(path, text.encode(errors=errors))


def write_bytes(path: Path, content: bytes) -> None:
  """Writes a file whole or not at all, though the power fail; none anew.

  Raises:
    OSError: if it cannot be written. What was there before is there still.
  """
  with answering(path):
    if is_remote(path):  # there, nothing is seen before it is whole
      path.write_bytes(content)
      return
    if path.is_file() and path.read_bytes() == content:
      return
    partial = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
      with partial.open('wb') as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # or the name might outlast the content
      partial.replace(path)
    finally:
      partial.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
  """Makes a folder, and sees that files can be written there.

  Buckets have no folders: there, it only sees.

  Raises:
    OSError: if they cannot.
  """
  probe = folder / f'.write-test-{uuid.uuid4().hex}'
  with answering(folder):
    if not is_remote(folder):  # fsspec would make a bucket, too
      folder.mkdir(parents=True, exist_ok=True)
    probe.write_bytes(b'')
    probe.unlink()


def kvstore(folder: Path) -> dict[str, Any]:
  """Returns where TensorStore finds what lies in a folder."""
  if not is_remote(folder):
    return {'driver': 'file', 'path': f'{folder.absolute()}/'}
  # Of s3:// it is never asked, see `mirror`.
  bucket, _, inside = os.fspath(folder).removeprefix('gs://').partition('/')
  return {'driver': 'gcs', 'bucket': bucket, 'path': f'{inside}/'}


@contextlib.contextmanager
def answering(path: str | os.PathLike) -> Iterator[None]:
  """Lets what is missing or forbidden in a bucket be as on a disk.

  Raises:
    FileNotFoundError, PermissionError: with an `strerror`.
    StorageError: in place of all else that a client raises.
  """
  try:
    yield
  except (UserError, StorageError):
    raise
  except Exception as error:  # each client has errors of its own
    is_here = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if is_here or not is_remote(path):
      raise
    if clients.is_anonymous(error):
      raise clients.no_credentials(path) from error
    if isinstance(error, FileNotFoundError):
      code = errno.ENOENT
    elif clients.is_refusal(error):
      code = errno.EACCES
    else:
      raise StorageError(f'{path}: {reason(error)}') from error
    raise OSError(code, os.strerror(code), os.fspath(path)) from error
