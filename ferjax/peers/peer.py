"""What every process of a run does: answer for itself, end where one must."""

import abc
from collections.abc import Callable, Mapping
import threading
import time

from ferjax import errors
from ferjax.peers.line import Message

BEAT = 1.0  # seconds between two signs of life
AGAIN = 'the others stop; the same command goes on from the last checkpoint'

End = Callable[[str, int], None]


class Peer(threading.Thread, abc.ABC):
  """This process among those of its run; a thread that watches the others.

  Once the run has a verdict, a message and an exit status, the process ends:
  the main thread by an error if it waits in `agree`, else all of it at once,
  since a step that waits for a process that is gone does so for ever.
  """

  def __init__(self, silence: float, end: End) -> None:
    """Prepares the thread.

    Args:
      silence: seconds without a sign of life after which a process is lost.
      end: is called with the verdict.
    """
    super().__init__(daemon=True, name='peers')
    self._silence = silence
    self._end = end
    self._changed = threading.Condition(threading.RLock())
    self._agreed: set[str] = set()
    self._verdict: tuple[str, int] | None = None
    self._is_waiting = False
    self._is_closed = False
    self._step, self._notes, self._noted = 0, 0, time.monotonic()

  @abc.abstractmethod
  def say(self, message: Message) -> None:
    """Gives a message to process 0, which may be this one."""

  @abc.abstractmethod
  def _serve(self) -> None:
    """Listens and gives signs of life until there is an end."""

  def run(self) -> None:
    """Watches; where that is at its end, so is the run."""
    try:
      self._serve()
    except Exception as error:  # else the main thread might wait for ever
      why = errors.brief(error)
      self._end_with(f'the other processes are not watched: {why}', 1)

  def agree(self, topic: str, facts: Mapping[str, str]) -> None:
    """Waits until all processes have said the same facts of a topic.

    Args:
      topic: each is agreed on once.
      facts: values by name, as they read in a message.

    Raises:
      UserError: when those of another process differ.
      RetryError: when another process is gone, or does not come.
    """
    with self._changed:
      self._is_waiting = True
    self.say({'kind': 'facts', 'topic': topic, 'facts': dict(facts)})
    with self._changed:
      self._changed.wait_for(
        lambda: topic in self._agreed or self._verdict or self._is_closed
      )
      self._is_waiting = False
      if self._verdict:
        message, status = self._verdict
        raise errors.of_another(status, message)
      if topic not in self._agreed:
        raise errors.RetryError(f'process 0 has left early; {AGAIN}')

  def note(self, step: int) -> None:
    """Notes which step the main thread is about to make."""
    self._step, self._notes = step, self._notes + 1
    self._noted = time.monotonic()

  def report(self, figures: Mapping[str, float]) -> None:
    """Tells process 0 how quick this one is; see `pace.slow`."""
    self.say({'kind': 'pace', 'figures': dict(figures)})

  def fail(self, message: str, status: int) -> None:
    """Ends the others, since this process cannot go on."""
    with self._changed:  # else the answer may come first, and end this one
      self.say({'kind': 'fail', 'message': message, 'status': status})
      self._is_closed = True
    self.close()

  def close(self) -> None:
    """Leaves in peace: what becomes of the others is no matter any more."""
    self._close()
    if self.is_alive() and threading.current_thread() is not self:
      self.join(10 * BEAT)

  def await_verdict(self, seconds: float) -> None:
    """Gives the verdict time to come, after an error that it may explain."""
    with self._changed:
      self._changed.wait_for(lambda: self._verdict, seconds)

  def _close(self) -> None:
    with self._changed:
      self._is_closed = True
      self._changed.notify_all()

  def _beat(self) -> Message:
    age = time.monotonic() - self._noted
    return {
      'kind': 'beat',
      'step': self._step,
      'notes': self._notes,
      'age': age,
    }

  def _settle_on(self, topic: str) -> None:
    with self._changed:
      self._agreed.add(topic)
      self._changed.notify_all()

  def _end_with(self, message: str, status: int) -> None:
    """Takes the verdict; the first one counts."""
    with self._changed:
      if self._verdict or self._is_closed:
        return
      self._verdict = message, status
      self._changed.notify_all()
      if self._is_waiting:
        return
    self._end(message, status)
