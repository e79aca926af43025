"""Benchmarks take turns, say where they ran and write what they found."""

import importlib
import json
import pathlib
import re
import socket

import jax
import pytest

from ferjax.errors import UserError

BENCHMARKS = pathlib.Path(__file__).parent.parent / 'benchmarks'


@pytest.fixture
def clock(monkeypatch):
  monkeypatch.syspath_prepend(BENCHMARKS)
  return importlib.import_module('clock')


class Time:
  """Passes only when work is done, and remembers whose."""

  def __init__(self):
    self.now = 0.0
    self.turns = []

  def perf_counter(self):
    return self.now

  def work(self, name, seconds):
    """Takes these seconds call by call, the last for ever."""
    seconds = list(seconds)

    def work():
      self.turns.append(name)
      self.now += seconds.pop(0) if len(seconds) > 1 else seconds[0]

    return work


@pytest.fixture
def time(clock, monkeypatch):
  time = Time()
  monkeypatch.setattr(clock, 'time', time)
  return time


def test_works_take_turns_and_fill_them(clock, time):
  works = {
    'quick': time.work('q', [60.0, 0.25]),  # a minute to compile
    'slow': time.work('s', [60.0, 7.0]),
  }
  times = clock.take_turns(works, rounds=3, seconds=1.0)
  assert times == {'quick': 0.25, 'slow': 7.0}
  assert ''.join(time.turns) == 'qs' + 'qs' + 3 * 'qqqqs'


def test_medians_over_the_rounds(clock, time):
  wandering = time.work('w', [9.0, 5.0, 2.0, 50.0, 4.0])
  times = clock.take_turns({'w': wandering}, rounds=3, seconds=1.0)
  assert times == {'w': 4.0}


def test_waits_for_what_came_back(clock, time):
  class Pending:
    def block_until_ready(self):
      time.now += 0.5
      return self

  times = clock.take_turns({'later': lambda: [Pending()]}, seconds=0.0)
  assert times['later'] >= 0.5


def test_machine_names_no_host(clock):
  line = clock.machine()
  assert f'{clock.cores()} cores' in line
  assert f'jax {jax.__version__}, cpu, 4 x cpu' in line
  assert socket.gethostname() not in line
  assert '\n' not in line


def test_numbers(clock):
  assert clock.numbers('sizes', ['64', '8']) == [8, 64]
  assert clock.numbers('widths', ['2', '.5'], float, lowest=0.1) == [0.5, 2.0]
  assert clock.numbers('seeds', ['0'], lowest=0) == [0]


@pytest.mark.parametrize('given', ['', '8,a', '8,8', '0,8', '1.5'])
def test_numbers_are_whole_different_and_not_too_low(clock, given):
  message = f'--sizes={given}: give different whole numbers from 1 on'
  with pytest.raises(UserError, match=re.escape(message)):
    clock.numbers('sizes', given.split(','))


def test_markdown(clock):
  table = clock.markdown(['network', 'ratio'], iter([['`a`', '1.5']]))
  assert table == '| network | ratio |\n|---|---|\n| `a` | 1.5 |'


def test_write(clock, tmp_path, capsys):
  path = tmp_path / 'new' / 'figures.json'
  clock.write(str(path), [{'ratio': 1.5}])
  assert json.loads(path.read_text()) == [{'ratio': 1.5}]
  assert str(path) in capsys.readouterr().out


def test_write_only_where_a_path_is_given(clock, capsys):
  clock.write(None, {})
  assert capsys.readouterr().out == ''


def test_write_tells_what_cannot_be_written(clock, tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(UserError, match=r'cannot write --output=.*file/x'):
    clock.write(str(tmp_path / 'file' / 'x'), {})
