"""How a process that cannot go on ends: what it says, and its exit status."""

import contextlib
import os
import sys
from typing import NoReturn

from ferjax import storage
from ferjax.errors import EXPECTED


def explain(error: BaseException) -> tuple[str, int] | None:
  """Returns the line that tells of an error, and the exit status it ends with.

  None where it needs a traceback.
  """
  if isinstance(error, EXPECTED):
    return str(error), error.status
  if isinstance(error, KeyboardInterrupt):
    return 'interrupted', 130
  if storage.is_of_client(error):
    return f'a bucket does not answer: {storage.reason(error)}', 4
  return None


def say(line: str) -> None:
  """Prints an error; where nobody reads it, what comes after matters more."""
  with contextlib.suppress(OSError, ValueError):
    print(f'error: {line}', file=sys.stderr, flush=True)


def leave(status: int) -> NoReturn:
  """Ends the process at once: no thread, no other process is waited for."""
  try:
    sys.stdout.flush()
  finally:
    os._exit(status)
