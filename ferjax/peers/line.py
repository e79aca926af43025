"""A TCP connection between two processes: one JSON object a line."""

import contextlib
import json
import select
import socket
import threading
import time
from typing import Any

_LIMIT = 1 << 22  # bytes; no message is nearly as long
_SEND_TIMEOUT = 5.0  # seconds

Message = dict[str, Any]


class Line:
  """Sends and receives messages, each a JSON object with a `kind`."""

  def __init__(self, connection: socket.socket) -> None:
    """Takes over a connected socket."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(_SEND_TIMEOUT)
    self._socket = connection
    self._lock = threading.Lock()
    self._rest = b''

  def fileno(self) -> int:
    """Returns what `select` waits for."""
    return self._socket.fileno()

  def send(self, message: Message) -> None:
    """Sends from any thread; what cannot be sent is found when receiving."""
    try:
      with self._lock:
        self._socket.sendall(json.dumps(message).encode() + b'\n')
    except OSError:
      pass

  def wait(self, seconds: float) -> bool:
    """Waits for something to receive; returns whether there is."""
    poll = select.poll()  # `select.select` knows 1024 files alone
    poll.register(self._socket, select.POLLIN)
    return bool(poll.poll(1000 * seconds))

  def receive(self) -> list[Message] | None:
    """Returns the messages that have come; None once the other end is gone.

    Waits where there is nothing: to be called when `select` says so. What is
    no message, as from a stranger who scans ports, ends the connection too.
    """
    try:
      data = self._socket.recv(1 << 16)
    except OSError:
      return None
    *lines, self._rest = (self._rest + data).split(b'\n')
    if not data or len(self._rest) > _LIMIT:
      return None
    try:
      messages = [json.loads(line) for line in lines]
    except ValueError:
      return None
    is_fine = all(isinstance(m, dict) and 'kind' in m for m in messages)
    return messages if is_fine else None

  def finish(self, seconds: float) -> None:
    """Ends the connection once the other end has read all that was sent.

    Closed with messages unread, a connection may lose those on their way.

    Args:
      seconds: that it waits for the other end at most.
    """
    deadline = time.monotonic() + seconds
    with contextlib.suppress(OSError):
      self._socket.shutdown(socket.SHUT_WR)
    while self.wait(max(0, deadline - time.monotonic())):
      if self.receive() is None:
        break
    self._socket.close()


def listen(port: int) -> socket.socket:
  """Returns a socket that listens on all addresses of this machine.

  Raises:
    OSError: when something else does.
  """
  dual = socket.has_dualstack_ipv6()
  return socket.create_server(
    ('', port),
    family=socket.AF_INET6 if dual else socket.AF_INET,
    dualstack_ipv6=dual,
    backlog=1024,
  )
