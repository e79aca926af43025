"""How far probabilities can be believed, and the temperature that mends them.

NumPy on the host, in float64. Networks are stored by what their softmax gave:
as softmax(log(p) / T) = softmax(logits / T), no logits are needed.
"""

from typing import NamedTuple

import numpy as np

LEAST_TEMPERATURE, GREATEST_TEMPERATURE = 0.05, 20.0
NUM_BINS = 15  # of equal width, as Guo et al. have

# A float32 softmax that gave 0 meant less than this.
_FLOOR = float(np.finfo(np.float32).tiny)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
  """Returns the temperature that makes `labels` most probable.

  Guo et al. 2017 (arXiv:1706.04599). To be fitted on validation, never on what
  is then scored. Accuracy does not change with it.

  Args:
    probabilities: `[n, classes]`, rows sum to 1.
    labels: int `[n]`.

  Returns:
    From `LEAST_TEMPERATURE` to `GREATEST_TEMPERATURE`; above 1 the network was
    too sure. One that is always right gets the least, one that knows nothing
    the greatest.

  Raises:
    ValueError: there are no examples.
  """
  if not len(labels):
    raise ValueError('no temperature without examples')
  logits = _logits(probabilities)
  own = np.take_along_axis(logits, np.asarray(labels)[:, None], axis=1)[:, 0]

  def slope(inverse: float) -> float:
    """Of the mean negative log likelihood over 1 / T; it never falls."""
    expected = np.sum(_softmax(logits * inverse) * logits, axis=1)
    return float(np.mean(expected - own))

  low, high = 1 / GREATEST_TEMPERATURE, 1 / LEAST_TEMPERATURE
  for _ in range(60):  # halves of log T, down to the last bits
    middle = float(np.sqrt(low * high))
    low, high = (low, middle) if slope(middle) > 0 else (middle, high)
  return float(1 / np.sqrt(low * high))


def apply_temperature(
  probabilities: np.ndarray, temperature: float
) -> np.ndarray:
  """Returns softmax(logits / temperature), float64 `[n, classes]`.

  Args:
    probabilities: `[n, classes]`, softmax(logits).
    temperature: greater than 0.
  """
  return _softmax(_logits(probabilities) / temperature)


class Reliability(NamedTuple):
  """Examples in bins of equal width by the probability of the guessed class.

  Attributes:
    edges: float64 `[bins + 1]`, 0 to 1; a bin holds its upper edge.
    counts: int `[bins]`, the examples in each.
    confidence: float64 `[bins]`, their mean probability; NaN where none is.
    accuracy: float64 `[bins]`, the share that is right; NaN where none is.
  """

  edges: np.ndarray
  counts: np.ndarray
  confidence: np.ndarray
  accuracy: np.ndarray

  @property
  def error(self) -> float:
    """The expected calibration error, in [0, 1]; NaN without examples."""
    filled = self.counts > 0
    if not filled.any():
      return float('nan')
    gaps = np.abs(self.accuracy - self.confidence)[filled]
    return float(np.average(gaps, weights=self.counts[filled]))


def reliability(
  probabilities: np.ndarray, labels: np.ndarray, num_bins: int = NUM_BINS
) -> Reliability:
  """Compares what a network expects of its guesses with how they turn out.

  Args:
    probabilities: `[n, classes]`.
    labels: int `[n]`.
    num_bins: 15 as by Guo et al.
  """
  probabilities = np.asarray(probabilities, np.float64)
  guesses = probabilities.argmax(axis=1)
  confidence = probabilities.max(axis=1)
  edges = np.linspace(0, 1, num_bins + 1)
  # Rounding may leave a probability a little above 1.
  bins = np.clip(np.searchsorted(edges, confidence) - 1, 0, num_bins - 1)
  counts = np.bincount(bins, minlength=num_bins)

  def mean(values: np.ndarray) -> np.ndarray:
    sums = np.bincount(bins, values, num_bins)
    return np.where(counts, sums / np.maximum(counts, 1), np.nan)

  return Reliability(edges, counts, mean(confidence), mean(guesses == labels))


def expected_calibration_error(
  probabilities: np.ndarray, labels: np.ndarray, num_bins: int = NUM_BINS
) -> float:
  """Returns the mean distance of confidence from accuracy, in [0, 1].

  Of the guessed class, weighted by the examples in each bin of equal width
  (Guo et al. 2017); NaN without examples. See `reliability`.
  """
  return reliability(probabilities, labels, num_bins).error


def _logits(probabilities: np.ndarray) -> np.ndarray:
  """Returns the logits, up to a constant a row, as float64."""
  return np.log(np.maximum(np.asarray(probabilities, np.float64), _FLOOR))


def _softmax(logits: np.ndarray) -> np.ndarray:
  powers = np.exp(logits - logits.max(axis=1, keepdims=True))
  return powers / powers.sum(axis=1, keepdims=True)
