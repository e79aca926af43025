"""What the steps since the last record summed up to, and their speed."""

from collections.abc import Iterator
import contextlib
import time
from typing import TypeVar

from ferjax import metrics, parallel

T = TypeVar('T')


class Meter:
  """Adds up the sums of steps on the devices, and watches the clock."""

  def __init__(self) -> None:
    self._sums = None
    self._began = time.perf_counter()
    self._waited = 0.0

  def watch(self, batches: Iterator[T]) -> Iterator[T]:
    """Yields what `batches` does, and notes how long each was waited for."""
    while True:
      began = time.perf_counter()
      try:
        batch = next(batches)
      except StopIteration:
        return
      self._waited += time.perf_counter() - began
      yield batch

  def add(self, sums: metrics.Sums) -> None:
    """Adds the sums of one call, without waiting for them."""
    self._sums = metrics.add(self._sums, sums)

  def read(self, member: int | None = None) -> dict[str, float]:
    """Waits for the sums; returns the metrics since the last `restart`.

    `images_per_second` and `input_wait`, the share of the time spent waiting
    for batches, stand beside the means of `metrics.means`.

    Args:
      member: whose, where the sums have an axis of members.
    """
    sums = parallel.to_host(self._sums)
    if member is not None:
      sums = {name: values[member] for name, values in sums.items()}
    elapsed = time.perf_counter() - self._began
    return {
      **metrics.means(sums, 'train'),
      'train/grad_norm': float(sums['grad_norm'] / sums['steps']),
      'images_per_second': float(sums['count']) / elapsed,
      'input_wait': self.input_wait,
    }

  @property
  def input_wait(self) -> float:
    """The share of the time that was spent waiting for batches."""
    return self._waited / (time.perf_counter() - self._began)

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Stops the clock for what is not training."""
    began = time.perf_counter()
    yield
    self._began += time.perf_counter() - began

  def restart(self) -> None:
    """Forgets all sums and times."""
    self.__init__()
