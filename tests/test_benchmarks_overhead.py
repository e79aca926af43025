"""The time of a whole training is accounted for, to the last moment."""

import importlib
import json
import pathlib
import time

import numpy as np
import pytest

from ferjax import logs, steps

BENCHMARKS = pathlib.Path(__file__).parent.parent / 'benchmarks'


@pytest.fixture
def overhead(monkeypatch):
  monkeypatch.syspath_prepend(BENCHMARKS)
  return importlib.import_module('overhead')


@pytest.fixture
def ledger(overhead):
  return overhead.books


def test_every_moment_is_the_innermost_parts(ledger, monkeypatch):
  clock = iter([1.0, 1.0, 3.0, 6.0, 10.0, 15.0])  # after 1, 0, 2, 3, 4, 5 s
  monkeypatch.setattr(ledger.time, 'perf_counter', lambda: next(clock))
  book = ledger.Ledger(0.0)
  book.read()
  with book.part('checkpoints'), book.part('logging'):
    pass
  found = book.read()
  expected = dict.fromkeys(ledger.PARTS, 0.0)
  expected |= {'start and build': 6.0, 'checkpoints': 6.0, 'logging': 3.0}
  assert found == expected


def test_a_step_tells_compilation_from_its_calls(ledger, monkeypatch):
  now = [0.0]
  monkeypatch.setattr(ledger.time, 'perf_counter', lambda: now[0])
  takes = iter([9.0, 2.0, 1.0, 1.0, 4.0])

  def work(state, table, batch):
    now[0] += next(takes)
    return state, {}

  step = ledger.Step(work, ledger.TRAIN, ledger.Ledger(0.0), lambda x: x)
  for size in (8, 8, 8, 8, 2):  # the last is a form of its own
    step((), (), {'index': np.zeros(size)})
  assert step.compilation() == (9 - 1) + 4
  assert step.at_median() == 4 * 1.5 + 4


def test_readings_and_the_long_training(overhead, ledger):
  parts = dict.fromkeys(ledger.PARTS, 0.0)
  parts |= {ledger.START: 4.0, ledger.COMPILE: 10.0, ledger.TRAIN: 70.0}
  parts |= {ledger.EVAL: 10.0, ledger.SAVE: 6.0}
  assert overhead.overhead(parts) == pytest.approx((0.1, 0.2))
  long = overhead.project(parts, 10)
  assert sum(long.values()) == 14 + 860
  assert overhead.overhead(long) == pytest.approx((64 / 874, 164 / 874))
  lines = overhead.table(parts, 10).splitlines()
  assert lines[2] == '| start and build | 4.0 | 4.0% | 4.0 | 0.5% |'
  assert lines[-1].split(' | ')[2::2] == ['**20.0%**', '**18.8%** |']


def test_a_training_gets_its_length(overhead, make_config):
  config = overhead.lengthen(make_config(), 3, 10)
  assert (config.num_epochs, config.num_steps) == (3.0, 0)
  assert (config.eval_every_epochs, config.eval_every_steps) == (1.0, 0)
  assert config.checkpoint_every_epochs == 10.0
  assert config.checkpoint_every_steps == 0


@pytest.mark.slow
@pytest.mark.parametrize('waits', [True, False])
def test_the_parts_of_a_training_are_its_wall_time(
  overhead, ledger, make_config, tmp_path, waits, monkeypatch
):
  turns = []

  def take_turns(works):
    turns.append(len(works))
    return {kind: 0.001 for kind, work in works.items() if work()}

  monkeypatch.setattr('clock.take_turns', take_turns)
  config = make_config()
  config.model.name = 'logistic'
  made = steps.make_train_step
  began = time.perf_counter()
  parts, steady = overhead.account(config, tmp_path, began, waits)
  wall = time.perf_counter() - began
  assert tuple(parts) == ledger.PARTS
  assert sum(parts.values()) == pytest.approx(wall, abs=0.5 if waits else 5.0)
  for name in (ledger.START, ledger.COMPILE, ledger.SAVE, ledger.FINISH):
    assert parts[name] > 0.01, name
  if not waits:
    # 30 steps; 3 validations and the final one, each 28 faces by 16.
    assert turns == [1, 1]
    assert (parts[ledger.TRAIN], steady) == pytest.approx((0.03, 0.03))
    assert parts[ledger.EVAL] == pytest.approx(0.008)
  else:
    assert min(parts.values()) > 0
  assert steps.make_train_step is made  # all is put back
  assert logs.read_metrics(tmp_path)[-1]['step'] == 30
  found = json.loads((tmp_path / 'eval/validation/metrics.json').read_text())
  assert found['num_examples'] == 28
