"""Workdirs with broken checkpoints and odd names in them: loaded, or a line."""

import json
import shutil

import guard
from hypothesis import example, given, settings
from hypothesis import strategies as st
import miniature
from mutations import VALUES, broken_bytes, broken_json
import numpy as np
import optax
import pytest

from ferjax import checkpoint, inference, models, parallel, train_state
from ferjax.errors import UserError
from ferjax.evaluation import ensemble

pytestmark = pytest.mark.stress

few = settings(max_examples=settings().max_examples // 10)
METRICS = {'val/accuracy': 0.5}
NAMES = st.sampled_from(
  (
    *('5', '010', '10abc', '10.partial', 'x', '٣', '²', '-5', '1e3', '9' * 30),
    *('10.orbax-checkpoint-tmp', '10.orbax-checkpoint-tmp-1', '0', '00', '+1'),
    *('a\nb', '1\n', '.hidden', '5 ', ' 5', '\udcff', 'metrics'),
  )
)


@pytest.fixture(scope='module')
def home():
  yield from guard.folder()


def make_state(step):
  model = models.create_model('logistic', 3)
  variables = models.init(model, (48, 48, 1), seed=0)
  state = train_state.create(variables, optax.sgd(0.1), False)
  return parallel.replicate(state.replace(step=np.int32(step)))


@pytest.fixture(scope='module')
def whole(home):
  """A run of two checkpoints, the first of them the best."""
  run = miniature.make_run(home / 'whole', model='logistic')
  with checkpoint.Checkpoints(run) as checkpoints:
    checkpoints.save(make_state(10), {'val/accuracy': 0.9})
    checkpoints.save(make_state(20), {'val/accuracy': 0.8})
    checkpoints.wait()
  inference.load(run)
  return run


def copy(whole, home):
  run = home / 'run'
  shutil.rmtree(run, ignore_errors=True)
  shutil.copytree(whole, run)
  return run


@given(st.data())
@few
def test_weights_are_loaded(home, whole, data):
  run = copy(whole, home)
  files = sorted(path for path in run.rglob('*') if path.is_file())
  broken = data.draw(st.sampled_from([None, *files]))
  if broken and broken.suffix == '.json':
    value = json.loads(broken.read_text())
    broken.write_bytes(data.draw(broken_json(value)))
  elif broken:
    broken.write_bytes(data.draw(broken_bytes(broken.read_bytes())))
  which = data.draw(
    st.sampled_from(
      ('best', 'latest', '10', '٣', '²', '-1', '', 'x', '9' * 5000)
    )
  )
  found = guard.outcome(lambda: inference.load(run, which), home)
  if not broken and which in ('best', 'latest', '10'):
    assert found.step == (20 if which == 'latest' else 10)
  if not isinstance(found, UserError):
    assert found.step in (10, 20)


@settings(max_examples=settings().max_examples // 50 + 5)  # Orbax is slow
@given(
  st.lists(st.tuples(NAMES, st.booleans(), VALUES), max_size=2), st.booleans()
)
@example([('10abc', True, None)], False)
@example([('010', True, 10**400)], False)
def test_folders_of_any_name(home, whole, others, read_only):
  run = copy(whole, home)
  folder = run / 'checkpoints'
  for name, has_metrics, value in others:
    metrics = folder / name / 'metrics' / 'metrics'
    (metrics.parent if has_metrics else folder / name).mkdir(
      parents=True, exist_ok=True
    )
    if has_metrics:
      metrics.write_text(json.dumps({'val/accuracy': value, 'step': 5}))

  def look():
    assert checkpoint.has_checkpoint(run)
    with checkpoint.Checkpoints(run, read_only=read_only) as checkpoints:
      restored = checkpoints.restore_latest(make_state(0))
      return checkpoints.steps(), checkpoints.best_step(), restored.next_index

  found = guard.outcome(look, home)
  if not isinstance(found, UserError):
    steps, _, step = found
    assert {10, 20} <= set(steps)
    assert step == 20
  kept = {path.name for path in folder.iterdir()}
  aside = run / 'checkpoints-unreadable'
  kept |= {path.name for path in aside.iterdir()} if aside.exists() else set()
  assert {name for name, *_ in others if 'tmp' not in name} <= kept


MEMBERS = st.sampled_from(
  ('member_0', 'member_1', 'member_٣', 'member_²', 'member_', 'member_-1')
)


@given(st.lists(MEMBERS, unique=True))
def test_members_of_any_name(home, names):
  run = home / 'members'
  shutil.rmtree(run, ignore_errors=True)
  for name in ('other', *names):
    (run / name).mkdir(parents=True)
  found = guard.outcome(lambda: ensemble.member_workdirs(run), home)
  assert {path.name for path in found} == {
    name for name in names if name.removeprefix('member_').isdecimal()
  }
