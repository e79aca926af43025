"""More training examples of the smaller classes: repeated or mirrored ones."""

from collections.abc import Sequence
import dataclasses

from ml_collections import config_dict
import numpy as np

from ferjax.data.dataset import Split
from ferjax.errors import UserError

BALANCES = ('none', 'oversample', 'mirror')


def validate(config: config_dict.ConfigDict) -> None:
  """Checks what the section `config.data` says of balance.

  Raises:
    UserError: naming the field that is wrong.
  """
  if config.balance not in BALANCES:
    raise UserError(
      f'config.data.balance is {config.balance!r}; have {", ".join(BALANCES)}'
    )


def balance(split: Split, num_classes: int, setting: str, seed: int) -> Split:
  """Adds examples to all classes that are smaller than the largest.

  Every process draws the same ones.

  Args:
    split: the training examples.
    num_classes: of its labels.
    setting: 'none'; 'oversample', which repeats examples of each class that
      has any until it is as large as the largest, each once before one comes
      again; 'mirror', which does so with left-right mirrored copies, at most
      one of each example, so that a class doubles at most.
    seed: of the draw.

  Returns:
    `split` itself where nothing is added. Else its examples in their order and
    then the added ones, class by class, with the index of their original.
  """
  if setting == 'none':
    return split
  rng = np.random.default_rng(seed)
  missing = _missing(split.counts(num_classes), setting)
  rows = np.concatenate(
    [
      _draw(np.flatnonzero(split.labels == label), count, rng)
      for label, count in enumerate(missing)
    ]
  )
  if not len(rows):
    return split
  if setting == 'oversample':
    return split.take(np.concatenate([np.arange(len(split)), rows]))
  added = split.take(rows)
  mirrored = np.asarray(added.images)[:, :, ::-1]  # reads those on disk
  return _join(split, dataclasses.replace(added, images=mirrored))


def note(
  setting: str, before: Split, after: Split, class_names: Sequence[str]
) -> str:
  """Returns what every output has to say where `balance` added examples.

  Args:
    setting: as given to `balance`.
    before: what it was given.
    after: what it returned.
    class_names: the meaning of each label.
  """
  what = {'oversample': 'repeated', 'mirror': 'mirrored'}[setting]
  counts = [split.counts(len(class_names)) for split in (before, after)]
  grown = [
    f'{name} {old:,} to {new:,}'
    for name, old, new in zip(class_names, *counts, strict=True)
    if new > old
  ]
  return f'train with {what} examples: {", ".join(grown)}'


def _missing(counts: np.ndarray, setting: str) -> np.ndarray:
  """Returns how many examples each class gets, int `[num_classes]`."""
  missing = np.where(counts > 0, counts.max() - counts, 0)
  return np.minimum(missing, counts) if setting == 'mirror' else missing


def _draw(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
  """Draws `count` of `rows`, all of them before one comes again."""
  rounds = -(-count // max(len(rows), 1))
  drawn = [rng.permutation(rows) for _ in range(rounds)]
  return np.concatenate([rows[:0], *drawn])[:count]


def _join(first: Split, second: Split) -> Split:
  """Returns the examples of both."""
  arrays = {}
  for field in dataclasses.fields(Split):
    parts = [getattr(split, field.name) for split in (first, second)]
    arrays[field.name] = None if parts[0] is None else np.concatenate(parts)
  return Split(**arrays)
