"""Memory that is freed stays with the process, where the C library is glibc."""

import pathlib
import platform
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent

# Frees half a gigabyte, and asks for it again; each time it is written to.
SCRIPT = """
import resource, sys
import numpy as np
from ferjax import heap
if sys.argv[1] == 'keep':
  heap.keep_freed_memory()
np.ones(2**26)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**26)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
  platform.libc_ver()[0] != 'glibc', reason='another C library'
)
def test_the_kernel_clears_no_page_twice():
  faults = {
    how: int(
      subprocess.run(
        [sys.executable, '-c', SCRIPT, how],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
      ).stdout
    )
    for how in ('keep', 'give back')
  }
  assert faults['keep'] < 100 < faults['give back']
