"""The launch scripts: what they would run, and how they end."""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import time

import pytest

LAUNCH = pathlib.Path(__file__).parents[1] / 'launch'
SCRIPTS = ('local.sh', 'tpu_vm.sh')
TPU = ['--zone=us-central2-b', 'fer']
FLAGS = ['--config=configs/resnet.py:depth=18', '--workdir=runs/a b']

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

# Stands in for gcloud: the one worker is a folder of this machine.
GCLOUD = """#!/usr/bin/env bash
printf '%s\\n' "$3 $4" >> "$NOTES/calls"
shift 3
case $1 in
  describe)
    [[ -s $NOTES/states ]] || exit 1
    head -n 1 "$NOTES/states"
    sed -i 1d "$NOTES/states" ;;
  ssh)
    for flag in "$@"; do
      case $flag in --command=*) command=${flag#*=} ;; esac
    done
    cd "$WORKER" && bash -c "$command" ;;
  scp) cp -r "${2/#fer:/$WORKER/}" "${3/#fer:/$WORKER/}" ;;
esac
"""


def program(path, text):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  path.chmod(0o755)
  return str(path)


def launch(script, *args, **environment):
  """Runs a script to its end, for at most 20 s."""
  return subprocess.run(
    [LAUNCH / script, *args],
    env=os.environ | environment,
    capture_output=True,
    text=True,
    timeout=20,
  )


@pytest.mark.parametrize('script', SCRIPTS)
def test_scripts_parse(script):
  subprocess.run(['bash', '-n', LAUNCH / script], check=True)
  if shutil.which('shellcheck'):
    subprocess.run(['shellcheck', LAUNCH / script], check=True)


@pytest.mark.parametrize('script', SCRIPTS)
def test_help_and_mistakes(script):
  shown = launch(script, '--help')
  assert shown.returncode == 0
  assert shown.stdout.startswith(f'Usage: launch/{script}')
  mistaken = launch(script)
  assert mistaken.returncode == 2
  assert 'see --help' in mistaken.stderr


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
  assert time.monotonic() - start < 10
  assert f'process {failing} ended with status 7' in done.stderr
  stopped = {path.name for path in tmp_path.glob('stopped-*')}
  assert stopped == {f'stopped-{i}' for i in range(3) if i != failing}


def test_local_passes_a_signal_on_and_kills_who_ignores_it(tmp_path, machine):
  act = 'touch "$NOTES/ready-$id"; while :; do sleep 0.1; done'
  acts = {'ACT_0': act, 'ACT_1': f'trap "" TERM; {act}'}
  process = subprocess.Popen(
    [LAUNCH / 'local.sh', '2'],
    env=os.environ | machine | acts | {'GRACE': '1'},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  deadline = time.monotonic() + 10
  while len(list(tmp_path.glob('ready-*'))) < 2:
    assert time.monotonic() < deadline
    time.sleep(0.05)
  process.send_signal(signal.SIGTERM)
  assert process.wait(timeout=10) == 143
  assert (tmp_path / 'stopped-0').exists()
  for path in tmp_path.glob('args-*'):
    with pytest.raises(ProcessLookupError):
      os.kill(int(path.name.removeprefix('args-')), 0)


def test_tpu_vm_dry_run():
  done = launch(
    *('tpu_vm.sh', '--dry_run', '--spot', '--project=p', *TPU),
    *('create', 'copy', 'install', 'start', 'log', 'fetch', 'delete'),
    *('--', *FLAGS),
  )
  assert done.returncode == 0, done.stderr
  words = shlex.split(done.stdout)
  text = ' '.join(words)
  queued, vm = (
    'gcloud compute tpus queued-resources',
    'gcloud compute tpus tpu-vm',
  )
  where = '--zone=us-central2-b --project=p'
  expected = [
    f'{queued} describe fer --format=value(state.state) {where}',
    f'{queued} create fer --node-id=fer --accelerator-type=v4-8 '
    f'--runtime-version=tpu-ubuntu2204-base --spot {where}',
    'tar -czf ',
    f'fer:ferjax.tar.gz --worker=all {where}',
    f'{vm} ssh fer --worker=all --command=mkdir -p ferjax',
    f'{vm} ssh fer --worker=all --command=curl ',
    f'{vm} ssh fer --worker=all --command=cd ferjax',
    f'{vm} ssh fer --worker=0 --command=cd ferjax && tail ',
    f'{vm} scp fer:ferjax/runs/a b runs/ --recurse --worker=0 {where}',
    f'{queued} delete fer --force --quiet {where}',
  ]
  places = [text.find(command) for command in expected]
  assert -1 not in places
  assert places == sorted(places)
  loop = next(word for word in words if 'nohup' in word)
  subprocess.run(['bash', '-nc', loop.removeprefix('--command=')], check=True)
  assert '--distributed=auto' in loop


@pytest.mark.parametrize(
  ('args', 'message'),
  [
    (['fer', 'create'], 'no --zone'),
    ([*TPU, 'creat'], 'there is no action creat'),
    ([*TPU, '--spotty', 'create'], 'there is no option --spotty'),
    ([*TPU, 'create', 'start'], 'start needs FLAGS'),
  ],
)
def test_tpu_vm_mistakes(args, message):
  done = launch('tpu_vm.sh', '--dry_run', *args)
  assert (done.returncode, done.stdout) == (2, '')
  assert message in done.stderr


@pytest.fixture
def cloud(tmp_path):
  """An environment whose `gcloud` owns one worker, a folder."""
  program(tmp_path / 'bin' / 'gcloud', GCLOUD)
  program(tmp_path / 'bin' / 'sleep', '#!/bin/sh\n')  # nobody waits
  (tmp_path / 'worker').mkdir()
  return {
    'PATH': f'{tmp_path / "bin"}:{os.environ["PATH"]}',
    'NOTES': str(tmp_path),
    'TMPDIR': str(tmp_path),
    'WORKER': str(tmp_path / 'worker'),
  }


ON_LINUX = pytest.mark.skipif(
  not (shutil.which('setsid') and shutil.which('flock')),
  reason='workers run Linux',
)


@ON_LINUX
@pytest.mark.parametrize('status', [0, 2, 3])
def test_tpu_vm_from_queue_to_result(tmp_path, monkeypatch, cloud, status):
  # Taken away before: the old request has to go.
  (tmp_path / 'states').write_text('SUSPENDED\nPROVISIONING\nACTIVE\n')
  program(
    tmp_path / 'worker/ferjax/.venv/bin/python',
    '#!/usr/bin/env bash\n'
    'echo "try with $4"\n'
    '[[ -e tried ]] || { touch tried; exit 1; }\n'
    f'mkdir -p "runs/a b"; echo done > "runs/a b/metrics"; exit {status}\n',
  )
  monkeypatch.chdir(tmp_path)
  done = launch(
    *('tpu_vm.sh', *TPU, 'create', 'copy', 'start', 'log', 'fetch', 'delete'),
    *('--', *FLAGS),
    **cloud,
  )
  assert done.returncode == status, done.stderr
  assert (tmp_path / 'worker/ferjax/launch/tpu_vm.sh').exists()
  assert done.stdout.splitlines() == [
    'try with --workdir=runs/a b',
    'ended with status 1; starts again in 10 s',
    'try with --workdir=runs/a b',
  ]
  calls = (tmp_path / 'calls').read_text().splitlines()
  assert calls[:5] == [
    'queued-resources describe',
    'queued-resources delete',
    'queued-resources create',
    'queued-resources describe',
    'queued-resources describe',
  ]
  # A mistake in the flags keeps the TPU, to look at.
  assert (calls[-1] == 'queued-resources delete') == (status == 0)
  assert (tmp_path / 'runs/a b/metrics').exists() == (status == 0)


@ON_LINUX
def test_tpu_vm_starts_only_after_the_last_training_has_ended(tmp_path, cloud):
  events = tmp_path / 'events'
  program(
    tmp_path / 'worker/ferjax/.venv/bin/python',
    '#!/usr/bin/env bash\n'
    f'trap \'/bin/sleep 0.5; echo end >> "{events}"; exit\' TERM\n'
    f'echo begin >> "{events}"\n'
    'while :; do /bin/sleep 0.05; done\n',
  )
  try:
    for expected in ('begin\n', 'begin\nend\nbegin\n'):
      done = launch('tpu_vm.sh', *TPU, 'start', '--', *FLAGS, **cloud)
      assert done.returncode == 0, done.stderr
      deadline = time.monotonic() + 5
      while not events.exists() or events.read_text() != expected:
        assert time.monotonic() < deadline
        time.sleep(0.02)
  finally:
    leader = int((tmp_path / 'worker/ferjax/train.pid').read_text())
    os.killpg(leader, signal.SIGKILL)
