"""What a reader may do with a file: answer, or refuse it in one line.

`outcome` holds one call to that: nothing else is raised, no warning escapes, it
ends in time, takes little memory, runs nothing and writes nowhere else.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
import resource
import signal
import sys
import tempfile
from typing import Any
import warnings

from ferjax.errors import UserError

SECONDS = 60  # of one case, on a machine that is busy
MEGABYTES = 1024  # that a case may add to the most this process ever had
ROOM = 3 << 30  # bytes of address space, beyond which it gets no more

# What would run what is in a file, or tell others of it.
_FORBIDDEN = {
  'pickle.find_class',
  'code.__new__',
  'os.system',
  'os.exec',
  'os.fork',
  'os.posix_spawn',
  'subprocess.Popen',
  'socket.connect',
  'webbrowser.open',
}
_COMPILED = os.environ['JAX_COMPILATION_CACHE_DIR']  # of the tests' conftest

_CHANGES = {
  'os.remove',
  'os.rename',
  'os.rmdir',
  'os.mkdir',
  'os.symlink',
  'os.link',
  'os.chmod',
  'os.truncate',
  'shutil.rmtree',
}


class Tripped(BaseException):  # which no reader catches
  """A case did what no file may make it do."""


class _Wire:
  """Listens to all that this process does while it is armed."""

  def __init__(self) -> None:
    self.home: str | None = None  # where files may change; None: not armed
    self.events: list[str] = []
    sys.addaudithook(self._hear)  # for ever: there is no way to take it back

  def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
    if self.home is None:
      return
    if event in _FORBIDDEN:
      self.events.append(f'{event} {arguments!r:.200}')
    elif event == 'exec' and not _is_importing():
      self.events.append(f'exec {arguments[0]!r:.200}')
    elif event == 'open':
      path, _, flags = arguments
      if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        self._check(event, path)
    elif event in _CHANGES:
      self._check(event, arguments[0])

  def _check(self, event: str, path: Any) -> None:
    if isinstance(path, int):
      return
    where = os.path.abspath(os.fsdecode(path))
    if not where.startswith((self.home, os.devnull, _COMPILED)):
      self.events.append(f'{event} {where}')


_WIRE = _Wire()


def _is_importing() -> bool:
  """Whether Python runs a module's code, and what that makes of text."""
  frame = sys._getframe()
  while frame and frame.f_code.co_filename != '<frozen importlib._bootstrap>':
    frame = frame.f_back
  return frame is not None


def folder() -> Iterator[pathlib.Path]:
  """Gives a new folder, in memory where that can be, and removes it."""
  shared = '/dev/shm'
  parent = shared if os.access(shared, os.W_OK) else None
  with tempfile.TemporaryDirectory(prefix='ferjax', dir=parent) as name:
    yield pathlib.Path(name)


@contextlib.contextmanager
def armed(home: pathlib.Path) -> Iterator[None]:
  """Raises where what is done inside is more than a reader may do.

  Args:
    home: the only folder in which files may be made or changed.
  """
  before = _peak()
  limit, most = resource.getrlimit(resource.RLIMIT_AS)
  handler = signal.signal(signal.SIGALRM, _too_long)
  resource.setrlimit(resource.RLIMIT_AS, (_used() + ROOM, most))
  signal.alarm(SECONDS)
  _WIRE.events.clear()
  _WIRE.home = os.path.abspath(home)
  try:
    yield
  finally:
    _WIRE.home = None
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    signal.signal(signal.SIGALRM, handler)
  if _WIRE.events:
    raise Tripped('; '.join(_WIRE.events))
  grown = (_peak() - before) >> 10
  if grown > MEGABYTES:
    raise Tripped(f'it took {grown} MB')


def outcome(
  call: Callable[[], Any], home: pathlib.Path, *named: str
) -> Any | UserError:
  """Returns what a call gives, or the `UserError` that it ends with.

  Args:
    call: reads what lies in `home`.
    home: the folder of the case.
    *named: one of these stands in the message.
  """
  with armed(home), warnings.catch_warnings():
    warnings.simplefilter('error')
    try:
      return call()
    except UserError as error:
      refusal = error
  line = str(refusal)
  assert line.isprintable(), f'not one line: {line!r}'
  assert len(line) < 2000, f'too long a line: {line[:2000]!r}'
  named = named or (home.name,)
  assert any(name in line for name in named), f'names nothing: {line!r}'
  return refusal


def _too_long(*_: object) -> None:
  raise Tripped(f'it took more than {SECONDS} s')


def _peak() -> int:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB


def _used() -> int:
  pages = int(pathlib.Path('/proc/self/statm').read_text().split()[0])
  return pages * resource.getpagesize()
