"""Labels are doubted by networks that did not learn them, or not at all."""

import json
import types

import numpy as np
import pytest

from ferjax import data, inference
from ferjax.config import default_config
from ferjax.data.dataset import Dataset, Split
from ferjax.errors import UserError
from ferjax.exploration import suspects

NAMES = ('angry', 'happy')


def split(start, n=20):
  images = np.arange(start, start + n, dtype=np.uint8)[:, None, None, None]
  labels = (np.arange(n) % 2).astype(np.int32)
  return Split(np.tile(images, (1, 4, 4, 1)), labels, np.arange(n) + start)


@pytest.fixture
def dataset():
  splits = {'train': split(0), 'validation': split(100)}
  return Dataset('faces', NAMES, splits, 'nowhere')


def probabilities(labels, wrong):
  """Sure of every label, and most sure of another one for `wrong`."""
  values = np.where(np.eye(2)[labels] > 0, 0.9, 0.1)
  values[wrong] = 1 - values[wrong] + np.array([[0.05, -0.05]])
  return values


def write(folder, examples, values, name='faces', split_name='validation'):
  folder.mkdir(parents=True)
  figures = {'dataset': name, 'split': split_name}
  (folder / 'metrics.json').write_text(json.dumps(figures))
  lines = ['index,label,prediction,happy,angry']
  for index, label, (angry, happy) in zip(
    examples.index, examples.labels, values, strict=True
  ):
    lines.append(f'{index},{NAMES[label]},-,{happy:.6f},{angry:.6f}')
  path = folder / 'predictions.csv'
  path.write_text('\n'.join(lines) + '\n')
  return path


def test_files_tell_whose_label_is_doubted(tmp_path, dataset):
  examples = dataset.splits['validation']
  values = probabilities(examples.labels, [5])
  path = write(tmp_path / 'eval', examples, values)
  found = suspects.from_files([path], dataset)
  assert found.splits == ['validation']
  assert found.index.tolist() == [105]
  assert (found.given, found.suggested) == (['happy'], ['angry'])
  assert (found.images == 105).all()
  assert found.images.shape == (1, 4, 4, 1)
  assert str(path) in found.origin


def test_files_of_one_example_are_averaged(tmp_path, dataset):
  examples = dataset.splits['validation']
  paths = [
    write(tmp_path / str(i), examples, probabilities(examples.labels, wrong))
    for i, wrong in enumerate(([5], [5, 8], [5]))
  ]
  found = suspects.from_files(paths, dataset)
  assert found.index.tolist() == [105]


def test_a_cross_validation_is_of_all_splits(tmp_path, dataset):
  both = [dataset.splits[name] for name in ('train', 'validation')]
  whole = Split(
    np.concatenate([s.images for s in both]),
    np.concatenate([s.labels for s in both]),
    np.concatenate([s.index for s in both]),
  )
  values = probabilities(whole.labels, [3, 25])
  path = write(tmp_path / 'e', whole, values, split_name=None)
  found = suspects.from_files([path], dataset)
  assert sorted(zip(found.splits, found.index.tolist(), strict=True)) == [
    ('train', 3),
    ('validation', 105),
  ]


def test_what_does_not_fit_is_refused(tmp_path, dataset):
  examples = dataset.splits['validation']
  values = probabilities(examples.labels, [5])

  def refuse(match, folder, *args, **kwargs):
    path = write(tmp_path / folder, *args, **kwargs)
    with pytest.raises(UserError, match=match):
      suspects.from_files([path], dataset)

  train = dataset.splits['train']
  refuse('trained on', 'a', train, values, split_name='train')
  refuse('is of other, not of faces', 'b', examples, values, name='other')
  refuse('no example 0 there', 'c', train, values)
  flipped = Split(examples.images, 1 - examples.labels, examples.index)
  refuse('example 100 is angry, not happy', 'd', flipped, values)
  three = Dataset('faces', (*NAMES, 'sad'), dataset.splits, 'nowhere')
  path = write(tmp_path / 'g', examples, values)
  with pytest.raises(UserError, match='says nothing of the class sad'):
    suspects.from_files([path], three)
  splits = {'train': train, 'validation': train}
  unclear = Dataset('faces', NAMES, splits, 'nowhere')
  path = write(tmp_path / 'e', train, values, split_name=None)
  with pytest.raises(UserError, match='index 0 stands in several'):
    suspects.from_files([path], unclear)
  with pytest.raises(UserError, match='cannot read'):
    suspects.from_files([tmp_path / 'none' / 'predictions.csv'], dataset)


@pytest.fixture
def predictor(dataset, monkeypatch):
  """A network that doubts example 5, in place of a trained one."""
  config = default_config()
  config.data.name = 'faces'
  validation = dataset.splits['validation']
  made = types.SimpleNamespace(
    config=config,
    dataset=dataset.describe(),
    step=7,
    probabilities=lambda images: probabilities(validation.labels, [5]),
  )
  monkeypatch.setattr(inference, 'load', lambda workdir: made)
  monkeypatch.setattr(data, 'load_dataset', lambda settings, names: dataset)
  return made


def test_a_network_is_asked_about_its_validation(tmp_path, predictor):
  found = suspects.from_workdir(tmp_path, 'faces', 'data')
  assert found.index.tolist() == [105]
  assert 'step 7' in found.origin
  assert predictor.config.data.dir == 'data'


def test_a_network_of_other_data_is_refused(tmp_path, predictor):
  with pytest.raises(UserError, match='was trained on faces'):
    suspects.from_workdir(tmp_path, 'fer2013', 'data')
  predictor.dataset['splits']['validation']['content_hash'] = 'other'
  with pytest.raises(UserError, match='another validation split'):
    suspects.from_workdir(tmp_path, 'faces', 'data')


@pytest.mark.parametrize(
  ('figures', 'more', 'words'),
  [
    ('[' * 100_000, '', 'metrics.json is damaged'),
    ('{"dataset": "faces", "split": []}', '', 'metrics.json is damaged'),
    ('{"dataset": "a\\nb"}', '', r'is of a\\nb, not of faces'),
    (None, 'x' * 200_000, 'is damaged .field larger'),
    (None, '100,angry,-,nan,0.5\n', 'example 100 has what is no probability'),
    (None, '100,angry,-,1e9,0.5\n', 'example 100 has what is no probability'),
  ],
)
def test_broken_files_are_named_in_one_line(
  tmp_path, dataset, figures, more, words
):
  examples = dataset.splits['validation']
  values = probabilities(examples.labels, [])
  path = write(tmp_path / 'eval', examples, values)
  if figures:
    (path.parent / 'metrics.json').write_text(figures)
  path.write_text(path.read_text() + more)
  with pytest.raises(UserError, match=words) as error:
    suspects.from_files([path], dataset)
  assert str(error.value).isprintable()
