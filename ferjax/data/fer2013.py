"""FER2013 as users hold it: three csv forms, and folders named by split."""

from collections.abc import Mapping, Sequence
import pathlib
import re

import numpy as np

from ferjax.data import holdout, raw, rows
from ferjax.data.dataset import CLASS_NAMES as CANONICAL_NAMES
from ferjax.data.dataset import Dataset
from ferjax.data.rows import USAGES
from ferjax.errors import UserError

CLASS_NAMES = CANONICAL_NAMES[:7]  # in the order of the files' codes

PUBLISHED = {
  'train': (3995, 436, 4097, 7215, 4830, 3171, 4965),
  'validation': (467, 56, 496, 895, 653, 415, 607),
  'test': (491, 55, 528, 879, 594, 416, 626),
}

HOW_TO_GET = (
  'kaggle.com/datasets/msambare/fer2013, or icml_face_data.csv of kaggle.com/c/'
  'challenges-in-representation-learning-facial-expression-recognition-challenge'
)

_FOLDERS = {'train': ('Training',), 'test': ('PublicTest', 'PrivateTest')}

_OWN_SPLIT = (
  '--dataset=folders reads class folders with a split of their own, such as'
  ' images/train and images/validation, which is not PublicTest'
)

# The challenge's archive holds the last two side by side: the first has all.
_FILES = ('fer2013.csv', 'icml_face_data.csv', 'train.csv')

# Of the folders' images: the usage and a number.
IMAGE_NAME = re.compile(rf'({"|".join(USAGES)})_(\d+)\.(?i:jpe?g|png)')


def read(
  source: pathlib.Path,
  bad_rows: raw.BadRows,
  progress: raw.Progress,
  seed: int = 0,
) -> raw.Raw:
  """Reads FER2013 from its raw files.

  Args:
    source: `fer2013.csv`, `icml_face_data.csv` or `train.csv`, the folder that
      holds one of them, or the folder that holds `train/` and `test/`, with
      class folders of any spelling in them.
    bad_rows: told of every row that cannot be taken.
    progress: told how much is done.
    seed: draws the validation split where the file names none (`train.csv`).

  Returns:
    The splits that the source holds. An example's `index` is its row in the
    csv file, from 0; of folders, its place when files are sorted by split and
    number, which need not be that row.

  Raises:
    UserError: if the source is none of these, or a bad row is not to be
      skipped.
  """
  if source.is_dir():
    file = next((source / f for f in _FILES if (source / f).is_file()), None)
    if file is None:
      return _read_folders(source, bad_rows, progress)
    source = file
  elif not source.is_file():
    raise UserError(f'{source}: no such file or folder')
  elif source.suffix.lower() != '.csv':
    raise UserError(f'{source}: not a csv file; unpack archives first')
  return _read_csv(source, bad_rows, progress, seed)


def _read_csv(
  path: pathlib.Path, bad_rows: raw.BadRows, progress: raw.Progress, seed: int
) -> raw.Raw:
  examples = rows.read(path, len(CLASS_NAMES), bad_rows, progress)
  result = _make_raw(path, examples, bad_rows)
  if rows.has_usage(path):
    return result
  return holdout.hold_out(
    result,
    seed,
    'the csv names no splits: validation is a tenth of each class of'
    f' Training, drawn with seed {seed}; it is not PublicTest',
  )


def _read_folders(
  source: pathlib.Path, bad_rows: raw.BadRows, progress: raw.Progress
) -> raw.Raw:
  found = [
    (usage, *image)
    for usage, images in _named_images(source, bad_rows).items()
    for _, image in sorted(images.items())
  ]
  examples = {usage: [] for usage in USAGES}
  for index, (usage, label, path) in enumerate(found):
    try:
      examples[usage].append((raw.read_image(path), label, index))
    except raw.BadRow as reason:
      bad_rows.add(str(path), reason)
    if index % 256 == 0:
      progress(index / len(found))
  return _make_raw(source, examples, bad_rows)


def _named_images(
  source: pathlib.Path, bad_rows: raw.BadRows
) -> dict[str, dict[int, tuple[int, pathlib.Path]]]:
  """Returns the label and path of every image, by usage and number."""
  tops = [path.name for path in raw.visible(source) if path.is_dir()]
  if set(tops) != set(_FOLDERS):
    raise UserError(
      f'{source}: holds neither {", ".join(_FILES)} nor just the folders'
      f' {" and ".join(_FOLDERS)}; its folders: {", ".join(tops) or "none"}'
      f' ({_OWN_SPLIT})'
    )
  files = [
    (usages, CLASS_NAMES.index(name), path)
    for top, usages in _FOLDERS.items()
    for name, paths in raw.class_folders(source / top, CLASS_NAMES, bad_rows)
    for path in paths
  ]
  matches = [IMAGE_NAME.fullmatch(path.name) for _, _, path in files]
  if not any(matches):
    raise UserError(
      f'{source}: its images are not named by their split'
      ' (train/CLASS/Training_1.jpg, test/CLASS/PublicTest_1.jpg);'
      " FER2013's splits cannot be told from other names"
      f' ({_OWN_SPLIT})'
    )
  found = {usage: {} for usage in USAGES}
  for (usages, label, path), match in zip(files, matches, strict=True):
    if not match or match[1] not in usages:
      expected = ' or '.join(f'{usage}_NUMBER.jpg' for usage in usages)
      bad_rows.add(str(path), raw.BadRow(f'not named {expected}'))
      continue
    _, first = found[match[1]].setdefault(int(match[2]), (label, path))
    if first != path:  # a number stands for one row of the original
      bad_rows.add(str(path), raw.BadRow(f'has the number of {first}'))
  return found


def _make_raw(
  source: pathlib.Path,
  examples: Mapping[str, Sequence[tuple[np.ndarray, int, int]]],
  bad_rows: raw.BadRows,
) -> raw.Raw:
  if not any(examples.values()):
    raise UserError(f'{source}: holds no valid example')
  splits = {
    USAGES[usage]: raw.make_split(*zip(*found, strict=True))
    for usage, found in examples.items()
    if found
  }
  dataset = Dataset(
    name='fer2013',
    class_names=CLASS_NAMES,
    splits=splits,
    source=f'FER2013 from {source}',
    notes=bad_rows.notes(),
  )
  missing = {
    split: f'{usage} was not in the source files'
    for usage, split in USAGES.items()
    if split not in splits
  }
  return raw.Raw(dataset, PUBLISHED, missing, tuple(bad_rows.skipped))
