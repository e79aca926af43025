"""Processes that know of each other, here as threads over the loopback."""

import concurrent.futures
import contextlib
import queue
import time

from company import free_port

from ferjax import peers

FACTS = {'batch_size': '16', 'seed': '0'}


class Peers:
  """Peers of this process, each with a list of the verdicts it was given."""

  def __init__(self, port, count, silence=30.0, patience=20.0):
    self.count, self.port = count, port
    self.given = {i: queue.Queue() for i in range(count)}
    self.members = {}
    self._join = lambda i, count, facts: peers.join(
      f'127.0.0.1:{port}',
      count,
      i,
      facts,
      patience,
      silence,
      lambda *verdict: self.given[i].put(verdict),
    )

  def start(self, facts=None, delays=None, only=None, counts=None):
    """Joins all, or `only` some; returns the errors of those that failed."""
    facts, delays, counts = facts or {}, delays or {}, counts or {}

    def join(i):
      time.sleep(delays.get(i, 0))
      self.members[i] = self._join(
        i, counts.get(i, self.count), FACTS | facts.get(i, {})
      )

    errors = {}
    with concurrent.futures.ThreadPoolExecutor(self.count) as pool:
      tasks = {i: pool.submit(join, i) for i in only or range(self.count)}
      for i, task in tasks.items():
        if task.exception():
          errors[i] = task.exception()
    return errors

  def verdict(self, i):
    return self.given[i].get(timeout=20)

  def close(self):
    for member in self.members.values():
      member.close()


@contextlib.contextmanager
def companies():
  """Gives what makes companies, on one port, and closes them in the end."""
  made = []
  port = free_port()

  def make(*args, **kwargs):
    made.append(Peers(port, *args, **kwargs))
    return made[-1]

  yield make
  for each in made:
    each.close()
