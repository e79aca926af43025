"""What there is to know about a data set: its tables, its figures, its page."""

from collections.abc import Iterator, Mapping, Sequence
import csv
import io
import json
from typing import Any

import numpy as np

from ferjax import storage
from ferjax.data import audit as audit_lib
from ferjax.data import mapped
from ferjax.data.audit import Audit
from ferjax.data.dataset import Dataset, Split
from ferjax.exploration.suspects import Suspects
from ferjax.tables import Cell, Column

COLUMNS = (
  'fault',
  'split',
  'index',
  'label',
  'group',
  'other_split',
  'other_index',
  'other_label',
  'score',
)
_CHUNK = 4096  # images whose pixels are floats at a time


def count_table(dataset: Dataset) -> list[Column]:
  """Returns the examples of every class and split."""
  counts = {n: s.counts(dataset.num_classes) for n, s in dataset.splits.items()}
  counts['all'] = np.sum(list(counts.values()), axis=0)
  columns = [Column('class', _cells([*dataset.class_names, 'all']), '', False)]
  for name, values in counts.items():
    numbers = [f'{n:,}' for n in [*values, values.sum()]]
    columns.append(Column(name, _cells(numbers)))
  return columns


def audit_table(audit: Audit) -> list[Column]:
  """Returns how many images of each split have which fault."""
  copied, near = audit.has_copy, audit.has_near_copy
  rows = {
    'all black': audit.is_black,
    'near-constant': audit.is_flat,
    'with an exact copy': copied.any(axis=1),
    'with a copy of another class': audit.is_conflicting,
    'with a near copy': near.any(axis=1),
  }
  # Of every two splits: what stands in one was seen in the other.
  across = {}
  for place, name in enumerate(audit.split_names):
    elsewhere = audit.split != place
    across[f'with an exact copy in {name}'] = copied[:, place], elsewhere
    is_new = near[:, place] & ~copied[:, place]
    across[f'with only a near copy in {name}'] = is_new, elsewhere
  anywhere = np.ones(len(audit.split), bool)
  listed = {name: (mask, anywhere) for name, mask in rows.items()}
  if len(audit.split_names) > 1:
    listed |= across
  columns = [Column('images', _cells(list(listed)), '', False)]
  for place, name in enumerate(audit.split_names):
    own = audit.split == place
    numbers = [
      f'{(mask & own).sum():,}' if (counted & own).any() else '-'
      for mask, counted in listed.values()
    ]
    columns.append(Column(name, _cells(numbers)))
  totals = [f'{(mask & counted).sum():,}' for mask, counted in listed.values()]
  return [*columns, Column('all', _cells(totals))]


def joint_table(suspects: Suspects) -> list[Column]:
  """Returns how many labels are in doubt, and how, the most first."""
  joint, names = suspects.joint, suspects.class_names
  pairs = [
    (joint[i, j], names[i], names[j])
    for i, j in zip(*np.nonzero(joint >= 0.5), strict=True)
    if i != j
  ]
  pairs.sort(reverse=True)
  numbers, given, suggested = zip(*pairs, strict=True) if pairs else ((),) * 3
  return [
    Column('given', _cells(given), '', False),
    Column('probably', _cells(suggested), '', False),
    Column('estimated number', _cells([f'{n:,.0f}' for n in numbers])),
  ]


def summarize(audit: Audit) -> str:
  """Returns what the audit found, in a sentence."""
  return (
    f'{audit.num_unique:,} of {len(audit.split):,} images are unique; '
    f'{audit.num_conflicts:,} groups of copies have conflicting labels'
  )


def class_faces(
  split: Split, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the mean image of each class and the deviation from it.

  Returns:
    float64 `[classes, height, width, channels]` each, in grey levels; 0 for a
    class without examples.
  """
  shape = (num_classes, *split.images.shape[1:])
  sums, squares = np.zeros(shape), np.zeros(shape)
  for label in range(num_classes):
    rows = np.flatnonzero(split.labels == label)
    for start in range(0, len(rows), _CHUNK):
      pixels = split.images[rows[start : start + _CHUNK]].astype(np.float64)
      sums[label] += pixels.sum(axis=0)
      squares[label] += np.square(pixels).sum(axis=0)
  counts = np.maximum(split.counts(num_classes), 1).reshape(-1, 1, 1, 1)
  means = sums / counts
  return means, np.sqrt(np.maximum(squares / counts - means**2, 0))


def spread(labels: np.ndarray, num_classes: int, columns: int) -> np.ndarray:
  """Returns rows of examples of each class, evenly from its first to last."""
  chosen = []
  for label in range(num_classes):
    rows = np.flatnonzero(labels == label)
    places = np.linspace(0, len(rows) - 1, min(columns, len(rows)))
    chosen.append(rows[np.rint(places).astype(int)])
  return np.concatenate(chosen)


def brightness(split: Split) -> np.ndarray:
  """Returns the mean of each image's pixels, float64 `[n]`."""
  means = [
    chunk.mean(axis=(1, 2, 3), dtype=np.float64)
    for chunk in mapped.chunks(split.images)
  ]
  return np.concatenate([np.empty(0), *means])


def findings(
  audit: Audit, class_names: Sequence[str], suspects: Suspects | None
) -> Iterator[dict[str, Any]]:
  """Yields the faults of `audit.findings`, then the doubtful labels.

  Of these, `fault` is `label`, `other_label` what the network says, `score`
  the margin.
  """
  yield from audit_lib.findings(audit, class_names)
  if suspects is None:
    return
  for i, split in enumerate(suspects.splits):
    yield {
      'fault': 'label',
      'split': split,
      'index': int(suspects.index[i]),
      'label': suspects.given[i],
      'other_label': suspects.suggested[i],
      'score': round(float(suspects.margin[i]), 4),
    }


def write_findings(
  faults: Sequence[Mapping[str, Any]], folder: storage.Path
) -> None:
  """Writes audit.csv and audit.json, each whole or not at all."""
  text = io.StringIO(newline='')
  writer = csv.DictWriter(text, COLUMNS)
  writer.writeheader()
  writer.writerows(faults)
  storage.write_text(folder / 'audit.csv', text.getvalue())
  content = {
    'near_constant_below': audit_lib.FLAT_DEVIATION,
    'near_copy_distance': audit_lib.NEAR_DISTANCE,
    'near_copy_correlation': audit_lib.NEAR_CORRELATION,
    'findings': list(faults),
  }
  text = json.dumps(content, indent=1) + '\n'
  storage.write_text(folder / 'audit.json', text)


def _cells(values: Sequence[str]) -> list[Cell]:
  return [Cell(value) for value in values]
