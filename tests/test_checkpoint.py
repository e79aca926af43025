"""What is saved comes back, the best stays, and damage is survived."""

import errno
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ferjax import damage as damage_lib
from ferjax import parallel, storage, train_state
from ferjax.checkpoint import Checkpoints
from ferjax.errors import RetryError, UserError


def make_state(step=0, use_ema=False, shape=(30, 4)):
  rng = np.random.default_rng(step)
  variables = {
    'params': {'dense': {'kernel': rng.random(shape, np.float32)}},
    'batch_stats': {'norm': {'mean': rng.random(4, np.float32)}},
  }
  state = train_state.create(variables, optax.sgd(0.1, momentum=0.9), use_ema)
  if use_ema:
    state = state.replace(ema=jax.tree.map(lambda x: x + 1, state.ema))
  return parallel.replicate(state.replace(step=np.int32(step)))


def save(workdir, accuracies, **options):
  with Checkpoints(workdir, **options) as checkpoints:
    for step, accuracy in accuracies.items():
      metrics = None if accuracy is None else {'val/accuracy': accuracy}
      checkpoints.save(make_state(step), metrics)
    checkpoints.wait()
    return checkpoints.steps(), checkpoints.best_step()


FILES = [
  'model/**/d/*',
  'model/manifest.ocdbt',
  'training/**/d/*',
  'data/metadata',
  'metrics/metrics',
]


def damage(workdir, step, pattern):
  paths = list((workdir / 'checkpoints' / str(step)).glob(pattern))
  assert paths
  for path in paths:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize('use_ema', [False, True])
def test_round_trip(tmp_path, use_ema):
  state = make_state(7, use_ema)
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(state)
  with Checkpoints(tmp_path) as checkpoints:
    restored = checkpoints.restore_latest(make_state(0, use_ema))
    step, variables = checkpoints.restore_model('latest', state.variables)
  assert restored.next_index == step == 7
  assert not checkpoints.complaints
  jax.tree.map(np.testing.assert_array_equal, restored.state, state)
  jax.tree.map(np.testing.assert_array_equal, variables, state.variables)
  assert len(jax.tree.leaves(restored.state)[0].sharding.device_set) == 4


def test_latest_and_best_are_kept(tmp_path):
  accuracies = {10: 0.5, 20: 0.7, 30: None, 40: 0.6, 50: 0.7}
  assert save(tmp_path, accuracies) == ([20, 40, 50], 20)
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.best_accuracy() == 0.7
    variables = make_state().variables
    for which, step in (('best', 20), ('latest', 50), ('40', 40)):
      found, weights = checkpoints.restore_model(which, variables)
      assert found == step
      jax.tree.map(
        np.testing.assert_array_equal, weights, make_state(step).variables
      )


@pytest.mark.parametrize(
  'metrics', ['{"val/accuracy": 0.9}', '{"step": 20}', '[]', '{"step": "a"}']
)
def test_metrics_that_cannot_be_ranked_are_set_aside(tmp_path, metrics):
  save(tmp_path, {10: 0.5, 20: 0.7})
  path = tmp_path / 'checkpoints' / '20' / 'metrics' / 'metrics'
  path.write_text(metrics)
  with pytest.raises(UserError, match=r'20 is damaged \(its metrics\)'):
    Checkpoints(tmp_path, read_only=True)
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.best_step() == 10


def break_metrics(workdir, *steps):
  for step in steps:
    path = workdir / 'checkpoints' / str(step) / 'metrics' / 'metrics'
    path.write_text('')


def test_nothing_is_moved_where_all_metrics_are_broken(tmp_path):
  """The run would begin anew, and its arrays may be whole."""
  save(tmp_path, {10: 0.5, 20: 0.7})
  break_metrics(tmp_path, 10, 20)
  with pytest.raises(UserError, match=r'can be read \(20: its metrics\); move'):
    Checkpoints(tmp_path)
  assert len(list((tmp_path / 'checkpoints').iterdir())) == 2
  assert not (tmp_path / 'checkpoints-unreadable').exists()


def test_broken_metrics_go_where_another_has_none(tmp_path):
  save(tmp_path, {10: None, 20: 0.7})
  break_metrics(tmp_path, 20)
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.restore_latest(make_state()).next_index == 10


@pytest.mark.parametrize('read_only', [False, True])
@pytest.mark.parametrize('code', [errno.EIO, errno.EACCES, errno.EMFILE])
def test_metrics_that_cannot_be_read_just_now(
  tmp_path, monkeypatch, code, read_only
):
  save(tmp_path, {10: 0.5, 20: 0.7})

  def fail(path):
    raise OSError(code, os.strerror(code))

  monkeypatch.setattr(storage, 'read_text', fail)
  with pytest.raises(RetryError, match=f'metrics: {os.strerror(code)}'):
    Checkpoints(tmp_path, read_only=read_only)
  assert len(list((tmp_path / 'checkpoints').iterdir())) == 2


@pytest.mark.parametrize('read_only', [False, True])
def test_a_step_that_goes_while_metrics_are_read(
  tmp_path, monkeypatch, read_only
):
  save(tmp_path, {10: 0.5, 20: 0.7})
  read = storage.read_text

  def miss(path):
    if '/10/' in str(path):
      shutil.rmtree(tmp_path / 'checkpoints' / '10', ignore_errors=True)
    return read(path)

  monkeypatch.setattr(storage, 'read_text', miss)
  with Checkpoints(tmp_path, read_only=read_only) as checkpoints:
    assert checkpoints.steps() == [20]
    assert not checkpoints.complaints


def test_config_is_in_every_checkpoint(tmp_path):
  save(tmp_path, {5: None}, config={'seed': 3})
  stored = tmp_path / 'checkpoints' / '5' / 'config' / 'metadata'
  assert '"seed"' in stored.read_text()


def test_nothing_saved_yet(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.restore_latest(make_state()) is None
    assert checkpoints.best_accuracy() == -1
    with pytest.raises(UserError, match='no checkpoint yet'):
      checkpoints.restore_model('best', make_state().variables)


@pytest.mark.parametrize(
  ('which', 'words'),
  [
    ('best', 'no validated checkpoint'),
    ('7', r"no checkpoint '7'; have best, latest, \[5\]"),
    ('newest', 'no checkpoint'),
  ],
)
def test_unknown_checkpoint(tmp_path, which, words):
  save(tmp_path, {5: None})
  with (
    Checkpoints(tmp_path) as checkpoints,
    pytest.raises(UserError, match=words),
  ):
    checkpoints.restore_model(which, make_state().variables)


@pytest.mark.parametrize('pattern', FILES)
def test_damaged_newest_is_set_aside_and_the_one_before_used(tmp_path, pattern):
  save(tmp_path, {10: 0.5, 20: 0.6})
  damage(tmp_path, 20, pattern)
  with Checkpoints(tmp_path) as checkpoints:
    restored = checkpoints.restore_latest(make_state())
    assert restored.next_index == 10
    (complaint,) = checkpoints.complaints
    assert 'checkpoint 20 is damaged' in complaint
    assert (tmp_path / 'checkpoints-unreadable' / '20' / 'model').exists()
    checkpoints.save(make_state(20))  # the step is free again
    checkpoints.wait()
    assert checkpoints.steps() == [10, 20]


@pytest.mark.parametrize('dtype', [jnp.bfloat16, np.float32, np.bool_])
def test_a_digest_is_of_any_array(dtype):
  arrays = [np.ones(shape, dtype) for shape in ((), (3,), (2, 3), (0, 2))]
  digests = {damage_lib.digest(array) for array in arrays}
  assert len(digests) == 4
  assert damage_lib.digest(arrays[::-1]) == damage_lib.digest(arrays)
  assert damage_lib.digest(np.zeros((), dtype)) not in digests


@pytest.mark.parametrize('place', [0.1, 0.5, 0.9])
def test_a_flipped_bit_of_a_large_array_is_found(tmp_path, place):
  """Which TensorStore does not see: it checks what lies in small ones."""
  state = make_state(20, shape=(128, 128))
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(make_state(10, shape=(128, 128)))
    checkpoints.save(state)
  files = (tmp_path / 'checkpoints' / '20' / 'model').glob('**/d/*')
  path = max(files, key=lambda file: file.stat().st_size)
  data = bytearray(path.read_bytes())
  assert len(data) > 10_000
  data[int(place * len(data))] ^= 4
  path.write_bytes(data)
  match = 'damaged .the values of its model are not those that were saved'
  with (
    Checkpoints(tmp_path, read_only=True) as checkpoints,
    pytest.raises(UserError, match=match),
  ):
    checkpoints.restore_model('20', state.variables)
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.restore_latest(state).next_index == 10


def test_nothing_is_moved_where_nothing_can_be_read(tmp_path, monkeypatch):
  """As when the memory is full: that is no reason to begin anew."""
  save(tmp_path, {10: 0.5, 20: 0.6})

  def fail(self, step, template):
    raise RuntimeError('RESOURCE_EXHAUSTED: out of memory')

  with Checkpoints(tmp_path) as checkpoints:
    monkeypatch.setattr(Checkpoints, '_restore', fail)
    with pytest.raises(UserError, match='20: RESOURCE_EXHAUSTED'):
      checkpoints.restore_latest(make_state())
    assert checkpoints.steps() == [10, 20]
  assert not (tmp_path / 'checkpoints-unreadable').exists()


@pytest.mark.parametrize('pattern', FILES[:2] + FILES[-1:])
def test_evaluation_names_the_damaged_and_moves_nothing(tmp_path, pattern):
  save(tmp_path, {10: 0.5, 20: 0.6})
  damage(tmp_path, 20, pattern)
  with (
    pytest.raises(UserError, match=r'20.* is damaged') as error,
    Checkpoints(tmp_path, read_only=True) as checkpoints,
  ):
    checkpoints.restore_model('latest', make_state().variables)
  assert '\n' not in str(error.value)
  assert (tmp_path / 'checkpoints' / '20').exists()


def test_reading_makes_no_folder(tmp_path):
  with Checkpoints(tmp_path, read_only=True) as checkpoints:
    assert checkpoints.steps() == []
  assert not (tmp_path / 'checkpoints').exists()


def test_saving_does_not_see_later_changes(tmp_path):
  """The save runs behind a step that donates the state's memory."""
  state = make_state(3)
  before = jax.device_get(state)
  change = jax.jit(
    lambda tree: jax.tree.map(lambda x: x + jnp.ones((), x.dtype), tree),
    donate_argnums=0,
  )
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(state)
    jax.block_until_ready(change(state))
    checkpoints.wait()
    restored = checkpoints.restore_latest(make_state())
  jax.tree.map(np.testing.assert_array_equal, restored.state, before)


@pytest.mark.parametrize('name', ['010', '10abc', '٣'])
def test_folders_of_others_are_left_alone(tmp_path, name):
  """That 010 is broken is no reason to set 10 aside."""
  save(tmp_path, {10: 0.5})
  metrics = tmp_path / 'checkpoints' / name / 'metrics' / 'metrics'
  metrics.parent.mkdir(parents=True)
  metrics.write_text('broken')
  with Checkpoints(tmp_path) as checkpoints:
    assert 10 in checkpoints.steps()
    assert not checkpoints.complaints
