"""Which labels are probably wrong: confident learning.

After C. Northcutt, L. Jiang and I. Chuang, Confident Learning: Estimating
Uncertainty in Dataset Labels (JAIR 2021, arXiv 1911.00068).
"""

from typing import NamedTuple

import numpy as np


class LabelErrors(NamedTuple):
  """The examples whose label is probably wrong, the most probable first.

  Attributes:
    rows: int64 `[m]`, positions among the examples.
    suggested: int64 `[m]`, the label that they probably should have.
    margin: float64 `[m]`, the probability of the given label less the highest
      of another, in [-1, 1]; the ranking is by it, from the lowest.
    joint: float64 `[classes, classes]`, estimated numbers of examples: given
      label on the rows, true label on the columns. Rows sum to the number of
      examples with that label.
  """

  rows: np.ndarray
  suggested: np.ndarray
  margin: np.ndarray
  joint: np.ndarray


def label_errors(labels: np.ndarray, probabilities: np.ndarray) -> LabelErrors:
  """Ranks the examples that a network puts confidently into another class.

  A class is confident of an example where its probability is at least its mean
  over the examples that have its label. Of several such classes the most
  probable counts. These counts are the confident joint; an example off its
  diagonal is a probable error.

  Args:
    labels: int `[n]`, as given.
    probabilities: float `[n, classes]` of a network that was not trained on
      these examples.
  """
  labels, probabilities = np.asarray(labels), np.asarray(probabilities, float)
  n, k = probabilities.shape
  counts = np.bincount(labels, minlength=k)
  own = probabilities[np.arange(n), labels]
  thresholds = np.full(k, np.inf)  # a class without examples is never sure
  known = counts > 0
  sums = np.bincount(labels, weights=own, minlength=k)
  thresholds[known] = sums[known] / counts[known]
  confident = np.where(probabilities >= thresholds, probabilities, -1)
  is_counted = (confident >= 0).any(axis=1)
  suggested = confident.argmax(axis=1)
  joint = np.zeros((k, k))
  np.add.at(joint, (labels[is_counted], suggested[is_counted]), 1)
  others = probabilities.copy()
  others[np.arange(n), labels] = -1
  margin = own - others.max(axis=1)
  rows = np.flatnonzero(is_counted & (suggested != labels))
  rows = rows[np.argsort(margin[rows], kind='stable')]
  return LabelErrors(rows, suggested[rows], margin[rows], _fit(joint, counts))


def _fit(joint: np.ndarray, counts: np.ndarray) -> np.ndarray:
  """Scales each row to its number of examples.

  A row in which no example is counted is taken to be right.
  """
  sums = joint.sum(axis=1, keepdims=True)
  shares = np.where(sums > 0, joint / np.maximum(sums, 1), np.eye(len(joint)))
  return shares * counts[:, None]
