"""What is scored: the data, a fitted temperature, and what was seen before."""

import dataclasses

import numpy as np
import pytest
from scipy import optimize, special

from ferjax import data
from ferjax.data import training
from ferjax.data.dataset import Dataset, Split
from ferjax.errors import UserError
from ferjax.evaluation import scoring
from ferjax.inference import Evaluation

NAMES = ('angry', 'happy', 'sad')


@dataclasses.dataclass(frozen=True)
class Fake:
  """Answers by the first pixel of each image; a `Classifier` of runs."""

  answers: np.ndarray
  configs: tuple
  class_names: tuple[str, ...] = NAMES
  temperature: float | None = None

  @property
  def config(self):
    return self.configs[0]

  def evaluate(self, split):
    return Evaluation({}, self.answers[split.images[:, 0, 0, 0]])


def make_split(first, labels):
  images = first + np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
  return Split(images, np.array(labels, np.int32), np.arange(len(labels)))


RNG = np.random.default_rng(0)
VALIDATION, TEST = RNG.integers(0, 3, (2, 50))
SPLITS = {
  'train': make_split(0, [0, 1, 2, 0]),
  'validation': make_split(10, VALIDATION),
  'test': make_split(60, TEST),
}
# The probabilities of a network that is too sure, by pixel.
ANSWERS = special.softmax(
  6 * RNG.standard_normal((200, 3)) + 3 * np.eye(3)[RNG.integers(0, 3, 200)],
  axis=1,
).astype(np.float32)


@pytest.fixture
def loaded(monkeypatch):
  """Stands in for the disk; tells what was loaded from where."""
  calls = []
  stored = {'own': SPLITS, 'test_only': {'test': SPLITS['test']}}
  for fold in range(2):  # what is tested in one is trained on in the other
    stored[f'fold{fold}'] = {
      'train': make_split(60 - 50 * fold, TEST),
      'validation': make_split(120 + 30 * fold, [0, 1, 2]),
      'test': make_split(10 + 50 * fold, VALIDATION),
    }

  def key(config):
    return f'fold{config.fold}' if config.name == 'folds' else config.name

  def load_dataset(config, names, foreign=False):
    calls.append((config.name, config.dir, *names, foreign))
    if config.dir == 'gone':
      raise UserError('not prepared')
    splits = {name: stored[key(config)][name] for name in names}
    return Dataset(config.name, NAMES, splits, 'drawn', ('drawn by hand',))

  def load_training(config):
    return load_dataset(config, ('train', 'validation'))

  monkeypatch.setattr(data, 'load_dataset', load_dataset)
  monkeypatch.setattr(data, 'split_names', lambda config: stored[key(config)])
  monkeypatch.setattr(training, 'load', load_training)
  return calls


@pytest.fixture
def make_fake(make_config):
  def make_fake(*names, answers=ANSWERS, **more):
    configs = []
    for name in names:
      config = make_config()
      config.data.name, config.data.fold = (
        name.rstrip('01'),
        int(name[-1] == '1'),
      )
      config.data.dir = 'here'
      config.data.update(more)
      configs.append(config)
    return Fake(answers, tuple(configs))

  return make_fake


def test_train_comes_with_the_own_data(loaded, make_fake):
  dataset = scoring.load_data(make_fake('own'), 'test')
  assert set(dataset.splits) == {'test', 'train'}
  assert dataset.notes == ('drawn by hand',)
  assert loaded == [('own', 'here', 'test', 'train', False)]
  assert set(scoring.load_data(make_fake('own'), 'train').splits) == {'train'}
  assert set(scoring.load_data(make_fake('test_only'), 'test').splits) == {
    'test'
  }


def test_own_data_may_have_moved(loaded, make_fake):
  fake = make_fake('own')
  scoring.load_data(fake, 'test', None, 'there')
  assert loaded == [('own', 'there', 'test', 'train', False)]
  assert fake.config.data.dir == 'here'


def test_images_of_another_data_set_that_were_trained_on_are_counted(
  loaded, make_fake
):
  fake = make_fake('folds0')  # is trained on what is `test` elsewhere
  dataset = scoring.load_data(fake, 'test', 'test_only', 'there')
  assert set(dataset.splits) == {'test'}
  assert loaded[0] == ('test_only', 'there', 'test', True)
  assert loaded[1][:2] == ('folds', 'here')
  assert dataset.notes[1].startswith('50 of the 50 images also stand in the')
  clean = scoring.load_data(make_fake('own'), 'test', 'test_only')
  assert clean.notes == ('drawn by hand',)


def test_training_data_that_is_gone_is_told(loaded, make_fake):
  fake = make_fake('own', dir='gone')
  dataset = scoring.load_data(fake, 'test', 'test_only', 'there')
  assert 'own, are not there any more' in dataset.notes[-1]


def test_folds_that_saw_each_others_test_images_are_told(loaded, make_fake):
  dataset = scoring.load_data(make_fake('folds0', 'folds1'), 'test')
  assert len(dataset.notes) == 2
  assert '50 of the 50 images also stand' in dataset.notes[1]
  assert 'folds of a member' in dataset.notes[1]
  same = scoring.load_data(make_fake('folds0', 'folds0'), 'test')
  assert same.notes == ('drawn by hand',)


def test_the_temperature_is_that_of_validation(loaded, make_fake):
  fake = make_fake('own')
  dataset = scoring.load_data(fake, 'test')
  mended, dataset = scoring.calibrate(fake, dataset, 'test')
  logits = np.log(ANSWERS[10:60].astype(np.float64))

  def loss(temperature):
    logs = special.log_softmax(logits / temperature, axis=1)
    return -logs[np.arange(50), VALIDATION].mean()

  best = optimize.minimize_scalar(loss, bounds=(0.1, 20), method='bounded')
  assert mended.temperature == pytest.approx(best.x, rel=1e-3)
  assert mended.temperature > 1.5
  assert dataset.notes[-1].endswith('on the 50 validation images of own')
  assert fake.temperature is None


def test_labels_meet_the_columns_of_a_network_by_name(loaded, make_fake):
  order = [2, 0, 1]
  fake = make_fake('own', answers=ANSWERS[:, order])
  other = dataclasses.replace(fake, class_names=tuple(NAMES[i] for i in order))
  dataset = scoring.load_data(other, 'test')
  mended, _ = scoring.calibrate(other, dataset, 'test')
  plain, _ = scoring.calibrate(make_fake('own'), dataset, 'test')
  assert mended.temperature == pytest.approx(plain.temperature)


def test_no_temperature_is_fitted_to_what_is_scored(loaded, make_fake):
  fake = make_fake('own')
  dataset = scoring.load_data(fake, 'validation')
  same, dataset = scoring.calibrate(fake, dataset, 'validation')
  assert same is fake
  assert dataset.notes[-1].startswith('no temperature: it would be fitted to')


def test_no_temperature_is_fitted_to_what_a_member_learnt(loaded, make_fake):
  pair = make_fake('folds0', 'folds1')
  dataset = scoring.load_data(pair, 'test')
  with pytest.raises(UserError, match='different validation splits'):
    scoring.calibrate(pair, dataset, 'test')


def test_data_that_was_prepared_anew_with_other_classes(loaded, make_fake):
  fake = dataclasses.replace(
    make_fake('own'), class_names=('angry', 'happy', 'fear')
  )
  dataset = scoring.load_data(fake, 'test')
  with pytest.raises(UserError, match='own now has the classes angry, happy'):
    scoring.calibrate(fake, dataset, 'test')
