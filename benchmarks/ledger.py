"""Books the time of a training: every moment to one part of it.

Nothing of JAX is imported before a training needs it, for that is booked too.
"""

from collections.abc import Callable, Iterator
import contextlib
from statistics import median
import time
from typing import Any
from unittest import mock

START = 'start and build'
COMPILE = 'compilation'
TRAIN = 'training steps'
EVAL = 'evaluation steps'
AROUND = 'evaluation, but for its steps'
INPUT = 'waiting for input'
SAVE = 'checkpoints'
LOG = 'logging'
REST = 'rest of the loop'
FINISH = 'figures and plots at the end'
PARTS = (START, COMPILE, TRAIN, EVAL, AROUND, INPUT, SAVE, LOG, REST, FINISH)


class Ledger:
  """Seconds by part; of parts within each other, the innermost counts."""

  def __init__(self, began: float) -> None:
    """Opens the first part.

    Args:
      began: of `time.perf_counter`, when it did.
    """
    self._seconds = dict.fromkeys(PARTS, 0.0)
    self._open = [START]
    self._since = began

  @contextlib.contextmanager
  def part(self, name: str) -> Iterator[None]:
    """Books what happens in the block to a part; decorates functions too."""
    self.read()
    self._open.append(name)
    try:
      yield
    finally:
      self.read()
      self._open.pop()

  def each(self, name: str, values: Iterator[Any]) -> Iterator[Any]:
    """Yields values, none of them None; books the waiting for them."""
    while True:
      with self.part(name):
        value = next(values, None)
      if value is None:
        return
      yield value

  def read(self) -> dict[str, float]:
    """Returns the seconds of all parts until now."""
    now = time.perf_counter()
    self._seconds[self._open[-1]] += now - self._since
    self._since = now
    return dict(self._seconds)


class Step:
  """A compiled step that notes what its calls take, by the batch's form."""

  def __init__(
    self,
    step: Callable[..., Any],
    part: str,
    ledger: Ledger,
    wait: Callable[[Any], Any] | None,
  ) -> None:
    """Notes nothing yet.

    Args:
      step: of `ferjax.steps`.
      part: `TRAIN` or `EVAL`.
      ledger: gets the seconds of the calls.
      wait: for the results of each; None: the last call is kept instead, so
        that the step can be timed alone.
    """
    self._step, self._part = step, part
    self._ledger, self._wait = ledger, wait
    self._calls: dict[Any, list[float]] = {}
    self._last: dict[Any, tuple[Any, ...]] = {}
    self._state: Any = None

  def __call__(self, first: Any, table: Any, batch: Any) -> Any:
    """Makes the step."""
    with self._ledger.part(self._part):
      began = time.perf_counter()
      result = self._step(first, table, batch)
      if self._wait:
        self._wait(result)
      seconds = time.perf_counter() - began
    kind = bool(table), batch['index'].shape
    self._calls.setdefault(kind, []).append(seconds)
    if not self._wait:
      self._last[kind] = first, table, batch
      self._state = result[0]  # of training: the next call is given this one
    return result

  def compilation(self) -> float:
    """Returns what first calls took over the median of the later ones."""
    return sum(
      first - (median(later) if later else 0.0)
      for first, *later in self._calls.values()
    )

  def at_median(self) -> float:
    """Returns what all calls had taken, each the median of its kind."""
    return sum(len(c) * median(c) for c in self._calls.values())

  def alone(self) -> float:
    """Times the step by itself; returns what all its calls come to so."""
    import clock

    seconds = clock.take_turns({kind: self._again(kind) for kind in self._last})
    return sum(len(self._calls[kind]) * s for kind, s in seconds.items())

  def _again(self, kind: Any) -> Callable[[], Any]:
    """Returns what makes the last call of a kind once more."""
    from ferjax import parallel

    first, table, batch = self._last[kind]
    if self._part == EVAL:
      return lambda: self._step(first, table, batch)
    state = parallel.replicate(self._state)  # a copy, for it is donated

    def work() -> Any:
      nonlocal state
      state, sums = self._step(state, table, batch)
      return sums

    return work


@contextlib.contextmanager
def watched(ledger: Ledger, waits: bool) -> Iterator[dict[str, Step]]:
  """Books the training in this block.

  Args:
    ledger: gets the seconds.
    waits: whether each step is waited for, or timed alone afterwards.

  Yields:
    The steps, by part, once the training has made them.
  """
  import jax

  from ferjax import steps
  from ferjax.data import pipeline

  made = {}
  wait = jax.block_until_ready if waits else None

  def noting(make: Callable[..., Any], part: str) -> Callable[..., Step]:
    def make_noting(*arguments: Any, **settings: Any) -> Step:
      made[part] = Step(make(*arguments, **settings), part, ledger, wait)
      return made[part]

    return make_noting

  prefetch = pipeline.prefetch_to_devices
  changes = [
    (steps, 'make_train_step', noting(steps.make_train_step, TRAIN)),
    (steps, 'make_eval_step', noting(steps.make_eval_step, EVAL)),
    (pipeline, prefetch.__name__, lambda *x: ledger.each(INPUT, prefetch(*x))),
  ]
  for part, owner, names in _places():
    for name in names.split():
      booked = ledger.part(part)(getattr(owner, name))
      changes.append((owner, name, booked))
  with contextlib.ExitStack() as stack:
    for change in changes:
      stack.enter_context(mock.patch.object(*change))
    yield made


def _places() -> list[tuple[str, Any, str]]:
  """Returns where the parts' time is spent: part, owner, its functions."""
  from ferjax import inference
  from ferjax.checkpoint import Checkpoints
  from ferjax.evaluation import report
  from ferjax.logs import MetricLogger, Progress
  from ferjax.training import loop

  return [
    (REST, loop, 'train'),
    (AROUND, inference, 'evaluate'),
    # What is done once, imports and all, must not grow with the epochs.
    (START, Checkpoints, '__init__ restore_latest'),
    (START, MetricLogger, '__init__'),
    (SAVE, Checkpoints, 'save wait'),
    (LOG, MetricLogger, 'write close'),
    (LOG, Progress, 'update line'),
    (FINISH, Checkpoints, 'restore_model __exit__'),
    (FINISH, report, 'evaluate draw_training'),
  ]
