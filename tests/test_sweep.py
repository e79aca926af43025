"""A sweep goes on where it was stopped, and survives what fails."""

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
from ferjax.studies import outcome

ROOT = pathlib.Path(__file__).parent.parent
CONFIG = f'--config={ROOT}/configs/simple_cnn.py'


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


def test_a_process_that_fails_says_why():
  for script, words in (
    ('echo error: no data >&2; echo more >&2; exit 2', 'no data (exit status'),
    ('echo Traceback >&2; echo KeyError: 1 >&2; exit 1', 'KeyError: 1 (exit'),
    ('kill -9 $$', 'killed by SIGKILL, out of memory?'),
    ('exit 4', 'it did not say why (exit status 4)'),
  ):
    with sweep._Child(['/bin/sh', '-c', script]) as child:
      assert child.wait().startswith(words)
    assert not child.stopped


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_passed_on(number):
  script = 'trap "echo error: asked >&2; exit 5" TERM; echo >&2; sleep 9 & wait'
  before = signal.getsignal(number)
  with sweep._Child(['/bin/sh', '-c', script]) as child:
    child._process.stderr.readline()  # its trap is set
    os.kill(os.getpid(), number)
    assert child.wait() == 'asked (exit status 5)'
  assert child.stopped
  assert signal.getsignal(number) == before


def test_a_signal_just_before_the_process_is_passed_on(monkeypatch):
  popen = subprocess.Popen

  def start_late(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGHUP)
    return popen(*args, **kwargs)

  monkeypatch.setattr(subprocess, 'Popen', start_late)
  with sweep._Child(['/bin/sleep', '9']) as child:
    assert child.wait() == 'killed by SIGTERM'
  assert child.stopped


def test_a_closed_terminal_stops_nothing_under_nohup():
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with sweep._Child(['/bin/sleep', '0.1']) as child:
      os.kill(os.getpid(), signal.SIGHUP)
      assert child.wait() == ''
    assert not child.stopped
  finally:
    signal.signal(signal.SIGHUP, before)


def is_finished(workdir, **changes):
  config = config_lib.from_json((workdir / 'config.json').read_text())
  config.update(changes)
  return outcome.is_finished(workdir, config)


@pytest.mark.slow
def test_a_sweep_trains_skips_and_survives(data_dir, tmp_path):
  grid = '--grid=loss.class_weights="x=1",none'
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
  assert 'simple_cnn' not in output
  figures = json.loads((good / 'eval' / 'train' / 'metrics.json').read_text())
  assert f'{figures["accuracy"]:.2%}'.rstrip('%') in output
  assert 'train accuracy: python' not in output
  assert (tmp_path / 'comparison' / 'comparison.csv').exists()

  # Again: what is finished is skipped, and what lost its end goes on.
  metrics = good / 'eval' / 'validation' / 'metrics.json'
  figures = json.loads(metrics.read_text())
  metrics.unlink()
  grid = '--grid=loss.class_weights=none'
  written = (good / 'eval' / 'train' / 'metrics.json').stat().st_mtime_ns
  for state in ('to resume', 'finished'):
    status, output, errors = call(data_dir, tmp_path, grid)
    assert status == 0, errors
    assert f'[1/1] loss.class_weights=none  {state}\n' in output
    assert json.loads(metrics.read_text())['accuracy'] == figures['accuracy']
  train = good / 'eval' / 'train' / 'metrics.json'
  assert train.stat().st_mtime_ns == written

  # A train accuracy is nothing that a sweep would fail for.
  train.write_text('{')
  (good / 'checkpoints').rename(good / 'gone')
  status, output, errors = call(data_dir, tmp_path, grid)
  assert status == 0, errors
  assert 'warning: loss.class_weights=none: no train accuracy: ' in errors
  assert 'train accuracy: python' in output


@pytest.mark.slow
def test_a_file_is_no_workdir(data_dir, tmp_path):
  path = tmp_path / 'file'
  path.touch()
  for more in ([], ['--dry_run']):
    status, output, errors = call(data_dir, path, '--grid=seed=0', *more)
    assert (status, output) == (2, '')
    assert errors == f'error: --workdir={path} is a file; give a folder\n'


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
