"""Processes that know of each other, here as threads over the loopback."""

import concurrent.futures
import fcntl
import queue
import resource
import socket
import time

import pytest

from ferjax import peers
from ferjax.errors import RetryError, UserError
from ferjax.peers import hub, words
from ferjax.peers.line import Line

FACTS = {'batch_size': '16', 'seed': '0'}


@pytest.fixture
def port():
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


class Company:
  """Peers of this process, each with a list of the verdicts it was given."""

  def __init__(self, port, count, silence=30.0, patience=20.0):
    self.count = count
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


@pytest.fixture
def company(port):
  made = []

  def make(*args, **kwargs):
    made.append(Company(port, *args, **kwargs))
    return made[-1]

  yield make
  for each in made:
    each.close()


def test_all_agree_and_leave_in_peace(company, port):
  some = company(4)
  assert some.start(delays={0: 0.5, 2: 0.3}) == {}
  with socket.create_server(('127.0.0.1', port)):
    pass  # the port is free again, for JAX
  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    agree = [m.agree for m in some.members.values()]
    list(pool.map(lambda say: say('data', {'content': 'ab'}), agree))
  for i in (2, 0, 1, 3):
    some.members[i].close()
  time.sleep(1)
  assert all(given.empty() for given in some.given.values())


def test_one_that_differs_is_named_to_all(company):
  some = company(3)
  errors = some.start(facts={2: {'batch_size': '32'}})
  assert set(errors) == {0, 1, 2}
  for error in errors.values():
    assert isinstance(error, UserError)
    assert 'process 2 (' in str(error)
    assert 'another config than process 0 (' in str(error)
    assert 'batch_size 32, not 16' in str(error)
    assert 'seed' not in str(error)


def test_facts_can_be_compared_again_later(company):
  some = company(2)
  assert some.start() == {}
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    tasks = [
      pool.submit(some.members[i].agree, 'data', {'train': str(i)})
      for i in range(2)
    ]
  for task in tasks:
    assert 'another data' in str(task.exception())


def test_one_that_does_not_start_is_named(company, capfd, monkeypatch):
  monkeypatch.setattr(hub, '_TELL', 0.5)
  some = company(4, patience=1.5)
  errors = some.start(only=[0, 2])
  for error in errors.values():
    assert isinstance(error, RetryError)
    assert str(error) == 'processes 1, 3 of 4 did not start within 2 s'
  assert set(errors) == {0, 2}
  assert 'waiting for processes 1, 3 of 4' in capfd.readouterr().err


def test_without_process_0_the_others_say_so(company, port):
  some = company(2, patience=0.5)
  (error,) = some.start(only=[1]).values()
  assert isinstance(error, RetryError)
  assert f'process 1 could not reach process 0 at 127.0.0.1:{port}' in str(
    error
  )


def test_another_count_is_told_to_all(company):
  some = company(3)
  errors = some.start(counts={1: 2}, delays={1: 1.0})
  assert set(errors) == {0, 1, 2}
  assert all(
    'is one of 2, process 0 one of 3' in str(e) for e in errors.values()
  )


def test_one_place_cannot_be_taken_twice(company, port):
  first, second = company(3), company(3)
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    tasks = [
      pool.submit(first.start, only=[0, 1]),
      pool.submit(second.start, only=[1]),
    ]
  errors = [e for task in tasks for e in task.result().values()]
  assert len(errors) == 3
  assert all(
    'process 1' in str(e) and 'is there twice' in str(e) for e in errors
  )


@pytest.mark.parametrize('lost', [0, 1])
def test_all_end_where_one_is_gone(company, lost):
  some = company(3)
  some.start()
  member = some.members[lost]
  member._end_all = lambda *_: None  # the dead say nothing
  began = time.monotonic()
  # As the kernel does with the connections of a process that is killed.
  lines = [member._line] if lost else [k.line for k in member._known.values()]
  for line in filter(None, lines):
    line._socket.shutdown(socket.SHUT_RDWR)
  for i in {0, 1, 2} - {lost}:
    message, status = some.verdict(i)
    assert status == 4
    assert message.startswith(f'process {lost} (')
    assert 'is gone; the others stop' in message
  assert time.monotonic() - began < 5


@pytest.mark.parametrize('silent', [0, 2])
def test_all_end_where_one_is_silent(company, monkeypatch, silent):
  some = company(3, silence=3.0)
  some.start()
  began = time.monotonic()
  mute = lambda message: None  # noqa: E731
  if silent:
    monkeypatch.setattr(some.members[silent]._line, 'send', mute)
  else:
    monkeypatch.setattr(some.members[0], '_tell_all', mute)
  for i in {0, 1, 2} - {silent}:
    message, status = some.verdict(i)
    assert status == 4
    assert message.startswith(f'process {silent} (')
    assert 'has been silent for 3 s' in message
  assert 2 < time.monotonic() - began < 15


@pytest.mark.parametrize('failing', [0, 1])
def test_a_failure_is_told_to_all(company, failing):
  some = company(3)
  some.start()
  some.members[failing].fail('the disk is full', 4)
  for i in {0, 1, 2} - {failing}:
    message, status = some.verdict(i)
    assert status == 4
    assert message.startswith(f'process {failing} (')
    assert message.endswith('failed: the disk is full')
  time.sleep(0.5)
  assert some.given[failing].empty()


def test_a_failure_keeps_its_status_where_the_others_wait(company):
  some = company(2)
  some.start()
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    task = pool.submit(some.members[0].agree, 'data', {})
    time.sleep(0.2)
    some.members[1].fail('interrupted', 130)
    assert isinstance(task.exception(), RetryError)
  assert task.exception().status == 130


@pytest.mark.parametrize('early', [0, 1])
def test_one_that_leaves_early_is_not_waited_for(company, early):
  some = company(2)
  some.start()
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    task = pool.submit(some.members[1 - early].agree, 'end', {})
    some.members[early].close()
    error = task.exception(timeout=10)
  assert isinstance(error, RetryError)
  assert f'process {early}' in str(error)
  assert 'has left early' in str(error)


def test_one_message_ends_all_while_another_waits(port):
  def hello(process, count):
    where = {'host': 'h', 'pid': 1}
    return {'kind': 'hello', 'process': process, 'count': count, **where}

  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    self = hub.Hub(port, hello(0, 3), 20.0, 30.0)
    self.start()
    task = pool.submit(self.agree, 'config', {})
    others = [socket.create_connection(('127.0.0.1', port)) for _ in range(2)]
    time.sleep(0.6)  # it knows both
    with self._changed:
      time.sleep(0.3)  # it has looked, and waits for this
      for i, count in ((1, 2), (2, 3)):
        Line(others[i - 1]).send(hello(i, count))
    assert 'is one of 2, process 0 one of 3' in str(task.exception(10))
  self.join(10)
  assert not self.is_alive()
  for each in others:
    each.close()


def test_where_the_watch_breaks_the_run_ends(company, monkeypatch):
  def fail():
    raise KeyError('host')

  some = company(2)
  some.start()
  monkeypatch.setattr(some.members[1], '_beat', fail)
  message, status = some.verdict(1)
  assert message == "the other processes are not watched: KeyError('host')"
  assert status == 1
  some.members[1]._line.finish(0)  # as its end does


def test_a_connection_may_have_a_high_number():
  limits = resource.getrlimit(resource.RLIMIT_NOFILE)
  resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
  try:
    with socket.create_server(('127.0.0.1', 0)) as server:
      one = socket.create_connection(server.getsockname())
      other, _ = server.accept()
      with one:
        number = fcntl.fcntl(one, fcntl.F_DUPFD, 1500)
        high = Line(socket.socket(fileno=number))
      assert not high.wait(0)
      with other:
        Line(other).send({'kind': 'bye'})
        assert high.wait(5)
        assert high.receive() == [{'kind': 'bye'}]
      high.finish(1)
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_the_one_that_all_wait_for_is_named(company, capfd):
  some = company(3, silence=6.0)
  some.start()
  for step, at_work in ((7, (0, 1, 2)), (8, (0, 2))):
    for i in at_work:
      some.members[i].note(step)
  deadline = time.monotonic() + 20
  text = ''
  while 'all wait for process 1 (' not in text:
    assert time.monotonic() < deadline
    time.sleep(0.2)
    text += capfd.readouterr().err
  assert 'has been at step 7 for ' in text
  time.sleep(2)
  assert 'all wait' not in capfd.readouterr().err  # told once


def test_strangers_do_not_disturb(company, port):
  some = company(2)
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    task = pool.submit(some.start, delays={1: 1.0})
    for text in (
      b'GET / HTTP/1.1\r\n\r\n',
      b'{"kind": "hello"}\n',
      b'{"kind": "hello", "process": 1, "count": 2}\n',
      b'[1]\n',
    ):
      deadline = time.monotonic() + 10
      while True:
        try:
          with socket.create_connection(('127.0.0.1', port)) as stranger:
            stranger.sendall(text)
          break
        except ConnectionRefusedError:
          assert time.monotonic() < deadline
          time.sleep(0.05)
    assert task.result() == {}
  assert some.given[0].empty()


def test_differences_name_at_most_three_fields():
  theirs = FACTS | {'a': '1', 'b': '2', 'c': '3'}
  assert words.difference(FACTS, FACTS) == ''
  text = words.difference(FACTS, theirs | {'seed': '1'})
  assert text == 'a 1, not missing; b 2, not missing; c 3, not missing; 1 more'
