"""A user's own class folders, of any classes, with a split or without one.

The folders of a split are train, validation (valid, val) and test, of which
train must be there. They, or else the class folders themselves, lie in the
source or in a folder that is alone in it (`images/train/happy/1.jpg`).
Symbolic links are followed wherever they lead; the notes count those that lead
out of the source.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
import pathlib

from ferjax.data import fer2013, holdout, pictures, raw, spellings
from ferjax.data.dataset import CLASS_NAMES, SPLITS, Dataset, Split
from ferjax.errors import UserError

NAME = 'folders'

HOW_TO_GET = 'folders of your own, one for each class: SOURCE/happy/1.jpg'

_SPLIT_OF = {
  'train': 'train',
  'validation': 'validation',
  'valid': 'validation',
  'val': 'validation',
  'test': 'test',
}
# Kaggle's jonathanoheix set comes with a second copy of itself in its folder.
_COPY = 'images'

# The files of each class, by split.
_Files = Mapping[str, Mapping[str, Sequence[pathlib.Path]]]


def read(
  source: pathlib.Path,
  bad_rows: raw.BadRows,
  progress: raw.Progress,
  image_size: int = 0,
  color: str = 'data',
  seed: int = 0,
) -> raw.Raw:
  """Reads class folders.

  Args:
    source: holds them, or the folders of a split.
    bad_rows: told of every file that cannot be taken.
    progress: told how much is done.
    image_size: pixels of each side, to which images are cropped and resized;
      0: as they come, where all are of one size.
    color: 'data' (grey if all images are), 'gray' or 'rgb'.
    seed: draws what is missing, a tenth of each class: validation beside
      train, and where there is no split at all, test too.

  Returns:
    The splits. Classes are the expressions of `dataset.CLASS_NAMES` in their
    order, then all others by alphabet. An example's `index` is its place when
    files are sorted by split, class folder and name.

  Raises:
    UserError: if the folders are not as said, if splits differ in their
      classes or images in their size, or if a bad file is not to be skipped.
  """
  pictures.check_color(color)
  if not source.is_dir():
    fault = 'not a folder' if source.exists() else 'no such folder'
    raise UserError(f'{source}: {fault}; give the folder of class folders')
  folder = _innermost(source)
  parts = _split_folders(folder)
  files = {
    split: dict(raw.class_folders(path, (), bad_rows))
    for split, path in (parts or {'train': folder}).items()
  }
  class_names = _class_names(source, files)
  splits, notes = _read_files(
    files, class_names, bad_rows, progress, image_size, color
  )
  for split in files:
    if split not in splits:
      raise UserError(f'{parts.get(split, folder)}: holds no valid image')
  if parts and (folder / _COPY).is_dir():
    notes.append(f'not read: {folder / _COPY}, a copy of what lies beside it')
  result = raw.Raw(
    dataset=Dataset(
      name=NAME,
      class_names=class_names,
      splits=splits,
      source=f'class folders from {source}',
      notes=(*bad_rows.notes(), *notes, *_origin_notes(source, files)),
    ),
    published={},
    missing={
      split: f'the source has no folder {split}'
      for split in SPLITS
      if split not in splits
    },
    skipped=tuple(bad_rows.skipped),
  )
  return _complete(result, bool(parts), seed)


def _innermost(folder: pathlib.Path) -> pathlib.Path:
  """Returns the folder of class folders or splits, which may lie deeper."""
  while True:
    inside = [path for path in raw.visible(folder) if path.is_dir()]
    if (
      len(inside) != 1
      or inside[0].name.lower() in _SPLIT_OF
      or not any(path.is_dir() for path in raw.visible(inside[0]))
    ):
      return folder
    folder = inside[0]


def _split_folders(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns the folder of each split, none if class folders are there."""
  inside = [path for path in raw.visible(folder) if path.is_dir()]
  if not any(path.name.lower() in _SPLIT_OF for path in inside):
    return {}
  parts = {}
  for path in inside:
    split = _SPLIT_OF.get(path.name.lower())
    if split is None and path.name == _COPY and (path / 'train').is_dir():
      continue
    if split is None:
      raise UserError(
        f'{path}: beside the folders of a split, but of none itself; their'
        f' names are {", ".join(_SPLIT_OF)}'
      )
    if split in parts:
      raise UserError(
        f'{path}: a second folder of the {split} split, beside'
        f' {parts[split].name}'
      )
    parts[split] = path
  if 'train' not in parts:
    raise UserError(
      f'{folder}: holds {" and ".join(parts)}, but no folder train'
    )
  return {split: parts[split] for split in SPLITS if split in parts}


def _class_names(source: pathlib.Path, files: _Files) -> tuple[str, ...]:
  names = spellings.order(name for part in files.values() for name in part)
  for split, part in files.items():
    lacking = [name for name in names if name not in part]
    if lacking:
      raise UserError(
        f'{source}: another split has class folders that {split} has not'
        f' ({", ".join(lacking)}); give all the same, empty ones if need be'
      )
  if len(names) < 2:
    raise UserError(
      f'{source}: holds {"one class folder" if names else "no class folders"};'
      ' at least two are needed, such as happy and sad'
    )
  return names


def _read_files(
  files: _Files,
  class_names: Sequence[str],
  bad_rows: raw.BadRows,
  progress: raw.Progress,
  image_size: int,
  color: str,
) -> tuple[dict[str, Split], list[str]]:
  """Returns the splits that have an image, and what was done to images."""
  listed = [
    (split, class_names.index(name), path)
    for split, part in files.items()
    for name, paths in part.items()
    for path in paths
  ]
  images, kept, done = [], [], collections.Counter()
  for index, (split, label, path) in enumerate(listed):
    try:
      image, changes = pictures.read(path, image_size, color)
    except raw.BadRow as reason:
      bad_rows.add(str(path), reason)
      continue
    side, first = len(image), len(images[0] if images else image)
    if side != first:
      raise UserError(
        f'{path}: {side}x{side} pixels as a square, and those before it'
        f' {first}x{first}; --image_size={first}, for example, makes them equal'
      )
    images.append(image)
    kept.append((split, label, index))
    done.update(changes)
    if index % 64 == 0:
      progress(index / len(listed))
  images, notes = pictures.join(images, done, color)
  splits = {}
  for split in files:
    rows = [row for row, (own, _, _) in enumerate(kept) if own == split]
    if rows:
      _, labels, index = zip(*(kept[row] for row in rows), strict=True)
      own = [images[row] for row in rows]
      splits[split] = raw.make_split(own, labels, index)
  return splits, notes


def _origin_notes(source: pathlib.Path, files: _Files) -> Iterator[str]:
  """Yields what file names and links tell of where images come from."""
  home, num_away, named = source.resolve(), 0, []
  for split, part in files.items():
    usages = collections.Counter()
    for path in (path for paths in part.values() for path in paths):
      num_away += not path.resolve().is_relative_to(home)
      match = fer2013.IMAGE_NAME.fullmatch(path.name)
      usages.update([match[1]] if match else [])
    counts = [f'{usages[u]:,} {u}' for u in fer2013.USAGES if usages[u]]
    if counts:
      named.append(f'{split} holds {" and ".join(counts)}')
  if num_away:
    yield f'links lead out of the source: {num_away:,} images'
  if named:
    yield (
      f'file names tell of FER2013 ({"; ".join(named)}); the split is not'
      " FER2013's: report it as neither PublicTest nor PrivateTest"
      ' (--dataset=fer2013 keeps these)'
    )
  elif set(files['train']) <= set(CLASS_NAMES):
    yield (
      "if the images are FER2013's, report the split as neither PublicTest nor"
      ' PrivateTest all the same'
    )


def _complete(result: raw.Raw, has_split: bool, seed: int) -> raw.Raw:
  """Draws a validation split, and if there is no split, test as well."""
  if 'validation' in result.dataset.splits:
    return result
  if has_split:
    names = ('validation',)
    what = 'no validation split: it is a tenth of each class of train'
  else:
    names = ('validation', 'test')
    what = 'no split: validation and test are each a tenth of each class'
  note = (
    f'the folders have {what}, drawn with seed {seed}; images of one person may'
    ' lie on both sides'
  )
  return holdout.hold_out(result, seed, note, names)
