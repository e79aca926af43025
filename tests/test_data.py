import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from test_reader import COLOR, LABELS, encode, write_foreign

from ferjax import clients, data, plots
from ferjax.config import default_config
from ferjax.data import folds, pipeline, reader, records, training
from ferjax.data.dataset import CLASS_NAMES, Dataset, Split
from ferjax.data.raw import Raw
from ferjax.errors import UserError


def make_config(data_dir='', **fields):
  config = default_config().data
  config.dir = str(data_dir)
  config.update(fields)
  return config


def make_split(num_examples):
  rng = np.random.default_rng(num_examples)
  return Split(
    images=rng.integers(0, 256, (num_examples, 48, 48, 1), np.uint8),
    labels=np.arange(num_examples, dtype=np.int32) % 7,
    index=np.arange(num_examples),
  )


def prepare(data_dir, name, splits, columns=None, missing=None):
  class_names = CLASS_NAMES[:7]
  dataset = Dataset(name, class_names, splits, 'drawn', ('a note',))
  raw = Raw(dataset, {}, missing or {}, (), columns or {})
  records.write(raw, str(data_dir), False, lambda part: None)


def test_prepared_splits_are_loaded(tmp_path):
  splits = {'train': make_split(9), 'validation': make_split(5)}
  missing = {'test': 'PrivateTest was not in the source files'}
  prepare(tmp_path, 'fer2013', splits, missing=missing)
  config = make_config(tmp_path, name='fer2013')
  dataset = data.load_dataset(config, ['validation', 'train'])
  assert tuple(dataset.splits) == ('validation', 'train')
  for name, split in dataset.splits.items():
    assert split.content_hash() == splits[name].content_hash()
  assert (dataset.name, dataset.source) == ('fer2013', 'drawn')
  assert dataset.notes == ('a note',)
  with pytest.raises(UserError) as error:
    data.load_dataset(config, ['train', 'test'])
  assert str(error.value) == (
    f"fer2013 as prepared in {tmp_path} has no 'test' split (it has train,"
    ' validation): PrivateTest was not in the source files'
  )


@pytest.mark.parametrize('fold', [0, 4, 9])
def test_folds_of_ckplus_hold_the_right_subjects(tmp_path, fold):
  numbers = np.random.default_rng(0).permutation(np.arange(60) % 23)
  subjects = np.array([f'S{number:03}' for number in numbers])
  full = make_split(60)
  prepare(tmp_path, 'ckplus', {'full': full}, {'full': {'subject': subjects}})
  config = make_config(tmp_path, name='ckplus', fold=fold)
  dataset = data.load_dataset(config, ['train', 'validation', 'test'])
  own = {'test': [fold], 'validation': [(fold + 1) % 10]}
  own['train'] = set(range(10)) - {fold, (fold + 1) % 10}
  for name, split in dataset.splits.items():
    rows = [row for row in range(60) if numbers[row] % 10 in own[name]]
    np.testing.assert_array_equal(split.index, rows)
    np.testing.assert_array_equal(split.images, full.images[rows])
    np.testing.assert_array_equal(split.labels, full.labels[rows])
  assert dataset.notes[0] == 'a note'
  assert f'test is fold {fold} of 10' in dataset.notes[1]
  assert data.split_names(config) == ('train', 'validation', 'test')
  assert data.num_folds(config) == 10
  config.num_folds = 0
  assert data.num_folds(config) == 23
  with pytest.raises(UserError, match="has no 'full' split"):
    data.load_dataset(config, ['full'])


def test_any_data_set_may_come_in_folds(tmp_path):
  subjects = np.array([f'S{number % 7}' for number in range(42)])
  columns = {'full': {'subject': subjects}}
  prepare(tmp_path, 'mine', {'full': make_split(42)}, columns)
  config = make_config(tmp_path, name='mine', num_folds=7, fold=2)
  test = data.load_dataset(config, ['test']).splits['test']
  assert set(subjects[test.index]) == {'S2'}


def test_without_subjects_folds_are_by_frame_or_none(tmp_path):
  prepare(tmp_path, 'mine', {'full': make_split(42)})
  config = make_config(tmp_path, name='mine', num_folds=3)
  for ask in (data.num_folds, lambda c: data.load_dataset(c, ['train'])):
    with pytest.raises(UserError, match='does not tell whom its images show'):
      ask(config)
  config.fold_by = 'frame'
  dataset = data.load_dataset(config, ['test', 'train', 'validation'])
  assert [len(split) for split in dataset.splits.values()] == [14, 14, 14]
  assert dataset.notes[-1] == folds.WARNING
  assert data.num_folds(config) == 3


def test_by_frame_only_the_train_split_is_dealt(tmp_path):
  splits = {'train': make_split(70), 'test': make_split(14)}
  prepare(tmp_path, 'fer2013', splits)
  config = make_config(tmp_path, name='fer2013', num_folds=10)
  with pytest.raises(UserError, match='does not tell whom its images show'):
    data.num_folds(config)
  config.fold_by = 'frame'
  assert data.num_folds(config) == 10
  dealt = data.load_dataset(config, ['train', 'validation', 'test'])
  images = np.concatenate([split.images for split in dealt.splits.values()])
  index = np.concatenate([split.index for split in dealt.splits.values()])
  np.testing.assert_array_equal(images, splits['train'].images[index])
  assert sorted(index) == list(range(70))
  # Of another data set than that of the training, the splits are its own.
  foreign = data.load_dataset(config, ['test'], foreign=True)
  assert len(foreign.splits['test']) == 14


def test_by_frame_no_soft_labels_are_tested_on(tmp_path):
  votes = np.eye(10, dtype=np.int64)[np.arange(70) % 7] * 9
  columns = {'train': {'votes': votes}}
  prepare(tmp_path, 'ferplus', {'train': make_split(70)}, columns)
  config = make_config(tmp_path, name='ferplus', fold_by='frame')
  assert len(data.load_dataset(config, ['test']).splits['test']) == 7
  config.label_mode = 'cross_entropy'
  with pytest.raises(UserError, match=r'label_mode=cross_entropy.*majority'):
    data.num_folds(config)
  config.fold_by = 'subject'
  assert data.load_dataset(config, ['train']).splits['train'].targets.any()


def test_copies_are_left_out_and_classes_balanced_for_training(tmp_path):
  train, test = make_split(40), make_split(12)
  train.images[[3, 20]] = test.images[[1, 5]]
  splits = {'train': train, 'validation': make_split(7), 'test': test}
  prepare(tmp_path, 'fer2013', splits)
  config = make_config(tmp_path, name='fer2013')
  assert len(training.load(config).splits['train']) == 40
  config.exclude_duplicates = True
  loaded = training.load(config)
  assert tuple(loaded.splits) == ('train', 'validation')
  kept = [i for i in range(40) if i not in (3, 20)]
  assert loaded.splits['train'].index.tolist() == kept
  assert '2 images that also stand in' in loaded.notes[-1]
  config.balance = 'oversample'
  balanced = training.load(config)
  assert set(balanced.splits['train'].counts(7)) == {6}
  assert len(balanced.splits['validation']) == 7
  assert 'repeated' in balanced.notes[-1]


def test_classes_are_selected(tmp_path):
  prepare(tmp_path, 'fer2013', {'train': make_split(40)})
  config = make_config(tmp_path, name='fer2013', drop_classes=('disgust',))
  dataset = data.load_dataset(config, ['train'])
  assert 'disgust' not in dataset.class_names
  assert len(dataset.splits['train']) == 34


def test_synthetic_faces_need_no_files():
  dataset = data.load_dataset(make_config(name='synthetic'), ['validation'])
  assert dataset.name == 'synthetic'
  assert tuple(dataset.splits) == ('validation',)
  with pytest.raises(UserError, match="synthetic has no 'dev' split"):
    data.load_dataset(make_config(name='synthetic'), ['dev'])


def test_a_fold_without_subjects_is_refused(tmp_path):
  subjects = np.array([f'S{number % 4:03}' for number in range(20)])
  columns = {'full': {'subject': subjects}}
  prepare(tmp_path, 'ckplus', {'full': make_split(20)}, columns)
  config = make_config(tmp_path, name='ckplus', fold=3)
  with pytest.raises(UserError, match=r'fold=3 leaves none for the validation'):
    data.load_dataset(config, ['train', 'validation'])
  assert len(data.load_dataset(config, ['test']).splits['test']) == 5


def test_a_bucket_needs_gcsfs(monkeypatch):
  monkeypatch.setattr(clients, '_is_installed', lambda client: False)
  clients.check_access.cache_clear()
  config = make_config('gs://bucket/data', name='fer2013')
  with pytest.raises(UserError, match=r"pip install 'ferjax\[gcs\]'"):
    data.load_dataset(config, ['train'])


def test_a_folder_that_cannot_be_read_is_named(monkeypatch):
  def fail(data_dir, name):
    raise PermissionError(13, 'Permission denied')

  monkeypatch.setattr(reader, 'find', fail)
  with pytest.raises(UserError, match='cannot read /data: Permission denied'):
    data.load_dataset(make_config('/data', name='fer2013'), ['train'])


def write_pets(data_dir, split_names, name='pets'):
  """Writes 60 color images in each split, as tensorflow-datasets would."""
  image = tfds.features.Image(shape=(9, 8, 3), encoding_format='png')
  examples = encode(COLOR) * 3, np.tile(LABELS, 3)
  write_foreign(data_dir, image, dict.fromkeys(split_names, examples), name)


def test_a_folder_of_tensorflow_datasets_is_loaded(tmp_path):
  write_pets(tmp_path, ['train', 'validation', 'test'])
  config = make_config(tmp_path, name='pets')
  data.validate(config)
  dataset = data.load_dataset(config, ['train', 'validation', 'test'])
  assert [len(split) for split in dataset.splits.values()] == [60, 60, 60]
  assert (dataset.name, dataset.notes) == ('pets', ())
  assert dataset.class_names == ('cat', 'dog', 'emu')
  assert dataset.image_shape == (9, 8, 3)
  assert dataset.describe()['image_shape'] == [9, 8, 3]
  with pytest.raises(UserError, match=r"pets as prepared in .* no 'dev' split"):
    data.load_dataset(config, ['dev'])


@pytest.mark.parametrize('name', ['pets', 'mnist'])  # its name may be ours
def test_a_validation_split_is_drawn_where_there_is_none(tmp_path, name):
  write_pets(tmp_path, ['train', 'test'], name)
  config = make_config(tmp_path, name=name, seed=3)
  dataset = data.load_dataset(config, ['train', 'validation', 'test'])
  train, validation, test = dataset.splits.values()
  assert validation.counts(3).tolist() == [2, 2, 2]
  assert train.counts(3).tolist() == [19, 19, 16]
  assert sorted([*train.index, *validation.index]) == list(range(60))
  assert len(test) == 60
  assert dataset.notes == (
    f'{name} has no validation split: it is a tenth of each class of train,'
    ' drawn with seed 3',
  )
  alone = data.load_dataset(config, ['validation'])
  assert tuple(alone.splits) == ('validation',)
  assert alone.splits['validation'].content_hash() == validation.content_hash()
  assert data.load_dataset(config, ['test']).notes == dataset.notes
  config.seed = 4
  other = data.load_dataset(config, ['validation']).splits['validation']
  assert other.index.tolist() != validation.index.tolist()


def test_nothing_is_drawn_without_a_train_split(tmp_path):
  write_pets(tmp_path, ['test'])
  config = make_config(tmp_path, name='pets')
  with pytest.raises(UserError, match=r"no 'validation' split \(it has test\)"):
    data.load_dataset(config, ['validation'])


@pytest.mark.parametrize('placement', ['host', 'device'])
def test_color_goes_through_to_batches_and_figures(tmp_path, placement):
  write_pets(tmp_path, ['train', 'validation'])
  config = make_config(tmp_path, name='pets')
  split = data.load_dataset(config, ['train']).splits['train']
  rows = np.array([5, 0, -1])
  batch = pipeline.gather(split, placement, rows)
  table = pipeline.table(split, placement) or batch
  places = slice(2) if placement == 'host' else rows[:2]
  np.testing.assert_array_equal(table['image'][places], split.images[rows[:2]])
  plots.plot_samples(
    split.images, split.labels, ('cat', 'dog', 'emu'), tmp_path / 'a.png'
  )
  assert (tmp_path / 'a.png').stat().st_size > 0


@pytest.mark.parametrize('name', ['fer2031', 'fer/2013', '', '..', '../data'])
def test_an_unknown_name_is_one_line(tmp_path, name):
  config = make_config(tmp_path, name=name)
  with pytest.raises(UserError) as error:
    data.load_dataset(config, ['train'])
  message = str(error.value)
  assert message.startswith(f'config.data.name is {name!r}; the data sets are')
  assert 'synthetic, fer2013, ferplus, ckplus, mnist, folders,' in message
  assert f'nothing in {tmp_path}/{name}' in message
  assert '\n' not in message


def test_validation_asks_no_bucket():
  data.validate(make_config('gs://bucket/data', name='pets'))


@pytest.mark.parametrize('name', ['fer2013', 'ckplus', 'mnist'])
def test_what_is_not_prepared_is_explained(tmp_path, name):
  with pytest.raises(UserError) as error:
    data.load_dataset(make_config(tmp_path, name=name), ['train'])
  message = str(error.value)
  assert f'{tmp_path}/{name}' in message
  assert f'python -m ferjax.prepare --dataset={name}' in message
  assert {'mnist': 'curl -O'}.get(name, 'kaggle.com') in message
  assert 'dataset=synthetic' in message


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'name': 'fer2031'}, 'synthetic, fer2013, ferplus, ckplus, mnist'),
    ({'name': 'ckplus', 'fold': 10}, 'config.data.fold is 10'),
    ({'name': 'ckplus', 'fold': -1}, 'config.data.fold is -1'),
    ({'seed': -1}, 'config.data.seed is -1'),
  ],
)
def test_wrong_settings_are_named(fields, words):
  with pytest.raises(UserError, match=words):
    data.validate(make_config(**fields))


def test_the_door_opens_without_tensorflow_datasets():
  code = (
    'import sys, ferjax.data;'
    'sys.exit({"tensorflow_datasets", "jax"} & set(sys.modules) != set())'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
