"""CK+48: the last three frames of each CK+ sequence, and its folds."""

import pathlib
import re

import numpy as np

from ferjax.data import raw
from ferjax.data.dataset import CLASS_NAMES as CANONICAL_NAMES
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError

CLASS_NAMES = tuple(name for name in CANONICAL_NAMES if name != 'neutral')
NUM_FOLDS = 10
SPLIT = 'full'  # how it is stored; `all` is a word of tensorflow-datasets

PUBLISHED = {SPLIT: (135, 177, 75, 207, 84, 249, 54)}

HOW_TO_GET = 'kaggle.com/datasets/shawon10/ckplus (the folder CK+48)'

_FOLDERS = {
  'anger': 'angry',
  'contempt': 'contempt',
  'disgust': 'disgust',
  'fear': 'fear',
  'happy': 'happy',
  'sadness': 'sad',
  'surprise': 'surprise',
}
_IMAGE_NAME = re.compile(r'(S\d{3})_(\d{3})_(\d{8})\.png')


def read(
  source: pathlib.Path, bad_rows: raw.BadRows, progress: raw.Progress
) -> raw.Raw:
  """Reads the folder CK+48, or the folder that holds it.

  Args:
    source: holds `anger/S010_004_00000017.png` and so on.
    bad_rows: told of every file that cannot be taken.
    progress: told how much is done.

  Returns:
    One split, in the order of the file names, with the columns `subject`
    ('S010'), `sequence` (4) and `frame` (17).

  Raises:
    UserError: if the source is another form of CK+, or a bad file is not to
      be skipped.
  """
  files = []
  for folder, paths in raw.class_folders(
    _find_folder(source), tuple(_FOLDERS), bad_rows
  ):
    label = CLASS_NAMES.index(_FOLDERS[folder])
    files += [(path.name, label, path) for path in paths]
  images, labels, index, keys = [], [], [], []
  for row, (name, label, path) in enumerate(sorted(files)):
    try:
      match = _IMAGE_NAME.fullmatch(name)
      if not match:
        raise raw.BadRow('not named SUBJECT_SEQUENCE_FRAME.png (S010_004_...)')
      images.append(raw.read_image(path))
      labels.append(label)
      index.append(row)
      keys.append(match.groups())
    except raw.BadRow as reason:
      bad_rows.add(str(path), reason)
    progress(row / len(files))
  if not images:
    raise UserError(f'{source}: holds no valid image')
  subjects, sequences, frames = zip(*keys, strict=True)
  return raw.Raw(
    dataset=Dataset(
      name='ckplus',
      class_names=CLASS_NAMES,
      splits={SPLIT: raw.make_split(images, labels, index)},
      source=f'CK+48 from {source}',
      notes=bad_rows.notes(),
    ),
    published=PUBLISHED,
    missing={},
    skipped=tuple(bad_rows.skipped),
    columns={
      SPLIT: {
        'subject': np.array(subjects),
        'sequence': np.array(sequences, np.int64),
        'frame': np.array(frames, np.int64),
      }
    },
  )


def folds(subjects: np.ndarray) -> np.ndarray:
  """Returns the fold of each example, int `[n]` in 0..9.

  Subjects sorted by name, subject i to fold i mod 10.

  Args:
    subjects: the name of each example's subject, `[n]`.
  """
  _, positions = np.unique(subjects, return_inverse=True)
  return positions % NUM_FOLDS


def fold_splits(subjects: np.ndarray, fold: int) -> dict[str, np.ndarray]:
  """Returns which examples belong to each split, bool `[n]` by split name.

  Args:
    subjects: the name of each example's subject, `[n]`.
    fold: the test fold; the next one, in a circle, is validation.
  """
  own = folds(subjects)
  test, validation = own == fold, own == (fold + 1) % NUM_FOLDS
  return {
    'train': ~(test | validation),
    'validation': validation,
    'test': test,
  }


def _find_folder(source: pathlib.Path) -> pathlib.Path:
  """Returns the folder of class folders; refuses the other forms of CK+."""
  if not source.exists():
    raise UserError(f'{source}: no such folder')
  if source.suffix.lower() == '.csv':
    raise UserError(
      f'{source}: names no subjects, so subject-independent folds are'
      ' impossible; take the folder CK+48'
    )
  if source.is_file():
    raise UserError(f'{source}: not a folder; unpack archives first')
  for name in ('cohn-kanade-images', 'Emotion'):
    if (source / name).exists():
      raise UserError(
        f'{source}: the original CK+ tree is not taken yet, its frames are'
        ' neither cut nor scaled to 48x48; take the folder CK+48'
      )
  folder = source / 'CK+48' if (source / 'CK+48').is_dir() else source
  if not any((folder / name).is_dir() for name in _FOLDERS):
    raise UserError(
      f'{source}: holds no class folder of CK+48 ({", ".join(_FOLDERS)})'
    )
  return folder
