"""FER+: ten people's votes on each image of FER2013, and labels out of them.

Row k of `fer2013new.csv` is of row k of `fer2013.csv`; the image names in it
are of no help. All images and votes are stored. What becomes of the votes is
settled when they are loaded, by the rules of ferjax/data/voting.py.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
import re
import typing
from typing import NamedTuple

from ml_collections import config_dict
import numpy as np

from ferjax.data import fer2013, raw, rows, voting
from ferjax.data.dataset import CLASS_NAMES, Split
from ferjax.errors import UserError

if typing.TYPE_CHECKING:
  from ferjax.data import reader

_HEADER = ['Usage', 'Image name', *voting.COLUMNS]

# Of the images that both agree on a class for, 68% have FER2013's own label,
# and 18% where the rows are shifted or shuffled.
_LEAST_AGREEMENT = 0.4
_LEAST_ROWS = 100  # to tell these apart

HOW_TO_GET = (
  f'{fer2013.HOW_TO_GET}; and fer2013new.csv of github.com/microsoft/FERPlus,'
  ' for --votes='
)


class _Votes(NamedTuple):
  """The rows of a votes file."""

  usages: np.ndarray  # text [n]
  counts: np.ndarray  # int64 [n, 10]
  nameless: np.ndarray  # int64 [n], 1 where the image has no name: no face


def read(
  source: pathlib.Path,
  votes: pathlib.Path,
  bad_rows: raw.BadRows,
  progress: raw.Progress,
) -> raw.Raw:
  """Joins the votes to FER2013's images by row order.

  Args:
    source: `fer2013.csv` or `icml_face_data.csv`, or the folder that holds one.
    votes: `fer2013new.csv`.
    bad_rows: told of every row of `source` that cannot be taken.
    progress: told how much is done.

  Returns:
    Every image with FER2013's own label (contempt is not among them) and the
    columns `votes`, `[n, 10]` in the order of `voting.COLUMNS`, and `nameless`.

  Raises:
    UserError: if the source does not keep the order of the rows, or the rows
      of the two do not belong together.
  """
  source = _check_form(source)
  table = _read_votes(votes)
  faces = fer2013.read(source, bad_rows, progress)
  splits = {
    usage: faces.dataset.splits[split]
    for usage, split in fer2013.USAGES.items()
    if split in faces.dataset.splits
  }
  # A source without PrivateTest goes with a votes file that has it.
  is_present = np.isin(table.usages, list(splits))
  table = _Votes(*(column[is_present] for column in table))
  num_rows = sum(map(len, splits.values())) + len(faces.skipped)
  where = f'{votes} and {source}'
  if len(table.usages) != num_rows:
    raise UserError(
      f'{where}: {len(table.usages):,} rows of votes on {", ".join(splits)},'
      f' but {num_rows:,} images; row k of one must be row k of the other'
    )
  _check_rows(where, table, splits)
  dataset = dataclasses.replace(
    faces.dataset,
    name='ferplus',
    class_names=CLASS_NAMES,
    source=f'{faces.dataset.source} with the votes of {votes}',
  )
  columns = {
    name: {
      'votes': table.counts[split.index],
      'nameless': table.nameless[split.index],
    }
    for name, split in dataset.splits.items()
  }
  published = {split: (*n, 0) for split, n in fer2013.PUBLISHED.items()}
  return dataclasses.replace(
    faces, dataset=dataset, published=published, columns=columns
  )


def _check_form(source: pathlib.Path) -> pathlib.Path:
  """Returns the csv file, if it keeps the order of the rows and the splits."""
  names = 'fer2013.csv', 'icml_face_data.csv'
  if source.is_dir():
    file = next((source / n for n in names if (source / n).is_file()), None)
    if file is None:
      raise UserError(
        f'{source}: votes are joined by the order of the rows, which folders of'
        f' images have lost; give {" or ".join(names)}'
      )
    source = file
  is_csv = source.is_file() and source.suffix.lower() == '.csv'
  if is_csv and 'Usage' not in next(rows.lines(source), ''):
    raise UserError(
      f'{source}: has no column Usage to check its rows by; give'
      f' {" or ".join(names)}'
    )
  return source


def _read_votes(path: pathlib.Path) -> _Votes:
  usages, nameless, counts = [], [], []
  lines = rows.lines(path)
  header = [field.strip() for field in next(lines, '').split(',')]
  if header != _HEADER:
    raise UserError(
      f'{path}, line 1: expected the columns {", ".join(_HEADER)}; found'
      f' {",".join(header)[:40]!r}'
    )
  for number, line in enumerate(lines, 2):
    if line.isspace():
      continue
    usage, *fields = (field.strip() for field in line.split(','))
    name, *counted = fields or ['']
    if usage not in fer2013.USAGES or not re.fullmatch(
      r'([0-9]{1,6} ){10}', ''.join(f'{field} ' for field in counted)
    ):
      raise UserError(
        f'{path}, line {number}: expected {" or ".join(fer2013.USAGES)}, a'
        f' name and ten numbers of votes; found {line.strip()[:60]!r}'
      )
    usages.append(usage)
    nameless.append(not name)
    counts.append([int(field) for field in counted])
  return _Votes(
    np.array(usages, dtype=str),
    np.array(counts, np.int64).reshape(-1, len(voting.COLUMNS)),
    np.array(nameless, np.int64),
  )


def _check_rows(where: str, table: _Votes, splits: Mapping[str, Split]) -> None:
  """Refuses rows that are not of the same images."""
  ours = np.array(table.usages)
  for usage, split in splits.items():
    ours[split.index] = usage
  for row in np.flatnonzero(ours != table.usages)[:1]:
    raise UserError(
      f'{where}: row {row + 1} of the votes is of {table.usages[row]}, that of'
      f' the images of {ours[row]}; they are not in the same order'
    )
  index = np.concatenate([split.index for split in splits.values()])
  labels = np.concatenate([split.labels for split in splits.values()])
  kept, shares = voting.resolve(table.counts[index], 'majority')
  agree = (shares.argmax(1) == labels)[kept]
  if len(agree) >= _LEAST_ROWS and np.mean(agree) < _LEAST_AGREEMENT:
    raise UserError(
      f'{where}: only {np.mean(agree):.0%} of the labels agree; about 68% do'
      ' where the rows belong together, so they are not in the same order'
    )


def kept_line(faces: raw.Raw) -> str:
  """Returns how many images each `config.data.label_mode` keeps, in words.

  Args:
    faces: what `read` gave.
  """
  parts = []
  for mode in voting.MODES:
    counts = [
      f'{voting.resolve(columns["votes"], mode)[0].sum():,} {name}'
      for name, columns in faces.columns.items()
    ]
    parts.append(f'{mode} {", ".join(counts)}')
  return (
    "counted are FER2013's own labels; the votes keep, by"
    f' config.data.label_mode: {"; ".join(parts)}'
  )


def has_votes(prepared: 'reader.Prepared') -> bool:
  """Returns whether a prepared data set is one that `read` gave."""
  return 'votes' in prepared.columns


def load(
  prepared: 'reader.Prepared',
  split_names: Sequence[str],
  config: config_dict.ConfigDict,
) -> dict[str, Split]:
  """Loads splits, train by `config.label_mode`, the others by majority.

  Args:
    prepared: has votes.
    split_names: those wanted.
    config: the section `config.data`.
  """
  splits = {}
  for name in split_names:
    split, columns = prepared.read(name, ('votes',))
    mode = config.label_mode if name == 'train' else 'majority'
    splits[name] = voting.to_split(split, columns['votes'], mode)
  return splits


def note(config: config_dict.ConfigDict) -> str:
  """Returns what every output has to say of the labels."""
  return (
    f'labels of FER+ votes: train by {config.label_mode}, validation and test'
    ' by majority; images without a clear vote for a class are left out'
  )


def validate(config: config_dict.ConfigDict, has_votes: bool = True) -> None:
  """Checks `config.label_mode`.

  Args:
    config: the section `config.data`.
    has_votes: whether the data set has votes, as far as is known.

  Raises:
    UserError: if it is none of `voting.MODES`, or needs votes where none are.
  """
  mode = config.label_mode
  if mode not in voting.MODES:
    raise UserError(
      f'config.data.label_mode is {mode!r}; have {", ".join(voting.MODES)}'
    )
  if mode != 'majority' and not has_votes:
    raise UserError(
      f'config.data.label_mode={mode} needs votes, and {config.name} has none;'
      ' use config.data.name=ferplus, or majority'
    )
