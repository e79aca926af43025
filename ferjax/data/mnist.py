"""MNIST as it is published: four IDX files, gzipped or not."""

from collections.abc import Iterator
import contextlib
import gzip
import math
import pathlib
from typing import BinaryIO
import zlib

import numpy as np

from ferjax.data import holdout, raw
from ferjax.data.dataset import Dataset, Split
from ferjax.errors import UserError

SIDE = 28  # pixels
CLASS_NAMES = tuple('0123456789')

PUBLISHED = {
  'train': (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
  'test': (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
}

HOW_TO_GET = (
  "curl -O 'https://storage.googleapis.com/cvdf-datasets/mnist/"
  "{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz'"
)

_PREFIXES = {'train': 'train', 'test': 't10k'}

_GZIP = b'\x1f\x8b'

_LARGEST = (
  1 << 30
)  # bytes of a file, unpacked; those of EMNIST have 640 million


def read(
  source: pathlib.Path,
  bad_rows: raw.BadRows,
  progress: raw.Progress,
  seed: int = 0,
) -> raw.Raw:
  """Reads the four files, or the two of one split.

  Args:
    source: the folder of `train-images-idx3-ubyte` and so on, each under this
      name or with a dot (`train-images.idx3-ubyte`), gzipped or not.
    bad_rows: told of every label that is no digit.
    progress: told how much is done.
    seed: draws the validation split, of which MNIST has none.

  Returns:
    The splits that the source holds, t10k as `test`, and a tenth of train as
    `validation`. An example's `index` is its place in its file, from 0.

  Raises:
    UserError: if a file is missing or damaged, or a bad label is not to be
      skipped.
  """
  if not source.is_dir():
    fault = 'not a folder' if source.exists() else 'no such folder'
    raise UserError(f'{source}: {fault}; give the folder of the IDX files')
  splits, missing = {}, {}
  for name, prefix in _PREFIXES.items():
    paths = _find_pair(source, prefix)
    if paths:
      splits[name] = _read_split(*paths, bad_rows)
    else:
      missing[name] = f'{prefix}-images-idx3-ubyte was not in the source'
    progress((len(splits) + len(missing)) / len(_PREFIXES))
  if not splits:
    raise UserError(
      f'{source}: holds none of the files of MNIST'
      f' ({", ".join(f"{p}-images-idx3-ubyte" for p in _PREFIXES.values())}'
      ' and their labels, gzipped or not)'
    )
  if 'train' in missing:
    missing['validation'] = 'it is drawn from train'
  result = raw.Raw(
    dataset=Dataset(
      name='mnist',
      class_names=CLASS_NAMES,
      splits=splits,
      source=f'MNIST from {source}',
      notes=bad_rows.notes(),
    ),
    published=PUBLISHED,
    missing=missing,
    skipped=tuple(bad_rows.skipped),
  )
  if 'train' in missing:
    return result
  return holdout.hold_out(result, seed, holdout.note('MNIST', seed))


def _find_pair(
  source: pathlib.Path, prefix: str
) -> tuple[pathlib.Path, pathlib.Path] | None:
  """Returns the files of images and labels, or None where both are missing."""
  names = f'{prefix}-images-idx3-ubyte', f'{prefix}-labels-idx1-ubyte'
  images, labels = (_find(source, name) for name in names)
  if images and labels:
    return images, labels
  if images or labels:
    lacking = names[1] if images else names[0]
    raise UserError(
      f'{source}: holds {(images or labels).name} but no {lacking}; put it'
      ' there too'
    )
  return None


def _find(source: pathlib.Path, name: str) -> pathlib.Path | None:
  for spelling in (name, name.replace('-idx', '.idx')):
    for suffix in ('', '.gz'):
      path = source / f'{spelling}{suffix}'
      if path.is_file():  # some archives have folders of this name
        return path
  return None


def _read_split(
  images_path: pathlib.Path, labels_path: pathlib.Path, bad_rows: raw.BadRows
) -> Split:
  images = _read_idx(images_path, num_axes=3)
  labels = _read_idx(labels_path, num_axes=1)
  count, height, width = images.shape
  if (height, width) != (SIDE, SIDE):
    raise UserError(
      f'{images_path}: images of {width}x{height} pixels instead of'
      f' {SIDE}x{SIDE}'
    )
  if count != len(labels):
    raise UserError(
      f'{images_path} holds {count:,} images and {labels_path}'
      f' {len(labels):,} labels; they do not belong together'
    )
  wrong = labels >= len(CLASS_NAMES)
  for row in np.flatnonzero(wrong):
    reason = raw.BadRow(f'{labels[row]} is not one of 0..9')
    bad_rows.add(f'{labels_path}, label {row + 1:,}', reason)
  if wrong.all():
    raise UserError(f'{labels_path}: holds no valid example')
  split = Split(images[..., None], labels.astype(np.int32), np.arange(count))
  return split.take(~wrong)


def _read_idx(path: pathlib.Path, num_axes: int) -> np.ndarray:
  """Returns the bytes of an IDX file, uint8 with `num_axes` axes.

  The format is described at yann.lecun.com/exdb/mnist: a magic number (0, 0,
  8 for bytes, the number of axes), the length of each axis, then the bytes.
  """
  start = 4 + 4 * num_axes
  with _opened(path) as file:
    header = file.read(start)
    if not header:
      raise UserError(f'{path}: the file is empty; fetch it again')
    magic = bytes((0, 0, 8, num_axes))
    if header[:4] != magic[: len(header)]:
      raise UserError(
        f'{path}: not an IDX file of MNIST, it begins with'
        f' {header[:4].hex(" ")} instead of {magic.hex(" ")}; fetch it again'
      )
    if len(header) < start:
      raise UserError(f'{path}: ends within its header; fetch it again')
    shape = np.frombuffer(header, '>u4', num_axes, offset=4).tolist()
    expected = math.prod(shape)
    told = f'its header tells of {" x ".join(f"{n:,}" for n in shape)} bytes'
    if expected > _LARGEST:
      raise UserError(f'{path}: {told}; the most that is read are {_LARGEST:,}')
    # One more than there should be: a gzip file may hold any number.
    content = file.read(expected + 1)
  found = len(content)
  if found > expected:
    raise UserError(
      f'{path}: has bytes too many, {told} and more follow; fetch it again'
    )
  if found < expected:
    raise UserError(
      f'{path}: is cut short, {told} and {found:,} follow; fetch it again'
    )
  return np.frombuffer(content, np.uint8).reshape(shape)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[BinaryIO]:
  """Opens a file, gzipped or not, whatever its name says."""
  with path.open('rb') as file:
    is_gzip = file.read(len(_GZIP)) == _GZIP
  try:
    with (gzip.open if is_gzip else open)(path, 'rb') as file:
      yield file
  except (EOFError, gzip.BadGzipFile, zlib.error) as error:
    raise UserError(
      f'{path}: broken gzip file ({error}); fetch it again'
    ) from None
