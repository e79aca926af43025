"""The processes of one run, known to each other beside what JAX knows of them.

JAX itself waits without a word for a process that does not start, and aborts
all others with a stack trace, or not before long, where one is gone. So each
process holds a plain TCP connection to process 0, which calls the roll before
JAX starts, compares what they are about to do, and tells all when one ends.
"""

from collections.abc import Mapping
import os
import socket

from ferjax import interrupts
from ferjax.peers import peer
from ferjax.peers.hub import Hub
from ferjax.peers.peer import Peer
from ferjax.peers.spoke import Spoke


def join(
  address: str,
  count: int,
  process: int,
  facts: Mapping[str, str],
  patience: float = 300.0,
  silence: float = 30.0,
  end: peer.End = interrupts.end,
) -> Peer:
  """Waits until all processes are there and are about to do the same.

  Args:
    address: `host:port` of process 0; the port is free again after this.
    count: of the processes, more than one.
    process: which this is, from 0.
    facts: what must be the same in all of them, by name.
    patience: seconds in which all may start.
    silence: seconds without a sign of life after which a process is lost. One
      that is killed is known to be gone at once.
    end: is called with a message and a status when the run is to end.

  Returns:
    This process among the others, to be closed at the end.

  Raises:
    UserError: when the facts differ.
    OSError: when process 0 cannot listen on its port.
    RetryError: when a process does not start in time.
  """
  host, _, port = address.rpartition(':')
  hello = {
    'process': process,
    'count': count,
    'host': socket.gethostname(),
    'pid': os.getpid(),
  }
  if process == 0:
    self = Hub(int(port), hello, patience, silence, end)
  else:
    host = host.removeprefix('[').removesuffix(']')
    self = Spoke((host, int(port)), hello, patience, silence, end)
  self.start()
  self.agree('config', facts)
  return self
