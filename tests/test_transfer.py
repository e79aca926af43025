import pytest

from ferjax import storage, transfer
from ferjax.errors import UserError


@pytest.fixture
def home(store):
  """A folder in a bucket, with a neighbour whose name begins alike."""
  for name, content in {
    'a/one': b'1',
    'a/in/two [x]': b'22',
    'a/in/': b'',  # as some tools make a folder
    'ab/three': b'3',
  }.items():
    store.put_object(f'ferjax/{name}', content)
  return storage.path('s3://ferjax/a')


def test_a_listing_is_of_the_objects_below(home):
  listed = [(each.name, each.size) for each in transfer.listing(home)]
  assert listed == [('in/two [x]', 2), ('one', 1)]
  assert transfer.listing(home.with_name('none')) == []


def test_an_object_that_is_written_again_is_another(home):
  before = transfer.listing(home)
  storage.write_bytes(home / 'one', b'9')
  after = transfer.listing(home)
  assert [each.name for each in before] == [each.name for each in after]
  assert before[0] == after[0]
  assert before[1] != after[1]


def test_files_come_and_go(home, store, tmp_path):
  transfer.download(home, ['one', 'in/two [x]'], tmp_path)
  assert (tmp_path / 'in' / 'two [x]').read_bytes() == b'22'
  (tmp_path / 'new').mkdir()
  (tmp_path / 'new' / 'four').write_bytes(b'4444')
  transfer.upload(tmp_path, ['new/four', 'one'], home.with_name('b'))
  assert store.objects['ferjax/b/new/four'] == b'4444'
  assert 'ferjax/b/in/two [x]' not in store.objects
  transfer.remove(home.with_name('b'), ['one'])
  assert [o.name for o in transfer.listing(home.with_name('b'))] == ['new/four']


def test_a_folder_in_a_bucket_moves_whole(home, store):
  transfer.move(home, storage.path('s3://ferjax/moved/here'))
  assert store.objects['ferjax/moved/here/in/two [x]'] == b'22'
  assert transfer.listing(home) == []
  assert store.objects['ferjax/ab/three'] == b'3'


def test_a_local_folder_moves(tmp_path):
  (tmp_path / 'a').mkdir()
  transfer.move(tmp_path / 'a', tmp_path / 'b')
  assert [path.name for path in tmp_path.iterdir()] == ['b']


def test_a_local_path_is_not_fetched(tmp_path):
  with transfer.fetched(tmp_path) as local:
    assert local is tmp_path


def test_a_file_is_fetched_alone(home):
  with transfer.fetched(home / 'one') as local:
    assert local.name == 'one'
    assert local.read_bytes() == b'1'
    assert len(list(local.parent.iterdir())) == 1
  assert not local.parent.exists()


def test_a_folder_is_fetched_whole(home):
  with transfer.fetched(home) as local:
    found = sorted(p.relative_to(local).as_posix() for p in local.rglob('*'))
    assert found == ['in', 'in/two [x]', 'one']


@pytest.mark.parametrize(
  'name',
  ['../../out', 'in/../x', '..', './x', 'in//x', '/tmp/x', r'C:\x', r'..\x'],
)
def test_a_name_that_leads_elsewhere_is_refused(home, tmp_path, name):
  with pytest.raises(UserError, match=r'^s3://ferjax/a: an object there is'):
    transfer.download(home, ['one', name], tmp_path / 'some' / 'where')
  assert list(tmp_path.iterdir()) == []


def test_a_folder_with_such_a_name_is_not_fetched(home, store):
  store.put_object('ferjax/a/../../out', b'x')
  with pytest.raises(UserError, match='out'), transfer.fetched(home):
    pass


def test_what_is_not_there_is_not_fetched(home):
  with transfer.fetched(home / 'none') as local:
    assert not local.exists()


def test_errors_name_the_path_that_was_given(home):
  match = r'^s3://ferjax/a/one: line 3; or s3://ferjax/a/one$'
  with (
    pytest.raises(UserError, match=match),
    transfer.fetched(home / 'one') as x,
  ):
    raise UserError(f'{x}: line 3; or {x}')
