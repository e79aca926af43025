"""ROC and precision-recall against scikit-learn, ties included."""

import math

import numpy as np
import pytest
import sklearn.metrics

from ferjax.statistics import rates


def draw(seed, n=300, decimals=7):
  rng = np.random.default_rng(seed)
  is_class = rng.random(n) < 0.2
  scores = np.clip(rng.normal(0.4, 0.2, n) + 0.2 * is_class, 0, 1)
  return scores.round(decimals).astype(np.float32), is_class


@pytest.mark.parametrize('decimals', [7, 2, 1, 0])  # from no ties to most
def test_curves_equal_scikit_learn(decimals):
  scores, is_class = draw(0, decimals=decimals)
  curve = rates.of_class(scores, is_class)
  assert curve.is_defined
  fpr, tpr, thresholds = sklearn.metrics.roc_curve(
    is_class, scores, drop_intermediate=False
  )
  np.testing.assert_allclose(curve.false_positive_rate, fpr, rtol=1e-15)
  np.testing.assert_allclose(curve.recall, tpr, rtol=1e-15)
  np.testing.assert_array_equal(curve.thresholds, thresholds)
  precision, recall, _ = sklearn.metrics.precision_recall_curve(
    is_class, scores
  )
  np.testing.assert_allclose(curve.precision, precision[::-1], rtol=1e-15)
  np.testing.assert_allclose(curve.recall, recall[::-1], rtol=1e-15)
  assert rates.roc_auc(curve) == pytest.approx(
    sklearn.metrics.roc_auc_score(is_class, scores), rel=1e-12
  )
  assert rates.average_precision(curve) == pytest.approx(
    sklearn.metrics.average_precision_score(is_class, scores), rel=1e-12
  )


def test_the_area_is_the_chance_of_the_right_order():
  scores, is_class = draw(1, n=60, decimals=1)
  ahead = np.sign(scores[is_class][:, None] - scores[~is_class]) / 2 + 0.5
  area = rates.roc_auc(rates.of_class(scores, is_class))
  assert area == pytest.approx(ahead.mean())


def test_every_class_stands_against_the_rest():
  rng = np.random.default_rng(2)
  probabilities = rng.dirichlet(np.ones(4), 200).astype(np.float32)
  labels = rng.integers(4, size=200)
  curves = rates.one_against_rest(probabilities, labels)
  areas = [rates.roc_auc(curve) for curve in curves]
  precisions = [rates.average_precision(curve) for curve in curves]
  truth = np.eye(4)[labels]
  for ours, score in (
    (areas, sklearn.metrics.roc_auc_score),
    (precisions, sklearn.metrics.average_precision_score),
  ):
    expected = score(truth, probabilities, average=None)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    assert rates.macro(ours) == pytest.approx(expected.mean())


@pytest.mark.parametrize(
  'labels', [[0, 0, 0], [1, 1, 1], []], ids=['all', 'none', 'empty']
)
def test_a_class_without_examples_or_rest_has_no_area(labels):
  probabilities = np.full((len(labels), 2), 0.5)
  curve, _ = rates.one_against_rest(probabilities, labels)
  assert not curve.is_defined
  assert math.isnan(rates.roc_auc(curve))
  assert math.isnan(rates.average_precision(curve))


def test_the_mean_leaves_out_what_is_not_defined():
  assert rates.macro([0.5, math.nan, 0.7]) == pytest.approx(0.6)
  assert math.isnan(rates.macro([math.nan]))
