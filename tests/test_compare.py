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


def call(*arguments, **kwargs):
  """Runs `python -m ferjax.compare`; returns its status, output and errors."""
  done = subprocess.run(
    [sys.executable, '-m', 'ferjax.compare', *map(str, arguments)],
    cwd=ROOT,
    env=dict(os.environ, XLA_FLAGS=''),
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
    **kwargs,
  )
  return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_compare_tells_and_writes_all(tmp_path):
  runs = [make_run(tmp_path / str(hits), hits=hits) for hits in (30, 50)]
  unfinished = make_run(tmp_path / 'unfinished', recorded=10)
  status, output, errors = call(
    *runs, unfinished, tmp_path / 'nothing', f'--output={tmp_path / "out"}'
  )
  assert status == 0, errors
  assert 'McNemar p = 1.9e-06: 50 is better' in output
  warnings = errors.splitlines()
  assert len(warnings) == 2
  assert f'left out: {unfinished} is unfinished: step 10 of 20' in warnings[0]
  assert 'nothing/config.json cannot be read' in warnings[1]
  with (tmp_path / 'out' / 'comparison.csv').open() as file:
    rows = list(csv.DictReader(file))
  assert [row['run'] for row in rows] == ['50', '30']
  assert float(rows[0]['validation_accuracy']) == 50 / 60
  assert rows[0]['test_accuracy'] == ''
  assert '83.33' in (tmp_path / 'out' / 'comparison.md').read_text()
  with Image.open(tmp_path / 'out' / 'comparison.png') as image:
    assert image.width > 1000


@pytest.mark.slow
def test_compare_without_a_finished_run(tmp_path):
  status, _, errors = call(tmp_path)
  assert status == 2
  assert errors.splitlines()[-1].startswith('error: no finished run')
  status, _, errors = call()
  assert (status, errors) == (2, 'error: give a workdir or more\n')
