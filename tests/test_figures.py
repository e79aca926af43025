"""Figures of an evaluation, against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ferjax.data.dataset import Split
from ferjax.evaluation import ensemble, figures
from ferjax.inference import Evaluation


class Answers:
  """A classifier of whom only the name of its views is asked."""

  class_names = ('a', 'b', 'c')
  tta = 'flip'
  temperature = None


def make_answers(n=60):
  """Returns drawn probabilities and examples, all images different."""
  rng = np.random.default_rng(0)
  probabilities = rng.dirichlet(np.ones(3), n).astype(np.float32)
  labels = rng.integers(0, 3, n).astype(np.int32)
  images = np.arange(n, dtype=np.uint8).reshape(-1, 1, 1, 1)
  sums = ensemble.sums(probabilities, labels)
  return Evaluation(sums, probabilities), Split(images, labels, np.arange(n))


def test_figures_equal_scikit_learn():
  rng = np.random.default_rng(0)
  labels, guesses = rng.integers(0, 4, (2, 300))
  guesses = np.where(rng.random(300) < 0.5, labels, guesses)
  confusion = sklearn_metrics.confusion_matrix(labels, guesses)
  sums = {'confusion': confusion.astype(np.float32), 'loss': np.float32(450)}
  found = figures.summarize(Evaluation(sums, None), 'abcd')
  assert found['accuracy'] == sklearn_metrics.accuracy_score(labels, guesses)
  assert found['macro_f1'] == pytest.approx(
    sklearn_metrics.f1_score(labels, guesses, average='macro')
  )
  expected = sklearn_metrics.classification_report(
    labels, guesses, target_names=list('abcd'), output_dict=True
  )
  for name, scores in found['classes'].items():
    assert scores['precision'] == pytest.approx(expected[name]['precision'])
    assert scores['recall'] == pytest.approx(expected[name]['recall'])
    assert scores['f1'] == pytest.approx(expected[name]['f1-score'])
    assert scores['num_examples'] == expected[name]['support']
  assert found['loss'] == 1.5
  assert found['images_per_second'] is None
  low, high = found['accuracy_interval']
  assert low < found['accuracy'] < high


def test_images_that_stand_in_train_are_left_out_beside_all():
  evaluation, examples = make_answers()
  train = examples.take(np.arange(0, 60, 4))
  found = figures.collect(Answers(), evaluation, examples, train)
  kept = np.arange(60) % 4 != 0
  guesses = evaluation.probabilities.argmax(1)
  expected = sklearn_metrics.accuracy_score(
    examples.labels[kept], guesses[kept]
  )
  assert found['without_copies']['num_examples'] == 45
  assert found['without_copies']['accuracy'] == expected != found['accuracy']
  low, high = found['without_copies']['accuracy_interval']
  assert low < expected < high
  assert found['tta'] == 'flip'
  assert found['members'] is found['calibrated'] is None


def test_all_images_in_train_leave_no_accuracy():
  evaluation, examples = make_answers()
  found = figures.collect(Answers(), evaluation, examples, examples)
  assert found['without_copies'] == {
    'num_examples': 0,
    'accuracy': None,
    'accuracy_interval': [0.0, 1.0],
  }
  json.dumps(found, allow_nan=False)


def test_a_temperature_changes_loss_and_calibration_alone():
  evaluation, examples = make_answers()
  classifier = Answers()
  classifier.temperature = 2.0
  found = figures.collect(classifier, evaluation, examples, None)
  root = np.sqrt(evaluation.probabilities.astype(np.float64))
  scaled = root / root.sum(1, keepdims=True)
  assert found['calibrated']['loss'] == pytest.approx(
    sklearn_metrics.log_loss(examples.labels, scaled), rel=1e-6
  )
  assert found['calibrated']['ece'] != found['ece']
  assert found['loss'] == pytest.approx(
    sklearn_metrics.log_loss(examples.labels, evaluation.probabilities),
    rel=1e-6,
  )
  assert found['without_copies'] is None


def test_each_member_is_reported():
  evaluation, examples = make_answers()
  wrong = np.roll(evaluation.probabilities, 1, axis=1)
  other = Evaluation(ensemble.sums(wrong, examples.labels), wrong)
  members = (('one', evaluation), ('two', other))
  found = figures.collect(
    Answers(), evaluation._replace(members=members), examples, None
  )
  assert found['members']['one']['accuracy'] == found['accuracy']
  assert found['members']['two']['accuracy'] == sklearn_metrics.accuracy_score(
    examples.labels, wrong.argmax(1)
  )
