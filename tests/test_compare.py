"""The comparison of workdirs, from the command line."""

import csv
import os
import pathlib
import subprocess
import sys

from miniature import make_run
from PIL import Image
import pytest

ROOT = pathlib.Path(__file__).parent.parent


def call(*arguments, **environment):
  """Runs `python -m ferjax.compare`; returns its status, output and errors."""
  done = subprocess.run(
    [sys.executable, '-m', 'ferjax.compare', *map(str, arguments)],
    cwd=ROOT,
    env=dict(os.environ, XLA_FLAGS='', **environment),
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_compare_tells_and_writes_all(tmp_path):
  runs = [make_run(tmp_path / str(hits), hits=hits) for hits in (30, 50)]
  unfinished = make_run(tmp_path / 'unfinished', recorded=10)
  gone = make_run(tmp_path / 'gone', model='alexnet')
  (tmp_path / 'link').symlink_to(runs[0])
  status, output, errors = call(
    *runs,
    f'{runs[0]}/',
    tmp_path / 'link',
    unfinished,
    tmp_path / 'nothing',
    '~nobody-at-all/run',
    gone,
    f'--output={tmp_path / "out"}',
    JAX_PLATFORMS='cuda',  # which is not asked for, and may not be there
  )
  assert status == 0, errors
  line = 'simple_cnn 50 is better than simple_cnn 30 (20 : 0 right alone'
  assert line in ' '.join(output.split())
  assert all(len(line) <= 100 for line in output.splitlines())
  warnings = errors.splitlines()
  assert len(warnings) == 4
  assert f'left out: {unfinished} is unfinished: step 10 of 20' in warnings[0]
  assert 'nothing/config.json cannot be read' in warnings[1]
  assert '~nobody-at-all/run/config.json cannot be read' in warnings[2]
  assert f"left out: {gone}: unknown model 'alexnet'" in warnings[3]
  with (tmp_path / 'out' / 'comparison.csv').open() as file:
    rows = list(csv.DictReader(file))
  assert [row['run'] for row in rows] == ['50', '30']
  assert float(rows[0]['validation_accuracy']) == 50 / 60
  assert rows[0]['test_accuracy'] == ''
  assert '83.33' in (tmp_path / 'out' / 'comparison.md').read_text()
  with Image.open(tmp_path / 'out' / 'comparison.png') as image:
    assert image.width > 1000
  assert len(list((tmp_path / 'out').iterdir())) == 3


@pytest.mark.slow
def test_a_terminal_that_knows_no_letters_gets_the_table(tmp_path):
  run = make_run(tmp_path / 'Lauf-\N{LATIN SMALL LETTER U WITH DIAERESIS}')
  output = tmp_path / 'out'
  status, words, errors = call(
    run, f'--output={output}', PYTHONIOENCODING='ascii', PYTHONUTF8='0'
  )
  assert status == 0, errors
  assert r'Lauf-\xfc' in words
  text = (output / 'comparison.md').read_text(encoding='utf-8')
  assert 'Lauf-\N{LATIN SMALL LETTER U WITH DIAERESIS}' in text


@pytest.mark.slow
def test_an_output_that_cannot_be_written_is_refused_first(tmp_path):
  run = make_run(tmp_path / 'run')
  status, output, errors = call(run, f'--output={run / "config.json" / "x"}')
  assert (status, output) == (2, '')
  assert errors.startswith('error: cannot write to --output=')
  assert len(errors.splitlines()) == 1


@pytest.mark.slow
def test_compare_without_a_finished_run(tmp_path):
  status, _, errors = call(tmp_path)
  assert status == 2
  assert errors.splitlines()[-1].startswith('error: no finished run')
  status, _, errors = call()
  assert (status, errors) == (2, 'error: give a workdir or more\n')
