"""CK+ as users hold it: the original tree, CK+48 or ckextended.csv."""

from collections.abc import Callable, Sequence
import pathlib

import numpy as np

from ferjax.data import ckextended, ckplus_tree, crops, pictures, raw
from ferjax.data.ckplus_tree import IMAGES, LABELS, Frame
from ferjax.data.dataset import CLASS_NAMES as CANONICAL_NAMES
from ferjax.data.dataset import Dataset
from ferjax.data.spellings import canonical
from ferjax.errors import UserError

CLASS_NAMES = tuple(name for name in CANONICAL_NAMES if name != 'neutral')
SPLIT = 'full'  # how it is stored; `all` is a word of tensorflow-datasets

# Of 327 sequences the last three frames, and as neutral the first one.
PUBLISHED = {SPLIT: (135, 177, 75, 207, 84, 249, 54)}
PUBLISHED_WITH_NEUTRAL = {SPLIT: (135, 177, 75, 207, 84, 249, 327, 54)}

HOW_TO_GET = 'kaggle.com/datasets/shawon10/ckplus (the folder CK+48)'

_CK48 = 'CK+48'
_DEPTH = 2  # folders that archives put around a form, at most


def read(
  source: pathlib.Path,
  bad_rows: raw.BadRows,
  progress: raw.Progress,
  image_size: int = raw.SIDE,
  crop: str = 'center',
  neutral: bool = False,
) -> raw.Raw:
  """Reads one of the three forms of CK+; all images become grey.

  Args:
    source: the folder CK+48, the folder that holds `cohn-kanade-images` and
      `Emotion`, the file `ckextended.csv`, or a folder around one of these.
    bad_rows: told of every file, sequence or row that cannot be taken.
    progress: told how much is done.
    image_size: pixels of each side. Faces are cut from the frames of the
      original tree at this size; the other forms have 48 and are resized.
    crop: how a face is cut from the central square of a frame of the original
      tree, one of `crops.RULES`.
    neutral: whether to take the first frame of each labelled sequence of the
      original tree too, as neutral.

  Returns:
    Of the tree and of CK+48 one split, in the order of its columns `subject`
    ('S010'), `sequence` (4) and `frame` (17). Of `ckextended.csv`, which names
    no subjects, another data set: `ckextended`.

  Raises:
    UserError: if the source is none of these, if an argument does not apply to
      it, or if a bad file is not to be skipped.
  """
  crops.check(crop)
  if image_size < 1:
    raise UserError(f'--image_size={image_size}: the least is 1')
  found = _find_form(source)
  if IMAGES in found:
    return _read_tree(found, bad_rows, progress, image_size, crop, neutral)
  [(form, path)] = found.items()
  _check_arguments(form, crop, neutral)
  read_form = ckextended.read if form == ckextended.FILE else _read_ck48
  return read_form(path, bad_rows, progress, image_size)


def _read_tree(
  folders: dict[str, pathlib.Path],
  bad_rows: raw.BadRows,
  progress: raw.Progress,
  image_size: int,
  crop: str,
  neutral: bool,
) -> raw.Raw:
  frames, num_unlabelled = ckplus_tree.labelled_frames(
    folders[IMAGES], folders[LABELS], neutral, bad_rows
  )

  def load(path: pathlib.Path) -> np.ndarray:
    picture, _ = pictures.read(path, 0, 'gray')
    return crops.resize(crops.square(picture, crop), image_size)

  images, taken = _load(frames, load, bad_rows, progress)
  notes = [f'faces cut from the frames of CK+ by --crop={crop}']
  if neutral:
    notes.append('neutral is the first frame of each sequence')
  if num_unlabelled:
    notes.append(f'sequences without a label left out: {num_unlabelled:,}')
  where = f'CK+ from {folders[IMAGES].parent}'
  return _make_raw(where, images, taken, neutral, notes, bad_rows)


def _read_ck48(
  folder: pathlib.Path,
  bad_rows: raw.BadRows,
  progress: raw.Progress,
  image_size: int,
) -> raw.Raw:
  frames = []
  for name, paths in raw.class_folders(folder, CLASS_NAMES, bad_rows):
    frames += ckplus_tree.parse_names(paths, name, bad_rows)

  def load(path: pathlib.Path) -> np.ndarray:
    return crops.resize(raw.read_image(path), image_size)

  frames = ckplus_tree.distinct(frames, bad_rows)
  images, taken = _load(frames, load, bad_rows, progress)
  notes = crops.resize_notes(image_size)
  return _make_raw(
    f'CK+48 from {folder}', images, taken, False, notes, bad_rows
  )


def _load(
  frames: Sequence[Frame],
  load: Callable[[pathlib.Path], np.ndarray],
  bad_rows: raw.BadRows,
  progress: raw.Progress,
) -> tuple[list[np.ndarray], dict[int, Frame]]:
  """Returns the images that can be read, and their frames by row."""
  images, taken = [], {}
  for row, frame in enumerate(frames):
    try:
      images.append(load(frame.path))
      taken[row] = frame
    except raw.BadRow as reason:
      bad_rows.add(str(frame.path), reason)
    progress(row / len(frames))
  return images, taken


def _make_raw(
  source: str,
  images: Sequence[np.ndarray],
  frames: dict[int, Frame],
  neutral: bool,
  notes: Sequence[str],
  bad_rows: raw.BadRows,
) -> raw.Raw:
  if not images:
    raise UserError(f'{source}: holds no valid image')
  class_names = CANONICAL_NAMES if neutral else CLASS_NAMES
  subjects, sequences, numbers, names, _ = zip(*frames.values(), strict=True)
  labels = [class_names.index(name) for name in names]
  return raw.Raw(
    dataset=Dataset(
      name='ckplus',
      class_names=class_names,
      splits={SPLIT: raw.make_split(images, labels, list(frames))},
      source=source,
      notes=(*bad_rows.notes(), *notes),
    ),
    published=PUBLISHED_WITH_NEUTRAL if neutral else PUBLISHED,
    missing={},
    skipped=tuple(bad_rows.skipped),
    columns={
      SPLIT: {
        'subject': np.array(subjects),
        'sequence': np.array(sequences, np.int64),
        'frame': np.array(numbers, np.int64),
      }
    },
  )


def _check_arguments(form: str, crop: str, neutral: bool) -> None:
  """Refuses what can be asked of the original tree alone."""
  if crop != 'center':
    raise UserError(
      f'--crop={crop}: the faces of {form} are cut already; leave --crop out'
    )
  if neutral and form == _CK48:
    raise UserError(
      f'--neutral: {form} has no neutral frames; take the original tree'
      f' ({IMAGES} and {LABELS})'
    )
  if neutral:
    raise UserError(f'--neutral: {form} has neutral faces as it is')


def _find_form(source: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns the path of every part of the one form that the source holds."""
  if not source.exists():
    raise UserError(f'{source}: no such file or folder')
  if source.is_file():
    if source.suffix.lower() != '.csv':
      raise UserError(f'{source}: not a csv file; unpack archives first')
    return {ckextended.FILE: source}
  names = _CK48, IMAGES, LABELS, ckextended.FILE
  found = {name: path for name in names if (path := _search(source, name))}
  if any(
    path.is_dir() and canonical(path.name) in CLASS_NAMES
    for path in raw.visible(source)
  ):
    found[_CK48] = source
  for part, other in ((IMAGES, LABELS), (LABELS, IMAGES)):
    if part in found and other not in found:
      raise UserError(
        f'{source}: holds {part} but no {other}; put it beside the other'
      )
  forms = [name for name in found if name != LABELS]
  if not forms:
    raise UserError(
      f'{source}: holds no form of CK+: neither class folders such as those of'
      f' {_CK48} ({", ".join(CLASS_NAMES)}), nor {IMAGES} and {LABELS}, nor'
      f' {ckextended.FILE}'
    )
  if len(forms) > 1:
    raise UserError(
      f'{source}: holds several forms of CK+ ({", ".join(forms)}); name one'
    )
  return found


def _search(source: pathlib.Path, name: str) -> pathlib.Path | None:
  """Returns the path of this name, in the source or a little deeper."""
  folders = [source]
  for _ in range(_DEPTH + 1):
    found = [folder / name for folder in folders if (folder / name).exists()]
    if len(found) > 1:
      raise UserError(f'{source}: holds {name} twice: {found[0]}, {found[1]}')
    if found:
      # Some archives repeat the name.
      return found[0] / name if (found[0] / name).is_dir() else found[0]
    folders = [p for f in folders for p in raw.visible(f) if p.is_dir()]
  return None
