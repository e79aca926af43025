"""The clients of buckets: are they here and let in, and what do they raise?"""

import contextlib
import functools
import importlib.util
import logging
import os
from typing import Any

from etils import epath

from ferjax.errors import StorageError, UserError

# What opens each kind of bucket, and how one gets in.
_PACKAGES = {'gs': 'gcsfs', 's3': 's3fs'}
SCHEMES = tuple(_PACKAGES)
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


def file_system(path: str | os.PathLike) -> Any:
  """Returns fsspec's file system of a path in a bucket."""
  # epath asks for the same one, with the same arguments.
  return epath.backend.fsspec_backend.fs(path)


@functools.cache
def check_access(url: str) -> None:
  """Raises UserError or StorageError if a path in a bucket cannot be read."""
  scheme = url.partition('://')[0]
  client, extra = _PACKAGES[scheme], _EXTRAS[scheme]
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
    if is_anonymous(error):
      raise no_credentials(url) from error
    if is_refusal(error):
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
  for client in _PACKAGES.values():  # tracebacks of what is told in a line
    logging.getLogger(client).setLevel(logging.CRITICAL)


def is_refusal(error: BaseException) -> bool:
  """Whether a bucket answered that this user may not."""
  kinds = {kind.__name__ for kind in type(error).__mro__}
  return (
    isinstance(error, PermissionError)
    or bool(kinds & _NO_CREDENTIALS)
    or getattr(error, 'code', None) in (401, 403)
    or (isinstance(error, OSError) and str(error).startswith('Forbidden'))
  )


def is_anonymous(error: BaseException) -> bool:
  """Whether a bucket refused one who gave no credentials at all.

  So gcsfs asks where it found none, or where those of the machine did not come
  in time, as on a node that has just started.
  """
  return 'anonymous caller' in str(error).lower()


def no_credentials(url: str | os.PathLike) -> StorageError:
  """Returns what is said then; it is worth another try."""
  url = os.fspath(url)
  return StorageError(
    f'{url}: no credentials were found; {_CREDENTIALS[url.partition("://")[0]]},'
    " or try again where the machine's own were late"
  )


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
