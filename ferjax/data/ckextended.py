"""ckextended.csv: 920 faces of CK+, with splits but without subjects."""

from collections.abc import Sequence
import pathlib

from ferjax.data import crops, raw, rows
from ferjax.data.dataset import CLASS_NAMES, SPLITS, Dataset, Split
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
  if not rows.has_usage(source):
    raise UserError(f'{source}, line 1: no column Usage, so it is not {FILE}')
  examples = rows.read(source, len(CLASS_NAMES), bad_rows, progress)
  splits = {
    rows.USAGES[usage]: _make_split(found, image_size)
    for usage, found in examples.items()
    if found
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


def _make_split(found: Sequence[rows.Row], image_size: int) -> Split:
  images = [
    crops.resize(pixels.reshape(raw.SIDE, raw.SIDE), image_size)
    for pixels, _, _ in found
  ]
  _, labels, index = zip(*found, strict=True)
  return raw.make_split(images, labels, index)


def _slashed(counts: Sequence[int]) -> str:
  return '/'.join(str(count) for count in counts)
