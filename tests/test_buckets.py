"""A whole round in a bucket, by the real clients, against emulated servers."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import buckets
import pytest

ROOT = pathlib.Path(__file__).parent.parent
NUM_STEPS = 20
PUT = """
import pathlib, sys
from ferjax import storage
content = pathlib.Path(sys.argv[1]).read_bytes()
storage.write_bytes(storage.path(sys.argv[2]), content)
"""
EVALUATION = '-m', 'ferjax.evaluate', '--split=test'
# What a kill and a resume must not change.
FIGURES = 'train/loss', 'train/accuracy', 'val/loss', 'val/accuracy'

pytestmark = [pytest.mark.stress, pytest.mark.slow]


@pytest.fixture(params=['gs', pytest.param('s3', marks=pytest.mark.long)])
def bucket(request):
  with buckets.emulated(request.param) as bucket:
    yield bucket


def start(folder, *arguments, **environment):
  """Starts a process of one CPU device, whose caches are in a folder."""
  return subprocess.Popen(
    [sys.executable, *map(str, arguments)],
    cwd=ROOT,
    env={
      **os.environ,
      'XLA_FLAGS': '',
      'XDG_CACHE_HOME': str(folder / 'cache'),
      'TMPDIR': str(folder),
      **environment,
    },
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
  )


def finish(process):
  """Waits for a process; returns its status and all that it said."""
  try:
    output, _ = process.communicate(timeout=900)
  finally:
    process.kill()
  return process.returncode, output


def training(data_dir, workdir):
  return [
    *('-m', 'ferjax.main', '--config=configs/simple_cnn.py'),
    f'--workdir={workdir}',
    f'--config.data.dir={data_dir}',
    '--config.num_epochs=0',
    f'--config.num_steps={NUM_STEPS}',
    '--config.batch_size=16',
    '--config.schedule.warmup_epochs=0',
    '--config.log_every_steps=1',
    '--config.eval_every_epochs=0',
    '--config.eval_every_steps=5',
    '--config.checkpoint_every_epochs=0',
    '--config.checkpoint_every_steps=4',
  ]


@pytest.fixture(scope='module')
def local(data_dir, tmp_path_factory):
  """The workdir of the same training on this machine, evaluated."""
  folder = tmp_path_factory.mktemp('local')
  workdir = folder / 'a'
  for arguments in (
    training(data_dir, workdir),
    (*EVALUATION, f'--workdir={workdir}'),
  ):
    status, output = finish(start(folder, *arguments))
    assert status == 0, output
  return workdir


def figures(text):
  """Returns the figures of each step of metrics.jsonl."""
  records = {}
  for line in text.splitlines():
    record = json.loads(line)
    found = {name: record[name] for name in FIGURES if name in record}
    records.setdefault(record['step'], {}).update(found)
  return records


def kill_after_a_checkpoint(process, bucket):
  """Kills a training once its first checkpoint is whole in the bucket."""
  folder = 'runs/a/checkpoints/'
  last = ('commit_success.txt', '_CHECKPOINT_METADATA')
  deadline = time.monotonic() + 600
  while process.poll() is None and time.monotonic() < deadline:
    tails = [name.removeprefix(folder) for name in bucket.names(folder)]
    if all(
      any(t.endswith(x) and t.count('/') == 1 for t in tails) for x in last
    ):
      break
    time.sleep(0.1)
  process.kill()
  output, _ = process.communicate(timeout=60)
  assert process.returncode == -signal.SIGKILL, output


def test_a_whole_round(bucket, data_dir, local, tmp_path):
  def there(*arguments):
    process = start(tmp_path, *arguments, **bucket.environment)
    status, output = finish(process)
    assert status == 0, output
    return output

  source, data = f'{bucket.url}/raw/fer2013.csv', f'{bucket.url}/data'
  there('-c', PUT, pathlib.Path(data_dir) / 'fer2013.csv', source)
  output = there(
    *('-m', 'ferjax.prepare', '--dataset=fer2013'),
    f'--source={source}',
    f'--data_dir={data}',
  )
  assert f'FER2013 from {source}' in output
  assert f'written to {data}/fer2013/1.0.0' in output
  workdir = f'{bucket.url}/runs/a'
  process = start(tmp_path, *training(data, workdir), **bucket.environment)
  kill_after_a_checkpoint(process, bucket)
  output = there(*training(data, workdir))
  assert 'resumed at step' in output
  assert 'copying' not in output  # the data are here since the first start

  expected = figures((local / 'metrics.jsonl').read_text())
  found = figures(bucket.read('runs/a/metrics.jsonl').decode())
  assert found.keys() <= expected.keys()
  for step, record in found.items():
    assert record == expected[step], step
  # What a kill may take along is what was logged since a validation.
  assert set(range(5, NUM_STEPS + 1, 5)) <= found.keys()
  names = bucket.names('runs/a/')
  assert any('/tensorboard/events' in name for name in names)
  assert not any('write-test' in name for name in names)
  for name in ('config.json', 'dataset.json', 'curves.png', 'samples.png'):
    assert f'runs/a/{name}' in names

  there(*EVALUATION, f'--workdir={workdir}', '--report')
  ours = (local / 'eval' / 'test' / 'predictions.csv').read_bytes()
  assert bucket.read('runs/a/eval/test/predictions.csv') == ours
  assert bucket.read('runs/a/eval/test/report.html').endswith(b'</html>\n')

  output = there(
    *('-m', 'ferjax.compare', workdir, local, f'--output={bucket.url}/table')
  )
  table = bucket.read('table/comparison.csv').decode()
  assert len(table.splitlines()) == 3
  assert 'runs/a' in table
  assert bucket.read('table/comparison.png').startswith(b'\x89PNG')


def test_what_is_wrong_is_one_line(bucket, tmp_path):
  scheme = bucket.url.partition(':')[0]
  nowhere = f'{scheme}://nobody/runs'
  for arguments, expected in (
    ((f'--workdir={nowhere}',), f'error: {nowhere}: there is no bucket'),
    ((f'--workdir={bucket.url}/none',), 'none/config.json cannot be read'),
    (('--workdir=az://b/x',), 'error: az://b/x: az:// is not supported'),
  ):
    process = start(tmp_path, *EVALUATION, *arguments, **bucket.environment)
    status, output = finish(process)
    assert status == 2, output
    assert expected in output
    assert 'Traceback' not in output


def test_who_cannot_get_in_is_told_how(tmp_path):
  with buckets.emulated('s3') as bucket:
    arguments = *EVALUATION, f'--workdir={bucket.url}/runs/a'
    nobody = {
      'AWS_ENDPOINT_URL': bucket.environment['AWS_ENDPOINT_URL'],
      'AWS_EC2_METADATA_DISABLED': 'true',
      'HOME': str(tmp_path),
    }
    status, output = finish(start(tmp_path, *arguments, **nobody))
  assert status == 2, output
  assert output.count('\n') == 1
  assert 'permission denied (Unable to locate credentials); set AWS_' in output


def test_a_bucket_that_is_down_is_worth_another_try(tmp_path):
  with buckets.emulated('s3') as bucket:
    environment = bucket.environment
  arguments = *EVALUATION, f'--workdir={bucket.url}/runs/a'
  status, output = finish(start(tmp_path, *arguments, **environment))
  assert status == 4, output
  assert output.startswith(f'error: {bucket.url}/runs/a does not answer: ')
  assert output.count('\n') == 1
