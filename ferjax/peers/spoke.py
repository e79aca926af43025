"""Any process but the first: it holds one connection to process 0."""

import socket
import time

from ferjax import interrupts
from ferjax.errors import RetryError
from ferjax.peers import peer
from ferjax.peers.line import Line, Message

_RETRY = 0.2  # seconds between attempts to reach process 0


class Spoke(peer.Peer):
  """Tells process 0 of this one, and ends when it says so or is gone."""

  def __init__(
    self,
    address: tuple[str, int],
    hello: Message,
    patience: float,
    silence: float,
    end: peer.End = interrupts.end,
  ) -> None:
    """Connects and introduces itself.

    Args:
      address: host and port of process 0.
      hello: see `peers.join`.
      patience: seconds in which process 0 may start.
      silence: see `Peer`.
      end: see `Peer`.

    Raises:
      RetryError: when process 0 does not answer.
    """
    super().__init__(silence, end)
    self._hub = 'process 0'
    self._line = _connect(address, patience, hello['process'])
    self.say({'kind': 'hello', **hello})

  def say(self, message: Message) -> None:
    """See the base class."""
    self._line.send(message)

  def _serve(self) -> None:
    heard = beaten = time.monotonic()
    while True:
      ready = self._line.wait(peer.BEAT / 4)
      with self._changed:
        if self._is_closed or self._verdict:
          break
      now = time.monotonic()
      if ready:
        heard = now
        messages = self._line.receive()
        if messages is None:
          self._end_with(f'{self._hub} is gone; {peer.AGAIN}', 4)
          break
        for message in messages:
          self._take(message)
      elif now - heard > self._silence:
        self._end_with(
          f'{self._hub} has been silent for {self._silence:.0f} s; '
          + peer.AGAIN,
          4,
        )
      if now - beaten > peer.BEAT:
        beaten = now
        self.say(self._beat())
    self.say({'kind': 'bye'})
    self._line.finish(peer.BEAT)

  def _take(self, message: Message) -> None:
    match message:
      case {'kind': 'agreed', 'topic': topic, 'hub': hub}:
        self._hub = hub
        self._settle_on(topic)
      case {'kind': 'end', 'message': text, 'status': status}:
        self._end_with(text, status)
      case {'kind': 'bye'}:
        self._close()


def _connect(address: tuple[str, int], patience: float, process: int) -> Line:
  deadline = time.monotonic() + patience
  while True:
    try:
      return Line(socket.create_connection(address, timeout=5))
    except OSError as error:
      if time.monotonic() > deadline:
        host, port = address
        raise RetryError(
          f'process {process} could not reach process 0 at {host}:{port} '
          f'within {patience:.0f} s ({error.strerror or error}); has it '
          'started, and is the address right?'
        ) from None
    time.sleep(_RETRY)
