"""What the processes of each binary must have in common before they begin."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent

# In a process of its own: the binaries have flags of the same names.
SCRIPT = """
import importlib, json, sys
from absl import flags
from ferjax import joining
def tell(facts):
  print(json.dumps(facts))
  sys.exit()
joining.processes = tell
binary = importlib.import_module(f'ferjax.{sys.argv[1]}')
flags.FLAGS(sys.argv[1:])
binary.main([])
"""


def facts(*command):
  done = subprocess.run(
    [sys.executable, '-c', SCRIPT, *command],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


TRAINING = '--config=configs/simple_cnn.py'


@pytest.mark.parametrize(
  ('command', 'given'),
  [
    (
      'evaluate --workdir=v --workdir=w --split=train --checkpoint=9'
      ' --dataset=mnist --tta=flip --temperature=fit --report --explain=3',
      {
        'workdir': 'v, w',
        'split': 'train',
        'checkpoint': '9',
        'dataset': 'mnist',
        'tta': 'flip',
        'temperature': 'fit',
        'report': 'True',
        'explain': '[3]',
      },
    ),
    (f'main {TRAINING} --workdir=w', {'workdir': 'w', 'seed': '0'}),
    (
      f'crossval {TRAINING} --workdir=w --choose=last --folds=3 --by=frame',
      {
        'workdir': 'w',
        'choose': 'last',
        'data.num_folds': '3',
        'data.fold_by': "'frame'",
      },
    ),
  ],
)
def test_all_that_steers_the_work_is_compared(command, given):
  said = facts(*command.split())
  assert given.items() <= said.items()
  assert {'ferjax', 'jax', 'jaxlib', 'flax', 'optax'} <= said.keys()
  # What a machine may have of its own is none of it.
  assert not {'data.dir', 'data_dir', 'output'} & said.keys()
