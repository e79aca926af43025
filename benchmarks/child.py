"""Python processes of their own, which import the very ferjax of this one."""

import os
import pathlib
import subprocess
import sys
import time
from typing import NamedTuple

import ferjax
from ferjax.errors import UserError


class Done(NamedTuple):
  """What a process came to.

  Attributes:
    seconds: from its start to its end.
    said: on its standard output.
  """

  seconds: float
  said: str


def run(
  *arguments: object, answers: tuple[int, ...] = (0,), **changed: str
) -> Done:
  """Runs Python with `arguments`, to its end.

  Args:
    *arguments: such as `-m`, `ferjax.main` and its flags.
    answers: exit statuses that are no failure.
    **changed: variables of its environment.

  Raises:
    UserError: saying what it failed of.
  """
  began = time.perf_counter()
  done = subprocess.run(
    [sys.executable, *map(str, arguments)],
    env=environment(**changed),
    capture_output=True,
    text=True,
    errors='replace',
    check=False,
  )
  seconds = time.perf_counter() - began
  if done.returncode not in answers:
    raise UserError(_last_word(done.stderr))
  return Done(seconds, done.stdout)


def machine() -> str:
  """Asks another process: a device that this one held would not be free."""
  return run('-c', 'import clock; print(clock.machine())').said.strip()


def environment(**changed: str) -> dict[str, str]:
  """Returns one in which ferjax and these scripts are found, and `changed`."""
  paths = [
    pathlib.Path(ferjax.__file__).parents[1],
    pathlib.Path(__file__).parent,
  ]
  paths += filter(None, [os.environ.get('PYTHONPATH')])
  return os.environ | {'PYTHONPATH': os.pathsep.join(map(str, paths))} | changed


def _last_word(said: str) -> str:
  """Returns the last error in what a process said, or else its last line."""
  lines = [line for line in said.splitlines() if line.strip()]
  errors = [line for line in lines if line.startswith('error: ')]
  last = (errors or lines or ['it did not say why'])[-1]
  return last.removeprefix('error:').strip()
