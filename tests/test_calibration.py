"""Temperature and calibration error against SciPy and a slow loop."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sklearn.metrics

from ferjax.statistics import calibration


def draw(seed, num_classes=7, n=500, temperature=1.0):
  """Labels drawn from softmax(logits), told as softmax(T * logits)."""
  rng = np.random.default_rng(seed)
  logits = rng.normal(size=(n, num_classes)) * 2
  chances = scipy.special.softmax(logits, axis=1)
  labels = (rng.random((n, 1)) > chances.cumsum(axis=1)).sum(axis=1)
  told = scipy.special.softmax(logits * temperature, axis=1)
  return told.astype(np.float32), labels.astype(np.int32)


@pytest.mark.parametrize('temperature', [0.5, 1.0, 3.0])
@pytest.mark.parametrize('num_classes', [2, 7])
def test_the_fitted_temperature_is_the_best(num_classes, temperature):
  probabilities, labels = draw(1, num_classes, temperature=temperature)
  logits = np.log(probabilities.astype(np.float64))

  def loss(log_temperature):
    scaled = scipy.special.softmax(logits / np.exp(log_temperature), axis=1)
    return sklearn.metrics.log_loss(labels, scaled, labels=range(num_classes))

  best = scipy.optimize.minimize_scalar(
    loss, bounds=(-3, 3), method='bounded', options={'xatol': 1e-9}
  )
  fitted = calibration.fit_temperature(probabilities, labels)
  assert fitted == pytest.approx(np.exp(best.x), rel=1e-5)
  assert loss(np.log(fitted)) <= best.fun + 1e-12


def test_a_known_temperature_is_found():
  probabilities, labels = draw(2, n=20_000, temperature=2.5)
  fitted = calibration.fit_temperature(probabilities, labels)
  assert fitted == pytest.approx(2.5, rel=0.03)
  mended = calibration.apply_temperature(probabilities, fitted)
  errors = [
    calibration.expected_calibration_error(p, labels)
    for p in (probabilities, mended)
  ]
  assert errors[0] > 0.1
  assert errors[1] < 0.02


def test_temperature_equals_that_of_the_logits():
  logits = np.random.default_rng(3).normal(size=(50, 7)) * 5
  np.testing.assert_allclose(
    calibration.apply_temperature(scipy.special.softmax(logits, axis=1), 1.7),
    scipy.special.softmax(logits / 1.7, axis=1),
    rtol=1e-12,
  )


def test_the_ends_are_safe():
  sure = np.eye(3, dtype=np.float32)  # exact zeros
  ends = calibration.LEAST_TEMPERATURE, calibration.GREATEST_TEMPERATURE
  right = calibration.fit_temperature(sure, np.arange(3))
  wrong = calibration.fit_temperature(sure, np.array([1, 2, 0]))
  assert (right, wrong) == pytest.approx(ends)
  for temperature in ends:
    mended = calibration.apply_temperature(sure, temperature)
    np.testing.assert_allclose(mended.sum(axis=1), 1)
    assert (mended.argmax(axis=1) == np.arange(3)).all()
  with pytest.raises(ValueError, match='without examples'):
    calibration.fit_temperature(sure[:0], np.zeros(0, int))


@pytest.mark.parametrize('num_bins', [1, 10, 15])
@pytest.mark.parametrize('num_classes', [2, 7])
def test_reliability_equals_a_slow_loop(num_classes, num_bins):
  probabilities, labels = draw(4, num_classes, temperature=2.0)
  table = calibration.reliability(probabilities, labels, num_bins)
  error = 0.0
  for i in range(num_bins):
    low, high = i / num_bins, (i + 1) / num_bins
    rows = [
      row
      for row in range(len(labels))
      if low < probabilities[row].max() <= high
    ]
    assert table.counts[i] == len(rows)
    if not rows:
      assert math.isnan(table.confidence[i])
      assert math.isnan(table.accuracy[i])
      continue
    confidence = sum(float(probabilities[r].max()) for r in rows) / len(rows)
    hits = sum(probabilities[r].argmax() == labels[r] for r in rows)
    assert table.confidence[i] == pytest.approx(confidence)
    assert table.accuracy[i] == pytest.approx(hits / len(rows))
    error += abs(hits / len(rows) - confidence) * len(rows) / len(labels)
  assert table.error == pytest.approx(error)
  assert error == pytest.approx(
    calibration.expected_calibration_error(probabilities, labels, num_bins)
  )


def test_a_bin_holds_its_upper_edge():
  probabilities = [[0.5, 0.5], [0.25, 0.75], [1.0000001, 0]]
  table = calibration.reliability(probabilities, [0, 1, 1], num_bins=4)
  np.testing.assert_allclose(table.edges, [0, 0.25, 0.5, 0.75, 1])
  assert table.counts.tolist() == [0, 1, 1, 1]
  np.testing.assert_allclose(table.accuracy[1:], [1, 1, 0])
  assert table.error == pytest.approx((0.5 + 0.25 + 1) / 3)


def test_no_examples_have_no_error():
  empty = np.zeros((0, 7), np.float32), np.zeros(0, np.int32)
  assert math.isnan(calibration.expected_calibration_error(*empty))


def test_the_diagram_is_of_the_error_that_is_reported():
  probabilities, labels = draw(2)
  table = calibration.reliability(probabilities, labels)
  assert len(table.counts) == 15  # as docs/evaluation.md says
  error = calibration.expected_calibration_error(probabilities, labels)
  assert table.error == error
