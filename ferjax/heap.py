"""The memory of the C library: kept, instead of given back at once."""

import ctypes
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
  """Lets this process keep what it frees, and use it again.

  XLA's CPU client asks for the working memory of a program each time it runs
  and frees it afterwards. By default glibc maps such large blocks from the
  kernel and unmaps them again, and the kernel clears every page anew: up to a
  fifth of a training step. Other C libraries than glibc stay as they are.
  """
  if not sys.platform.startswith('linux'):
    return
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
  if mallopt is not None:
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)
