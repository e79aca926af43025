"""Folds: which examples a cross-validation trains, validates and tests on.

Fold F is the test split, the next one in a circle is validation, the rest is
for training. So every example is tested once, by a network that never saw its
subject, and no epoch is chosen on the fold that is reported.
"""

from collections.abc import Sequence
import dataclasses

from ml_collections import config_dict
import numpy as np

from ferjax.data.dataset import Dataset
from ferjax.errors import UserError

SPLIT = 'full'  # how it is stored; `all` is a word of tensorflow-datasets
FOLD_BY = ('subject', 'frame')
LEAST = 3  # one each to train, validate and test on
WARNING = (
  'WARNING: the folds are drawn by frames, so images of one subject stand on'
  ' both sides; these figures say nothing of new faces'
)


def validate(config: config_dict.ConfigDict) -> None:
  """Checks what the section `config.data` says of folds.

  Raises:
    UserError: naming the field that is wrong.
  """
  num_folds = config.num_folds
  if config.fold_by not in FOLD_BY:
    raise UserError(
      f'config.data.fold_by is {config.fold_by!r}; have {FOLD_BY}'
    )
  if num_folds != 0 and num_folds < LEAST:
    raise UserError(
      f'config.data.num_folds is {num_folds}; it is {LEAST} or more, or 0: one'
      ' fold for each subject'
    )
  if num_folds == 0 and config.fold_by == 'frame':
    raise UserError(
      'config.data.num_folds=0 is one fold for each subject; by frame, give a'
      ' number'
    )
  if config.fold < 0 or (num_folds and config.fold >= num_folds):
    last = f' to {num_folds - 1}' if num_folds else ' and up'
    raise UserError(f'config.data.fold is {config.fold}; the folds are 0{last}')


def folds(subjects: np.ndarray, num_folds: int) -> np.ndarray:
  """Returns the fold of each example, int `[n]` in [0, num_folds).

  Subjects sorted by name, subject i to fold i mod num_folds.

  Args:
    subjects: the name of each example's subject, `[n]`.
    num_folds: 0 is one for each subject.
  """
  _, positions = np.unique(subjects, return_inverse=True)
  return positions % num_folds if num_folds else positions


def frame_folds(labels: np.ndarray, num_folds: int, seed: int) -> np.ndarray:
  """Returns the fold of each example, whoever it shows: int `[n]`.

  The examples of each class are shuffled and dealt out in turn, so that no two
  folds differ by more than one in a class, nor in all.

  Args:
    labels: int `[n]`.
    num_folds: 1 or more.
    seed: of the shuffling.
  """
  rng = np.random.default_rng(seed)
  shuffled = rng.permutation(len(labels))
  by_class = shuffled[np.argsort(labels[shuffled], kind='stable')]
  own = np.empty(len(labels), np.int64)
  own[by_class] = np.arange(len(labels)) % num_folds
  return own


def fold_splits(
  subjects: np.ndarray, fold: int, num_folds: int
) -> dict[str, np.ndarray]:
  """Returns which examples belong to each split, see `splits`.

  Args:
    subjects: the name of each example's subject, `[n]`.
    fold: the test fold.
    num_folds: 0 is one for each subject.
  """
  own = folds(subjects, num_folds)
  return splits(own, fold, num_folds or len(np.unique(own)))


def splits(own: np.ndarray, fold: int, num_folds: int) -> dict[str, np.ndarray]:
  """Returns which examples belong to each split, bool `[n]` by split name.

  Args:
    own: the fold of each example, int `[n]`.
    fold: the test fold; the next one, in a circle, is validation.
    num_folds: how many there are.
  """
  test, validation = own == fold, own == (fold + 1) % num_folds
  return {
    'train': ~(test | validation),
    'validation': validation,
    'test': test,
  }


def deal(
  config: config_dict.ConfigDict,
  full: Dataset,
  subjects: np.ndarray | None,
  names: Sequence[str],
) -> Dataset:
  """Returns splits that fold `config.fold` makes of a data set.

  Args:
    config: the section `config.data`.
    full: with one split.
    subjects: the name of each example's subject, `[n]`; None where nobody
      tells, and `config.fold_by` is then 'frame'.
    names: of the splits wanted.

  Raises:
    UserError: if there are too few subjects for one of the splits, or nobody
      tells who they are.
  """
  ((part, whole),) = full.splits.items()
  if config.fold_by == 'frame':
    own = frame_folds(whole.labels, config.num_folds, config.seed)
  elif subjects is None:
    raise UserError(no_subjects(full.name))
  else:
    own = folds(subjects, config.num_folds)
  num_folds = config.num_folds or len(np.unique(own))
  parts = splits(own, config.fold, num_folds)
  for name in names:
    if not parts[name].any():
      raise UserError(
        f'{full.source}: too few {config.fold_by}s for {num_folds} folds,'
        f' config.data.fold={config.fold} leaves none for the {name} split'
      )
  return dataclasses.replace(
    full,
    splits={name: whole.take(parts[name]) for name in names},
    notes=(*full.notes, *_notes(full.name, part, config, num_folds)),
  )


def no_subjects(name: str) -> str:
  """Returns why there can be no cross-validation by subject, for people."""
  return (
    f'{name} does not tell whom its images show, so folds would put images of'
    ' one subject on both sides; to have that all the same, with a warning on'
    " every output, fold by frame (config.data.fold_by='frame')"
  )


def _notes(
  name: str, part: str, config: config_dict.ConfigDict, num_folds: int
) -> list[str]:
  """Returns what every output has to say of a data set in folds."""
  what = name if part == SPLIT else f'the {part} split of {name}'
  lines = [
    f'{what} by {config.fold_by}s: test is fold {config.fold} of {num_folds},'
    f' validation fold {(config.fold + 1) % num_folds}, train the rest'
  ]
  return [*lines, WARNING] if config.fold_by == 'frame' else lines
