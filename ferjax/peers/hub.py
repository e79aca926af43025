"""Process 0: it calls the roll, compares, watches, and says when all end."""

from collections.abc import Mapping
import contextlib
import selectors
import sys
import time

from ferjax import interrupts
from ferjax.peers import pace, peer, watch, words
from ferjax.peers.line import Line, Message, listen

_TELL = 10.0  # seconds between two lines about who is missing


class Hub(peer.Peer):
  """Listens until all processes are there; then watches them."""

  def __init__(
    self,
    port: int,
    hello: Message,
    patience: float,
    silence: float,
    end: peer.End = interrupts.end,
  ) -> None:
    """Begins to listen.

    Args:
      port: to listen on until all are there; after that it is free again.
      hello: see `peers.join`.
      patience: seconds in which all others may start.
      silence: see `Peer`.
      end: see `Peer`.

    Raises:
      OSError: when something else listens on the port.
    """
    super().__init__(silence, end)
    self._count = hello['count']
    self._patience = patience
    self._began = self._told = self._beaten = time.monotonic()
    self._facts: dict[str, dict[int, Mapping[str, str]]] = {}
    self._pace = pace.Pace(self._count)
    self._known = {0: watch.Known(words.name(hello), None, self._began)}
    self._watch = watch.Watch(silence)
    self._selector = selectors.DefaultSelector()
    self._listener = listen(port)
    self._selector.register(self._listener, selectors.EVENT_READ)

  def say(self, message: Message) -> None:
    """See the base class."""
    with self._changed:
      self._take(0, message)

  def _serve(self) -> None:
    while True:
      ready = [key.fileobj for key, _ in self._selector.select(peer.BEAT / 4)]
      with self._changed:
        if self._is_closed or self._verdict:
          break
        for source in ready:
          if self._verdict:  # by the one before: all lines are ended
            break
          if isinstance(source, Line):
            self._receive(source)
          else:
            self._accept()
        if not self._verdict:
          self._look_round()
    self._tell_all({'kind': 'bye'})
    self._hang_up()
    if self._listener:
      self._listener.close()
    self._selector.close()

  def _accept(self) -> None:
    try:
      line = Line(self._listener.accept()[0])
    except (AttributeError, OSError):  # closed meanwhile, or it went away
      return
    self._selector.register(line, selectors.EVENT_READ)

  def _receive(self, line: Line) -> None:
    messages = line.receive()
    process = next((i for i, k in self._known.items() if k.line is line), None)
    for message in messages or ():
      if process is None:
        process = self._introduce(line, message)
      if process is not None:
        self._known[process].heard = time.monotonic()
        self._take(process, message)
    if messages is None:
      self._selector.unregister(line)
      line.finish(0)
      if process is not None:
        known = self._known[process]
        known.line = None
        if not known.has_left:
          self._end_all(f'{known.name} is gone; {peer.AGAIN}', 4)

  def _introduce(self, line: Line, message: Message) -> int | None:
    """Takes a hello; returns which process it is of, None for a stranger's."""
    match message:
      case {
        'kind': 'hello',
        'process': int(process),
        'count': count,
        'host': _,
        'pid': _,
      }:
        pass
      case _:
        return None
    known = watch.Known(words.name(message), line, time.monotonic())
    if count != self._count:
      why = f'is one of {count}, process 0 one of {self._count}'
    elif not 0 < process < self._count:
      why = f'is not one of {self._count}'
    elif process in self._known:
      why = f'is there twice, see {self._known[process].name}'
    else:
      self._known[process] = known
      return process
    self._end_all(f'{known.name} {why}; give each its own --process_id', 2)
    return None

  def _take(self, process: int, message: Message) -> None:
    known = self._known[process]
    match message:
      case {'kind': 'beat', 'step': step, 'notes': notes, 'age': age}:
        known.step, known.notes = step, notes
        known.since = time.monotonic() - age
      case {'kind': 'facts', 'topic': topic, 'facts': facts}:
        self._compare(topic, process, facts)
      case {'kind': 'pace', 'figures': figures}:
        for i, why in self._pace.add(process, figures):
          _warn(f'{self._known[i].name} holds the others up: {why}')
      case {'kind': 'fail', 'message': text, 'status': status}:
        known.has_left = True
        self._end_all(f'{known.name} failed: {text}', status, but=process)
      case {'kind': 'bye'}:
        known.has_left = True

  def _compare(
    self, topic: str, process: int, facts: Mapping[str, str]
  ) -> None:
    said = self._facts.setdefault(topic, {})
    said[process] = facts
    if len(said) < self._count:
      return
    for i in range(1, self._count):
      others = words.difference(said[0], said[i])
      if others:
        names = self._known[i].name, self._known[0].name
        self._end_all(
          f'{names[0]} has another {topic} than {names[1]}: {others}; start '
          'all of them alike',
          2,
        )
        return
    if self._listener:
      self._selector.unregister(self._listener)
      self._listener.close()  # JAX listens there from now on
      self._listener = None
    hub = self._known[0].name
    self._tell_all({'kind': 'agreed', 'topic': topic, 'hub': hub})
    self._settle_on(topic)

  def _look_round(self) -> None:
    """Gives signs of life, looks for those of others, tells who is missing."""
    now = time.monotonic()
    if now - self._beaten > peer.BEAT:
      self._beaten = now
      self._take(0, self._beat())
      self._tell_all({'kind': 'beat'})
      for text in self._watch.warnings(self._known, now):
        _warn(text)
    missing = [i for i in range(self._count) if i not in self._known]
    if missing:
      who = words.processes(missing) + f' of {self._count}'
      waited = now - self._began
      if waited > self._patience:
        self._end_all(f'{who} did not start within {self._patience:.0f} s', 4)
      elif now - self._told > _TELL:
        self._told = now
        _warn(f'waiting for {who} since {waited:.0f} s')
    for i, known in list(self._known.items()):
      if known.is_silent(self._silence, now):
        self._end_all(
          f'{known.name} has been silent for {self._silence:.0f} s; '
          + peer.AGAIN,
          4,
        )
      elif known.has_left and any(i not in s for s in self._facts.values()):
        self._end_all(f'{known.name} has left early; {peer.AGAIN}', 4)

  def _end_all(self, message: str, status: int, but: int = 0) -> None:
    """Ends every process; `but` knows already."""
    end = {'kind': 'end', 'message': message, 'status': status}
    for line in self._lines():
      if not but or line is not self._known[but].line:
        line.send(end)
    self._hang_up()
    if not self._known[0].has_left:
      self._end_with(message, status)

  def _hang_up(self) -> None:
    """Ends all connections; waits a moment, so that all have heard."""
    deadline = time.monotonic() + 2 * peer.BEAT
    for line in self._lines():
      self._selector.unregister(line)
      line.finish(max(0, deadline - time.monotonic()))
    for known in self._known.values():
      known.line = None

  def _lines(self) -> list[Line]:
    """Returns all connections, those that are not introduced yet included."""
    sources = [key.fileobj for key in self._selector.get_map().values()]
    return [source for source in sources if isinstance(source, Line)]

  def _tell_all(self, message: Message) -> None:
    for known in self._known.values():
      if known.line and not known.has_left:
        known.line.send(message)


def _warn(text: str) -> None:
  with contextlib.suppress(OSError, ValueError):  # where nobody reads it
    print(f'warning: {text}', file=sys.stderr, flush=True)
