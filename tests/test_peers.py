"""Processes get to know each other, and agree on what they are about to do."""

import concurrent.futures
import socket
import time

import loopback
import pytest

from ferjax.errors import RetryError, UserError
from ferjax.peers import hub, words


@pytest.fixture
def company():
  with loopback.companies() as make:
    yield make


def test_all_agree_and_leave_in_peace(company):
  some = company(4)
  assert some.start(delays={0: 0.5, 2: 0.3}) == {}
  with socket.create_server(('127.0.0.1', some.port)):
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


def test_without_process_0_the_others_say_so(company):
  some = company(2, patience=0.5)
  (error,) = some.start(only=[1]).values()
  assert isinstance(error, RetryError)
  assert f'process 1 could not reach process 0 at 127.0.0.1:{some.port}' in str(
    error
  )


def test_another_count_is_told_to_all(company):
  some = company(3)
  errors = some.start(counts={1: 2}, delays={1: 1.0})
  assert set(errors) == {0, 1, 2}
  assert all(
    'is one of 2, process 0 one of 3' in str(e) for e in errors.values()
  )


def test_one_place_cannot_be_taken_twice(company):
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


def test_strangers_do_not_disturb(company):
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
          with socket.create_connection(('127.0.0.1', some.port)) as stranger:
            stranger.sendall(text)
          break
        except ConnectionRefusedError:
          assert time.monotonic() < deadline
          time.sleep(0.05)
    assert task.result() == {}
  assert some.given[0].empty()


def test_differences_name_at_most_three_fields():
  theirs = loopback.FACTS | {'a': '1', 'b': '2', 'c': '3'}
  assert words.difference(loopback.FACTS, loopback.FACTS) == ''
  text = words.difference(loopback.FACTS, theirs | {'seed': '1'})
  assert text == 'a 1, not missing; b 2, not missing; c 3, not missing; 1 more'
