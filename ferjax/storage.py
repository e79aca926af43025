"""Paths, on this machine or in a bucket, and files that appear whole or not.

A path of this machine is a `pathlib.Path`, as ever. One in a bucket, `gs://`
or `s3://`, is an `etils.epath.Path`, which fsspec serves: it has most of what
the other has, and this module has the rest. Whole folders: see `transfer`.
"""

from collections.abc import Iterator
import contextlib
import errno
import functools
import importlib.util
import logging
import os
import pathlib
import re
from typing import Any
import uuid

from etils import epath

from ferjax.errors import StorageError, UserError

Path = pathlib.Path | epath.Path

# What opens each kind of bucket, and how one gets in.
_CLIENTS = {'gs': 'gcsfs', 's3': 's3fs'}
SCHEMES = tuple(_CLIENTS)
_EXTRAS = {'gs': 'gcs', 's3': 's3'}
_CREDENTIALS = {
  'gs': 'run `gcloud auth application-default login`, or set'
  ' GOOGLE_APPLICATION_CREDENTIALS',
  's3': 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE',
}
_LIBRARIES = {'aiohttp', 'botocore', 'gcsfs', 'google', 's3fs'}
# By their names, as neither package need be there.
_NO_CREDENTIALS = {
  'NoCredentialsError',
  'PartialCredentialsError',
  'CredentialRetrievalError',
  'ProfileNotFound',
  'TokenRetrievalError',
  'DefaultCredentialsError',
  'RefreshError',
}


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
  if scheme[1] not in _CLIENTS:
    raise UserError(
      f'{text}: {scheme[0]} is not supported; give a local path, gs:// or s3://'
    )
  if not text[len(scheme[0]) :].partition('/')[0]:
    raise UserError(f'{text} names no bucket; give {scheme[0]}BUCKET/FOLDER')
  _check_access(text.rstrip('/'))
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


def file_system(path: str | os.PathLike) -> Any:
  """Returns fsspec's file system of a path in a bucket."""
  # epath asks for the same one, with the same arguments.
  return epath.backend.fsspec_backend.fs(path)


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
  """Writes a file whole or not at all, whenever the process is killed.

  Raises:
    OSError: if it cannot be written. What was there before is there still.
  """
  with answering(path):
    if is_remote(path):  # there, nothing is seen before it is whole
      path.write_bytes(content)
      return
    partial = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
      partial.write_bytes(content)
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
    if isinstance(error, FileNotFoundError):
      code = errno.ENOENT
    elif _is_refusal(error):
      code = errno.EACCES
    else:
      raise StorageError(f'{path}: {reason(error)}') from error
    raise OSError(code, os.strerror(code), os.fspath(path)) from error


def is_of_client(error: BaseException) -> bool:
  """Whether this comes from what speaks to buckets, Orbax's clients too."""
  libraries = {
    kind.__module__.partition('.')[0] for kind in type(error).__mro__
  }
  return bool(libraries & _LIBRARIES)


def reason(error: BaseException) -> str:
  """Returns what an error says, in one line."""
  said = getattr(error, 'strerror', None) or str(error).strip()
  return said.splitlines()[0][:200] if said else type(error).__name__


@functools.cache
def _check_access(url: str) -> None:
  """Raises UserError or StorageError if a path in a bucket cannot be read."""
  scheme = url.partition('://')[0]
  client, extra = _CLIENTS[scheme], _EXTRAS[scheme]
  if not _is_installed(client):
    raise UserError(
      f"{scheme}:// needs {client}: pip install 'ferjax[{extra}]'"
    )
  _configure()
  try:
    try:
      file_system(url).ls(url, detail=False)
    except FileNotFoundError:  # this folder, or all of the bucket
      root = '/'.join(url.split('/')[:3])
      with contextlib.suppress(PermissionError):  # may see this folder alone
        file_system(url).ls(root, detail=False)
  except FileNotFoundError as error:
    raise UserError(f'{url}: there is no bucket {root}') from error
  except Exception as error:  # each client has errors of its own
    if _is_refusal(error):
      raise UserError(
        f'{url}: permission denied ({reason(error)}); {_CREDENTIALS[scheme]}'
      ) from error
    raise StorageError(f'{url} does not answer: {reason(error)}') from error


def _is_installed(client: str) -> bool:
  return importlib.util.find_spec(client) is not None


def _configure() -> None:
  """Sets the clients up, before the first of them is made."""
  import fsspec

  for name in ('gcs', 's3'):
    # Others write there too: TensorStore, other processes.
    settings = fsspec.config.conf.setdefault(name, {})
    settings.setdefault('use_listings_cache', False)
  # Where TensorFlow is installed, epath would go by it, and by its settings.
  os.environ.setdefault('EPATH_USE_TF', 'false')
  # Would ask of every bucket what kind it is, for which a reader of objects
  # may have no permission.
  os.environ.setdefault('GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT', 'false')
  for client in _CLIENTS.values():  # tracebacks of what is told in a line
    logging.getLogger(client).setLevel(logging.CRITICAL)


def _is_refusal(error: BaseException) -> bool:
  """Whether a bucket answered that this user may not."""
  kinds = {kind.__name__ for kind in type(error).__mro__}
  return (
    isinstance(error, PermissionError)
    or bool(kinds & _NO_CREDENTIALS)
    or getattr(error, 'code', None) in (401, 403)
    or (isinstance(error, OSError) and str(error).startswith('Forbidden'))
  )
