"""How benchmarks read sizes, time, say where they ran, and give figures out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import json
import os
import pathlib
import platform
import statistics
import time
from typing import Any

import jax

from ferjax import cli
from ferjax.errors import UserError


def take_turns(
  works: Mapping[str, Callable[[], Any]],
  rounds: int = 5,
  seconds: float = 1.0,
) -> dict[str, float]:
  """Times works in turn, so that a machine that wanders is fair to all.

  Each is called twice ahead of the rounds: to compile, and to learn how often
  it fits into its turn.

  Args:
    works: by name, what is timed; each returns the arrays that it works on.
    rounds: in which each work has one turn.
    seconds: that a turn may take; one call is made where none fits.

  Returns:
    The median over the rounds of the seconds of one call, by name.
  """
  for work in works.values():
    turn(work, 1)
  calls = {
    name: max(1, int(seconds / turn(work, 1))) for name, work in works.items()
  }
  times = [
    {name: turn(work, calls[name]) for name, work in works.items()}
    for _ in range(rounds)
  ]
  return {name: statistics.median(t[name] for t in times) for name in works}


def turn(work: Callable[[], Any], calls: int) -> float:
  """Returns the seconds of one of `calls` calls, all of them finished."""
  on_cpu = jax.default_backend() == 'cpu'
  began = time.perf_counter()
  for _ in range(calls):
    result = work()
    if on_cpu:  # where calls that need not wait for each other run at once
      jax.block_until_ready(result)
  jax.block_until_ready(result)
  return (time.perf_counter() - began) / calls


def machine() -> str:
  """Returns processor, cores that this process may use, jax and its device."""
  devices = jax.local_devices()
  return (
    f'{_processor()}, {cores()} cores; jax {jax.__version__}, '
    f'{jax.default_backend()}, {len(devices)} x {devices[0].device_kind}'
  )


def cores() -> int:
  """Returns how many cores this process may use."""
  if hasattr(os, 'sched_getaffinity'):  # not on macOS
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def numbers(
  flag: str, given: Sequence[str], kind: type = int, lowest: float = 1
) -> list[Any]:
  """Returns what a flag lists, sorted.

  Args:
    flag: its name, for the error.
    given: the list.
    kind: `int` or `float`.
    lowest: that a number may be.

  Raises:
    UserError: when there is none, one twice, or something else.
  """
  try:
    found = sorted(map(kind, given))
  except ValueError:
    found = []
  if not found or len(set(found)) < len(found) or not found[0] >= lowest:
    what = 'whole numbers' if kind is int else 'numbers'
    raise UserError(
      f'--{flag}={",".join(given)}: give different {what} from {lowest} on'
    )
  return found


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """Returns a table ready to be pasted into a document."""
  lines = [f'| {" | ".join(line)} |' for line in (header, *rows)]
  lines.insert(1, '|---' * len(header) + '|')
  return '\n'.join(lines)


def write(output: str | None, figures: Any) -> None:
  """Writes figures as JSON, where a path is given.

  Raises:
    UserError: when it cannot be written.
  """
  if not output:
    return
  path = cli.path(output)
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + '\n')
  except OSError as error:
    raise UserError(
      f'cannot write --output={path} ({error.strerror})'
    ) from error
  print(f'written to {path}')


def _processor() -> str:
  info = pathlib.Path('/proc/cpuinfo')
  lines = info.read_text().splitlines() if info.exists() else []
  names = [
    line.partition(':')[2].strip() for line in lines if 'model name' in line
  ]
  return names[0] if names else platform.machine()
