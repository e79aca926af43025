"""Which process stands still, by what process 0 hears of each."""

from collections.abc import Iterator, Mapping
import dataclasses

from ferjax.peers import peer
from ferjax.peers.line import Line


@dataclasses.dataclass
class Known:
  """What process 0 knows of another process, or of itself."""

  name: str  # 'process 2 (host-b, pid 77)'
  line: Line | None
  heard: float  # when it last gave a sign of life
  step: int = 0  # that it is about to make
  notes: int = 0  # how many steps it was about to make, in all its trainings
  has_left: bool = False
  warned: float = 0.0  # what `heard` was when its silence was told

  def __post_init__(self) -> None:
    self.since = self.heard  # when it came to that step

  def is_silent(self, seconds: float, now: float) -> bool:
    """Whether it gave no sign of life for so long."""
    return bool(self.line) and not self.has_left and now - self.heard > seconds


class Watch:
  """Says once of each process that it stands still."""

  def __init__(self, silence: float) -> None:
    """Takes the seconds after which a silent process is lost."""
    # After a long step, as the first, a beat may just not have come yet.
    self._patience = max(silence / 3, 3 * peer.BEAT)
    self._stalled: int | None = None  # the process that was last named

  def warnings(
    self, processes: Mapping[int, Known], now: float
  ) -> Iterator[str]:
    """Yields what is to be told of those that have not left."""
    for known in processes.values():
      is_told = known.warned == known.heard
      if known.is_silent(self._patience, now) and not is_told:
        known.warned = known.heard
        yield f'{known.name} has been silent for {now - known.heard:.0f} s'
    here = {i: k for i, k in processes.items() if not k.has_left}
    if here:
      yield from self._stall(here, now)

  def _stall(self, here: Mapping[int, Known], now: float) -> Iterator[str]:
    """Yields the one process that all others wait for."""
    # By their counts: the next training begins again with the first step.
    last = min(here, key=lambda i: here[i].notes)
    slow = here[last]
    others = [now - k.since for k in here.values() if k.notes > slow.notes]
    waits = now - slow.since
    if len(others) < max(1, len(here) - 1):
      self._stalled = None
    elif (
      min(others) > 3 * peer.BEAT
      and waits > self._patience
      and self._stalled != last
    ):
      self._stalled = last
      yield (
        f'all wait for {slow.name}, which has been at step {slow.step} for'
        f' {waits:.0f} s'
      )
