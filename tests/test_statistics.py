"""Scores and intervals against scikit-learn, SciPy and a worked example."""

import math

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from ferjax import statistics


def draw(seed, num_classes, n=200):
  """Labels that never hold the last class, and predictions that may."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(num_classes - 1, size=n).astype(np.int32)
  guesses = rng.integers(num_classes, size=n)
  return labels, np.where(rng.random(n) < 0.5, labels, guesses)


@pytest.mark.parametrize('num_classes', [2, 8])
def test_scores_equal_scikit_learn(num_classes):
  labels, predictions = draw(num_classes, num_classes)
  names = range(num_classes)
  confusion = sklearn.metrics.confusion_matrix(
    labels, predictions, labels=names
  )
  np.testing.assert_array_equal(
    statistics.confusion_matrix(labels, predictions, num_classes), confusion
  )
  scores = statistics.class_scores(confusion)
  expected = sklearn.metrics.precision_recall_fscore_support(
    labels, predictions, labels=names, zero_division=0
  )
  for ours, theirs in zip(scores, expected, strict=False):
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, theirs, rtol=1e-14)
  assert statistics.macro_f1(confusion) == pytest.approx(
    sklearn.metrics.f1_score(labels, predictions, average='macro')
  )


def test_macro_f1_leaves_out_only_classes_that_never_occur():
  labels, predictions = [0, 0, 1], [0, 2, 1]
  confusion = sklearn.metrics.confusion_matrix(
    labels, predictions, labels=range(5)
  )
  # Class 2 is predicted and never true: it counts as 0. 3 and 4 do not count.
  assert statistics.macro_f1(confusion) == pytest.approx((2 / 3 + 1 + 0) / 3)
  assert statistics.macro_f1(confusion) == pytest.approx(
    sklearn.metrics.f1_score(labels, predictions, average='macro')
  )


def test_rows_are_the_true_classes():
  np.testing.assert_allclose(
    statistics.class_scores([[0, 2], [0, 1]]).recall, [0, 1]
  )


def test_no_examples():
  confusion = np.zeros((3, 3), int)
  assert math.isnan(statistics.macro_f1(confusion))
  assert not np.any(statistics.class_scores(confusion))


def test_a_stack_of_matrices_is_scored_one_by_one():
  stack = np.stack(
    [statistics.confusion_matrix(*draw(seed, 5), 5) for seed in range(3)]
    + [np.zeros((5, 5), int)]
  )
  for score in (statistics.macro_f1, statistics.balanced_accuracy):
    alone = [float(score(confusion)) for confusion in stack]
    np.testing.assert_array_equal(score(stack), alone)
    assert math.isnan(alone[-1])
  recall = statistics.class_scores(stack).recall
  np.testing.assert_array_equal(
    recall[1], statistics.class_scores(stack[1]).recall
  )


def test_balanced_accuracy_equals_scikit_learn():
  labels, predictions = draw(0, 6)
  predictions[predictions == 5] = 4  # scikit-learn warns of what is never true
  confusion = statistics.confusion_matrix(labels, predictions, 6)
  assert statistics.balanced_accuracy(confusion) == pytest.approx(
    sklearn.metrics.balanced_accuracy_score(labels, predictions)
  )


@pytest.mark.parametrize('k', [1, 2, 5, 7])
def test_top_k_equals_scikit_learn(k):
  rng = np.random.default_rng(k)
  probabilities = rng.dirichlet(np.ones(6), 300)
  labels = rng.integers(6, size=300)
  expected = 1.0
  if k < 6:
    expected = sklearn.metrics.top_k_accuracy_score(labels, probabilities, k=k)
  assert statistics.top_k(probabilities, labels, k) == pytest.approx(expected)


def test_top_k_takes_the_first_of_equal_classes():
  probabilities = np.full((4, 4), 0.25)
  shares = [statistics.top_k(probabilities, range(4), k) for k in range(1, 5)]
  assert shares == [0.25, 0.5, 0.75, 1]
  rng = np.random.default_rng(0)
  coarse = rng.integers(3, size=(200, 4)) / 4
  labels = rng.integers(4, size=200)
  accuracy = np.mean(coarse.argmax(axis=1) == labels)
  assert statistics.top_k(coarse, labels, 1) == accuracy
  assert math.isnan(statistics.top_k(coarse[:0], labels[:0], 2))


@pytest.mark.parametrize('confidence', [0.8, 0.95, 0.999])
@pytest.mark.parametrize(
  ('successes', 'trials'), [(0, 10), (10, 10), (1, 1), (7, 31), (2620, 3589)]
)
def test_wilson_interval_equals_scipy(successes, trials, confidence):
  expected = scipy.stats.binomtest(successes, trials).proportion_ci(
    confidence, method='wilson'
  )
  low, high = statistics.wilson_interval(successes, trials, confidence)
  assert low == pytest.approx(expected.low, abs=1e-12)
  assert high == pytest.approx(expected.high, abs=1e-12)
  assert 0 <= low < high <= 1


def test_wilson_interval_of_a_fer2013_score():
  low, high = statistics.wilson_interval(2620, 3589)  # 73% of PrivateTest
  assert (high - low) / 2 == pytest.approx(0.0145, abs=5e-5)
  assert statistics.wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize('arguments', [(5, 4), (-1, 4), (1, 4, 1.0)])
def test_wilson_interval_refuses(arguments):
  with pytest.raises(ValueError, match='no interval'):
    statistics.wilson_interval(*arguments)


def paired(only_first, only_second, both=10, neither=5):
  counts = [only_first, only_second, both, neither]
  outcomes = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool)
  return np.random.default_rng(0).permutation(outcomes.repeat(counts, axis=0)).T


@pytest.mark.parametrize(
  'counts', [(0, 0), (0, 1), (5, 5), (3, 12), (412, 230), (9000, 3000)]
)
def test_mcnemar_equals_scipy(counts):
  result = statistics.mcnemar(*paired(*counts))
  assert result[:2] == counts
  expected = 1.0
  if sum(counts):
    expected = scipy.stats.binomtest(counts[0], sum(counts)).pvalue
  assert result.p_value == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_mcnemar_of_a_published_table():
  # Fagerland, Lydersen and Laake 2013 (BMC Medical Research Methodology
  # 13:91), airway reactivity before and after stem cell transplantation.
  result = statistics.mcnemar(*paired(1, 7, both=1, neither=12))
  assert result == (1, 7, pytest.approx(0.0703, abs=5e-5))


def test_mcnemar_of_many_examples_nears_its_normal_form():
  result = statistics.mcnemar(*paired(150, 86, both=794, neither=570))
  chi_squared = (150 - 86) ** 2 / (150 + 86)  # 17.36: Agresti 2002, 10.1.1
  approximate = scipy.stats.chi2.sf(chi_squared, 1)
  assert result.p_value == pytest.approx(approximate, rel=0.3)
