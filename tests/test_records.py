import json
import pathlib
import socket
import subprocess
import sys

from etils import epath
import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferjax.data import reader, records
from ferjax.data.dataset import Dataset, Split
from ferjax.data.raw import Raw
from ferjax.errors import UserError

# Writes one split where no file may be larger than 10 kB.
WRITER = """
import pathlib, resource, sys
sys.path.insert(0, sys.argv[1])
import test_records
from ferjax.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
  test_records.write(test_records.make_raw(), sys.argv[2])
except UserError as error:
  print(error)
"""


def make_raw(seed=0, num_examples=30):
  """Draws two splits; the rows of the source are neither dense nor shared."""
  rng = np.random.default_rng(seed)
  splits = {
    name: Split(
      images=rng.integers(0, 256, (num_examples, 48, 48, 1), np.uint8),
      labels=rng.integers(0, 3, num_examples, np.int32),
      index=first + 3 * np.arange(num_examples),
    )
    for name, first in (('train', 5), ('validation', 1000))
  }
  columns = {
    name: {
      'subject': np.array([f'S{i:03}' for i in range(num_examples)]),
      'frame': np.arange(num_examples) * 7,
      'votes': rng.integers(-5, 1 << 40, (num_examples, 10)),
    }
    for name in splits
  }
  dataset = Dataset('faces', ('a', 'b', 'c'), splits, 'drawn', ('a note',))
  return Raw(dataset, {}, {'test': 'never made'}, ('line 3: odd',), columns)


def write(raw, data_dir, overwrite=False):
  parts = []
  records.write(raw, str(data_dir), overwrite, parts.append)
  assert parts[-1] == 1.0


def open_prepared(data_dir):
  return reader.Prepared(reader.find(str(data_dir), 'faces'))


def test_what_is_written_is_read_back(tmp_path, monkeypatch, capfd):
  monkeypatch.setattr(socket.socket, 'connect', None)  # no network, ever
  raw = make_raw()
  write(raw, tmp_path)
  prepared = open_prepared(tmp_path)
  assert prepared.split_names == ('train', 'validation')
  assert prepared.class_names == ('a', 'b', 'c')
  assert prepared.source == 'drawn'
  assert prepared.notes == ('a note',)
  assert prepared.missing == {'test': 'never made'}
  for name, split in raw.dataset.splits.items():
    result, columns = prepared.read(name, raw.columns[name])
    assert prepared.columns == ('frame', 'subject', 'votes')
    assert result.content_hash() == split.content_hash()
    np.testing.assert_array_equal(result.index, split.index)
    for column, values in raw.columns[name].items():
      np.testing.assert_array_equal(columns[column], values)
      assert columns[column].dtype.kind == values.dtype.kind
      assert columns[column].dtype.itemsize == values.dtype.itemsize
  metadata = json.loads((prepared.path / 'metadata.json').read_text())
  assert metadata['skipped'] == ['line 3: odd']
  assert capfd.readouterr() == ('', '')


def test_reading_in_chunks_changes_nothing(tmp_path, monkeypatch):
  raw = make_raw()
  write(raw, tmp_path)
  monkeypatch.setattr(reader, '_CHUNK', 7)
  split, _ = open_prepared(tmp_path).read('train')
  assert split.content_hash() == raw.dataset.splits['train'].content_hash()


def test_tensorflow_datasets_reads_the_files_by_name(tmp_path):
  write(make_raw(), tmp_path)
  source = tfds.data_source('faces', split='train[:50%]', data_dir=tmp_path)
  assert len(source) == 15
  assert source[0]['image'].shape == (48, 48, 1)


def test_a_prepared_set_is_replaced_only_on_demand(tmp_path):
  write(make_raw(0), tmp_path)
  with pytest.raises(UserError, match='already prepared; --overwrite'):
    write(make_raw(1), tmp_path)
  write(make_raw(1), tmp_path, overwrite=True)
  split, _ = open_prepared(tmp_path).read('train')
  expected = make_raw(1).dataset.splits['train']
  assert split.content_hash() == expected.content_hash()


def test_only_whole_versions_are_found(tmp_path):
  assert reader.find(str(tmp_path), 'faces') is None
  for name in ('.incomplete', '.replaced', 'raw files', '1.2.0', '1.10.0'):
    (tmp_path / 'faces' / name).mkdir(parents=True)
  found = reader.find(str(tmp_path), 'faces')
  assert found == epath.Path(tmp_path / 'faces' / '1.10.0')


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
  here = pathlib.Path(__file__).parent
  output = subprocess.run(
    [sys.executable, '-c', WRITER, here, tmp_path],
    cwd=here.parent,
    check=True,
    capture_output=True,
    text=True,
  ).stdout
  assert output.startswith(f'cannot write {tmp_path}/faces/1.0.0: ')
  assert 'File too large' in output
  assert output.count('\n') == 1
  assert list((tmp_path / 'faces').iterdir()) == []


@pytest.mark.parametrize(
  ('error', 'words'),
  [
    (PermissionError(13, 'Permission denied'), 'Permission denied'),
    (MemoryError(), 'MemoryError'),
  ],
)
def test_what_cannot_be_read_is_not_called_damaged(
  tmp_path, monkeypatch, error, words
):
  write(make_raw(), tmp_path)
  prepared = open_prepared(tmp_path)

  def fail(*args, **options):
    raise error

  monkeypatch.setattr(tfds.core.DatasetBuilder, 'as_data_source', fail)
  with pytest.raises(UserError, match=f'cannot read {tmp_path}.*{words}'):
    prepared.read('train')


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
  write(make_raw(), tmp_path)
  whole = type(epath.Path(tmp_path)).open

  def fail(path, *args, **options):
    if path.name.startswith('faces-train'):
      raise PermissionError(13, 'Permission denied', str(path))
    return whole(path, *args, **options)

  monkeypatch.setattr(type(epath.Path(tmp_path)), 'open', fail)
  with pytest.raises(UserError, match=r'cannot read .*denied.*faces-train'):
    open_prepared(tmp_path)


def test_the_home_of_nobody_is_no_place_to_write_to():
  with pytest.raises(UserError, match='--data_dir=~nobody-at-all/data: '):
    records.target('~nobody-at-all/data', 'faces')


def test_a_folder_whose_name_is_no_text_is_no_place_to_write_to():
  with pytest.raises(UserError, match="can't encode"):
    records.target('faces\udcff', 'faces')


def test_a_bucket_gets_the_same_files(store, tmp_path):
  raw = make_raw()
  write(raw, tmp_path / 'local')
  path = records.write(raw, 's3://ferjax/data', False, lambda part: None)
  assert str(path) == 's3://ferjax/data/faces/1.0.0'
  for file in (tmp_path / 'local').rglob('*.*'):
    if file.is_file():
      name = file.relative_to(tmp_path / 'local')
      assert store.objects[f'ferjax/data/{name}'] == file.read_bytes(), name
  found = reader.Prepared(reader.find('s3://ferjax/data', 'faces'))
  split, _ = found.read('train')
  np.testing.assert_array_equal(
    split.images, raw.dataset.splits['train'].images
  )


@pytest.mark.parametrize(
  'damage', ['cut', 'flipped', 'gone', 'info', 'metadata', 'features']
)
def test_damage_is_one_line(tmp_path, damage):
  write(make_raw(), tmp_path)
  (file,) = tmp_path.rglob('faces-train.array_record*')
  content = bytearray(file.read_bytes())
  if damage == 'cut':
    file.write_bytes(content[: len(content) // 2])
  elif damage == 'flipped':
    content[20_000] ^= 255
    file.write_bytes(content)
  elif damage == 'gone':
    file.unlink()
  elif damage == 'features':
    (file.parent / 'features.json').unlink()
  else:
    name = {'info': 'dataset_info.json', 'metadata': 'metadata.json'}[damage]
    (file.parent / name).write_text('{')
  with pytest.raises(UserError, match='damaged; prepare it again') as error:
    open_prepared(tmp_path).read('train')
  assert '\n' not in str(error.value)
