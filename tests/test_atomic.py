import os
import subprocess
import sys

import pytest

from ferjax import storage
from ferjax.data import atomic
from ferjax.errors import StorageError, UserError

# Begins a folder, says so, and waits to be killed.
WRITER = """
import pathlib, sys, time
from ferjax.data import atomic
with atomic.folder(pathlib.Path(sys.argv[1]), overwrite=True) as workspace:
  (workspace / atomic.RESULT).mkdir()
  (workspace / atomic.RESULT / 'half').touch()
  print('begun', flush=True)
  time.sleep(60)
"""


def make(target, content, overwrite=False):
  with atomic.folder(target, overwrite) as workspace:
    assert list(workspace.iterdir()) == []
    (workspace / atomic.RESULT).mkdir()
    (workspace / atomic.RESULT / 'file').write_text(content)


def test_a_folder_is_made_and_only_replaced_on_demand(tmp_path):
  target = tmp_path / 'a' / 'b'
  make(target, 'old')
  assert (target / 'file').read_text() == 'old'
  with pytest.raises(UserError, match='--overwrite'):
    make(target, 'new')
  make(target, 'new', overwrite=True)
  assert (target / 'file').read_text() == 'new'
  assert [path.name for path in target.parent.iterdir()] == ['b']


def test_an_error_leaves_what_was_there(tmp_path):
  make(tmp_path / 'b', 'old')

  def fail():
    with atomic.folder(tmp_path / 'b', overwrite=True) as workspace:
      (workspace / atomic.RESULT).mkdir()
      raise OSError(28, 'No space left on device')

  with pytest.raises(UserError, match='No space left'):
    fail()
  assert (tmp_path / 'b' / 'file').read_text() == 'old'
  assert [path.name for path in tmp_path.iterdir()] == ['b']


def test_a_killed_writer_leaves_nothing_and_is_cleaned_up(tmp_path):
  target = tmp_path / 'b'
  make(target, 'old')
  writer = subprocess.Popen(
    [sys.executable, '-c', WRITER, target], stdout=subprocess.PIPE, text=True
  )
  with writer:
    assert writer.stdout.readline() == 'begun\n'
    with pytest.raises(UserError, match='another process'):
      make(target, 'new', overwrite=True)
    writer.kill()
  assert (target / 'file').read_text() == 'old'
  make(target, 'new', overwrite=True)
  assert (target / 'file').read_text() == 'new'
  assert [path.name for path in tmp_path.iterdir()] == ['b']


def test_a_writer_killed_while_replacing_loses_nothing(tmp_path):
  target = tmp_path / 'b'
  make(target, 'old')
  target.rename(tmp_path / '.replaced')  # the state between two renames
  with pytest.raises(UserError, match='--overwrite'):
    atomic.check(target, overwrite=False)
  assert (target / 'file').read_text() == 'old'


def test_what_is_half_deleted_is_never_brought_back(tmp_path, monkeypatch):
  target = tmp_path / 'b'
  make(target, 'old')
  (tmp_path / '.replaced').mkdir()  # of a start that was killed
  removed = []

  def rmtree(path, **_):
    removed.append(path.name)

  with monkeypatch.context() as patch:  # as killed before anything goes
    patch.setattr(atomic.shutil, 'rmtree', rmtree)
    make(target, 'new', overwrite=True)
  assert removed == ['.incomplete']
  assert not (tmp_path / '.replaced').exists()
  make(target, 'newer', overwrite=True)
  assert [path.name for path in tmp_path.iterdir()] == ['b']


def test_what_another_process_replaces_is_left_to_it(tmp_path):
  """Between its two renames, nothing is there but the old one."""
  target = tmp_path / 'b'
  make(target, 'old')
  with atomic.folder(target, overwrite=True) as workspace:
    target.rename(tmp_path / '.replaced')
    with pytest.raises(UserError, match='another process is writing it'):
      atomic.check(target, overwrite=True)
    assert not target.exists()
    (workspace / atomic.RESULT).mkdir()


def test_leftovers_of_any_kind_are_removed(tmp_path):
  workspace = tmp_path / '.incomplete'
  (workspace / 'folder').mkdir(parents=True)
  (workspace / 'file').touch()
  (tmp_path / 'elsewhere').mkdir()
  (workspace / 'link').symlink_to(tmp_path / 'elsewhere')
  make(tmp_path / 'b', 'new')
  assert sorted(p.name for p in tmp_path.iterdir()) == ['b', 'elsewhere']


def test_where_nothing_can_be_written_is_told(tmp_path, monkeypatch):
  (tmp_path / 'file').touch()
  with pytest.raises(UserError, match='cannot make'):
    atomic.check(tmp_path / 'file' / 'name' / 'b', overwrite=False)
  monkeypatch.setattr(os, 'access', lambda path, mode: False)
  with pytest.raises(UserError, match='read-only'):
    atomic.check(tmp_path / 'b', overwrite=False)


def publish(content, overwrite=False, names=('file',)):
  target = storage.path('s3://ferjax/data/b')
  with atomic.folder(target, overwrite) as workspace:
    (workspace / atomic.RESULT).mkdir()
    for name in (*names, atomic.LAST):
      (workspace / atomic.RESULT / name).write_text(content)


def test_in_a_bucket_a_folder_is_made_and_only_replaced_on_demand(store):
  publish('old', names=('file', 'stale'))
  with pytest.raises(UserError, match='--overwrite'):
    publish('new')
  assert store.objects['ferjax/data/b/file'] == b'old'
  publish('new', overwrite=True)
  assert store.objects == {
    'ferjax/data/b/file': b'new',
    f'ferjax/data/b/{atomic.LAST}': b'new',
  }


def test_in_a_bucket_what_is_not_ours_stays_without_overwrite(store):
  store.put_object('ferjax/data/b/own.csv', b'mine')
  store.put_object('ferjax/data/b/file', b'of a half upload')
  publish('new')
  assert store.objects == {
    'ferjax/data/b/own.csv': b'mine',
    'ferjax/data/b/file': b'new',
    f'ferjax/data/b/{atomic.LAST}': b'new',
  }


def test_in_a_bucket_half_a_folder_is_none(store, monkeypatch):
  publish('old')
  put_object = store.put_object

  def fail(name, content):
    if name.endswith('second'):
      assert f'ferjax/data/b/{atomic.LAST}' not in store.objects
      raise ConnectionError('gone')
    put_object(name, content)

  monkeypatch.setattr(store, 'put_object', fail)
  with pytest.raises(StorageError, match='gone'):
    publish('new', overwrite=True, names=('file', 'second'))
  monkeypatch.undo()
  assert f'ferjax/data/b/{atomic.LAST}' not in store.objects


def test_a_bucket_that_cannot_be_written_is_told_before_any_work(
  store, monkeypatch
):
  target = storage.path('s3://ferjax/data/b')

  def fail(name, content):
    raise PermissionError('Access Denied')

  monkeypatch.setattr(store, 'put_object', fail)
  with pytest.raises(
    UserError, match=r'write into s3://ferjax/data: Permission'
  ):
    atomic.check(target, overwrite=False)
