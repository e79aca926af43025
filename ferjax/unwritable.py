"""What is said and cleared where a checkpoint cannot be written."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import shutil
import sys
from typing import Any

from ferjax import damage, storage
from ferjax.errors import RetryError, StorageError
from ferjax.storage import Path


@contextlib.contextmanager
def writing(
  told: Path, folder: Path, clears: bool, whole: Callable[[], Sequence[int]]
) -> Iterator[None]:
  """Turns whatever Orbax raises where it cannot write into one line.

  Args:
    told: the folder of all checkpoints, as a message names it.
    folder: where they are written.
    clears: whether to remove what is half written, so that it takes no space.
    whole: tells the steps of the checkpoints that remain.

  Raises:
    RetryError: in place of any other error.
  """
  try:
    yield
  except Exception as error:
    if clears:
      _clear(folder)
    steps = whole()
    raise RetryError(
      f'no checkpoint can be written to {told} ({damage.reason(error)}); '
      + (f'those of steps {steps} are whole' if steps else 'none is there')
      + '. Free space or mend access; the same command resumes'
    ) from error


def _clear(checkpoints: Path) -> None:
  with contextlib.suppress(OSError, StorageError):
    for path in checkpoints.glob('*.orbax-checkpoint-tmp'):
      path.rmtree() if storage.is_remote(path) else shutil.rmtree(path)


def ignore_late_answers() -> None:
  """Lets nobody hear what TensorStore answers once Orbax has given up.

  After a save that fails, each file that was still to come would print a
  traceback, from a thread: its event loop is closed.
  """
  before = sys.unraisablehook

  def hear(unraisable: Any) -> None:
    if str(unraisable.exc_value) != 'Event loop is closed':
      before(unraisable)

  if getattr(before, '__qualname__', '') != hear.__qualname__:
    sys.unraisablehook = hear
