"""MNIST's IDX files are read exactly, or what is wrong with them is named."""

import gzip
import importlib.util
import pathlib
import struct

import numpy as np
import pytest

from ferjax.data import mnist, raw
from ferjax.errors import UserError

SIZES = {'train': 60, 't10k': 12}
RNG = np.random.default_rng(0)
IMAGES = {
  k: RNG.integers(0, 256, (n, 28, 28), np.uint8) for k, n in SIZES.items()
}
LABELS = {k: (np.arange(n) * 7 % 10).astype(np.uint8) for k, n in SIZES.items()}


def idx(array, kind=8):
  """Returns an array in the format that yann.lecun.com/exdb/mnist tells of."""
  axes = struct.pack(f'>{array.ndim}I', *array.shape)
  return struct.pack('>HBB', 0, kind, array.ndim) + axes + array.tobytes()


def write_files(folder, separator='-', suffix='', compress=bytes):
  for prefix in SIZES:
    for kind, arrays in (('images', IMAGES), ('labels', LABELS)):
      array = arrays[prefix]
      name = f'{prefix}-{kind}{separator}idx{array.ndim}-ubyte{suffix}'
      (folder / name).write_bytes(compress(idx(array)))
  return folder


def read(source, skip=False, **options):
  parts = []
  result = mnist.read(source, raw.BadRows(skip), parts.append, **options)
  assert parts[-1] == 1.0
  return result


def assert_is_everything(dataset):
  assert dataset.class_names == tuple('0123456789')
  assert tuple(dataset.splits) == ('train', 'validation', 'test')
  origin = {'train': 'train', 'validation': 'train', 'test': 't10k'}
  for name, split in dataset.splits.items():
    images, labels = IMAGES[origin[name]], LABELS[origin[name]]
    np.testing.assert_array_equal(split.images[..., 0], images[split.index])
    np.testing.assert_array_equal(split.labels, labels[split.index])
    assert split.images.shape[1:] == (28, 28, 1)
    assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)
  train, validation, test = dataset.splits.values()
  assert sorted([*train.index, *validation.index]) == list(range(60))
  assert validation.counts(10).tolist() == [1] * 10  # of six each
  assert test.index.tolist() == list(range(12))


def test_the_published_counts_add_up():
  assert {k: sum(v) for k, v in mnist.PUBLISHED.items()} == {
    'train': 60_000,
    'test': 10_000,
  }


@pytest.mark.parametrize(
  ('separator', 'suffix', 'compress'),
  [
    ('-', '', bytes),
    ('-', '.gz', gzip.compress),
    ('.', '', bytes),
    ('.', '.gz', gzip.compress),
    ('-', '.gz', bytes),  # as some browsers save it
    ('-', '', gzip.compress),
  ],
)
def test_every_spelling_is_read(tmp_path, separator, suffix, compress):
  result = read(write_files(tmp_path, separator, suffix, compress), seed=5)
  assert_is_everything(result.dataset)
  assert result.missing == {}
  assert result.dataset.notes == (
    'MNIST has no validation split: it is a tenth of each class of train,'
    ' drawn with seed 5',
  )
  assert sum(map(sum, result.published.values())) == 70_000
  assert sum(result.published['validation']) == 6_000


def test_folders_of_the_files_names_are_passed_over(tmp_path):
  write_files(tmp_path, '.')
  (tmp_path / 'train-images-idx3-ubyte').mkdir()
  assert_is_everything(read(tmp_path).dataset)


def test_one_split_may_be_missing(tmp_path):
  write_files(tmp_path)
  hidden = tmp_path / 'hidden'
  hidden.mkdir()
  for path in tmp_path.glob('t10k*'):
    path.rename(hidden / path.name)
  result = read(tmp_path)
  assert tuple(result.dataset.splits) == ('train', 'validation')
  assert result.missing == {
    'test': 't10k-images-idx3-ubyte was not in the source'
  }
  result = read(hidden)
  assert tuple(result.dataset.splits) == ('test',)
  assert result.dataset.notes == ()
  assert set(result.missing) == {'train', 'validation'}


def test_files_come_in_pairs(tmp_path):
  (write_files(tmp_path) / 't10k-labels-idx1-ubyte').unlink()
  with pytest.raises(
    UserError, match='holds t10k-images-idx3-ubyte but no t10k-labels-idx1'
  ):
    read(tmp_path)


def test_other_sources_are_refused(tmp_path):
  with pytest.raises(UserError, match='nothing: no such folder'):
    read(tmp_path / 'nothing')
  with pytest.raises(UserError, match='holds none of the files of MNIST'):
    read(tmp_path)
  (tmp_path / 'mnist.zip').touch()
  with pytest.raises(UserError, match=r'mnist\.zip: not a folder'):
    read(tmp_path / 'mnist.zip')


IMAGES_FILE, LABELS_FILE = 'train-images-idx3-ubyte', 'train-labels-idx1-ubyte'
ALL, DIGITS = idx(IMAGES['train']), idx(LABELS['train'])
ZIPPED = gzip.compress(ALL, mtime=0)  # the time would name the tests


@pytest.mark.parametrize(
  ('name', 'content', 'reason'),
  [
    (IMAGES_FILE, b'', 'the file is empty'),
    (IMAGES_FILE, b'<!DOCTYPE html>', 'begins with 3c 21 44 4f instead of 00'),
    (IMAGES_FILE, DIGITS, 'begins with 00 00 08 01 instead of 00 00 08 03'),
    (LABELS_FILE, ALL, 'begins with 00 00 08 03 instead of 00 00 08 01'),
    (LABELS_FILE, idx(LABELS['train'], 13), 'begins with 00 00 0d 01'),
    (IMAGES_FILE, ALL[:3], 'ends within its header'),
    (IMAGES_FILE, ALL[:15], 'ends within its header'),
    (IMAGES_FILE, ALL[:-1], 'cut short, .* 60 x 28 x 28 .* 47,039 follow'),
    (LABELS_FILE, DIGITS[:-1], 'cut short, .* 60 bytes and 59 follow'),
    (
      IMAGES_FILE,
      ALL + b'\n',
      'bytes too many, .* 60 x 28 x 28 bytes and more',
    ),
    (LABELS_FILE, DIGITS + DIGITS, 'bytes too many'),
    (
      IMAGES_FILE,
      idx(IMAGES['train'][:, :20]),
      '28x20 pixels instead of 28x28',
    ),
    (IMAGES_FILE, idx(IMAGES['train'][1:]), '59 images and .* 60 labels'),
    (IMAGES_FILE, ZIPPED[:-20], r'broken gzip file \(Comp'),
    (IMAGES_FILE, ZIPPED[:5], 'broken gzip file'),
    (IMAGES_FILE, ZIPPED + b'x', 'broken gzip file'),
    (IMAGES_FILE, ZIPPED[:-6] + b'abcdef', 'broken gzip file'),
  ],
)
def test_a_damaged_file_is_one_line(tmp_path, name, content, reason):
  path = write_files(tmp_path) / name
  path.write_bytes(content)
  with pytest.raises(UserError, match=reason) as error:
    read(tmp_path, skip=True)
  assert str(error.value).startswith(str(path))
  assert '\n' not in str(error.value)


def test_a_header_of_billions_costs_no_memory(tmp_path):
  content = ALL[:4] + struct.pack('>3I', 2**32 - 1, 28, 28) + ALL[16:]
  (write_files(tmp_path) / IMAGES_FILE).write_bytes(content)
  with pytest.raises(UserError, match='4,294,967,295 x 28 x 28'):
    read(tmp_path)


def test_files_without_examples_are_refused(tmp_path):
  write_files(tmp_path)
  (tmp_path / IMAGES_FILE).write_bytes(idx(IMAGES['train'][:0]))
  (tmp_path / LABELS_FILE).write_bytes(idx(LABELS['train'][:0]))
  with pytest.raises(UserError, match=f'{LABELS_FILE}: holds no valid example'):
    read(tmp_path)


def test_a_bad_label_is_named_or_left_out(tmp_path):
  labels = LABELS['train'].copy()
  labels[[2, 5]] = 10, 255
  path = write_files(tmp_path) / LABELS_FILE
  path.write_bytes(idx(labels))
  with pytest.raises(UserError) as error:
    read(tmp_path)
  assert f'{path}, label 3: 10 is not one of 0..9' in str(error.value)
  result = read(tmp_path, skip=True)
  assert [line.split(', ')[1] for line in result.skipped] == [
    'label 3: 10 is not one of 0..9',
    'label 6: 255 is not one of 0..9',
  ]
  assert result.dataset.notes[0].endswith('left out: 2')
  train, validation, _ = result.dataset.splits.values()
  kept = sorted([*train.index, *validation.index])
  assert kept == [row for row in range(60) if row not in (2, 5)]


def test_a_file_that_cannot_be_read_is_left_to_the_caller(
  tmp_path, monkeypatch
):
  def fail(path, mode):
    raise PermissionError(13, 'Permission denied', str(path))

  write_files(tmp_path)
  monkeypatch.setattr(pathlib.Path, 'open', fail)
  with pytest.raises(PermissionError):
    read(tmp_path)


@pytest.mark.parametrize('name', ['mnist', 'zoo'])
def test_no_config_mirrors_digits(name):
  path = pathlib.Path(__file__).parent.parent / 'configs' / f'{name}.py'
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  assert not module.get_config('dataset=mnist').augment.flip
  assert name == 'mnist' or module.get_config().augment.flip
