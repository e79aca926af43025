"""Starts are timed from outside, and their parts from inside."""

import importlib
import pathlib

import pytest

from ferjax.errors import UserError

BENCHMARKS = pathlib.Path(__file__).parent.parent / 'benchmarks'


@pytest.fixture
def startup(monkeypatch):
  monkeypatch.syspath_prepend(BENCHMARKS)
  return importlib.import_module('startup')


@pytest.mark.slow
def test_help_is_timed_and_a_failure_told(startup):
  figures = startup.measure([], ['main'], '', rounds=1)
  assert figures['main --help']['total'] < 60
  with pytest.raises(UserError, match=r'nope\.py'):
    startup.start('configs/nope.py', '/nowhere', '/nowhere')


def test_medians_and_aims(startup, monkeypatch):
  totals = iter([10.0, 5.0, 1.4, 20.0, 7.0, 1.6, 11.0, 5.5, 1.3])
  monkeypatch.setattr(startup, 'start', lambda *_: {'total': next(totals)})
  monkeypatch.setattr(startup, 'show_help', lambda _: {'total': next(totals)})
  configs, binaries = ['configs/simple_cnn.py'], ['main']
  figures = startup.measure(configs, binaries, '', rounds=3)
  table = startup.against_aims(figures, configs, binaries).splitlines()
  assert table[2:] == [
    '| configs/simple_cnn.py | 11.00 | 5.50 | 12 / 6 | yes |',
    '| main --help |  | 1.40 | 1.5 | yes |',
  ]
  figures['configs/simple_cnn.py, warm']['total'] = 6.1
  assert '| 6.10 | 12 / 6 | no |' in startup.against_aims(
    figures, configs, binaries
  )


@pytest.mark.slow
def test_the_parts_of_a_start(startup, data_dir, tmp_path):
  seconds = startup.start('configs/simple_cnn.py', data_dir, tmp_path)
  parts = [seconds[part] for part in startup.first_step.PARTS]
  assert sum(parts) == pytest.approx(seconds['total'])
  assert min(parts) > 0
  assert seconds['compile'] > seconds['first step']
  assert len(list(tmp_path.iterdir())) > 2  # small programs are kept too
