"""Errors that end in one line for the user instead of a traceback."""

import errno


class UserError(ValueError):
  """What the user gave is wrong: one line says what, where and what to do.

  Binaries print the message and exit with status 2: trying again is of no
  use.
  """

  status = 2


class TrainingError(RuntimeError):
  """A training cannot go on, and starting it again would not help.

  Binaries print the message and exit with status 3.
  """

  status = 3


class RetryError(RuntimeError):
  """A training cannot go on now, but could be started again.

  Another process was lost, say, or the disk is full. Binaries print the message
  and exit with status 4.
  """

  status = 4


class StorageError(RetryError):
  """A bucket does not answer, or not as it should."""


EXPECTED = (UserError, TrainingError, RetryError)
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)


def of_another(status: int, message: str) -> Exception:
  """Returns the error of what failed in another process, with its status.

  Its `is_of_another` says that the other one knows more.
  """
  kinds = {kind.status: kind for kind in EXPECTED}
  error = kinds.get(status, RetryError)(message)
  error.status = status  # such as 130, where another process was interrupted
  error.is_of_another = True
  return error


def of_disk(error: OSError, message: str) -> UserError | RetryError:
  """Returns what a file system's error is to a user.

  A disk that is full or does not answer may do better at another try; all else
  is to be mended first.
  """
  is_passing = error.errno in _PASSING
  return RetryError(message) if is_passing else UserError(message)


def printable(text: str, most: int | None = None) -> str:
  """Returns a text on one line, escapes in place of what cannot be printed.

  For what others chose: a file's name may hold a line's end, the codes that
  steer a terminal, or no text at all.

  Args:
    text: whatever it is.
    most: how many of its characters are taken; None: all.
  """
  if most is not None and len(text) > most:
    text = f'{text[:most]}...'
  return ''.join(
    char if char.isprintable() else char.encode('unicode_escape').decode()
    for char in text
  )


def brief(error: Exception) -> str:
  """Returns the kind of an error and what it says, in one short line."""
  try:
    said = repr(error)
  except Exception:  # it may hold what nobody can print, such as long numbers
    said = f'{type(error).__name__}()'
  return printable(said, 200)
