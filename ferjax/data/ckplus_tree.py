"""The original tree of CK+: which of its frames have a label, and which one.

  cohn-kanade-images/S005/001/S005_001_00000001.png, ... 00000011.png
  Emotion/S005/001/S005_001_00000011_emotion.txt, which holds `3.0000000e+00`

A sequence goes from a neutral face to the peak of an expression (Lucey et al.,
2010): its last three frames show what the file of its emotion says.
"""

from collections.abc import Sequence
import pathlib
import re
from typing import NamedTuple

from ferjax.data import raw
from ferjax.errors import UserError

IMAGES, LABELS = 'cohn-kanade-images', 'Emotion'
NUM_PEAK_FRAMES = 3

_LONGEST = 1024  # characters of a label's file that are looked at

_CODES = {
  1: 'angry',
  2: 'contempt',
  3: 'disgust',
  4: 'fear',
  5: 'happy',
  6: 'sad',
  7: 'surprise',
}


class Frame(NamedTuple):
  """One image and what its name and label say; sorted by person and time."""

  subject: str  # 'S005'
  sequence: int
  number: int
  class_name: str
  path: pathlib.Path


def parse_names(
  paths: Sequence[pathlib.Path], class_name: str, bad_rows: raw.BadRows
) -> list[Frame]:
  """Returns the frames that files hold, by their names.

  Args:
    paths: all of one class.
    class_name: the class.
    bad_rows: told of every file that is not named as frames are.
  """
  frames = []
  for path in paths:
    match = re.fullmatch(r'(S\d{3})_(\d{3})_(\d{8})\.(?i:png)', path.name)
    if match:
      subject, sequence, number = match.groups()
      frame = Frame(subject, int(sequence), int(number), class_name, path)
      frames.append(frame)
    else:
      reason = 'not named SUBJECT_SEQUENCE_FRAME.png (S010_004_...)'
      bad_rows.add(str(path), raw.BadRow(reason))
  return frames


def distinct(frames: Sequence[Frame], bad_rows: raw.BadRows) -> list[Frame]:
  """Returns the frames in their order, each one once.

  Args:
    frames: by their names.
    bad_rows: told of every file that holds the same frame as another one.
  """
  kept = {}
  for frame in sorted(frames):
    first = kept.setdefault(frame[:3], frame)
    if first is not frame:
      reason = raw.BadRow(f'the same frame as {first.path}')
      bad_rows.add(str(frame.path), reason)
  return list(kept.values())


def labelled_frames(
  images: pathlib.Path,
  labels: pathlib.Path,
  neutral: bool,
  bad_rows: raw.BadRows,
) -> tuple[list[Frame], int]:
  """Lists the frames to take of the labelled sequences, in their order.

  Args:
    images: the folder `cohn-kanade-images`.
    labels: the folder `Emotion`.
    neutral: whether to take the first frame of each too, as neutral.
    bad_rows: told of every sequence that cannot be taken.

  Returns:
    The frames, and the number of sequences without a label.

  Raises:
    UserError: if no sequence has a label, or a bad one is not to be skipped.
  """
  frame_files, label_files = _files(images), _files(labels)
  if not label_files:
    raise UserError(
      f'{labels}: holds no labels, such as'
      ' S005/001/S005_001_00000011_emotion.txt'
    )
  frames = []
  for sequence, files in sorted(label_files.items()):
    where = labels / sequence
    try:
      class_name = _read_label(sequence, files)
      where = images / sequence
      files = frame_files.get(sequence, [])
      found = parse_names(files, class_name, bad_rows)
      frames += _pick(sequence, distinct(found, bad_rows), neutral)
    except raw.BadRow as reason:
      bad_rows.add(str(where), reason)
  return sorted(frames), len(frame_files.keys() - label_files.keys())


def _files(root: pathlib.Path) -> dict[str, list[pathlib.Path]]:
  """Returns the sorted files of every sequence that has any: 'S005/001'."""
  found = {}
  for subject in filter(pathlib.Path.is_dir, raw.visible(root)):
    for sequence in filter(pathlib.Path.is_dir, raw.visible(subject)):
      files = raw.visible(sequence)
      if files:
        found[f'{subject.name}/{sequence.name}'] = files
  return found


def _read_label(sequence: str, files: Sequence[pathlib.Path]) -> str:
  if len(files) > 1:
    names = ', '.join(path.name for path in files)
    raise raw.BadRow(f'{len(files)} emotion files instead of one ({names})')
  subject, number = sequence.split('/')
  start = re.escape(f'{subject}_{number}')
  if not re.fullmatch(rf'{start}_\d{{8}}_emotion\.txt', files[0].name):
    raise raw.BadRow(f'{files[0].name} is no emotion of this sequence')
  if not files[0].is_file():  # to read a pipe would take for ever
    raise raw.BadRow(f'{files[0].name} is no file')
  with files[0].open(encoding='ascii', errors='replace') as file:
    text = file.read(_LONGEST).strip()
  if not text:
    raise raw.BadRow(f'{files[0].name} is empty')
  try:
    code = float(text)
  except ValueError:
    raise raw.BadRow(f'{files[0].name}: {text[:20]!r} is no number') from None
  if code == 0:
    raise raw.BadRow(
      f'{files[0].name}: code 0, neutral, is no emotion of a sequence'
    )
  if code not in _CODES:
    raise raw.BadRow(f'{files[0].name}: code {code:g} is not one of 1..7')
  return _CODES[code]


def _pick(sequence: str, frames: list[Frame], neutral: bool) -> list[Frame]:
  """Returns those of a sequence ('S005/001'), in order, that are taken."""
  for frame in frames:
    if f'{frame.subject}/{frame.sequence:03}' != sequence:
      raise raw.BadRow(f'{frame.path.name} is of another sequence')
  least = NUM_PEAK_FRAMES + neutral
  if len(frames) < least:
    raise raw.BadRow(f'{len(frames)} frames; it takes {least}')
  first, *_ = frames
  start = [first._replace(class_name='neutral')] if neutral else []
  return start + frames[-NUM_PEAK_FRAMES:]
