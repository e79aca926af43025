"""Every binary starts, and answers bad input with one clear line."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def call(*arguments):
  """Runs `python -m ferjax.NAME`; returns its status, output and errors."""
  environment = dict(os.environ)
  environment.pop('XLA_FLAGS', None)
  done = subprocess.run(
    [sys.executable, '-m', *arguments],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
  'name',
  [
    'main',
    'evaluate',
    'explore',
    'crossval',
    'prepare',
    'compare',
    'sweep',
    'summary',
    'benchmark',
  ],
)
def test_help(name):
  status, output, _ = call(f'ferjax.{name}', '--help')
  assert status in (0, 1)  # absl's --help ends with 1
  assert f'python -m ferjax.{name}' in output


SIMPLE = '--config=configs/simple_cnn.py'


@pytest.mark.parametrize(
  ('flags', 'words'),
  [
    (['--config=configs/nope.py'], 'there is no such file'),
    ([SIMPLE + ':datset=fer2013'], "unknown config argument 'datset=fer2013'"),
    ([SIMPLE, '--config.bach_size=8'], 'batch_size'),
    (
      [SIMPLE, '--config.batch_size=many'],
      'invalid literal for int() with base',
    ),
    ([SIMPLE, '--config.model.name=vgg'], "unknown model 'vgg'; have"),
    ([SIMPLE, '--config.data.name=imagenet'], 'synthetic, fer2013, ferplus,'),
    ([SIMPLE, '--config.data.dir=/nowhere'], 'fer2013 is not prepared'),
    ([SIMPLE, '--config.num_steps=9'], 'give the same duration twice'),
    ([SIMPLE, '--config.seed=-1'], 'config.seed is -1; the least is 0'),
    ([SIMPLE, '--num_processes=2'], 'together, or --distributed=auto alone'),
    ([SIMPLE, 'stray'], "what does 'stray' mean"),
    ([], 'config'),
  ],
)
def test_main_answers_bad_input_with_one_line(flags, words):
  status, output, errors = call('ferjax.main', *flags)
  assert status == 2, output + errors
  assert words in errors
  assert errors.startswith('error: ')
  assert 'Traceback' not in output + errors
  if 'is not prepared' not in words:  # that says what to do as well
    assert len(errors.splitlines()) == 1


def test_benchmark_names_a_missing_config():
  status, _, errors = call('ferjax.benchmark', '--config=configs/nope.py')
  assert (status, len(errors.splitlines())) == (2, 1)
  assert 'there is no such file' in errors


def test_unprepared_data_is_answered_with_what_to_do():
  _, _, errors = call('ferjax.main', SIMPLE, '--config.data.dir=/nowhere')
  for words in ('kaggle', 'python -m ferjax.prepare', 'dataset=synthetic'):
    assert words in errors
  assert len(errors.splitlines()) <= 5


def test_unwritable_workdir(data_dir, tmp_path):
  file = tmp_path / 'file'
  file.touch()
  status, _, errors = call(
    'ferjax.main',
    SIMPLE,
    f'--config.data.dir={data_dir}',
    f'--workdir={file}/x',
  )
  assert status == 2
  assert errors.startswith(f'error: cannot write to the workdir {file}/x')
  assert len(errors.splitlines()) == 1


def test_evaluate_names_a_workdir_that_is_none(tmp_path):
  status, _, errors = call('ferjax.evaluate', f'--workdir={tmp_path}')
  assert status == 2
  assert 'config.json cannot be read' in errors
  assert 'Traceback' not in errors


@pytest.fixture(scope='module')
def trained(data_dir, tmp_path_factory):
  """A workdir of a short run, and what the run printed."""
  workdir = tmp_path_factory.mktemp('trained')
  status, output, errors = call(
    'ferjax.main',
    SIMPLE,
    f'--workdir={workdir}',
    f'--config.data.dir={data_dir}',
    '--config.num_epochs=2',
    '--config.batch_size=28',
    '--config.log_every_steps=2',
  )
  assert status == 0, errors
  return workdir, output


@pytest.mark.slow
def test_main_tells_how_it_goes_and_what_comes_next(trained):
  workdir, output = trained
  assert 'simple_cnn, 1,274,599 parameters, float32' in output
  assert '84 train, 28 validation' in output
  assert 'step 6/6' in output
  assert 'rows: true class, columns: predicted' in output
  command = f'python -m ferjax.evaluate --workdir={workdir} --split=test'
  assert command in output
  assert (workdir / 'eval/validation/confusion_counts.png').exists()
  assert (workdir / 'curves.png').exists()


@pytest.mark.slow
def test_evaluate_after_main(trained):
  workdir, _ = trained
  status, output, errors = call('ferjax.evaluate', f'--workdir={workdir}')
  assert status == 0, errors
  folder = workdir / 'eval' / 'test'
  figures = json.loads((folder / 'metrics.json').read_text())
  assert figures['num_examples'] == 28
  assert f'accuracy {figures["accuracy"]:.2%}' in output
  rows = (folder / 'predictions.csv').read_text().splitlines()
  assert rows[0].startswith('index,label,prediction,angry,disgust')
  assert len(rows) == 29
  first = rows[1].split(',')
  assert first[:2] == ['112', 'angry']  # the row in the csv that was read
  assert sum(map(float, first[3:])) == pytest.approx(1, abs=1e-5)
  assert (folder / 'confusion_normalized.png').exists()


@pytest.mark.slow
def test_evaluate_refuses_what_is_not_there(trained):
  workdir, _ = trained
  status, _, errors = call(
    'ferjax.evaluate', f'--workdir={workdir}', '--checkpoint=77'
  )
  assert status == 2
  assert "no checkpoint '77'; have best, latest, [" in errors
  assert len(errors.splitlines()) == 1


@pytest.mark.slow
def test_a_damaged_checkpoint_is_one_line(trained, tmp_path):
  workdir = tmp_path / 'copy'
  shutil.copytree(trained[0], workdir)
  for path in workdir.glob('checkpoints/*/model/**/d/*'):
    path.write_bytes(path.read_bytes()[:50])
  status, _, errors = call('ferjax.evaluate', f'--workdir={workdir}')
  assert status == 2
  assert ' is damaged (' in errors
  assert 'Traceback' not in errors


@pytest.mark.slow
def test_benchmark(data_dir, tmp_path):
  output = tmp_path / 'speed.json'
  status, _, errors = call(
    'ferjax.benchmark',
    SIMPLE,
    f'--config.data.dir={data_dir}',
    '--config.batch_size=8',
    '--calls=2',
    f'--output={output}',
  )
  assert status == 0, errors
  figures = json.loads(output.read_text())
  assert figures['input_images_per_second'] > 0
  assert 0 < figures['kept'] < 3
  assert figures['compile_seconds'] > 0
  assert figures['peak_memory_bytes'] > 1e8


@pytest.mark.parametrize('name', ['main', 'summary', 'crossval'])
def test_a_config_file_that_gives_no_config_is_one_line(tmp_path, name):
  path = tmp_path / 'own.py'
  path.write_text('def get_config():\n  return 5\n')
  status, output, errors = call(f'ferjax.{name}', f'--config={path}')
  assert (status, output) == (2, '')
  assert errors.startswith(f'error: --config={path}: what get_config() returns')
  assert len(errors.splitlines()) == 1
