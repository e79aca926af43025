"""A tenth of the training examples, where a source has no validation split."""

from collections.abc import Sequence
import dataclasses

import numpy as np

from ferjax.data.dataset import Split
from ferjax.data.raw import Raw
from ferjax.errors import UserError


def draw(split: Split, seed: int, source: str) -> tuple[Split, Split]:
  """Parts a split into the rest and a tenth of each class.

  Args:
    split: the training examples.
    seed: of the draw.
    source: where they come from, for people.

  Returns:
    The rest and the tenth, both in the order of `split`.

  Raises:
    UserError: if no class has the five examples that make a tenth of one.
  """
  rng = np.random.default_rng(seed)
  drawn = np.zeros(len(split), bool)
  for label in np.unique(split.labels):
    own = rng.permutation(np.flatnonzero(split.labels == label))
    drawn[own[: _tenth(len(own))]] = True
  if not drawn.any():
    raise UserError(f'{source}: too few rows to draw a validation split from')
  return split.take(~drawn), split.take(drawn)


def note(name: str, seed: int) -> str:
  """Returns what every output has to say of the data set `name` then."""
  return (
    f'{name} has no validation split: it is a tenth of each class of train,'
    f' drawn with seed {seed}'
  )


def hold_out(raw: Raw, seed: int, note: str) -> Raw:
  """Returns `raw` with a validation split, and what is said of it.

  Args:
    raw: has a train and no validation split.
    seed: of the draw.
    note: what every output has to say about it.

  Raises:
    UserError: see `draw`.
  """
  dataset = raw.dataset
  train, validation = draw(dataset.splits['train'], seed, dataset.source)
  others = {k: v for k, v in dataset.splits.items() if k != 'train'}
  return dataclasses.replace(
    raw,
    dataset=dataclasses.replace(
      dataset,
      splits={'train': train, 'validation': validation, **others},
      notes=(*dataset.notes, note),
    ),
    published=_published(raw, others),
    missing={k: v for k, v in raw.missing.items() if k != 'validation'},
  )


def _published(raw: Raw, others: Sequence[str]) -> dict[str, Sequence[int]]:
  """Returns the counts that the published ones become."""
  counts = raw.published['train']
  tenths = [_tenth(count) for count in counts]
  return {
    'train': [n - tenth for n, tenth in zip(counts, tenths, strict=True)],
    'validation': tenths,
    **{name: raw.published[name] for name in others},
  }


def _tenth(count: int) -> int:
  return (count + 5) // 10
