import errno
import os
import pathlib

from etils import epath
import pytest

from ferjax import clients, storage
from ferjax.errors import StorageError, UserError


class NoCredentialsError(Exception):
  """As botocore calls it."""


class HttpError(Exception):
  """As gcsfs calls it."""

  code = 401


def test_a_local_path_is_pathlibs():
  assert storage.path('runs/x') == pathlib.Path('runs/x')
  assert type(storage.path('/tmp')) is type(pathlib.Path())
  assert storage.path('~nobody-at-all/x') == pathlib.Path('~nobody-at-all/x')
  assert storage.path('~/x') == pathlib.Path.home() / 'x'
  assert not storage.is_remote(pathlib.Path('gs:/ferjax'))


@pytest.mark.parametrize('scheme', ['gs', 's3'])
def test_a_path_in_a_bucket_keeps_its_form(store, scheme):
  path = storage.path(f'{scheme}://ferjax/runs/x/')
  assert str(path / 'a' / 'b') == f'{scheme}://ferjax/runs/x/a/b'
  assert storage.is_remote(path / 'a')
  assert storage.path(path) == path
  assert storage.absolute(path) == path
  assert storage.identity(path) == f'{scheme}://ferjax/runs/x'


def test_identity_follows_links(tmp_path):
  (tmp_path / 'link').symlink_to(tmp_path)
  assert storage.identity(tmp_path / 'link') == storage.identity(tmp_path)


@pytest.mark.parametrize(
  ('given', 'match'),
  [
    ('az://b/x', 'az:// is not supported; give a local path, gs:// or s3://'),
    ('http://b/x', 'http:// is not supported'),
    ('hdfs://b/x', 'hdfs:// is not supported'),
    ('gs://', 'names no bucket'),
    ('s3:///x', 'names no bucket'),
    ('s3://nobody/x', 'there is no bucket s3://nobody$'),
    ('gs://nobody/x', 'there is no bucket gs://nobody$'),
  ],
)
def test_what_cannot_be_a_path_is_one_line(store, given, match):
  with pytest.raises(UserError, match=match) as caught:
    storage.path(given)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('failure', 'match'),
  [
    (PermissionError('Access Denied'), 'denied .Access Denied.; set AWS_'),
    (OSError('Forbidden: b/o\nno'), r'permission denied \(Forbidden: b/o\)'),
    (NoCredentialsError('Unable to locate'), 'denied .*; set AWS_ACCESS'),
    (HttpError('Invalid Credentials'), 'denied .Invalid Credentials.'),
  ],
)
def test_who_may_not_is_told_how(store, failure, match):
  store.failure = failure
  with pytest.raises(UserError, match=match) as caught:
    storage.path('s3://ferjax/x')
  assert '\n' not in str(caught.value)


def test_who_gave_no_credentials_may_try_again(store):
  """Those of a machine may come late, which ends no job for good."""
  path = storage.path('gs://ferjax/x')
  clients.check_access.cache_clear()
  store.failure = HttpError('Anonymous caller does not have storage.objects.')
  for call in (
    lambda: storage.path('gs://ferjax/x'),
    lambda: storage.read_text(path),
    lambda: storage.write_text(path, ''),
  ):
    match = '^gs://ferjax/x: no credentials were found; run `gcloud auth'
    with pytest.raises(StorageError, match=match) as caught:
      call()
    assert '\n' not in str(caught.value)


def test_a_bucket_that_does_not_answer_is_worth_another_try(store):
  store.failure = ConnectionError('no route')
  with pytest.raises(StorageError, match='s3://ferjax/x does not answer: no r'):
    storage.path('s3://ferjax/x')
  store.failure = None
  assert storage.path('s3://ferjax/x')  # no failure is remembered


@pytest.mark.parametrize(
  ('scheme', 'client', 'extra'), [('gs', 'gcsfs', 'gcs'), ('s3', 's3fs', 's3')]
)
def test_a_client_that_is_missing_is_named(monkeypatch, scheme, client, extra):
  monkeypatch.setattr(clients, '_is_installed', lambda name: name != client)
  clients.check_access.cache_clear()
  match = rf"{scheme}:// needs {client}: pip install 'ferjax\[{extra}\]'"
  with pytest.raises(UserError, match=match):
    storage.path(f'{scheme}://ferjax/x')


@pytest.mark.parametrize('place', ['local', 'gs://ferjax/x'])
def test_files_are_written_and_read(store, tmp_path, place):
  folder = tmp_path if place == 'local' else storage.path(place)
  storage.make_folder(folder)
  for text in ('one\r\n', 'tw\N{LATIN SMALL LETTER O WITH DIAERESIS}\n'):
    storage.write_text(folder / 'a.txt', text)
    assert storage.read_text(folder / 'a.txt') == text
  storage.write_text(folder / 'b', 'x\udcff', errors='backslashreplace')
  storage.write_bytes(folder / 'c', b'\xff')
  assert storage.read_text(folder / 'b') == 'x\\udcff'
  assert storage.read_text(folder / 'c', errors='replace') == '\ufffd'
  with pytest.raises(UnicodeDecodeError):
    storage.read_text(folder / 'c')
  assert sorted(path.name for path in folder.iterdir()) == ['a.txt', 'b', 'c']


def test_a_local_file_is_whole_or_not_there(tmp_path, monkeypatch):
  path = tmp_path / 'a'
  storage.write_text(path, 'old')

  def fail(partial, target):
    assert partial.read_text() == 'new'
    assert path.read_text() == 'old'
    raise OSError(errno.ENOSPC, 'full')

  monkeypatch.setattr(pathlib.Path, 'replace', fail)
  with pytest.raises(OSError, match='full'):
    storage.write_text(path, 'new')
  assert [p.name for p in tmp_path.iterdir()] == ['a']
  assert path.read_text() == 'old'


def test_a_local_file_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
  path = tmp_path / 'a'
  synced = []

  def fsync(handle):
    assert not path.exists() or path.read_text() == 'old'
    synced.append(os.fstat(handle).st_size)

  monkeypatch.setattr(os, 'fsync', fsync)
  storage.write_text(path, 'old')
  storage.write_text(path, 'newer')
  assert synced == [3, 5]


def test_what_is_there_already_is_not_written_again(tmp_path):
  path = tmp_path / 'a'
  storage.write_text(path, 'same')
  before = path.stat()
  storage.write_text(path, 'same')
  assert path.stat().st_ino == before.st_ino
  storage.write_text(path, 'other')
  assert path.read_text() == 'other'


@pytest.mark.parametrize(
  ('failure', 'code'),
  [
    (FileNotFoundError('b/x'), errno.ENOENT),
    (PermissionError('Access Denied'), errno.EACCES),
    (OSError('Forbidden: x'), errno.EACCES),
    (NoCredentialsError('none'), errno.EACCES),
  ],
)
def test_a_refusal_is_as_on_a_disk(store, failure, code):
  path = storage.path('s3://ferjax/x')
  store.failure = failure
  for call in (
    lambda: storage.read_text(path),
    lambda: storage.write_text(path, ''),
    lambda: storage.make_folder(path),
  ):
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
      call()
    assert caught.value.errno == code


def test_other_failures_are_of_the_storage(store):
  path = storage.path('s3://ferjax/x')
  store.failure = ValueError('Bad Request: x\nmore')
  with pytest.raises(StorageError, match=r'^s3://ferjax/x: Bad Request: x$'):
    storage.read_text(path)


def test_a_full_disk_of_this_machine_is_told_as_such():
  with (
    pytest.raises(OSError, match='no room'),
    storage.answering('s3://ferjax/x'),
  ):
    raise OSError(errno.ENOSPC, 'no room', '/tmp/x')


def test_a_folder_in_a_bucket_is_only_tried(store):
  storage.make_folder(storage.path('s3://ferjax/x/y'))
  assert store.objects == {}


def test_where_tensorstore_looks(tmp_path):
  assert storage.kvstore(tmp_path) == {'driver': 'file', 'path': f'{tmp_path}/'}
  assert storage.kvstore(epath.Path('gs://b/x/y')) == {
    'driver': 'gcs',
    'bucket': 'b',
    'path': 'x/y/',
  }


def test_the_clients_errors_are_known():
  kind = type(
    'ClientError', (Exception,), {'__module__': 'botocore.exceptions'}
  )
  derived = type('Mine', (kind,), {})
  assert storage.is_of_client(derived())
  assert not storage.is_of_client(ValueError())
