"""The launch scripts: what they would run, and how they end."""

import os
import re
import shlex
import signal
import subprocess
import time

import pytest
from standins import LAUNCH, SCRIPTS, launch, program

FLAGS = ['--config=configs/resnet.py:depth=18', '--workdir=runs/a b']
REMOTE_DATA = '--config.data.dir=gs://BUCKET/data'

# Stands in for Python: notes its flags, then does what its process is told.
PYTHON = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$NOTES/args-$$"
for flag in "$@"; do
  case $flag in --process_id=*) id=${flag#*=} ;; esac
done
trap 'echo TERM > "$NOTES/stopped-$id"; exit 143' TERM
echo "hello from $id"
act="ACT_$id"
eval "${!act}"
"""


@pytest.mark.parametrize('path', sorted(LAUNCH.glob('*.sh')), ids=str)
def test_lint(path):
  command = [SCRIPTS / 'shellcheck', '--external-sources', path]
  subprocess.run(command, cwd=LAUNCH.parent, check=True, timeout=100)


@pytest.mark.parametrize(
  'script', ['local.sh', 'tpu_vm.sh', 'gke.sh', 'restart.sh']
)
def test_help_and_mistakes(script):
  shown = launch(script, '--help')
  assert shown.returncode == 0
  assert shown.stdout.startswith(f'Usage: launch/{script}')
  mistaken = launch(script)
  assert mistaken.returncode == 2
  assert 'see --help' in mistaken.stderr


@pytest.mark.parametrize('name', ['gke', 'tpu_vm'])
@pytest.mark.parametrize('kind', ['md', 'sh'])
def test_examples_bring_their_data(name, kind):
  # A new machine has none, and a training without ends with status 2.
  text = (LAUNCH / f'{name}.{kind}').read_text().replace('\\\n', '')
  examples = re.findall(r'launch/\S+ .*--config=.*', text)
  assert examples
  for words in map(str.split, examples):
    assert {REMOTE_DATA, '--data=~/ferjax_data'} & set(words)
  prepared = re.findall(r'python -m ferjax.prepare (.*)', text)
  assert prepared
  for words in map(str.split, prepared):
    assert ('--data_dir=gs://BUCKET/data' in words) == (REMOTE_DATA in text)


def test_local_dry_run():
  done = launch('local.sh', '--dry_run', '2', *FLAGS, PYTHON='py')
  assert done.returncode == 0
  first, second = (shlex.split(line) for line in done.stdout.splitlines())
  assert first[:5] == ['py', '-m', 'ferjax.main', *FLAGS]
  host, port = first[5].rsplit(':', 1)
  assert host == '--coordinator_address=127.0.0.1'
  assert 20000 <= int(port) < 32000
  assert first[6:] == ['--num_processes=2', '--process_id=0']
  assert second == [*first[:-1], '--process_id=1']


@pytest.fixture
def machine(tmp_path):
  """An environment for local.sh with the stand-in for Python."""
  python = program(tmp_path / 'python', PYTHON)
  return {'PYTHON': python, 'NOTES': str(tmp_path), 'TMPDIR': str(tmp_path)}


def test_local_runs_all_and_shows_the_first(tmp_path, machine):
  done = launch('local.sh', '2', *FLAGS, **machine, ACT_0=':', ACT_1=':')
  assert done.returncode == 0, done.stderr
  assert done.stdout == 'hello from 0\n'
  notes = [p.read_text().splitlines() for p in tmp_path.glob('args-*')]
  assert {args[-1] for args in notes} == {f'--process_id={i}' for i in (0, 1)}
  assert all(args[:4] == ['-m', 'ferjax.main', *FLAGS] for args in notes)
  (log,) = tmp_path.glob('ferjax-local.*/1.log')
  assert str(log) in done.stderr
  assert log.read_text() == 'hello from 1\n'


@pytest.mark.parametrize('failing', [0, 2])
def test_local_stops_all_when_one_fails(tmp_path, machine, failing):
  acts = {f'ACT_{i}': 'while :; do sleep 0.1; done' for i in range(3)}
  acts[f'ACT_{failing}'] = 'sleep 0.5; exit 7'
  start = time.monotonic()
  done = launch('local.sh', '3', **machine, **acts)
  assert done.returncode == 7
  assert time.monotonic() - start < 60
  assert f'process {failing} ended with status 7' in done.stderr
  stopped = {path.name for path in tmp_path.glob('stopped-*')}
  assert stopped == {f'stopped-{i}' for i in range(3) if i != failing}


@pytest.mark.parametrize(
  ('number', 'status'),
  [(signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGHUP, 129)],
)
def test_local_passes_a_signal_on(tmp_path, machine, number, status):
  assert signalled(tmp_path, machine, number, ':') == status


def test_local_kills_who_does_not_stop(tmp_path, machine):
  # One did not save: that is no clean stop.
  assert signalled(tmp_path, machine, signal.SIGTERM, 'trap "" TERM') == 137


def signalled(tmp_path, machine, number, prelude):
  """Signals two endless processes; returns the status, checks their end."""
  act = 'touch "$NOTES/ready-$id"; while :; do sleep 0.1; done'
  acts = {'ACT_0': act, 'ACT_1': f'{prelude}; {act}'}
  grace = '60' if prelude == ':' else '2'
  process = subprocess.Popen(
    [LAUNCH / 'local.sh', '2'],
    env=os.environ | machine | acts | {'GRACE': grace},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  deadline = time.monotonic() + 60
  while len(list(tmp_path.glob('ready-*'))) < 2:
    assert time.monotonic() < deadline
    time.sleep(0.05)
  process.send_signal(number)
  status = process.wait(timeout=100)
  assert (tmp_path / 'stopped-0').exists()
  for path in tmp_path.glob('args-*'):
    with pytest.raises(ProcessLookupError):
      os.kill(int(path.name.removeprefix('args-')), 0)
  return status
