import os
import pathlib
import shutil

import pytest

from ferjax import storage, transfer
from ferjax.data import atomic, cached
from ferjax.errors import UserError


@pytest.fixture
def folder(store):
  """A prepared set of three files in a bucket."""
  folder = storage.path('s3://ferjax/data/faces/1.0.0')
  for name, content in (('a', b'aa'), ('b', b'bbb'), (atomic.LAST, b'{}')):
    storage.write_bytes(folder / name, content)
  return folder


def test_a_local_set_is_not_copied(tmp_path):
  assert cached.local(tmp_path) is tmp_path


def test_a_set_is_copied_once(folder, monkeypatch, capsys):
  local = cached.local(folder)
  assert local.is_relative_to(cached.root())
  files = {path.name: path.read_bytes() for path in local.iterdir()}
  assert files == {'a': b'aa', 'b': b'bbb', atomic.LAST: b'{}'}
  assert 'copying 0 MB of s3://ferjax/data/faces' in capsys.readouterr().err
  monkeypatch.setattr(transfer, 'download', None)
  assert cached.local(folder) == local
  assert not capsys.readouterr().err


def test_a_set_that_changed_takes_the_place_of_its_copy(folder):
  old = cached.local(folder)
  storage.write_bytes(folder / 'a', b'AA')  # of the same size
  new = cached.local(folder)
  assert (new / 'a').read_bytes() == b'AA'
  assert [path.name for path in new.parent.iterdir()] == [new.name]
  assert not old.exists()


def test_two_places_have_two_copies(folder):
  other = storage.path('s3://ferjax/more/faces/1.0.0')
  storage.write_bytes(other / atomic.LAST, b'{}')
  first, second = cached.local(folder), cached.local(other)
  assert first.parent != second.parent
  assert first.exists()


def test_a_copy_is_whole_or_not_there(folder, monkeypatch):
  download = transfer.download

  def fail(source, names, target):
    download(source, names[:1], target)
    raise KeyboardInterrupt

  monkeypatch.setattr(transfer, 'download', fail)
  with pytest.raises(KeyboardInterrupt):
    cached.local(folder)
  monkeypatch.setattr(transfer, 'download', download)
  (place,) = cached.root().iterdir()
  assert not list(place.iterdir())
  # As a kill leaves it.
  (place / 'incomplete').mkdir()
  (place / 'incomplete' / 'a').write_bytes(b'a')
  assert len(list(cached.local(folder).iterdir())) == 3


def test_a_file_that_strays_there_does_no_harm(folder):
  place = cached.local(folder).parent
  (place / '.DS_Store').write_text('')
  storage.write_bytes(folder / 'a', b'AA')
  new = cached.local(folder)
  assert list(place.iterdir()) == [new]


def test_a_copy_is_on_disk_before_it_has_its_name(folder, monkeypatch):
  synced = []
  monkeypatch.setattr(os, 'fsync', synced.append)
  cached.local(folder)
  assert len(synced) == 3


def test_a_set_that_changes_meanwhile_is_refused(folder, monkeypatch):
  download = transfer.download

  def change(source, names, target):
    download(source, names, target)
    storage.write_bytes(folder / 'b', b'BBB')

  monkeypatch.setattr(transfer, 'download', change)
  with pytest.raises(UserError, match='changed while it was read; try again'):
    cached.local(folder)


def test_half_a_set_is_refused(folder, store):
  del store.objects[f'ferjax/data/faces/1.0.0/{atomic.LAST}']
  with pytest.raises(UserError, match=r'1\.0\.0 is not whole: its upload is'):
    cached.local(folder)


def test_a_full_disk_is_one_line(folder, monkeypatch):
  usage = shutil.disk_usage('/')._replace(free=3)
  monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
  with pytest.raises(
    UserError, match=r'No space left on device\); set XDG_CACHE'
  ):
    cached.local(folder)


def test_a_cache_that_cannot_be_made_is_one_line(folder, tmp_path, monkeypatch):
  file = pathlib.Path(tmp_path / 'file')
  file.write_bytes(b'')
  monkeypatch.setenv('XDG_CACHE_HOME', str(file))
  with pytest.raises(UserError, match='cannot copy s3://ferjax/data/faces'):
    cached.local(folder)
