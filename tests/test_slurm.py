"""launch/slurm.sbatch: what it would run, and when it requeues its job."""

import os
import pathlib
import shlex
import signal
import subprocess
import time

import pytest
from standins import SCRIPTS

SCRIPT = pathlib.Path(__file__).parents[1] / 'launch' / 'slurm.sbatch'
FLAGS = ['--config=configs/resnet.py:depth=18', '--workdir=runs/a b']

# Stands in for srun: notes its words, then does what the test says.
SRUN = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$NOTES/srun"
echo "$SRUN_CPUS_PER_TASK" > "$NOTES/cpus"
trap 'sleep 0.3; touch "$NOTES/saved"; exit $AFTER_USR1' USR1
touch "$NOTES/ready"
eval "$ACT"
"""

# Stands in for scontrol: the job runs unless the test says otherwise.
SCONTROL = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$NOTES/scontrol"
case $1 in
  show) echo "JobId=7 JobState=${STATE:-RUNNING} Reason=None" ;;
  requeue) exit "${REFUSE:-0}" ;;
esac
"""
REQUEUE = 'requeue 7'
LONG = 'for i in {1..2000}; do sleep 0.05; done'  # if the signal gets lost


@pytest.fixture
def job(tmp_path):
  """The environment of a job, with stand-ins for SLURM's commands."""
  (tmp_path / 'bin').mkdir()
  for name, text in (('srun', SRUN), ('scontrol', SCONTROL)):
    (tmp_path / 'bin' / name).write_text(text)
    (tmp_path / 'bin' / name).chmod(0o755)
  return {
    'PATH': f'{tmp_path / "bin"}:{os.environ["PATH"]}',
    'NOTES': str(tmp_path),
    'SLURM_JOB_ID': '7',
  }


def begin(*args, **environment):
  own = {k: v for k, v in os.environ.items() if not k.startswith('SLURM_')}
  return subprocess.Popen(
    [SCRIPT, *args],
    env=own | environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def launch(*args, **environment):
  """Runs the script to its end; returns status, output and errors."""
  process = begin(*args, **environment)
  return process, *process.communicate(timeout=60)


def interrupt(job, tmp_path, number, **environment):
  """Sends a signal to the script once srun runs; returns the status."""
  process = begin(*FLAGS, **job, ACT=LONG, **environment)
  deadline = time.monotonic() + 60
  while not (tmp_path / 'ready').exists():
    assert process.poll() is None
    assert time.monotonic() < deadline
    time.sleep(0.02)
  process.send_signal(number)
  process.communicate(timeout=60)
  assert (tmp_path / 'saved').exists()
  return process.returncode


def calls(tmp_path):
  """Returns what scontrol was told to do, other than to show the job."""
  path = tmp_path / 'scontrol'
  lines = path.read_text().splitlines() if path.exists() else []
  return [line for line in lines if not line.startswith('show ')]


def test_it_parses():
  subprocess.run(['bash', '-n', SCRIPT], check=True)
  subprocess.run([SCRIPTS / 'shellcheck', SCRIPT], check=True, timeout=100)


@pytest.mark.parametrize('name', ['slurm.md', 'slurm.sbatch'])
def test_examples_ask_for_more_than_a_core(name):
  text = (SCRIPT.parent / name).read_text()
  examples = [
    line for line in text.splitlines() if '--gpus-per-node=8 ' in line
  ]
  assert examples
  assert all('--cpus-per-task=' in line for line in examples)


def test_dry_run_prints_and_runs_nothing(tmp_path, job):
  process, output, _ = launch('--dry_run', *FLAGS, PYTHON='run it py')
  assert process.returncode == 0
  train, _, again = output.splitlines()
  words = shlex.split(train)
  assert words[0] == 'srun'
  command = ['run', 'it', 'py', '-m', 'ferjax.main', *FLAGS]
  assert words[-8:] == [*command, '--distributed=auto']
  assert again == 'scontrol requeue JOB'
  process, output, _ = launch('--dry_run', *FLAGS, **job)
  assert process.returncode == 0
  assert output.splitlines()[-1] == f'scontrol {REQUEUE}'
  assert [path.name for path in tmp_path.iterdir()] == ['bin']


def test_help_tells_the_usage():
  process, output, _ = launch('--help')
  assert process.returncode == 0
  assert output.startswith('Usage: sbatch [SBATCH_OPTIONS] launch/slurm.sbatch')


@pytest.mark.parametrize(
  ('flags', 'environment', 'message'),
  [
    (['--workdir=runs/x'], {'SLURM_JOB_ID': '7'}, 'no --config'),
    (FLAGS, {}, 'use sbatch'),
    (FLAGS, {'MAX_RESTARTS': 'x', 'SLURM_JOB_ID': '7'}, 'is no number'),
  ],
)
def test_mistakes(flags, environment, message):
  process, output, errors = launch(*flags, **environment)
  assert (process.returncode, output) == (2, '')
  assert message in errors
  assert 'see --help' in errors


def test_srun_gets_all_flags_and_the_cpus(tmp_path, job):
  environment = job | {'ACT': 'exit 0', 'SLURM_CPUS_PER_TASK': '12'}
  process, output, _ = launch(*FLAGS, **environment)
  assert process.returncode == 0
  assert 'job 7, restart 0' in output
  words = (tmp_path / 'srun').read_text().splitlines()
  assert words[-6:] == [
    *('python', '-m', 'ferjax.main', *FLAGS, '--distributed=auto')
  ]
  assert (tmp_path / 'cpus').read_text() == '12\n'
  assert calls(tmp_path) == []


@pytest.mark.parametrize('status', [0, 2, 3, 130])
def test_these_statuses_end_the_job(tmp_path, job, status):
  process, _, _ = launch(*FLAGS, **job, ACT=f'exit {status}')
  assert process.returncode == status
  assert calls(tmp_path) == []


@pytest.mark.parametrize('status', [1, 4, 137, 138, 143])
def test_others_requeue_it(tmp_path, job, status):
  environment = job | {'ACT': f'exit {status}', 'SLURM_RESTART_COUNT': '19'}
  process, output, _ = launch(*FLAGS, **environment)
  assert process.returncode == status
  assert 'job 7, restart 19' in output
  assert calls(tmp_path) == [REQUEUE]


@pytest.mark.parametrize(
  ('environment', 'message', 'expected'),
  [
    ({'SLURM_RESTART_COUNT': '20'}, 'MAX_RESTARTS=20', []),
    ({'MAX_RESTARTS': '0'}, 'MAX_RESTARTS=0', []),
    ({'STATE': 'COMPLETING'}, 'SLURM ends', []),  # scancel: stays cancelled
    ({'REFUSE': '1'}, 'not requeued', [REQUEUE]),
  ],
)
def test_not_every_failure_requeues(
  tmp_path, job, environment, message, expected
):
  process, _, errors = launch(*FLAGS, **job, **environment, ACT='exit 1')
  assert process.returncode == 1
  assert message in errors
  assert calls(tmp_path) == expected


@pytest.mark.parametrize('status', [138, 143, 137])
def test_usr1_stops_the_processes_and_requeues(tmp_path, job, status):
  found = interrupt(job, tmp_path, signal.SIGUSR1, AFTER_USR1=str(status))
  assert found == status  # that of srun, which took its time
  assert calls(tmp_path) == [REQUEUE]


def test_term_stops_the_processes_and_does_not_requeue(tmp_path, job):
  assert interrupt(job, tmp_path, signal.SIGTERM, AFTER_USR1='138') == 143
  assert calls(tmp_path) == []


@pytest.mark.parametrize('status', [0, 2, 3])
def test_what_has_ended_at_the_time_limit_is_not_requeued(
  tmp_path, job, status
):
  found = interrupt(job, tmp_path, signal.SIGUSR1, AFTER_USR1=str(status))
  assert found == status
  assert calls(tmp_path) == []
