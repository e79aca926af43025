"""Who is said to stand still, of processes that are made up."""

import pytest

from ferjax.peers import watch

SILENCE = 30.0


@pytest.fixture
def some():
  """Two processes that were heard at second 100."""
  return {i: watch.Known(f'process {i}', object(), 100.0) for i in range(2)}


@pytest.fixture
def tell():
  watcher = watch.Watch(SILENCE)
  return lambda *given: list(watcher.warnings(*given))


def step(known, step, notes, now):
  known.step, known.notes, known.since, known.heard = step, notes, now, now


def test_one_that_is_silent_is_named_once_in_each_silence(some, tell):
  some[0].heard = 112.0
  assert tell(some, 110.0) == []
  assert tell(some, 111.0) == ['process 1 has been silent for 11 s']
  assert tell(some, 112.0) == []
  some[1].heard = some[0].heard = 113.0
  assert tell(some, 120.0) == []
  some[0].heard = 125.0
  assert tell(some, 125.0) == ['process 1 has been silent for 12 s']
  some[1].has_left = True
  assert tell(some, 200.0) == ['process 0 has been silent for 75 s']


def test_a_beat_may_be_late_where_the_silence_is_short(some):
  assert list(watch.Watch(3.0).warnings(some, 102.5)) == []


def test_all_may_have_left(some, tell):
  some[0].has_left = some[1].has_left = True
  assert tell(some, 200.0) == []


def test_steps_that_begin_again_are_later_than_those_before(some, tell):
  step(some[1], 100, 100, 110.0)  # the last of its first training
  step(some[0], 1, 101, 112.0)  # and the first of the next one
  for known in some.values():
    known.heard = 122.0
  (text,) = tell(some, 122.0)
  assert text == ('all wait for process 1, which has been at step 100 for 12 s')
  assert tell(some, 123.0) == []
  step(some[1], 1, 101, 124.0)
  assert tell(some, 125.0) == []
