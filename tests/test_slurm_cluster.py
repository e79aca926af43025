"""launch/slurm.sbatch in a real SLURM: requeued, resumed, ended."""

import pathlib
import re
import shutil
import sys
import tempfile

import pytest
import slurm_cluster

from ferjax import logs

SCRIPT = pathlib.Path(__file__).parents[1] / 'launch' / 'slurm.sbatch'
FLAGS = ['--config=configs/resnet.py', '--workdir=runs/a b']


@pytest.fixture(scope='module')
def cluster():
  lacking = slurm_cluster.missing()
  if lacking:
    pytest.skip(
      f'no {" ".join(lacking)}: apt-get install {slurm_cluster.PACKAGES}'
    )
  # Not under tmp_path: the names of sockets are short.
  folder = tempfile.mkdtemp(prefix='slurm')
  try:
    with slurm_cluster.start(pathlib.Path(folder)) as running:
      yield running
  except slurm_cluster.CannotStartError as error:
    pytest.skip(str(error))
  finally:
    shutil.rmtree(folder)


def submit(cluster, tmp_path, *flags, **environment):
  """Submits the script for two nodes; returns the job and its output file."""
  output = tmp_path / 'job.out'
  job = cluster.call(
    *('sbatch', '--parsable', '--nodes=2', f'--output={output}'),
    *(f'--chdir={SCRIPT.parents[1]}', str(SCRIPT), *flags),
    **{'PYTHON': sys.executable} | environment,
  )
  return job, output


def wait_for_state(cluster, job, state, seconds, output):
  """Waits for the last state of a job; shows its output if it has another."""

  def has_ended():
    now = cluster.show(job)['JobState']
    return now not in {'PENDING', 'RUNNING', 'COMPLETING'}

  slurm_cluster.wait_for(has_ended, f'job {job} has ended', seconds)
  assert cluster.show(job)['JobState'] == state, output.read_text()


@pytest.mark.stress
@pytest.mark.slow
def test_slurm_requeues_in_the_middle_and_the_training_ends(
  cluster, data_dir, tmp_path
):
  workdir = tmp_path / 'run'
  job, output = submit(
    *(cluster, tmp_path, '--config=configs/simple_cnn.py'),
    *(f'--workdir={workdir}', f'--config.data.dir={data_dir}'),
    *('--config.num_epochs=0', '--config.num_steps=100'),
    *('--config.batch_size=16', '--config.log_every_steps=5'),
    *('--config.eval_every_epochs=0', '--config.eval_every_steps=50'),
    '--config.checkpoint_every_epochs=0',
    '--config.checkpoint_every_steps=10',
    XLA_FLAGS='--xla_force_host_platform_device_count=1',
  )
  checkpoint = workdir / 'checkpoints' / '10'
  slurm_cluster.wait_for(checkpoint.exists, 'a checkpoint', 240)
  # As SLURM does before the time limit; --time counts whole minutes.
  cluster.call('scancel', '--signal=USR1', '--batch', job)
  cluster.wait_for_restart(job, 120)
  wait_for_state(cluster, job, 'COMPLETED', 480, output)

  text = output.read_text()
  first, second = text.split(f'job {job}, restart 1')
  assert f'job {job}, restart 0, 2 processes on 127.0.0.[1-2]' in first
  assert 'in 2 processes' in first
  assert 'ended with status 138 after USR1' in first
  assert 'the time limit comes; goes back into the queue' in first
  stopped = int(re.search(r'step (\d+) is saved', first)[1])
  assert 10 <= stopped < 100
  assert f'resumed at step {stopped} of 100' in second
  assert 'the processes ended with status 0' in second
  assert (workdir / 'checkpoints' / '100').exists()
  steps = [record['step'] for record in logs.read_metrics(workdir)]
  assert steps == list(range(5, 101, 5))


# Stands in for Python, where SLURM alone is to be looked at.
TASK = """#!/usr/bin/env bash
trap 'echo "task $SLURM_PROCID saves"; exit 138' USR1
trap 'echo "task $SLURM_PROCID saves"; exit 143' TERM
echo "task $SLURM_PROCID"
[[ $SLURM_RESTART_COUNT ]] || eval "$ACT"
for i in {1..2000}; do sleep 0.05; done
"""


@pytest.fixture
def task(tmp_path):
  path = tmp_path / 'task'
  path.write_text(TASK)
  path.chmod(0o755)
  return str(path)


@pytest.mark.stress
@pytest.mark.slow
def test_slurm_ends_a_job_of_two_mistaken_processes(cluster, tmp_path, task):
  act = 'sleep 0.$SLURM_PROCID; exit 2'  # one after the other
  job, output = submit(cluster, tmp_path, *FLAGS, PYTHON=task, ACT=act)
  wait_for_state(cluster, job, 'FAILED', 60, output)
  found = cluster.show(job)
  assert (found['ExitCode'], found['Restarts']) == ('2:0', '0')


@pytest.mark.stress
@pytest.mark.slow
def test_slurm_tries_failures_again_but_not_what_is_cancelled(
  cluster, tmp_path, task
):
  job, output = submit(cluster, tmp_path, *FLAGS, PYTHON=task, ACT='exit 1')
  cluster.wait_for_restart(job, 60)
  slurm_cluster.wait_for(
    lambda: output.read_text().count('task 1\n') == 2, 'tasks again', 60
  )
  cluster.call('scancel', job)
  wait_for_state(cluster, job, 'CANCELLED', 60, output)
  for process in (0, 1):
    assert f'task {process} saves' in output.read_text()
  assert cluster.show(job)['Restarts'] == '1'
