"""Checkpoints in a bucket that Orbax cannot write to."""

import json
import threading

import jax
import numpy as np
import pytest
from test_checkpoint import make_state

from ferjax import damage, mirror, storage, transfer
from ferjax.checkpoint import Checkpoints, has_checkpoint
from ferjax.errors import RetryError, StorageError, UserError

LAST = '_CHECKPOINT_METADATA'


@pytest.fixture
def workdir(store):
  return storage.path('s3://ferjax/runs/a')


def save(workdir, *steps):
  with Checkpoints(workdir) as checkpoints:
    for step in steps:
      checkpoints.save(make_state(step), {'val/accuracy': step / 100})


def steps(store):
  """The steps that have any object, and those that are whole."""
  names = [n.removeprefix('ferjax/runs/a/checkpoints/') for n in store.objects]
  kept = {name.partition('/')[0] for name in names if name[0].isdecimal()}
  return kept, {n.partition('/')[0] for n in names if n.endswith(f'/{LAST}')}


def test_round_trip(workdir, store):
  assert not has_checkpoint(workdir)
  save(workdir, 1, 2, 3, 4)
  assert steps(store) == ({'3', '4'}, {'3', '4'})
  assert has_checkpoint(workdir)
  with Checkpoints(workdir) as checkpoints:
    assert checkpoints.steps() == [3, 4]
    assert checkpoints.best_accuracy() == 0.04
    restored = checkpoints.restore_latest(make_state())
    assert not checkpoints.complaints
    checkpoints.save(make_state(5), {'val/accuracy': 0.01})
  jax.tree.map(np.testing.assert_array_equal, restored.state, make_state(4))
  assert steps(store) == ({'4', '5'}, {'4', '5'})


def test_a_reader_fetches_weights_alone(workdir, store, monkeypatch):
  save(workdir, 1, 2)
  before = dict(store.objects)
  fetched = []
  download = transfer.download

  def remember(folder, names, target):
    fetched.extend(names)
    download(folder, names, target)

  monkeypatch.setattr(transfer, 'download', remember)
  with Checkpoints(workdir, read_only=True) as checkpoints:
    step, variables = checkpoints.restore_model(
      'latest', make_state().variables
    )
  assert step == 2
  expected = make_state(2).variables
  jax.tree.map(np.testing.assert_array_equal, variables, expected)
  assert any(name.startswith('2/model/') for name in fetched)
  assert not any('/training/' in name for name in fetched)
  assert store.objects == before


def test_half_a_checkpoint_is_none(workdir, store):
  save(workdir, 1, 2)
  del store.objects[f'ferjax/runs/a/checkpoints/2/{LAST}']
  with Checkpoints(workdir) as checkpoints:
    assert checkpoints.steps() == [1]
    checkpoints.save(make_state(2))
  assert steps(store) == ({'1', '2'}, {'1', '2'})


def test_a_step_is_whole_only_when_all_of_it_is_there(
  workdir, store, monkeypatch
):
  uploads = []
  upload = transfer.upload

  def remember(source, names, folder):
    uploads.append(names)
    upload(source, names, folder)

  monkeypatch.setattr(transfer, 'upload', remember)
  save(workdir, 1)
  assert len(uploads[0]) > 10
  assert f'1/{LAST}' not in uploads[0]
  assert uploads[1] == [f'1/{LAST}']


def test_a_damaged_checkpoint_is_set_aside_in_the_bucket(workdir, store):
  save(workdir, 1, 2)
  aside = 'ferjax/runs/a/checkpoints-unreadable/2/'
  store.put_object(f'{aside}kept', b'')
  for name in list(store.objects):
    if '/checkpoints/2/model/' in name and '/d/' in name:
      store.objects[name] = store.objects[name][:10]
  with Checkpoints(workdir) as checkpoints:
    restored = checkpoints.restore_latest(make_state())
    assert restored.next_index == 1
    (complaint,) = checkpoints.complaints
    assert complaint.endswith('s3://ferjax/runs/a/checkpoints-unreadable/2-2')
    assert checkpoints.steps() == [1]
    checkpoints.save(make_state(2))
  assert steps(store)[1] == {'1', '2', 'ferjax'}
  assert f'{aside[:-1]}-2/{LAST}' in store.objects


def test_later_checkpoints_are_forgotten(workdir, store):
  save(workdir, 1, 2)
  with Checkpoints(workdir) as checkpoints:
    checkpoints.forget_after(1)
  assert steps(store) == ({'1'}, {'1'})


def test_unranked_metrics_are_found_in_the_bucket(workdir, store):
  save(workdir, 1, 2)
  name = 'ferjax/runs/a/checkpoints/2/metrics/metrics'
  store.objects[name] = json.dumps({'step': 2}).encode()
  with pytest.raises(UserError, match=r's3://.*/2 is damaged'):
    Checkpoints(workdir, read_only=True)
  with Checkpoints(workdir) as checkpoints:
    assert checkpoints.steps() == [1]


def test_a_failed_upload_is_told(workdir, store):
  """With what the bucket has, not what the temporary folder had."""
  with Checkpoints(workdir, keep=1) as checkpoints:
    checkpoints.save(make_state(1))
    checkpoints.wait()
    store.failure = ConnectionError('no route')
    checkpoints.save(make_state(2))
    match = r'written to s3://.*no route.*; those of steps \[1\] are whole'
    with pytest.raises(RetryError, match=match):
      checkpoints.wait()
  assert steps(store) == ({'1'}, {'1'})


def test_where_nothing_was_uploaded_nothing_is_there(workdir, store):
  with Checkpoints(workdir) as checkpoints:
    store.failure = ConnectionError('no route')
    checkpoints.save(make_state(1))
    with pytest.raises(RetryError, match='none is there'):
      checkpoints.wait()


def test_objects_of_the_user_stay(workdir, store):
  theirs = ['NOTES.txt', 'export/model', f'best-old/{LAST}', '7/model/half']
  names = [f'ferjax/runs/a/checkpoints/{name}' for name in theirs]
  for name in names:
    store.put_object(name, b'mine')
  save(workdir, 1, 2, 3, 4)
  save(workdir, 5)
  assert [store.objects.get(name) for name in names] == [b'mine'] * 4
  assert steps(store)[1] == {'4', '5', 'best-old'}


def test_half_a_step_goes_when_it_is_saved_again(workdir, store):
  name = 'ferjax/runs/a/checkpoints/3/model/half'
  store.put_object(name, b'')
  save(workdir, 3)
  assert name not in store.objects
  assert steps(store) == ({'3'}, {'3'})


def test_what_a_bucket_that_is_down_holds_is_not_damaged(workdir, store):
  save(workdir, 1)
  with Checkpoints(workdir) as checkpoints:
    remote = workdir / 'checkpoints' / '1'
    store.failure = ConnectionError('no route')
    with pytest.raises(StorageError, match='no route'):
      damage.attempt(lambda: damage.digest_of(remote, 'model'))
    store.failure = None
    assert checkpoints.steps() == [1]


def test_a_save_does_not_wait_for_the_bucket(workdir, monkeypatch):
  release = threading.Event()
  upload = transfer.upload

  def wait(*arguments):
    assert release.wait(60)
    upload(*arguments)

  monkeypatch.setattr(transfer, 'upload', wait)
  with Checkpoints(workdir) as checkpoints:
    checkpoints.save(make_state(1))  # would time out
    assert not transfer.listing(workdir)
    release.set()
  assert has_checkpoint(workdir)


def test_a_step_that_goes_while_it_is_read(workdir, store, monkeypatch):
  save(workdir, 1, 2)
  download = transfer.download
  calls = []

  def miss_once(folder, names, target):
    calls.append(names)
    if len(calls) == 1:
      gone = [n for n in store.objects if '/checkpoints/1/' in n]
      for name in gone:
        del store.objects[name]
    download(folder, names, target)

  monkeypatch.setattr(transfer, 'download', miss_once)
  with Checkpoints(workdir, read_only=True) as checkpoints:
    assert checkpoints.steps() == [2]


def test_several_processes_are_refused(workdir, monkeypatch):
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  with pytest.raises(UserError, match='several processes cannot save to s3://'):
    mirror.open_manager(workdir / 'checkpoints', None, ())
