"""Data sets written by tensorflow-datasets itself, without our metadata."""

import contextlib
import io

from etils import epath
import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds

from ferjax.data import reader, records
from ferjax.data.dataset import Dataset, Split
from ferjax.data.raw import Raw
from ferjax.errors import UserError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 9, 8, 1), np.uint8)
COLOR = RNG.integers(0, 256, (20, 9, 8, 3), np.uint8)
LABELS = np.arange(20) % 3
NAMES = tfds.features.ClassLabel(names=['cat', 'dog', 'emu'])


class Foreign(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  VERSION = tfds.core.Version('3.0.1')

  def __init__(self, name, features, splits, **options):
    self.name = name
    self._features = features
    self._splits = splits
    super().__init__(**options)

  def _info(self):
    features = tfds.features.FeaturesDict(self._features)
    return tfds.core.DatasetInfo(builder=self, features=features)

  def _split_generators(self, dl_manager):
    return {name: self._generate_examples(name) for name in self._splits}

  def _generate_examples(self, name):
    for row, values in enumerate(zip(*self._splits[name], strict=True)):
      yield row, dict(zip(self._features, values, strict=True))


def write_foreign(
  data_dir, image, splits, name='pets', label=NAMES, config=None, **options
):
  """Writes splits of (images, labels); returns the folder."""
  options = {'file_format': 'array_record', 'config': config, **options}
  builder = Foreign(
    name,
    {'image': image, 'label': label},
    splits,
    data_dir=str(data_dir),
    **options,
  )
  with contextlib.redirect_stdout(io.StringIO()):
    builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
  return builder.data_path


def encode(images, form='PNG'):
  result = []
  for image in images:
    file = io.BytesIO()
    PIL.Image.fromarray(image.squeeze()).save(file, form)
    result.append(file.getvalue())
  return result


def in_any_order(images, labels):
  """Returns the examples sorted: files are hash-shuffled."""
  return sorted(zip(map(bytes, images), labels.tolist(), strict=True))


CODECS = {
  'png': (tfds.features.Image, {'encoding_format': 'png'}, encode),
  'unnamed': (tfds.features.Image, {}, encode),
  'array': (tfds.features.Tensor, {'dtype': np.uint8}, list),
  'bytes': (
    tfds.features.Tensor,
    {'dtype': np.uint8, 'encoding': 'zlib'},
    list,
  ),
}


@pytest.mark.parametrize('images', [GREY, COLOR], ids=['grey', 'color'])
@pytest.mark.parametrize('codec', CODECS)
def test_every_form_of_images_is_read_exactly(tmp_path, images, codec):
  feature, options, encode = CODECS[codec]
  path = write_foreign(
    tmp_path,
    feature(shape=images.shape[1:], **options),
    {
      'train': (encode(images), LABELS),
      'test': (encode(images[:4]), LABELS[:4]),
    },
  )
  found = reader.find(str(tmp_path), 'pets')
  assert found == path
  prepared = reader.Prepared(found)
  assert set(prepared.split_names) == {'train', 'test'}
  assert prepared.class_names == ('cat', 'dog', 'emu')
  assert prepared.image_shape == images.shape[1:]
  assert (prepared.is_own, prepared.notes, prepared.missing) == (False, (), {})
  assert prepared.columns == ()
  assert prepared.source == f'pets/3.0.1 of tensorflow-datasets from {path}'
  split, _ = prepared.read('train')
  assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)
  np.testing.assert_array_equal(split.index, np.arange(20))
  assert in_any_order(split.images, split.labels) == in_any_order(
    images, LABELS
  )
  again, _ = reader.Prepared(found).read('train')
  assert again.content_hash() == split.content_hash()
  assert len(prepared.read('test')[0]) == 4


def test_jpegs_are_read_as_pillow_decodes_them(tmp_path):
  jpegs = encode(COLOR, 'JPEG')
  image = tfds.features.Image(shape=(9, 8, 3), encoding_format='jpeg')
  path = write_foreign(tmp_path, image, {'train': (jpegs, LABELS)})
  split, _ = reader.Prepared(path).read('train')
  decoded = [np.asarray(PIL.Image.open(io.BytesIO(data))) for data in jpegs]
  assert in_any_order(split.images, split.labels) == in_any_order(
    decoded, LABELS
  )


def test_classes_may_have_numbers_for_names(tmp_path):
  path = write_foreign(
    tmp_path,
    tfds.features.Tensor(shape=(9, 8, 1), dtype=np.uint8),
    {'train': (GREY, LABELS)},
    label=tfds.features.ClassLabel(num_classes=3),
  )
  assert reader.Prepared(path).class_names == ('0', '1', '2')


def test_a_config_is_found_or_asked_for(tmp_path):
  image = tfds.features.Tensor(shape=(9, 8, 1), dtype=np.uint8)
  paths = []
  for name in ('large', 'small'):
    config = tfds.core.BuilderConfig(name=name, version='3.0.1')
    splits = {'train': (GREY, LABELS)}
    paths.append(write_foreign(tmp_path, image, splits, config=config))
    found = reader.find(str(tmp_path), f'pets/{name}')
    assert found == paths[-1]
    if name == 'large':
      assert reader.find(str(tmp_path), 'pets') == found
  with pytest.raises(UserError, match='give one of pets/large, pets/small'):
    reader.find(str(tmp_path), 'pets')
  assert reader.find(str(tmp_path), 'pets/tiny') is None
  assert reader.Prepared(paths[0]).source.startswith('pets/large/3.0.1 of ')


@pytest.mark.parametrize('name', ['', '.', '..', '../data', '/', 'pets/'])
def test_names_do_not_lead_out_of_the_folder(tmp_path, name):
  (tmp_path / 'data' / 'pets' / '1.0.0').mkdir(parents=True)
  assert reader.find(str(tmp_path / 'data'), name) is None


@pytest.mark.parametrize(
  ('image', 'words'),
  [
    (
      tfds.features.Image(shape=(None, None, 1)),
      r'no fixed size; .*Image\(shape=\(48, 48, 1\)\)',
    ),
    (tfds.features.Image(shape=(9, 8, 1), dtype=np.uint16), 'uint16'),
    (tfds.features.Image(shape=(9, 8, 4)), r'\(9, 8, 4\); uint8'),
    (tfds.features.Text(), r'object \(\); uint8'),
  ],
  ids=['size', 'depth', 'alpha', 'text'],
)
def test_other_images_are_refused_in_one_line(tmp_path, image, words):
  path = write_foreign(tmp_path, image, {'train': (encode(GREY), LABELS)})
  with pytest.raises(UserError, match=words) as error:
    reader.Prepared(path)
  assert '\n' not in str(error.value)


def test_labels_must_be_classes_and_known(tmp_path):
  image = tfds.features.Tensor(shape=(9, 8, 1), dtype=np.uint8)
  number = tfds.features.Scalar(np.int64)
  splits = {'train': (GREY, LABELS), 'test': (GREY, np.full(20, -1))}
  path = write_foreign(tmp_path / 'a', image, splits, label=number)
  with pytest.raises(UserError, match=r'`label` \(ClassLabel\)'):
    reader.Prepared(path)
  prepared = reader.Prepared(write_foreign(tmp_path / 'b', image, splits))
  assert len(prepared.read('train')[0]) == 20
  with pytest.raises(UserError, match='20 examples of test have no label; use'):
    prepared.read('test')


@pytest.mark.parametrize(
  ('images', 'words'),
  [
    (np.zeros((20, 8, 9, 1), np.uint8), r'\(8, 9, 1\), not \(9, 8, 1\)'),
    (np.zeros((20, 9, 8, 1), np.uint16), 'not 8 bits'),
  ],
)
def test_images_unlike_their_declaration_are_refused(tmp_path, images, words):
  image = tfds.features.Image(shape=(9, 8, 1))
  path = write_foreign(tmp_path, image, {'train': (encode(images), LABELS)})
  with pytest.raises(UserError, match=f'damaged; .*{words}'):
    reader.Prepared(path).read('train')


def test_files_of_another_format_are_refused(tmp_path):
  image = tfds.features.Tensor(shape=(9, 8, 1), dtype=np.uint8)
  path = write_foreign(tmp_path, image, {'train': (GREY, LABELS)})
  info = path / 'dataset_info.json'
  info.write_text(info.read_text().replace('array_record', 'tfrecord'))
  with pytest.raises(UserError, match=r"tfrecord; .*format='array_record'"):
    reader.Prepared(path)


def test_our_own_color_images_come_back(tmp_path):
  """Prepared by ferjax, in the order of the source."""
  split = Split(COLOR, LABELS.astype(np.int32), np.arange(20) * 7)
  dataset = Dataset('pets', ('cat', 'dog', 'emu'), {'train': split}, 'drawn')
  raw = Raw(dataset, {}, {}, ())
  records.write(raw, str(tmp_path), False, lambda part: None)
  prepared = reader.Prepared(reader.find(str(tmp_path), 'pets'))
  result, _ = prepared.read('train')
  assert prepared.is_own
  assert prepared.image_shape == (9, 8, 3)
  assert result.content_hash() == split.content_hash()
  np.testing.assert_array_equal(result.index, split.index)
  grey = Split(COLOR[..., :1], split.labels, split.index)
  assert grey.content_hash() != split.content_hash()


def test_our_own_data_come_before_newer_ones_of_others(tmp_path):
  image = tfds.features.Tensor(shape=(9, 8, 1), dtype=np.uint8)
  theirs = write_foreign(tmp_path, image, {'train': (GREY, LABELS)})
  assert reader.find(str(tmp_path), 'pets') == theirs
  split = Split(COLOR, LABELS.astype(np.int32), np.arange(20))
  dataset = Dataset('pets', ('cat', 'dog', 'emu'), {'train': split}, 'drawn')
  ours = records.write(
    Raw(dataset, {}, {}, ()), str(tmp_path), False, lambda part: None
  )
  assert (theirs.name, ours.name) == ('3.0.1', '1.0.0')
  assert str(reader.find(str(tmp_path), 'pets')) == str(ours)
  for damaged in ('{', '[]', '[' * 100_000, None):
    info = theirs / 'dataset_info.json'
    info.write_text(damaged) if damaged else info.unlink()
    assert str(reader.find(str(tmp_path), 'pets')) == str(ours)


def test_no_module_that_the_features_name_is_imported(tmp_path, monkeypatch):
  """Tensorflow-datasets would, which runs it."""
  (tmp_path / 'never_imported.py').write_text('raise SystemExit(3)')
  monkeypatch.syspath_prepend(tmp_path)
  path = epath.Path(
    write_foreign(
      tmp_path,
      tfds.features.Tensor(shape=(9, 8, 1), dtype=np.uint8),
      {'train': (GREY, LABELS)},
    )
  )
  file = path / 'features.json'
  text = file.read_text()
  for key in ('pythonClassName', 'type'):
    file.write_text(
      text.replace(
        '"features": {',
        f'"features": {{"x": {{"{key}": "never_imported.X"}},',
        1,
      )
    )
    with pytest.raises(UserError, match=r'never_imported\.X.*run its code'):
      reader.Prepared(epath.Path(path))


@pytest.mark.parametrize('content', [None, b'\xff'])
def test_our_own_class_names_are_never_numbers(tmp_path, content):
  split = Split(GREY, LABELS.astype(np.int32), np.arange(20))
  dataset = Dataset('own', ('cat', 'dog', 'emu'), {'train': split}, 'drawn')
  path = records.write(
    Raw(dataset, {}, {}, ()), str(tmp_path), False, lambda part: None
  )
  file = path / 'label.labels.txt'
  file.write_bytes(content) if content else file.unlink()
  with pytest.raises(UserError, match='damaged'):
    reader.Prepared(epath.Path(path))


def test_no_more_examples_than_there_are_and_no_other_labels(tmp_path):
  split = Split(GREY, LABELS.astype(np.int32), np.arange(20))
  dataset = Dataset('own', ('0', '1', '2'), {'train': split}, 'drawn')
  path = records.write(
    Raw(dataset, {}, {}, ()), str(tmp_path), False, lambda part: None
  )
  assert len(reader.Prepared(epath.Path(path)).read('train')[0]) == 20
  (path / 'label.labels.txt').write_text('0\n1\n')
  file = path / 'features.json'
  file.write_text(
    file.read_text().replace('"numClasses": "3"', '"numClasses": "2"')
  )
  with pytest.raises(UserError, match='a label that is none of its classes'):
    reader.Prepared(epath.Path(path)).read('train')
