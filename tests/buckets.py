"""Buckets without a network: in memory, and emulated on this machine.

`in_memory` keeps objects in this process, behind the interface that the real
clients have. `emulated` serves the protocols of S3 and of Google's storage on
the loopback device, for the real clients.
"""

from collections.abc import Callable, Iterator
import contextlib
import functools
import http.server
import io
import json
import logging
import threading
from typing import NamedTuple
from urllib import parse, request

from etils import epath
import fsspec
import pytest

from ferjax import clients, storage

NAME = 'ferjax'


class Store(fsspec.AbstractFileSystem):
  """Objects in one bucket: no folders, no appending, no renaming.

  Attributes:
    objects: content by name, BUCKET/NAME.
    failure: raised by everything, if any.
  """

  protocol = ('s3', 'gs', 'gcs')
  cachable = False

  def __init__(self, **settings):
    super().__init__(**settings)
    self.objects = {}
    self.generations = {}
    self.failure = None

  @classmethod
  def _strip_protocol(cls, path):
    return path.rpartition('://')[2].strip('/')

  def _check(self, path):
    if self.failure:
      raise self.failure
    if path.partition('/')[0] != NAME:
      raise FileNotFoundError(f'b/{path}')

  def ls(self, path, detail=True, **kwargs):
    path = self._strip_protocol(path)
    self._check(path)
    found = {}
    for name in self.objects:
      if name == path:
        found[name] = self._file(name)
      elif name.startswith(f'{path}/'):
        child = name[len(path) + 1 :].partition('/')[0]
        child = f'{path}/{child}'
        folder = {'name': child, 'size': 0, 'type': 'directory'}
        found[child] = self._file(child) if child == name else folder
    if not found and path != NAME:
      raise FileNotFoundError(path)
    return list(found.values()) if detail else sorted(found)

  def _file(self, name):
    return {
      'name': name,
      'size': len(self.objects[name]),
      'type': 'file',
      'generation': self.generations[name],
    }

  def _open(self, path, mode='rb', **kwargs):
    self._check(path)
    if mode == 'rb':
      if path not in self.objects:
        raise FileNotFoundError(path)
      return io.BytesIO(self.objects[path])
    assert mode == 'wb', f'objects cannot be opened for {mode}'
    return _Upload(functools.partial(self.put_object, path))

  def put_object(self, path, content):
    self._check(path)
    self.objects[path] = content
    self.generations[path] = self.generations.get(path, 0) + 1

  def cp_file(self, path1, path2, **kwargs):
    self.put_object(
      self._strip_protocol(path2), self.objects[self._strip_protocol(path1)]
    )

  def _rm(self, path):
    path = self._strip_protocol(path)
    self._check(path)
    if path not in self.objects:
      raise FileNotFoundError(path)
    del self.objects[path]

  def mkdir(self, path, create_parents=True, **kwargs):
    raise AssertionError('this would make a bucket')

  def makedirs(self, path, exist_ok=False):
    """Makes nothing: there are no folders."""


class _Upload(io.BytesIO):
  """Becomes an object when it is closed."""

  def __init__(self, put: Callable[[bytes], None]):
    super().__init__()
    self._done = put

  def close(self):
    if not self.closed:
      self._done(self.getvalue())
    super().close()


@contextlib.contextmanager
def in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
  """Puts one store behind `s3://ferjax` and `gs://ferjax`."""
  store = Store()
  monkeypatch.setattr(epath.backend._FileSystemSpecBackend, 'fs', _fs(store))
  monkeypatch.setattr(clients, '_is_installed', lambda client: True)
  clients.check_access.cache_clear()
  yield store
  clients.check_access.cache_clear()


def _fs(store):
  return lambda self, path: (
    store if storage.is_remote(path) else fsspec.filesystem('file')
  )


class Bucket(NamedTuple):
  """An emulated bucket.

  Attributes:
    url: of it, `s3://ferjax`.
    environment: that leads clients there.
    names: lists all objects below a prefix.
    read: returns an object.
  """

  url: str
  environment: dict[str, str]
  names: Callable[[str], list[str]]
  read: Callable[[str], bytes]


@contextlib.contextmanager
def emulated(scheme: str) -> Iterator[Bucket]:
  """Serves an empty bucket."""
  with {'s3': _s3, 'gs': _gs}[scheme]() as bucket:
    yield bucket


@contextlib.contextmanager
def _s3() -> Iterator[Bucket]:
  pytest.importorskip('s3fs')
  server = pytest.importorskip('moto.server')
  logging.getLogger('werkzeug').setLevel(logging.ERROR)
  running = server.ThreadedMotoServer('127.0.0.1', 0, verbose=False)
  running.start()
  try:
    url = 'http://{}:{}'.format(*running.get_host_and_port())
    _ask(f'{url}/{NAME}', method='PUT')

    def names(prefix):
      text = _ask(f'{url}/{NAME}?list-type=2&prefix={prefix}').decode()
      return [part.partition('</Key>')[0] for part in text.split('<Key>')[1:]]

    environment = {
      'AWS_ENDPOINT_URL': url,
      'AWS_ACCESS_KEY_ID': 'a',
      'AWS_SECRET_ACCESS_KEY': 'b',
      'AWS_DEFAULT_REGION': 'us-east-1',
    }

    def read(name):
      return _ask(f'{url}/{NAME}/{name}')

    yield Bucket(f's3://{NAME}', environment, names, read)
  finally:
    running.stop()


@contextlib.contextmanager
def _gs() -> Iterator[Bucket]:
  pytest.importorskip('gcsfs')
  emulator = pytest.importorskip('gcp_storage_emulator.server')
  stores = pytest.importorskip('gcp_storage_emulator.storage')
  logging.getLogger('gcp_storage_emulator').setLevel(logging.CRITICAL)
  logging.getLogger('api').setLevel(logging.CRITICAL)
  store = stores.Storage(use_memory_fs=True)
  emulator.buckets.create_bucket(NAME, store)
  # One thread: the emulator's store takes no two at once.
  server = http.server.HTTPServer(
    ('127.0.0.1', 0), functools.partial(_handler(emulator, stores), store)
  )
  server.handle_error = lambda *_: None  # of clients that hang up
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  try:
    url = f'http://127.0.0.1:{server.server_address[1]}'

    def names(prefix):
      found = _ask(f'{url}/storage/v1/b/{NAME}/o?prefix={prefix}')
      return [item['name'] for item in json.loads(found).get('items', ())]

    environment = {
      'STORAGE_EMULATOR_HOST': url,
      'TENSORSTORE_GCS_HTTP_URL': url,
      'GOOGLE_CLOUD_PROJECT': 'test',
    }

    def read(name):
      name = parse.quote(name, safe='')
      return _ask(f'{url}/storage/v1/b/{NAME}/o/{name}?alt=media')

    yield Bucket(f'gs://{NAME}', environment, names, read)
  finally:
    server.shutdown()
    server.server_close()
    thread.join()


def _ask(url: str, method: str = 'GET') -> bytes:
  # What is signed, it takes for the owner's.
  headers = {'Authorization': 'AWS a:b'}
  asked = request.Request(url, method=method, headers=headers)
  with request.urlopen(asked, timeout=60) as response:
    return response.read()


def _handler(emulator: object, stores: object) -> type:
  """Returns the emulator's handler, with what TensorStore needs beside."""

  class Handler(emulator.RequestHandler):
    """Knows generations: told when reading, asked for when writing."""

    def do_POST(self):  # noqa: N802
      wanted, name = self._given('ifGenerationMatch'), self._given('name')
      if wanted and name and wanted != self._generation(name):
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self.send_error(412)
        return
      super().do_POST()

    def end_headers(self):
      if self.command == 'GET' and self._given('alt') == 'media':
        path = parse.urlparse(self.path).path
        name = parse.unquote(path.partition('/o/')[2])
        self.send_header('x-goog-generation', self._generation(name))
      super().end_headers()

    def _given(self, name):
      query = parse.parse_qs(parse.urlparse(self.path).query)
      return query.get(name, [''])[0]

    def _generation(self, name):
      try:
        return self.storage.get_file_obj(NAME, name)['generation']
      except stores.NotFound:
        return '0'

  return Handler
