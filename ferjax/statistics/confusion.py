"""What a count of hits and misses is worth: scores and their intervals.

NumPy on the host, in float64; the sums that a step takes on the device are
in metrics.py. A confusion matrix is int `[k, k]`: the true class on the rows,
the predicted class on the columns. The scores of a stack `[..., k, k]` of
them are those of each.
"""

import math
import statistics
from typing import NamedTuple

import numpy as np


class ClassScores(NamedTuple):
  """Scores of each class, float64 `[..., k]` in [0, 1]; 0 where undefined."""

  precision: np.ndarray
  recall: np.ndarray
  f1: np.ndarray


def confusion_matrix(
  labels: np.ndarray, guesses: np.ndarray, num_classes: int
) -> np.ndarray:
  """Returns the confusion matrix of labels and guesses, int `[n]` each."""
  cells = np.asarray(labels, np.int64) * num_classes + guesses
  return np.bincount(cells, minlength=num_classes**2).reshape(
    num_classes, num_classes
  )


def class_scores(confusion: np.ndarray) -> ClassScores:
  """Returns precision, recall and F1 of every class.

  A class that is never predicted has no precision, and one without examples
  no recall: both are 0 here, as in scikit-learn with `zero_division=0`.
  """
  confusion = np.asarray(confusion)
  hits = np.diagonal(confusion, axis1=-2, axis2=-1)
  predicted, true = confusion.sum(axis=-2), confusion.sum(axis=-1)
  return ClassScores(
    precision=_ratio(hits, predicted),
    recall=_ratio(hits, true),
    f1=_ratio(2 * hits, predicted + true),
  )


def macro_f1(confusion: np.ndarray) -> np.ndarray:
  """Returns the mean F1 over the classes that are true or predicted at all.

  As scikit-learn's `f1_score(average='macro')`: a class that occurs in neither
  is left out, one that occurs in only one of them counts as 0. NaN where
  there are no examples.
  """
  confusion = np.asarray(confusion)
  occurs = (confusion.sum(axis=-2) + confusion.sum(axis=-1)) > 0
  return _mean(class_scores(confusion).f1, occurs)


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
  """Returns the mean recall over the classes that have examples.

  As scikit-learn's `balanced_accuracy_score`. NaN where there are none.
  """
  occurs = np.asarray(confusion).sum(axis=-1) > 0
  return _mean(class_scores(confusion).recall, occurs)


def top_k(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
  """Returns the share of examples with their class among the k most probable.

  Of equally probable classes the first comes first, as with argmax: the top 1
  is the accuracy.

  Args:
    probabilities: float `[n, classes]`.
    labels: int `[n]`.
    k: 1 or more.

  Returns:
    In [0, 1]; NaN without examples.
  """
  if not len(labels):
    return math.nan
  probabilities, place = np.asarray(probabilities), np.asarray(labels)[:, None]
  own = np.take_along_axis(probabilities, place, axis=1)
  is_before = np.arange(probabilities.shape[1]) < place
  ahead = (probabilities > own) | ((probabilities == own) & is_before)
  return float(np.mean(ahead.sum(axis=1) < k))


def wilson_interval(
  successes: int, trials: int, confidence: float = 0.95
) -> tuple[float, float]:
  """Returns the score interval of a proportion (Wilson, JASA 1927).

  Unlike the normal approximation it stays in [0, 1] and holds near the ends.

  Args:
    successes: in [0, trials].
    trials: the number of independent trials; 0 gives (0, 1).
    confidence: of the two-sided interval, in (0, 1).

  Returns:
    The lower and the upper bound, in [0, 1].

  Raises:
    ValueError: an argument is out of range.
  """
  if not (0 <= successes <= trials and 0 < confidence < 1):
    raise ValueError(
      f'no interval for {successes} of {trials} at confidence {confidence}'
    )
  if not trials:
    return 0.0, 1.0
  z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
  share = successes / trials
  spread = z**2 / trials
  center = (share + spread / 2) / (1 + spread)
  half = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
  # At 0 or all successes the bound is exact; rounding must not move it.
  low = center - half if successes else 0.0
  high = center + half if successes < trials else 1.0
  return low, high


class McNemar(NamedTuple):
  """What McNemar's test says of two classifiers on the same examples.

  Attributes:
    only_first: how many examples only the first one got right.
    only_second: how many only the second one did.
    p_value: of a split as uneven as this, or more, were both equally good.
  """

  only_first: int
  only_second: int
  p_value: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
  """Tests whether two classifiers differ (McNemar, Psychometrika 1947).

  The exact two-sided test, with any number of examples: were both equally
  good, each example that only one of them gets right would be a fair coin's.

  Args:
    first: bool `[n]`, whether the first one is right on each example.
    second: the same of the second one, in the same order.
  """
  first, second = np.asarray(first, bool), np.asarray(second, bool)
  only_first = int(np.sum(first & ~second))
  only_second = int(np.sum(second & ~first))
  n, least = only_first + only_second, min(only_first, only_second)
  # Whole numbers have no rounding, and of any n the quotient is a float.
  ways = tail = 1
  for k in range(least):
    ways = ways * (n - k) // (k + 1)
    tail += ways
  return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**n))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
  """Divides as float64; 0 where the denominator is 0."""
  return numerator / np.where(denominator, denominator, 1).astype(np.float64)


def _mean(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
  """Averages the classes that count; the others' values are 0."""
  with np.errstate(invalid='ignore'):  # 0 / 0 is NaN, as promised
    return values.sum(axis=-1) / counts.sum(axis=-1)
