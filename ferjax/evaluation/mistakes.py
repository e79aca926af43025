"""What a network got wrong, the surest mistakes first."""

from collections.abc import Sequence

import numpy as np


def most_confident(
  probabilities: np.ndarray, labels: np.ndarray, num: int
) -> np.ndarray:
  """Returns the rows of the mistakes that the network was surest of.

  Args:
    probabilities: float `[n, classes]`.
    labels: int `[n]`.
    num: the most to return.

  Returns:
    int `[num]` or fewer, by the probability of the guessed class, the greatest
    first; the earlier row where two are equal.
  """
  wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
  order = np.argsort(-probabilities[wrong].max(axis=1), kind='stable')
  return wrong[order[:num]]


def captions(
  probabilities: np.ndarray,
  labels: np.ndarray,
  class_names: Sequence[str],
  rows: np.ndarray,
) -> list[str]:
  """Returns `sad, not fear: 99%` for each row: guess, label, probability."""
  guesses = probabilities.argmax(axis=1)
  return [
    f'{class_names[guesses[row]]}, not {class_names[labels[row]]}: '
    f'{probabilities[row].max():.0%}'
    for row in rows
  ]
