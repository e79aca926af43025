"""Tenths of the training examples, for splits that a source does not have."""

from collections.abc import Iterable, Sequence
import dataclasses

import numpy as np

from ferjax.data.dataset import Split
from ferjax.data.raw import Raw
from ferjax.errors import UserError


def draw(
  split: Split, seed: int, source: str, num_parts: int = 1
) -> tuple[Split, ...]:
  """Parts a split into the rest and tenths of each class.

  Args:
    split: the training examples.
    seed: of the draw.
    source: where they come from, for people.
    num_parts: how many tenths to draw.

  Returns:
    The rest and the tenths, all in the order of `split`.

  Raises:
    UserError: if no class has the five examples that make a tenth of one.
  """
  rng = np.random.default_rng(seed)
  parts = np.zeros(len(split), int)  # 0 is the rest
  for label in np.unique(split.labels):
    own = rng.permutation(np.flatnonzero(split.labels == label))
    tenth = _tenth(len(own))
    for part in range(num_parts):
      parts[own[part * tenth : (part + 1) * tenth]] = part + 1
  if not parts.any():
    raise UserError(
      f'{source}: too few rows to draw a validation split from; it takes five'
      ' of a class'
    )
  return tuple(split.take(parts == part) for part in range(num_parts + 1))


def note(name: str, seed: int) -> str:
  """Returns what every output has to say of the data set `name` then."""
  return (
    f'{name} has no validation split: it is a tenth of each class of train,'
    f' drawn with seed {seed}'
  )


def hold_out(
  raw: Raw, seed: int, note: str, names: Sequence[str] = ('validation',)
) -> Raw:
  """Returns `raw` with further splits, and what is said of them.

  Args:
    raw: has a train split, and none of `names`.
    seed: of the draw.
    note: what every output has to say about it.
    names: the splits to draw from train, a tenth of each class for each.

  Raises:
    UserError: see `draw`.
  """
  dataset = raw.dataset
  train, *drawn = draw(
    dataset.splits['train'], seed, dataset.source, len(names)
  )
  others = {k: v for k, v in dataset.splits.items() if k != 'train'}
  drawn = dict(zip(names, drawn, strict=True))
  return dataclasses.replace(
    raw,
    dataset=dataclasses.replace(
      dataset,
      splits={'train': train, **drawn, **others},
      notes=(*dataset.notes, note),
    ),
    published=_published(raw, names, others),
    missing={k: v for k, v in raw.missing.items() if k not in names},
  )


def _published(
  raw: Raw, names: Sequence[str], others: Iterable[str]
) -> dict[str, Sequence[int]]:
  """Returns the counts that the published ones become."""
  if not raw.published:
    return {}
  counts = raw.published['train']
  tenths = [_tenth(count) for count in counts]
  return {
    'train': [
      count - len(names) * tenth
      for count, tenth in zip(counts, tenths, strict=True)
    ],
    **dict.fromkeys(names, tenths),
    **{name: raw.published[name] for name in others},
  }


def _tenth(count: int) -> int:
  return (count + 5) // 10
