"""The rows of the csv files of FER2013 and of those made like them."""

from collections.abc import Iterator, Sequence
import pathlib
import re

import numpy as np

from ferjax.data import raw
from ferjax.errors import UserError

# Splits by the word that the files use for them, in the files' order.
USAGES = {
  'Training': 'train',
  'PublicTest': 'validation',
  'PrivateTest': 'test',
}

_COLUMNS = ['Usage', 'emotion', 'pixels'], ['emotion', 'pixels']

_LONGEST = 1 << 20  # characters of a line; a row has some 10,000

# The pixels, uint8 `[48 * 48]`, the code and the place of a row.
Row = tuple[np.ndarray, int, int]


def has_usage(path: pathlib.Path) -> bool:
  """Returns whether a csv file names the split of each row.

  Raises:
    UserError: if it is another file.
  """
  return 'Usage' in _read_header(path, next(lines(path), ''))


def lines(path: pathlib.Path) -> Iterator[str]:
  """Yields the lines of a text file, however they end.

  Raises:
    UserError: if it is a pipe or the like, or a line is far longer than a row:
      there may be no memory for that of a file without any line's end.
  """
  if path.exists() and not path.is_file():
    raise UserError(f'{path}: not a file')
  number = 1
  with path.open(encoding='utf-8-sig', errors='replace') as file:
    while line := file.readline(_LONGEST):
      if len(line) == _LONGEST:
        raise UserError(
          f'{path}, line {number}: longer than {_LONGEST:,} characters, which'
          ' is no row of such a file'
        )
      yield line
      number += 1


def read(
  path: pathlib.Path,
  num_codes: int,
  bad_rows: raw.BadRows,
  progress: raw.Progress,
) -> dict[str, list[Row]]:
  """Reads a csv file with the columns emotion, pixels and perhaps Usage.

  Args:
    path: the file.
    num_codes: emotions are 0 to `num_codes - 1`, at most ten.
    bad_rows: told of every row that cannot be taken.
    progress: told how much is done.

  Returns:
    The rows by usage, all of 'Training' where there is no such column. Places
    count from 0, bad rows too.

  Raises:
    UserError: if it is another file, or a bad row is not to be skipped.
  """
  examples = {usage: [] for usage in USAGES}
  num_rows, num_chars, num_bytes = 0, 0, path.stat().st_size
  found = lines(path)
  header = _read_header(path, next(found, ''))
  for number, line in enumerate(found, 2):
    num_chars += len(line)
    if line.isspace():
      continue
    try:
      usage, label, pixels = _parse(header, line, num_codes)
      examples[usage].append((pixels, label, num_rows))
    except raw.BadRow as reason:
      bad_rows.add(f'{path}, line {number}', reason)
    num_rows += 1
    if num_rows % 256 == 0:
      progress(num_chars / num_bytes)
  return examples


def _split(line: str) -> list[str]:
  # No field holds a comma or a line's end, so a quote can hide neither: one
  # line is one row, whatever is wrong with it, and row numbers stay true.
  return [field.strip().strip('"') for field in line.split(',')]


def _read_header(path: pathlib.Path, line: str) -> list[str]:
  if not line:
    raise UserError(f'{path}: the file is empty')
  header = _split(line)
  if header == ['pixels']:
    raise UserError(f'{path}: without labels (no column emotion), of no use')
  # Of a misspelt Usage, every row would silently be for training.
  if sorted(header) not in _COLUMNS:
    raise UserError(
      f'{path}, line 1: expected the columns emotion, pixels and perhaps Usage,'
      f' each once, in any order; found {line.strip()[:40]!r}'
    )
  return header


def _parse(
  header: Sequence[str], line: str, num_codes: int
) -> tuple[str, int, np.ndarray]:
  fields = _split(line)
  if len(fields) != len(header):
    raise raw.BadRow(f'{len(fields)} instead of {len(header)} columns')
  row = dict(zip(header, fields, strict=True))
  usage, emotion = row.get('Usage', 'Training'), row['emotion']
  if usage not in USAGES:
    raise raw.BadRow(f'Usage {usage[:20]!r} is not one of {", ".join(USAGES)}')
  if not re.fullmatch(f'[0-{num_codes - 1}]', emotion):
    raise raw.BadRow(
      f'emotion {emotion[:20]!r} is not one of 0..{num_codes - 1}'
    )
  return usage, int(emotion), raw.parse_pixels(row['pixels'])
