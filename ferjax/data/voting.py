"""What becomes of the ten votes that FER+ has on each image.

The rules are those of Barsoum et al. (arXiv 1608.01041) as their own code has
them (github.com/microsoft/FERPlus).
"""

import dataclasses

import numpy as np

from ferjax.data.dataset import CLASS_NAMES, Split

# The classes by their names in the file, in its order.
_CLASSES = {
  'neutral': 'neutral',
  'happiness': 'happy',
  'surprise': 'surprise',
  'sadness': 'sad',
  'anger': 'angry',
  'disgust': 'disgust',
  'fear': 'fear',
  'contempt': 'contempt',
}

COLUMNS = (*_CLASSES, 'unknown', 'NF')  # NF: no face

_PLACES = [list(_CLASSES.values()).index(name) for name in CLASS_NAMES]


def resolve(votes: np.ndarray, mode: str) -> tuple[np.ndarray, np.ndarray]:
  """Makes labels of votes. A single vote for a class counts as none.

  Args:
    votes: int `[n, 10]`, in the order of `COLUMNS`.
    mode: one of `MODES`.

  Returns:
    Whether each image is kept, bool `[n]`: not where too few agree, nor where
    most say that they do not know or see no face. And the shares of the votes,
    float32 `[n, 8]` in the order of `CLASS_NAMES`, 0 where it is not.
  """
  votes = np.where(votes > 1, votes, 0)
  taken = _RULES[mode](votes)
  enough = 2 * taken.sum(1) > votes.sum(1)
  kept = enough & (taken.argmax(1) < len(_CLASSES))
  shares = np.where(kept[:, None], taken[:, _PLACES], 0)
  shares = shares / np.maximum(shares.sum(1, keepdims=True), 1)
  return kept, shares.astype(np.float32)


def _majority(votes: np.ndarray) -> np.ndarray:
  return np.where(2 * votes > votes.sum(1, keepdims=True), votes, 0)


def _leaders(votes: np.ndarray) -> np.ndarray:
  """Takes class after class, the most voted first, those that tie at once.

  It ends with three classes, with three quarters of the votes, or where
  unknown or NF would be next. More than three, by ties, are none.
  """
  total, taken = votes.sum(1), np.zeros_like(votes)
  is_over = np.zeros(len(votes), bool)
  for _ in range(3):
    is_over |= 4 * taken.sum(1) >= 3 * total
    is_over |= np.count_nonzero(taken, axis=1) >= 3
    left = np.where(taken > 0, 0, votes)
    top = (left == left.max(1, keepdims=True)) & ~is_over[:, None]
    is_over |= top[:, len(_CLASSES) :].any(1)
    top[:, len(_CLASSES) :] = False
    taken = np.where(top, votes, taken)
  is_clear = np.count_nonzero(taken, axis=1) <= 3
  return np.where(is_clear[:, None], taken, 0)


def _frequent(votes: np.ndarray) -> np.ndarray:
  return np.where(10 * votes >= 3 * votes.sum(1, keepdims=True), votes, 0)


_RULES = {
  'majority': _majority,
  'probability': _leaders,
  'cross_entropy': _leaders,
  'multi_target': _frequent,
}

MODES = tuple(_RULES)


def to_split(split: Split, votes: np.ndarray, mode: str) -> Split:
  """Returns the images that `resolve` keeps, labelled by their votes.

  Args:
    split: every image.
    votes: int `[n, 10]`.
    mode: one of `MODES`.

  Returns:
    Labels are the class with the most votes; by majority, there are no targets
    beside them.
  """
  kept, targets = resolve(votes, mode)
  targets = targets[kept]
  return dataclasses.replace(
    split.take(kept),
    labels=targets.argmax(1).astype(np.int32),
    targets=None if mode == 'majority' else targets,
  )
