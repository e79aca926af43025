"""Ensembles: the mean of the members, whatever the order of their classes."""

import dataclasses
import pathlib

from ml_collections import config_dict
import numpy as np
import pytest
from scipy import special
from sklearn import metrics as sklearn_metrics

from ferjax import inference
from ferjax.data.dataset import Split
from ferjax.errors import UserError
from ferjax.evaluation import ensemble
from ferjax.evaluation.ensemble import Ensemble
from ferjax.inference import Evaluation

NAMES = ('angry', 'happy', 'sad')
COUNT = 40


@dataclasses.dataclass(frozen=True)
class Fake:
  """Answers by the first pixel of each image; a `Classifier`."""

  answers: np.ndarray  # [n, classes], in the order of `class_names`
  class_names: tuple[str, ...] = NAMES
  title: str = 'fake'
  step: int = 1
  tta: str = 'none'
  temperature: float | None = None
  speed: float | None = None

  @property
  def config(self):
    return config_dict.ConfigDict({'title': self.title})

  @property
  def configs(self):
    return (self.config,)

  def evaluate(self, split):
    found = self.probabilities(split.images)
    sums = ensemble.sums(found, split.labels)
    return Evaluation(sums, found, self.speed)

  def probabilities(self, images):
    return self.answers[images[:, 0, 0, 0]]


def make_answers(seed):
  logits = 2 * np.random.default_rng(seed).standard_normal((COUNT, 3))
  return special.softmax(logits, axis=1).astype(np.float32)


def make_split():
  images = np.arange(COUNT, dtype=np.uint8).reshape(-1, 1, 1, 1)
  labels = np.random.default_rng(5).integers(0, 3, COUNT).astype(np.int32)
  return Split(images, labels, np.arange(COUNT))


@pytest.fixture
def both():
  """Two members, the second with its classes in another order."""
  first, second = make_answers(0), make_answers(1)
  order = [2, 0, 1]
  members = (
    Fake(first, title='one', step=3, speed=10.0),
    Fake(
      second[:, order],
      tuple(NAMES[i] for i in order),
      title='two',
      step=7,
      speed=40.0,
    ),
  )
  return Ensemble(members, ('a', 'b')), first, second


def test_the_mean_is_scored_as_scikit_learn_does(both):
  pair, first, second = both
  split = make_split()
  evaluation = pair.evaluate(split)
  mean = (first.astype(np.float64) + second) / 2
  np.testing.assert_allclose(evaluation.probabilities, mean, rtol=1e-6)
  assert evaluation.probabilities.dtype == np.float32
  guesses = mean.argmax(1)
  np.testing.assert_array_equal(
    evaluation.sums['confusion'],
    sklearn_metrics.confusion_matrix(split.labels, guesses),
  )
  hits = sklearn_metrics.accuracy_score(split.labels, guesses, normalize=False)
  assert evaluation.sums['correct'] == hits
  assert evaluation.sums['count'] == COUNT
  loss = sklearn_metrics.log_loss(split.labels, mean, normalize=False)
  assert evaluation.sums['loss'] == pytest.approx(loss, rel=1e-6)
  np.testing.assert_allclose(pair.probabilities(split.images), mean, rtol=1e-6)


def test_members_are_told_in_the_order_of_the_ensemble(both):
  pair, first, second = both
  split = make_split()
  members = dict(pair.evaluate(split).members)
  assert list(members) == ['a', 'b']
  for name, answers in (('a', first), ('b', second)):
    np.testing.assert_array_equal(members[name].probabilities, answers)
    np.testing.assert_array_equal(
      members[name].sums['confusion'],
      sklearn_metrics.confusion_matrix(split.labels, answers.argmax(1)),
    )


def test_soft_targets_reach_a_member_in_its_order(both):
  pair, _, _ = both
  seen = []

  class Watching(Fake):
    def evaluate(self, split):
      seen.append((split.labels, split.targets))
      return super().evaluate(split)

  second = pair.members[1]
  pair = Ensemble(
    (pair.members[0], Watching(second.answers, second.class_names)), 'ab'
  )
  split = make_split()
  targets = np.eye(3, dtype=np.float32)[split.labels]
  pair.evaluate(dataclasses.replace(split, targets=targets))
  ((labels, targets),) = seen
  own = [second.class_names[label] for label in labels]
  assert own == [NAMES[label] for label in split.labels]
  np.testing.assert_array_equal(targets.argmax(1), labels)


def test_an_ensemble_says_what_it_is(both):
  pair, _, _ = both
  assert pair.title == 'ensemble of 2 (one, two)'
  assert (pair.step, pair.tta, pair.class_names) == (7, 'none', NAMES)
  assert [config.title for config in pair.configs] == ['one', 'two']
  assert pair.config.title == 'one'
  # An image takes 1/10 and 1/40 of a second.
  assert pair.evaluate(make_split()).images_per_second == pytest.approx(8)
  slow = Ensemble((pair.members[0], Fake(make_answers(2))), ('a', 'c'))
  assert slow.evaluate(make_split()).images_per_second is None


def test_ensembles_nest(both):
  pair, first, second = both
  outer = Ensemble((pair, Fake(make_answers(2))), ('pair', 'c'))
  mean = (first + second) / 4 + make_answers(2) / 2
  found = outer.evaluate(make_split()).probabilities
  np.testing.assert_allclose(found, mean, rtol=1e-5)
  assert len(outer.configs) == 3


def test_other_classes_are_refused_by_name():
  other = Fake(make_answers(1), ('angry', 'happy', 'fear'))
  with pytest.raises(UserError, match='two knows angry, happy, fear'):
    Ensemble((Fake(make_answers(0)), other), ('one', 'two'))


def test_an_impossible_class_has_a_finite_loss():
  sums = ensemble.sums(np.array([[1, 0]], np.float32), np.array([1]))
  assert 80 < sums['loss'] < 90


def test_workdirs_are_loaded_each_with_the_same_views(monkeypatch):
  calls = []

  def load(path, checkpoint, tta):
    calls.append((path, checkpoint, tta))
    return Fake(make_answers(len(calls)))

  monkeypatch.setattr(inference, 'load', load)
  paths = [pathlib.Path('a'), pathlib.Path('b')]
  pair = ensemble.load(paths, 'latest', 'flip')
  assert calls == [(path, 'latest', 'flip') for path in paths]
  assert pair.names == ('a', 'b')
  assert isinstance(ensemble.load(paths[:1]), Fake)
  with pytest.raises(UserError, match='given twice'):
    ensemble.load([pathlib.Path('a'), pathlib.Path('a/../a')])


def test_a_workdir_of_seeds_is_an_ensemble(monkeypatch, tmp_path):
  loaded = []

  def load(path, checkpoint, tta):
    loaded.append(path.name)
    return Fake(make_answers(len(loaded)))

  monkeypatch.setattr(inference, 'load', load)
  for i in (0, 1, 2, 10):
    (tmp_path / 'many' / f'member_{i}').mkdir(parents=True)
  (tmp_path / 'many' / 'member_notes').mkdir()
  names = tuple(f'member_{i}' for i in (0, 1, 2, 10))
  assert ensemble.load([tmp_path / 'many']).names == names
  assert tuple(loaded) == names
  # Among others it counts as one, not as four.
  pair = ensemble.load([tmp_path / 'many', tmp_path / 'one'])
  assert [len(member.configs) for member in pair.members] == [4, 1]
