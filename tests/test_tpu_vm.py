"""launch/tpu_vm.sh, with a stand-in for gcloud."""

import os
import shlex
import shutil
import signal
import subprocess
import time

import pytest
import standins
from standins import calls_of, launch, program, say

TPU = ['--zone=us-central2-b', 'fer']
FLAGS = ['--config=configs/resnet.py:depth=18', '--workdir=runs/a b']
IN_BUCKET = [FLAGS[0], '--workdir=gs://bucket/runs/fer']


def test_dry_run():
  done = launch(
    *('tpu_vm.sh', '--dry_run', '--spot', '--project=p', *TPU),
    *('create', 'copy', 'install', 'start', 'log', 'fetch', 'delete'),
    *('--', *FLAGS),
  )
  assert (done.returncode, done.stderr) == (0, '')
  words = shlex.split(done.stdout)
  text = ' '.join(words)
  queued, vm = (
    'gcloud compute tpus queued-resources',
    'gcloud compute tpus tpu-vm',
  )
  where = '--zone=us-central2-b --project=p'
  expected = [
    f'{queued} describe fer --format=value(state.state) {where}',
    f'{vm} describe fer --format=value(state) {where}',
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
    f'{vm} delete fer --quiet {where}',
  ]
  places = [text.find(command) for command in expected]
  assert -1 not in places
  assert places == sorted(places)
  # A connection to what is gone ends, and does not wait for hours.
  ends = [word for word in words if word.startswith('--ssh-flag=-oServerAlive')]
  assert len(ends) == 2 * words.count('ssh') > 0
  loop = next(word for word in words if 'nohup' in word)
  subprocess.run(['bash', '-nc', loop.removeprefix('--command=')], check=True)
  assert 'launch/restart.sh .venv/bin/python -m ferjax.main --config' in loop
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
def test_mistakes(args, message):
  done = launch('tpu_vm.sh', '--dry_run', *args)
  assert (done.returncode, done.stdout) == (2, '')
  assert message in done.stderr


@pytest.fixture
def cloud(tmp_path):
  return standins.cloud(tmp_path)


ON_LINUX = pytest.mark.skipif(
  not (shutil.which('setsid') and shutil.which('flock')),
  reason='workers run Linux',
)


@ON_LINUX
@pytest.mark.parametrize('status', [0, 2, 3])
def test_from_queue_to_result(tmp_path, monkeypatch, cloud, status):
  # Taken away before: the old request has to go.
  say(tmp_path, 'SUSPENDED', 'SUSPENDED', 'none', 'PROVISIONING', 'ACTIVE')
  program(
    tmp_path / 'worker/ferjax/.venv/bin/python',
    '#!/usr/bin/env bash\n'
    'echo "try with $4 on $JAX_PLATFORMS"\n'
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
    'try with --workdir=runs/a b on tpu,cpu',
    'ended with status 1; starts again in 10 s',
    'try with --workdir=runs/a b on tpu,cpu',
  ]
  calls = calls_of(tmp_path)
  assert calls[:2] == ['queued-resources delete', 'queued-resources create']
  # A mistake in the flags keeps the TPU, to look at.
  assert (calls[-1] == 'queued-resources delete') == (status == 0)
  assert ('try with' in done.stderr) == (status != 0)  # of every worker
  assert (tmp_path / 'runs/a b/metrics').exists() == (status == 0)


def test_fetch_from_a_bucket(tmp_path, monkeypatch, cloud):
  monkeypatch.chdir(tmp_path)
  done = launch(
    *('tpu_vm.sh', '--project=p', *TPU, 'fetch', '--'), *IN_BUCKET, **cloud
  )
  assert done.returncode == 0, done.stderr
  copied = 'storage cp --recursive gs://bucket/runs/fer runs/ --project=p'
  assert calls_of(tmp_path)[-1] == copied


def ended(folder, lines, status):
  """Leaves the worker as a training does that has ended."""
  worker = folder / 'worker' / 'ferjax'
  (worker / 'train.log').write_text(lines)
  (worker / 'train.pid').write_text('999999999')
  if status is not None:
    (worker / 'train.status').write_text(f'{status}\n')


@ON_LINUX
@pytest.mark.parametrize('status', [0, 3])
def test_log_goes_on_after_a_lost_connection(tmp_path, cloud, status):
  say(tmp_path, 'ACTIVE')
  ended(tmp_path, '\tone: 1\n\n  three:\n4', status)
  # gcloud itself tries once more, from the start.
  (tmp_path / 'cut').write_text('1:\tone: 1\n2:\n1:\tone: 1\n2:\n3:  th')
  done = launch('tpu_vm.sh', *TPU, 'log', **cloud)
  assert done.returncode == status, done.stderr
  assert done.stdout == '\tone: 1\n\n  three:\n4\n'
  assert 'connection lost' in done.stderr


@ON_LINUX
@pytest.mark.parametrize(
  ('state', 'status', 'words'),
  [
    ('ACTIVE', 1, 'nothing trains any more'),
    ('SUSPENDING', 75, 'fer was taken away'),
  ],
)
def test_log_of_what_left_no_status(tmp_path, cloud, state, status, words):
  say(tmp_path, state)
  ended(tmp_path, 'step 1\n', None)
  done = launch('tpu_vm.sh', *TPU, 'log', **cloud)
  assert (done.returncode, done.stdout) == (status, 'step 1\n')
  assert words in done.stderr


@pytest.mark.parametrize(
  ('queued', 'vm'),
  [('SUSPENDING', 'PREEMPTED'), ('none', 'PREEMPTED'), ('none', 'none')],
)
@pytest.mark.parametrize('flags', [FLAGS, IN_BUCKET], ids=['disk', 'bucket'])
def test_log_of_a_tpu_that_is_taken_away(tmp_path, cloud, queued, vm, flags):
  say(tmp_path, queued, vm=[vm])
  (tmp_path / 'cut').write_text('1:step 1\n')
  done = launch('tpu_vm.sh', *TPU, 'log', 'delete', '--', *flags, **cloud)
  assert (done.returncode, done.stdout) == (75, 'step 1\n')
  assert 'fer was taken away' in done.stderr
  assert calls_of(tmp_path) == ['tpu-vm ssh']


@ON_LINUX
def test_all_begins_again_when_the_workdir_is_safe(tmp_path, cloud):
  # Looks of: create, log, create, delete, and create, twice.
  say(
    tmp_path,
    *('ACTIVE', 'SUSPENDING', 'SUSPENDED', 'SUSPENDED', 'none', 'ACTIVE'),
  )
  (tmp_path / 'cut').write_text('1:step 1\n')
  ended(tmp_path, 'resumed\n', 0)
  done = launch(
    *('tpu_vm.sh', *TPU, 'create', 'log', 'delete', '--'), *IN_BUCKET, **cloud
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout == 'step 1\nresumed\n'
  assert calls_of(tmp_path) == [
    'tpu-vm ssh',
    'queued-resources delete',
    'queued-resources create',
    'tpu-vm ssh',
    'queued-resources delete',
  ]


def fails_once(folder, cloud, pattern):
  """Returns the environment with a gcloud that fails once, with 255."""
  inner, outer = folder / 'bin' / 'gcloud', folder / 'outer' / 'gcloud'
  program(
    outer,
    '#!/usr/bin/env bash\n'
    f'if [[ ! -e "{folder}/failed" && $* == *{shlex.quote(pattern)}* ]]; then\n'
    f'  touch "{folder}/failed"\n'
    '  echo "$3 $4" >> "$NOTES/calls"\n'
    '  exit 255\n'
    f'fi\nexec "{inner}" "$@"\n',
  )
  return cloud | {'PATH': f'{outer.parent}:{cloud["PATH"]}'}


ACTIONS = ['create', 'copy', 'install', 'start', 'log', 'delete']
WORK = [' scp ', 'uv venv', 'nohup']


@ON_LINUX
@pytest.mark.parametrize('pattern', [*WORK, 'tail -n'])
def test_all_begins_again_wherever_it_is_taken_away(tmp_path, cloud, pattern):
  # Looks of: create, the failure, create, delete, and create, twice.
  say(
    tmp_path,
    *('ACTIVE', 'SUSPENDING', 'SUSPENDED', 'SUSPENDED', 'none', 'ACTIVE'),
  )
  for name in ('curl', 'uv'):
    program(tmp_path / 'bin' / name, '#!/bin/sh\n')
  program(
    tmp_path / 'worker/ferjax/.venv/bin/python', '#!/bin/sh\necho trains\n'
  )
  done = launch(
    *('tpu_vm.sh', *TPU, *ACTIONS, '--', *IN_BUCKET),
    **fails_once(tmp_path, cloud, pattern),
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout == 'trains\n'
  assert 'fer was taken away: it is SUSPENDING' in done.stderr
  assert calls_of(tmp_path).count('queued-resources create') == 1


@pytest.mark.parametrize('pattern', WORK)
@pytest.mark.parametrize(
  ('state', 'status'), [('SUSPENDED', 75), ('ACTIVE', 255)]
)
def test_a_failure_ends_all_else(tmp_path, cloud, pattern, state, status):
  # Taken away, its disk holds the workdir; there, it has another reason.
  flags = FLAGS if status == 75 else IN_BUCKET
  say(tmp_path, 'ACTIVE', state)
  for name in ('curl', 'uv'):
    program(tmp_path / 'bin' / name, '#!/bin/sh\n')
  done = launch(
    *('tpu_vm.sh', *TPU, *ACTIONS, '--', *flags),
    **fails_once(tmp_path, cloud, pattern),
  )
  assert done.returncode == status, done.stderr
  assert (tmp_path / 'failed').exists()
  # Nothing comes after the failure, not even of the same action.
  expected = ['tpu-vm scp', 'tpu-vm ssh', 'tpu-vm ssh', 'tpu-vm ssh']
  assert calls_of(tmp_path) == expected[: (1, 3, 4)[WORK.index(pattern)]]


@ON_LINUX
def test_starts_only_after_the_last_training_has_ended(tmp_path, cloud):
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
      deadline = time.monotonic() + 60
      while not events.exists() or events.read_text() != expected:
        assert time.monotonic() < deadline
        time.sleep(0.02)
  finally:
    leader = int((tmp_path / 'worker/ferjax/train.pid').read_text())
    os.killpg(leader, signal.SIGKILL)
