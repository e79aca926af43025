"""ckextended.csv: 920 faces of CK+, with splits but without subjects."""

from collections.abc import Sequence
import pathlib
import re

import numpy as np

from ferjax.data import crops, fer2013, raw
from ferjax.data.dataset import CLASS_NAMES, SPLITS, Dataset
from ferjax.errors import UserError

NAME = 'ckextended'
FILE = 'ckextended.csv'

# Of the whole file; 593 neutral ones, one of each sequence.
PUBLISHED = (45, 59, 25, 69, 28, 83, 593, 18)

NOTE = (
  f'{NAME} names no subjects: frames of one person may stand in several splits,'
  ' which makes accuracies too high, and subject-independent folds impossible'
)


def read(
  source: pathlib.Path,
  bad_rows: raw.BadRows,
  progress: raw.Progress,
  image_size: int = raw.SIDE,
) -> raw.Raw:
  """Reads the file; its codes are the positions in `dataset.CLASS_NAMES`.

  Args:
    source: a csv file with the columns emotion, pixels and Usage.
    bad_rows: told of every row that cannot be taken.
    progress: told how much is done.
    image_size: pixels of each side, to which the 48 of the file are resized.

  Returns:
    The data set `ckextended`, in the file's own splits. An example's `index`
    is its row in the file, from 0.

  Raises:
    UserError: if the file is another one, or a bad row is not to be skipped.
  """
  examples = {split: [] for split in SPLITS}
  num_rows, num_bytes = 0, source.stat().st_size
  with source.open(encoding='utf-8-sig', errors='replace') as file:
    header = fer2013.read_header(source, file.readline())
    if 'Usage' not in header:
      raise UserError(f'{source}, line 1: no column Usage, so it is not {FILE}')
    for number, line in enumerate(file, 2):
      if line.isspace():
        continue
      try:
        split, label, pixels = _parse_row(header, line)
        image = crops.resize(pixels.reshape(raw.SIDE, raw.SIDE), image_size)
        examples[split].append((image, label, num_rows))
      except raw.BadRow as reason:
        bad_rows.add(f'{source}, line {number}', reason)
      num_rows += 1
      progress(file.buffer.tell() / num_bytes)
  splits = {
    split: raw.make_split(*zip(*rows, strict=True))
    for split, rows in examples.items()
    if rows
  }
  if not splits:
    raise UserError(f'{source}: holds no valid example')
  counts = sum(split.counts(len(CLASS_NAMES)) for split in splits.values())
  notes = [NOTE, *crops.resize_notes(image_size)]
  if tuple(counts) != PUBLISHED:
    notes.append(
      f'{sum(counts):,} faces ({_slashed(counts)} by class), published are'
      f' {sum(PUBLISHED)} ({_slashed(PUBLISHED)})'
    )
  return raw.Raw(
    dataset=Dataset(
      name=NAME,
      class_names=CLASS_NAMES,
      splits=splits,
      source=f'{FILE} from {source}',
      notes=(*bad_rows.notes(), *notes),
    ),
    published={},
    missing={s: 'the file has no such rows' for s in SPLITS if s not in splits},
    skipped=tuple(bad_rows.skipped),
  )


def _parse_row(header: Sequence[str], line: str) -> tuple[str, int, np.ndarray]:
  """Returns the split, the label and the pixels, uint8 `[48 * 48]`."""
  fields = fer2013.split_line(line)
  if len(fields) != len(header):
    raise raw.BadRow(f'{len(fields)} instead of {len(header)} columns')
  row = dict(zip(header, fields, strict=True))
  if row['Usage'] not in fer2013.USAGES:
    known = ', '.join(fer2013.USAGES)
    raise raw.BadRow(f'Usage {row["Usage"]!r} is not one of {known}')
  if not re.fullmatch('[0-7]', row['emotion']):
    raise raw.BadRow(f'emotion {row["emotion"]!r} is not one of 0..7')
  split = fer2013.USAGES[row['Usage']]
  return split, int(row['emotion']), raw.parse_pixels(row['pixels'])


def _slashed(counts: Sequence[int]) -> str:
  return '/'.join(str(count) for count in counts)
