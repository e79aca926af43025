"""Errors that end in one line for the user instead of a traceback."""


class UserError(ValueError):
  """What the user gave is wrong: one line says what, where and what to do.

  Binaries print the message and exit with status 2: trying again is of no
  use.
  """


class TrainingError(RuntimeError):
  """A training cannot go on, and starting it again would not help.

  Binaries print the message and exit with status 3.
  """


class StorageError(Exception):
  """A bucket does not answer, or not as it should: worth another try.

  Binaries print the message and exit with status 1.
  """
