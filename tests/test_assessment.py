"""Figures of an evaluation, and classes matched by name."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ferjax import report
from ferjax.data.dataset import Dataset, Split
from ferjax.errors import UserError
from ferjax.inference import Evaluation


def make_dataset(class_names, labels):
  labels = np.array(labels, np.int32)
  images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
  split = Split(images, labels, np.arange(len(labels)) + 100)
  return Dataset('other', class_names, {'test': split}, 'drawn')


def test_figures_equal_scikit_learn():
  rng = np.random.default_rng(0)
  labels, guesses = rng.integers(0, 4, (2, 300))
  guesses = np.where(rng.random(300) < 0.5, labels, guesses)
  confusion = sklearn_metrics.confusion_matrix(labels, guesses)
  sums = {'confusion': confusion.astype(np.float32), 'loss': np.float32(450)}
  figures = report.summarize(Evaluation(sums, None), 'abcd')
  assert figures['accuracy'] == sklearn_metrics.accuracy_score(labels, guesses)
  assert figures['macro_f1'] == pytest.approx(
    sklearn_metrics.f1_score(labels, guesses, average='macro')
  )
  expected = sklearn_metrics.classification_report(
    labels, guesses, target_names=list('abcd'), output_dict=True
  )
  for name, scores in figures['classes'].items():
    assert scores['precision'] == pytest.approx(expected[name]['precision'])
    assert scores['recall'] == pytest.approx(expected[name]['recall'])
    assert scores['f1'] == pytest.approx(expected[name]['f1-score'])
    assert scores['num_examples'] == expected[name]['support']
  assert figures['loss'] == 1.5
  assert figures['images_per_second'] is None
  low, high = figures['accuracy_interval']
  assert low < figures['accuracy'] < high


def test_classes_of_another_data_set_are_matched_by_name():
  dataset = make_dataset(('sad', 'contempt', 'happy'), [0, 1, 2, 1, 0])
  split, left_out = report.match_classes(
    dataset, 'test', ('angry', 'happy', 'sad')
  )
  np.testing.assert_array_equal(split.labels, [2, 1, 2])
  np.testing.assert_array_equal(split.index, [100, 102, 104])
  np.testing.assert_array_equal(split.images.ravel(), [0, 2, 4])
  assert left_out == {'contempt': 2}


def test_no_common_class_is_refused():
  dataset = make_dataset(('zero', 'one'), [0, 1])
  with pytest.raises(UserError, match='zero, one against happy, sad'):
    report.match_classes(dataset, 'test', ('happy', 'sad'))
