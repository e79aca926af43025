"""The GPUs that a process of SLURM takes."""

import os
import pathlib
import socket
import subprocess
import sys

import pytest

from ferjax import gpus

PROGRAM = """
import sys, jax
from ferjax import processes
explicit = (sys.argv[1], 1, 0, None)
given = (None, None, None, 'auto') if sys.argv[2] == 'auto' else explicit
with processes.joined(*given):
  print(jax.config.values['jax_cuda_visible_devices'])
"""


def visible(how, **environment):
  """Returns the devices that a task of SLURM leaves itself."""
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    port = str(probe.getsockname()[1])
  task = {
    'JAX_COORDINATOR_PORT': port,
    'SLURM_JOB_ID': '7',
    'SLURM_STEP_NODELIST': 'localhost',
    'SLURM_NTASKS': '1',
    'SLURM_PROCID': '0',
    'SLURM_LOCALID': '0',
  }
  done = subprocess.run(
    [sys.executable, '-c', PROGRAM, f'127.0.0.1:{port}', how],
    cwd=pathlib.Path(__file__).parents[1],
    env=os.environ | task | environment,
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout.strip()


@pytest.mark.parametrize('how', ['auto', 'explicit'])
def test_one_process_a_node_takes_all(how):
  assert visible(how, SLURM_STEP_TASKS_PER_NODE='1(x4)') == 'all'


def test_several_take_one_each_and_a_wish_is_kept():
  assert visible('auto', SLURM_STEP_TASKS_PER_NODE='8(x4)') == '0'
  wish = {'JAX_LOCAL_DEVICE_IDS': '0,2'}
  assert visible('auto', SLURM_STEP_TASKS_PER_NODE='8', **wish) == '0,2'


@pytest.mark.parametrize(
  ('slurm', 'open_mpi', 'expected'),
  [
    ('1', None, True),
    ('1(x16)', None, True),
    ('2', None, False),
    ('11', None, False),
    ('2(x3),1', None, False),
    ('1(x4)', '8', False),  # SLURM started the daemons of Open MPI
    ('4', '1', True),
    (None, None, False),
  ],
)
def test_who_is_alone(slurm, open_mpi, expected):
  environment = {
    'SLURM_STEP_TASKS_PER_NODE': slurm,
    'OMPI_COMM_WORLD_LOCAL_SIZE': open_mpi,
  }
  given = {name: x for name, x in environment.items() if x is not None}
  assert gpus.is_alone(given) == expected
