"""Which process is slower than the others, by what each measures of itself."""

from collections.abc import Iterator, Mapping

_IN_A_ROW = 3  # reports after which a process is named
_WAITS = 0.2  # share of its time that a slow reader waits for images
_FACTOR = 3.0  # times as long as the quickest for the same small computation


class Pace:
  """Compares the reports of all processes, one round after the other.

  In a run of many processes all wait for the slowest in every step, so the
  time of a step says nothing of who is slow. What does: the share of its time
  that a process waits for its own images, and how long it takes over a small
  computation that it makes alone.
  """

  def __init__(self, count: int) -> None:
    """Expects reports of so many processes."""
    self._count = count
    self._rounds: dict[int, list[Mapping[str, float]]] = {
      i: [] for i in range(count)
    }
    self._slow = {}  # process and reason: how many times in a row
    self._named = set()

  def add(
    self, process: int, figures: Mapping[str, float]
  ) -> Iterator[tuple[int, str]]:
    """Takes a report; yields each process that is to be named, and why.

    Args:
      process: whose.
      figures: `input_wait`, a share of its time, and `probe`, seconds.
    """
    self._rounds[process].append(figures)
    if not all(self._rounds.values()):
      return
    reports = [self._rounds[i].pop(0) for i in range(self._count)]
    waits = [report['input_wait'] for report in reports]
    probes = [report['probe'] for report in reports]
    for i in range(self._count):
      others = min(waits[:i] + waits[i + 1 :])
      reader = (
        f'it waits {waits[i]:.0%} of its time for images, others {others:.0%}'
      )
      times = probes[i] / min(probes)
      worker = f'it computes {times:.1f} times as long as the quickest'
      yield from self._count_up(
        i, 'input', waits[i] > _WAITS and waits[i] > 2 * others, reader
      )
      yield from self._count_up(i, 'probe', times > _FACTOR, worker)

  def _count_up(
    self, process: int, kind: str, is_slow: bool, why: str
  ) -> Iterator[tuple[int, str]]:
    key = process, kind
    self._slow[key] = self._slow.get(key, 0) + 1 if is_slow else 0
    if self._slow[key] == _IN_A_ROW and key not in self._named:
      self._named.add(key)  # once is enough
      yield process, why
