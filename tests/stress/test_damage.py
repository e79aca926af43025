"""Checkpoints with flipped bits, cut and missing files: found, never used."""

import os
import pathlib
import random
import shutil

import jax
import numpy as np
import optax
import pytest

from ferjax import parallel, train_state
from ferjax.checkpoint import Checkpoints
from ferjax.errors import UserError

NUM_CASES = 300 if os.environ.get('FERJAX_STRESS') == '1' else 30

pytestmark = [pytest.mark.stress, pytest.mark.slow]


def make_state(step):
  rng = np.random.default_rng(step)
  variables = {
    # So large that TensorStore does not check it itself.
    'params': {'dense': {'kernel': rng.random((128, 128), np.float32)}},
    'batch_stats': {'norm': {'mean': rng.random(4, np.float32)}},
  }
  state = train_state.create(variables, optax.sgd(0.1, momentum=0.9), False)
  return parallel.replicate(state.replace(step=np.int32(step)))


@pytest.fixture(scope='module')
def states():
  return {step: make_state(step) for step in (0, 10, 20)}


@pytest.fixture(scope='module')
def whole(tmp_path_factory, states):
  workdir = tmp_path_factory.mktemp('whole')
  with Checkpoints(workdir) as checkpoints:
    for step, accuracy in ((10, 0.75), (20, 0.5)):
      checkpoints.save(states[step], {'val/accuracy': accuracy})
  return workdir


def harm(path, rng):
  """Harms a file in one of the ways of a disk; returns in which."""
  data = bytearray(path.read_bytes())
  how = rng.choice(['flip', 'flip', 'flip', 'cut', 'zero', 'remove', 'garbage'])
  place = rng.randrange(len(data)) if data else 0
  if not data or how == 'remove':
    path.unlink()
    return f'removed {path}'
  if how == 'flip':
    data[place] ^= 1 << rng.randrange(8)
  elif how == 'cut':
    del data[place:]
  elif how == 'zero':
    data[place : place + 64] = bytes(len(data[place : place + 64]))
  else:
    data[place : place + 16] = rng.randbytes(len(data[place : place + 16]))
  path.write_bytes(data)
  return f'{how} at {place} of {path}'


def equal(a, b):
  same = jax.tree.map(lambda x, y: np.array_equal(x, y), a, b)
  return jax.tree.structure(a) == jax.tree.structure(b) and all(
    jax.tree.leaves(same)
  )


@pytest.mark.parametrize('seed', range(NUM_CASES))
def test_what_is_restored_is_what_was_saved(whole, states, tmp_path, seed):
  rng = random.Random(seed)
  workdir = tmp_path / 'run'
  shutil.copytree(whole, workdir)
  files = sorted(
    path for path in (workdir / 'checkpoints/20').rglob('*') if path.is_file()
  )
  # The largest holds nearly all bits of a real checkpoint.
  largest = max(files, key=lambda file: file.stat().st_size)
  what = harm(rng.choice([largest, *rng.sample(files, 2)]), rng)

  lines = []
  for which, step in (('latest', 20), ('best', 10), ('10', 10)):
    try:
      with Checkpoints(workdir, read_only=True) as checkpoints:
        found, model = checkpoints.restore_model(which, states[0].variables)
    except UserError as error:
      lines.append(str(error))
      continue
    if found == 20:  # it can still be read, so it must be whole
      assert which != 'best', what
    else:
      assert found == 10, what
    if which != 'latest':
      assert found == step, what
    assert equal(model, states[found].variables), what

  assert not any('\n' in line for line in lines), what
  with Checkpoints(workdir) as checkpoints:
    restored = checkpoints.restore_latest(states[0])
    assert restored.next_index in (10, 20), what
    assert equal(restored.state, states[restored.next_index]), what
    if restored.next_index == 10:
      aside = workdir / 'checkpoints-unreadable'
      is_told = len(checkpoints.complaints) == 1
      # Without its marks it is as one that never was whole.
      assert is_told == (aside / '20').exists(), what
    # The step can be saved again.
    checkpoints.save(states[20], {'val/accuracy': 0.5})
    checkpoints.wait()
    assert checkpoints.steps() == [10, 20], what


def test_cases_reach_every_file(whole):
  """What `rng.choice` can reach, for the record: no file is left out."""
  files = [
    path.relative_to(whole / 'checkpoints/20').parts[0]
    for path in pathlib.Path(whole / 'checkpoints/20').rglob('*')
    if path.is_file()
  ]
  assert {'model', 'training', 'data', 'config', 'metrics'} <= set(files)
