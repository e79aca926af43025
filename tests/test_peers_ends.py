"""Processes that know of each other end together, whichever way one ends."""

import concurrent.futures
import socket
import time

from company import free_port
import loopback
import pytest

from ferjax.errors import RetryError
from ferjax.peers import hub
from ferjax.peers.line import Line


@pytest.fixture
def company():
  with loopback.companies() as make:
    yield make


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


def test_one_message_ends_all_while_another_waits():
  port = free_port()

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
