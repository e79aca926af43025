import pytest

from ferjax import appended, storage


@pytest.fixture
def clock(monkeypatch):
  """The time, which stands still until it is set."""
  now = [1000.0]
  monkeypatch.setattr(appended.time, 'monotonic', lambda: now[0])
  return now


def test_on_a_disk_it_is_appended_to(tmp_path):
  file = appended.Appended(tmp_path / 'log', b'old\n')
  file.write(b'new\n')
  file.flush()
  assert (tmp_path / 'log').read_bytes() == b'old\nnew\n'
  file.write(b'last\n')
  file.close()
  assert (tmp_path / 'log').read_bytes() == b'old\nnew\nlast\n'


def test_in_a_bucket_it_is_written_now_and_then(store, clock):
  file = appended.Appended(storage.path('gs://ferjax/log'), b'old\n')
  written = []
  for number in range(100):
    file.write(b'%d\n' % number)
    file.flush()
    written.append(store.generations['ferjax/log'])
    clock[0] += 1
  # The first, then one in ten seconds.
  assert written[-1] == 1 + 9
  assert store.objects['ferjax/log'].endswith(b'\n90\n')
  file.flush(now=True)
  assert store.objects['ferjax/log'].endswith(b'\n99\n')
  file.close()
  assert store.generations['ferjax/log'] == written[-1] + 1  # nothing was new
  expected = b'old\n' + b''.join(b'%d\n' % number for number in range(100))
  assert store.objects['ferjax/log'] == expected


def test_closing_writes_what_is_left(store, clock):
  file = appended.Appended(storage.path('gs://ferjax/log'))
  file.write(b'a')
  file.flush()
  assert store.objects['ferjax/log'] == b''
  file.close()
  assert store.objects['ferjax/log'] == b'a'


def test_a_bucket_that_fails_is_asked_again(store, clock, capsys):
  file = appended.Appended(storage.path('gs://ferjax/log'))
  store.failure = ConnectionError('no route')
  file.write(b'a')
  file.flush(now=True)
  warning = 'warning: cannot write gs://ferjax/log'
  assert capsys.readouterr().err.count(warning) == 1
  file.flush()
  assert not capsys.readouterr().err  # but not at once
  store.failure = None
  clock[0] += appended.INTERVAL
  file.flush()
  assert store.objects['ferjax/log'] == b'a'


def test_a_place_that_cannot_be_written_is_told_at_once(store):
  path = storage.path('gs://ferjax/log')
  store.failure = PermissionError('no')
  with pytest.raises(PermissionError):
    appended.Appended(path)
