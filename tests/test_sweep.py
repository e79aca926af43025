"""A grid is checked before it trains, goes on, and survives what fails."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from ferjax import config as config_lib
from ferjax import sweep
from ferjax.errors import UserError

ROOT = pathlib.Path(__file__).parent.parent
CONFIG = f'--config={ROOT}/configs/simple_cnn.py'


def make_base(**settings):
  base = config_lib.default_config()
  base.update({'num_epochs': 1.0, **settings})
  return base


def start(data_dir, workdir, *arguments):
  """Starts `python -m ferjax.sweep` on a training of two steps."""
  settings = {
    'data.dir': data_dir,
    'num_epochs': 0,
    'num_steps': 2,
    'batch_size': 8,
    'eval_batch_size': 8,
    'model.name': 'logistic',
    'model.dropout': 0.0,
    'schedule.warmup_epochs': 0,
  }
  overrides = [f'--config.{name}={value}' for name, value in settings.items()]
  return subprocess.Popen(
    [
      *(sys.executable, '-m', 'ferjax.sweep', CONFIG, *overrides),
      *(f'--workdir={workdir}', *arguments),
    ],
    cwd=ROOT,
    env=dict(os.environ, XLA_FLAGS=''),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def call(*arguments):
  process = start(*arguments)
  output, errors = process.communicate(timeout=300)
  return process.returncode, output, errors


def test_the_grid_is_every_combination():
  cells = list(
    sweep.make_cells(
      make_base(seed=3), ['batch_size=64,128', 'model.name=simple_cnn,resnet18']
    )
  )
  assert [cell.name for cell in cells] == [
    'batch_size=64-model.name=simple_cnn',
    'batch_size=64-model.name=resnet18',
    'batch_size=128-model.name=simple_cnn',
    'batch_size=128-model.name=resnet18',
  ]
  assert cells[3].config.batch_size == 128
  assert cells[3].config.model.name == 'resnet18'
  assert cells[3].config.seed == 3
  assert cells[3].settings == [
    '--config.batch_size=128',
    '--config.model.name=resnet18',
  ]


def test_a_folder_can_have_the_name_of_any_value():
  cells = sweep.make_cells(make_base(), ['init_from=a/b,../a b'])
  names = [cell.name for cell in cells]
  assert names == ['init_from=a%2Fb', 'init_from=..%2Fa%20b']


@pytest.mark.parametrize(
  ('grid', 'words'),
  [
    (['batch_size'], 'give FIELD=VALUE,VALUE'),
    (['batch_size=1,,2'], 'give FIELD=VALUE,VALUE'),
    (['bach_size=1,2'], "no field 'bach_size'; have"),
    (['model.nme=mlp'], "no field 'nme'; have"),
    (['seed=1', 'seed=2'], 'seed is in the grid already'),
    (['batch_size=64,many'], 'cell batch_size=many: .*many'),
    (['seed=0,1.5'], 'cell seed=1.5: '),
    (['seed=0,-1'], 'config.seed is -1; the least is 0'),
    (['model.name=resnet18,mpl'], "cell model.name=mpl: unknown model 'mpl'"),
    (['num_steps=5'], 'give the same duration twice'),
    (['optimizer.name=sgd,agd'], 'cell optimizer.name=agd'),
  ],
)
def test_a_wrong_grid_is_refused(grid, words):
  with pytest.raises(UserError, match=words) as error:
    list(sweep.make_cells(make_base(), grid))
  assert '\n' not in str(error.value)


def test_a_training_that_fails_says_why():
  for script, words in (
    ('echo error: no data >&2; echo more >&2; exit 2', 'no data (exit status'),
    ('echo Traceback >&2; echo KeyError: 1 >&2; exit 1', 'KeyError: 1 (exit'),
    ('kill -9 $$', 'killed by SIGKILL, out of memory?'),
    ('exit 4', 'it did not say why (exit status 4)'),
  ):
    with sweep._Training(['/bin/sh', '-c', script]) as training:
      assert training.wait().startswith(words)


def is_finished(workdir, **changes):
  config = config_lib.from_json((workdir / 'config.json').read_text())
  config.update(changes)
  return sweep.is_finished(workdir, config)


@pytest.mark.slow
def test_a_sweep_trains_skips_and_survives(data_dir, tmp_path):
  grid = '--grid=loss.class_weights=x=1,none'
  status, output, errors = call(data_dir, tmp_path, grid, '--dry_run')
  assert status == 0, errors
  assert output.splitlines()[1] == '[2/2] loss.class_weights=none'
  assert not list(tmp_path.iterdir())

  status, output, errors = call(data_dir, tmp_path, grid)
  assert status == 1
  good = tmp_path / 'loss.class_weights=none'
  assert is_finished(good)
  assert not is_finished(good, seed=9)
  last = errors.splitlines()[-1]
  assert last.startswith('failed: loss.class_weights=x=1: config.loss.class_w')
  assert last.endswith('(exit status 2)')
  assert 'macro-F1' in output
  assert (tmp_path / 'comparison' / 'comparison.csv').exists()

  # Again: what is finished is skipped, and what lost its end goes on.
  metrics = good / 'eval' / 'validation' / 'metrics.json'
  figures = json.loads(metrics.read_text())
  metrics.unlink()
  grid = '--grid=loss.class_weights=none'
  for state in ('to resume', 'finished'):
    status, output, errors = call(data_dir, tmp_path, grid)
    assert status == 0, errors
    assert f'[1/1] loss.class_weights=none  {state}\n' in output
    assert json.loads(metrics.read_text())['accuracy'] == figures['accuracy']


@pytest.mark.slow
def test_a_signal_stops_all_so_that_it_can_go_on(data_dir, tmp_path):
  process = start(
    data_dir,
    tmp_path,
    '--grid=seed=0,1',
    '--config.num_steps=100000',
    '--config.log_every_steps=5',
    '--config.checkpoint_every_epochs=0',
  )
  metrics = tmp_path / 'seed=0' / 'metrics.jsonl'
  deadline = time.monotonic() + 100
  while not (metrics.exists() and metrics.stat().st_size):
    assert process.poll() is None, process.stderr.read()
    assert time.monotonic() < deadline
    time.sleep(0.2)
  process.send_signal(signal.SIGINT)
  output, errors = process.communicate(timeout=100)
  assert process.returncode == 130, errors
  assert 'is saved; the same command resumes' in output
  assert 'stopped; the same command goes on' in errors
  assert list((tmp_path / 'seed=0' / 'checkpoints').iterdir())
  assert not (tmp_path / 'seed=1').exists()
  assert not is_finished(tmp_path / 'seed=0')
