"""Runs ferjax.main up to its first step: benchmarks/first_step.py FILE FLAGS.

Writes to FILE, as JSON, the seconds of each part of the start, and those of
all processors as `cpu`, and ends there. `startup.py` starts it.
"""

from collections.abc import Callable
import functools
import itertools
import json
import os
import pathlib
import sys
import time
from typing import Any

PARTS = ('imports', 'data', 'build', 'compile', 'first step')

_BEGAN = time.perf_counter()


def watch(tell: Callable[[dict[str, float]], None]) -> None:
  """Notes from now on when each part of a training's start is over.

  `imports` ends where the config is handed to the training, `data` where the
  splits are in memory, `build` where the loop begins, `compile` where the
  first call of the step returns, and `first step` where its metrics, which
  the call is waited for, are about to be written.

  Args:
    tell: gets the seconds of each part, once all of them are over.
  """
  from ferjax import logs, parallel, train
  from ferjax.data import training
  from ferjax.training import loop

  ends = {}

  def note(owner: Any, name: str, part: str, returned: bool = False) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def noting(*args: Any, **kwargs: Any) -> Any:
      result = function(*args, **kwargs) if returned else None
      ends.setdefault(part, time.perf_counter())
      if part == PARTS[-1]:
        tell(_lengths(ends))
      return result if returned else function(*args, **kwargs)

    setattr(owner, name, noting)

  note(train, 'train_and_evaluate', 'imports')
  note(training, 'load', 'data', returned=True)
  note(loop, 'train', 'build')
  note(parallel, 'settle', 'compile')
  note(logs.MetricLogger, 'write', 'first step')


def _lengths(ends: dict[str, float]) -> dict[str, float]:
  moments = [_BEGAN, *(ends[part] for part in PARTS)]
  lengths = [after - before for before, after in itertools.pairwise(moments)]
  return dict(zip(PARTS, lengths, strict=True))


def _run(path: pathlib.Path) -> None:
  from ferjax import cli, main

  def tell(lengths: dict[str, float]) -> None:
    path.write_text(json.dumps(lengths | {'cpu': time.process_time()}))
    os._exit(0)  # no thread of the training holds it up

  def watched(argv: list[str]) -> None:
    watch(tell)
    main.main(argv)

  cli.run(watched)


if __name__ == '__main__':
  _run(pathlib.Path(sys.argv.pop(1)))
