"""One training a workdir: a lock that ends with the process that holds it."""

from collections.abc import Iterator
import contextlib
import datetime
import errno
import fcntl
import os
import re
import socket
import sys

from ferjax import storage
from ferjax.errors import RetryError, UserError, printable
from ferjax.storage import Path

NAME = '.lock'


@contextlib.contextmanager
def hold(workdir: Path) -> Iterator[None]:
  """Keeps other trainings out of a folder for a while.

  The kernel lets go of the lock when the process ends, however it ends; that of
  a machine which died may stay on a file server for a while. Where a file
  system knows no locks, one line says so and nothing is kept out.

  Args:
    workdir: an existing folder that can be written.

  Raises:
    UserError: when another training of this machine holds it.
    RetryError: when one of another machine does.
  """
  if storage.is_remote(workdir):
    yield
    return
  handle = os.open(workdir / NAME, os.O_RDWR | os.O_CREAT, 0o666)
  try:
    _lock(handle, workdir)
    now = datetime.datetime.now().strftime('%Y-%m-%d %H:%M:%S')
    who = f'process {os.getpid()} on {socket.gethostname()} since {now}'
    # On a full disk nobody learns whose it is; it is held all the same.
    with contextlib.suppress(OSError):
      os.ftruncate(handle, 0)
      os.pwrite(handle, who.encode(), 0)
    yield
    with contextlib.suppress(OSError):
      os.ftruncate(handle, 0)
  finally:
    os.close(handle)


def _lock(handle: int, workdir: Path) -> None:
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    # What another training wrote, on a disk that may hold anything.
    text = os.pread(handle, 200, 0).decode(errors='replace')
    who = printable(text) or 'another process'
    host = re.fullmatch(r'process \d+ on (\S+) since .*', who)
    if host and host[1] != socket.gethostname():
      # NFS may keep the lock of a machine that died until that is back.
      raise RetryError(
        f'{workdir} is in use by {who}, or the lock of a machine that is gone'
        ' has not been let go of yet; stop that training, wait for its end, or'
        ' give another --workdir'
      ) from None
    raise UserError(
      f'{workdir} is in use by {who}; stop that training or wait for its end, '
      'or give another --workdir'
    ) from None
  except OSError as error:
    if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
      raise
    print(
      f'warning: {workdir} cannot be locked ({error.strerror}): see that no '
      'other training uses it',
      file=sys.stderr,
    )
