"""Errors that end in one line for the user instead of a traceback."""


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


def of_status(status: int, message: str) -> Exception:
  """Returns the error that ends a binary with `status`; else a `RetryError`."""
  kinds = {kind.status: kind for kind in EXPECTED}
  return kinds.get(status, RetryError)(message)
