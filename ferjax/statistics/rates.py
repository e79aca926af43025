"""How well a class is told from the rest, at every threshold: ROC and PR.

NumPy on the host, in float64. An example is taken for the class where its
probability reaches the threshold; examples of equal probability are taken at
once, as in scikit-learn.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Rates(NamedTuple):
  """What each threshold leads to, from taking no example to taking all.

  Attributes:
    thresholds: float64 `[t]`, falling from infinity.
    false_positive_rate: float64 `[t]`, the share of the rest that is taken,
      0 to 1; NaN where there is no rest.
    recall: float64 `[t]`, the share of the class that is taken, 0 to 1; NaN
      where the class has no examples.
    precision: float64 `[t]`, the share of what is taken that is of the class;
      1 where nothing is.
  """

  thresholds: np.ndarray
  false_positive_rate: np.ndarray
  recall: np.ndarray
  precision: np.ndarray

  @property
  def is_defined(self) -> bool:
    """Whether there are examples of the class and of the rest."""
    return not np.isnan(self.recall + self.false_positive_rate).any()


def of_class(scores: np.ndarray, is_class: np.ndarray) -> Rates:
  """Returns the rates of one class.

  Args:
    scores: float `[n]`, its probability.
    is_class: bool `[n]`, whether an example is of the class.
  """
  order = np.argsort(scores, kind='stable')[::-1]
  scores = np.asarray(scores, np.float64)[order]
  last = np.flatnonzero(np.diff(scores, append=-np.inf))  # of equal scores
  taken = np.append(0, last + 1)
  hits = np.append(0, np.cumsum(np.asarray(is_class, np.int64)[order])[last])
  misses = taken - hits
  with np.errstate(invalid='ignore'):  # 0 / 0 is NaN, as promised
    return Rates(
      thresholds=np.append(np.inf, scores[last]),
      false_positive_rate=misses / misses[-1],
      recall=hits / hits[-1],
      precision=np.append(1.0, hits[1:] / taken[1:]),
    )


def one_against_rest(
  probabilities: np.ndarray, labels: np.ndarray
) -> list[Rates]:
  """Returns the rates of every class.

  Args:
    probabilities: float `[n, classes]`.
    labels: int `[n]`.
  """
  labels = np.asarray(labels)
  return [
    of_class(column, labels == i) for i, column in enumerate(probabilities.T)
  ]


def roc_auc(curve: Rates) -> float:
  """Returns the area under the ROC curve, in [0, 1].

  It is the chance that an example of the class gets a higher probability than
  one of the rest, a tie counted as half; NaN where either is missing.
  """
  if not curve.is_defined:
    return float('nan')
  return float(np.trapezoid(curve.recall, curve.false_positive_rate))


def average_precision(curve: Rates) -> float:
  """Returns the area under the steps of the precision-recall curve, in [0, 1].

  The mean precision over the examples of the class, not interpolated; NaN
  without examples of the class or of the rest.
  """
  if not curve.is_defined:
    return float('nan')
  return float(np.sum(np.diff(curve.recall) * curve.precision[1:]))


def macro(values: Sequence[float]) -> float:
  """Returns the mean over the classes whose value is not NaN."""
  known = np.array([value for value in values if not np.isnan(value)])
  return float(known.mean()) if known.size else float('nan')
