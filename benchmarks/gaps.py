"""How long a device waited between its kernels, from a profiler's trace.

The trace itself can be looked at with XProf or, the `.json.gz`, in Perfetto.
"""

from collections.abc import Callable, Iterable
import pathlib
from typing import Any

import jax

from ferjax import parallel
from ferjax.errors import UserError

_CALLS = 5
_DEVICE = '/device:GPU:'
_STREAM = 'Stream'  # its other lines tell the same events again, by groups


def watch(work: Callable[[], Any], folder: pathlib.Path) -> float | None:
  """Writes a trace of a few calls; returns the `idle_share` of it.

  Args:
    work: compiled and run before.
    folder: for traces, each with the time in its path.

  Raises:
    UserError: when nothing can be written there.
  """
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(
      f'cannot write to --trace={folder} ({error.strerror})'
    ) from error
  with jax.profiler.trace(str(folder)):
    for _ in range(_CALLS):
      result = parallel.settle(work())
    jax.block_until_ready(result)
  newest = max(folder.rglob('*.xplane.pb'), key=lambda p: p.stat().st_mtime_ns)
  return idle_share(jax.profiler.ProfileData.from_file(str(newest)))


def idle_share(profile: jax.profiler.ProfileData) -> float | None:
  """Returns the part of the time in which the first GPU ran nothing.

  From its first kernel's begin to its last one's end; None where no kernels
  were recorded, as on a CPU.
  """
  for plane in profile.planes:
    if plane.name.startswith(_DEVICE):
      spans = [
        (event.start_ns, event.end_ns)
        for line in plane.lines
        if line.name.startswith(_STREAM)
        for event in line.events
      ]
      if spans:
        return 1 - _covered(spans) / (
          max(end for _, end in spans) - min(start for start, _ in spans)
        )
  return None


def _covered(spans: Iterable[tuple[float, float]]) -> float:
  """Returns the length of the union of spans, which may overlap."""
  covered, until = 0.0, float('-inf')
  for start, end in sorted(spans):
    covered += max(0.0, end - max(start, until))
    until = max(until, end)
  return covered
