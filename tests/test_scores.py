"""The figures of an evaluation, against scikit-learn, and as JSON."""

import json

import numpy as np
import pytest
import sklearn.metrics

from ferjax.evaluation import scores

NAMES = ('angry', 'disgust', 'fear', 'happy')


def draw(num_classes, n=400):
  rng = np.random.default_rng(num_classes)
  labels = rng.integers(num_classes, size=n).astype(np.int32)
  logits = rng.normal(size=(n, len(NAMES))) + 1.5 * np.eye(len(NAMES))[labels]
  powers = np.exp(logits)
  shares = powers / powers.sum(axis=1, keepdims=True)
  return shares.astype(np.float32), labels


def test_figures_equal_scikit_learn():
  probabilities, labels = draw(4)
  figures = scores.from_probabilities(probabilities, labels, NAMES)
  guesses, truth = probabilities.argmax(axis=1), np.eye(4)[labels]
  assert figures['top2_accuracy'] == pytest.approx(
    sklearn.metrics.top_k_accuracy_score(labels, probabilities, k=2)
  )
  assert figures['balanced_accuracy'] == pytest.approx(
    sklearn.metrics.balanced_accuracy_score(labels, guesses)
  )
  for name, score in (
    ('roc_auc', sklearn.metrics.roc_auc_score),
    ('average_precision', sklearn.metrics.average_precision_score),
  ):
    expected = score(truth, probabilities, average=None)
    assert figures[name]['classes'] == pytest.approx(
      dict(zip(NAMES, expected, strict=True))
    )
    assert figures[name]['macro'] == pytest.approx(
      score(truth, probabilities, average='macro')
    )
  low, high = figures['macro_f1_interval']
  middle = sklearn.metrics.f1_score(labels, guesses, average='macro')
  assert low < middle < high
  assert figures['macro_f1_bootstrap'] == {'num_resamples': 2000, 'seed': 0}
  assert 0 < figures['ece'] < 0.5


def test_what_is_not_defined_is_null():
  probabilities, labels = draw(3)
  figures = scores.from_probabilities(probabilities, labels, NAMES)
  assert json.loads(json.dumps(figures, allow_nan=False)) == figures
  for name in ('roc_auc', 'average_precision'):
    classes = figures[name]['classes']
    known = [classes[name] for name in NAMES[:3]]
    assert classes['happy'] is None
    assert figures[name]['macro'] == pytest.approx(np.mean(known))


def test_no_examples():
  figures = scores.from_probabilities(
    np.zeros((0, 4), np.float32), np.zeros(0, np.int32), NAMES
  )
  json.dumps(figures, allow_nan=False)
  assert figures['macro_f1_interval'] == [None, None]
  assert figures['roc_auc']['macro'] is None
