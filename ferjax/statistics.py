"""What a count of hits and misses is worth: scores and their intervals.

NumPy on the host, in float64; the sums that a step takes on the device are
in metrics.py. A confusion matrix is int `[k, k]`: the true class on the rows,
the predicted class on the columns.
"""

import math
import statistics
from typing import NamedTuple

import numpy as np


class ClassScores(NamedTuple):
  """Scores of each class, float64 `[k]` in [0, 1]; 0 where undefined."""

  precision: np.ndarray
  recall: np.ndarray
  f1: np.ndarray


def class_scores(confusion: np.ndarray) -> ClassScores:
  """Returns precision, recall and F1 of every class.

  A class that is never predicted has no precision, and one without examples
  no recall: both are 0 here, as in scikit-learn with `zero_division=0`.
  """
  confusion = np.asarray(confusion)
  hits = np.diagonal(confusion)
  predicted, true = confusion.sum(axis=0), confusion.sum(axis=1)
  return ClassScores(
    precision=_ratio(hits, predicted),
    recall=_ratio(hits, true),
    f1=_ratio(2 * hits, predicted + true),
  )


def macro_f1(confusion: np.ndarray) -> float:
  """Returns the mean F1 over the classes that are true or predicted at all.

  As scikit-learn's `f1_score(average='macro')`: a class that occurs in neither
  is left out, one that occurs in only one of them counts as 0. NaN where
  there are no examples.
  """
  confusion = np.asarray(confusion)
  occurs = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
  if not occurs.any():
    return math.nan
  return float(class_scores(confusion).f1[occurs].mean())


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
