"""What a reader of raw files gives back, and what it does with a bad row."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import io
import pathlib
import re
import warnings

import numpy as np
import PIL.Image

from ferjax.data.dataset import Dataset, Split
from ferjax.data.spellings import canonical
from ferjax.errors import UserError, printable

SIDE = 48  # pixels, of every image of FER2013 and CK+48

# Pillow knows more, and starts another program to draw some of them (EPS).
FORMATS = (
  *('AVIF', 'BMP', 'DIB', 'GIF', 'ICO', 'JPEG', 'JPEG2000'),
  *('PCX', 'PNG', 'PPM', 'QOI', 'SGI', 'TGA', 'TIFF', 'WEBP'),
)

_LARGEST = 1 << 28  # bytes of a picture's file

_RESIDUE = '__MACOSX'  # what macOS adds to archives

# Takes the part that is done, 0 to 1.
Progress = Callable[[float], None]


class BadRow(ValueError):  # noqa: N818 - it names what was met, not a failure
  """Why one row or file cannot be taken."""


class BadRows:
  """Stops at the first bad row, or keeps a list of them.

  Attributes:
    skipped: one line for each row left out: file, line and reason.
  """

  def __init__(self, skip: bool = False) -> None:
    self._skip = skip
    self.skipped: list[str] = []

  def add(self, where: str, reason: BadRow) -> None:
    """Takes note of a bad row.

    Args:
      where: the file and line.
      reason: what is wrong with it.

    Raises:
      UserError: unless bad rows are to be skipped.
    """
    # A file's name need not be text; what is shown and stored must be.
    line = printable(f'{where}: {reason}')
    if not self._skip:
      raise UserError(f'{line} (--skip_bad_rows leaves it out)')
    self.skipped.append(line)

  def notes(self) -> tuple[str, ...]:
    """Returns what every output has to say of it, often nothing."""
    count = len(self.skipped)
    return (f'bad rows of the source left out: {count:,}',) if count else ()


@dataclasses.dataclass(frozen=True)
class Raw:
  """A whole data set as read from its raw files.

  Attributes:
    dataset: every split that the files hold.
    published: the published count of each class, by split; empty where none
      are published.
    missing: why a usual split is not there, by split.
    skipped: the bad rows that were left out.
    columns: further values of every example by split and name: text `[n]`, or
      whole numbers `[n]` or `[n, k]`.
  """

  dataset: Dataset
  published: Mapping[str, Sequence[int]]
  missing: Mapping[str, str]
  skipped: Sequence[str]
  columns: Mapping[str, Mapping[str, np.ndarray]] = dataclasses.field(
    default_factory=dict
  )


def make_split(
  images: Sequence[np.ndarray], labels: Iterable[int], index: Iterable[int]
) -> Split:
  """Returns the split of these examples.

  Args:
    images: in 0..255, all of one shape: `[height, width]` if grey,
      `[height, width, 3]`, or the `[48 * 48]` of a csv row.
    labels: positions in the data set's class names, `[n]`.
    index: each example's row in its source, `[n]`.
  """
  stacked = np.stack(images).astype(np.uint8)
  if stacked.ndim == 2:
    stacked = stacked.reshape(-1, SIDE, SIDE)
  if stacked.ndim == 3:
    stacked = stacked[..., None]
  return Split(
    images=stacked,
    labels=np.array(labels, np.int32),
    index=np.array(index, np.int64),
  )


def parse_pixels(text: str) -> np.ndarray:
  """Returns the pixels of a text, uint8 `[48 * 48]`.

  Raises:
    BadRow: if they are not 2,304 numbers in 0..255, digits alone, with blanks
      between them.
  """
  if not re.fullmatch('[0-9 ]*', text):
    raise BadRow(_pixel_fault(text))
  # 64 bits: a larger number is clipped, not wrapped into the range.
  pixels = np.fromstring(text, np.int64, sep=' ')
  if len(pixels) != SIDE**2 or pixels.max() > 255:
    raise BadRow(_pixel_fault(text))
  return pixels.astype(np.uint8)


def _pixel_fault(text: str) -> str:
  words = re.findall('[^ ]+', text)
  for position, word in enumerate(words, 1):
    if not re.fullmatch('0*[0-9]{1,3}', word) or int(word[-3:]) > 255:
      return f'pixel {position} is {word[:20]!r}, not an integer in 0..255'
  return f'{len(words):,} instead of {SIDE**2:,} pixels'


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[PIL.Image.Image]:
  """Opens a picture, and tells of whatever is wrong with it as a bad row.

  Raises:
    BadRow: if it is no picture, broken or far too large.
    OSError: if the file cannot be read.
  """
  if not path.is_file():  # to read a pipe would take for ever
    raise BadRow('not a file')
  if path.stat().st_size > _LARGEST:
    raise BadRow(f'more than {_LARGEST:,} bytes; shrink it')
  content = io.BytesIO(path.read_bytes())
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # Pillow's, of what it can still read
    warnings.simplefilter('error', PIL.Image.DecompressionBombWarning)
    try:
      with PIL.Image.open(content, formats=FORMATS) as image:
        yield image
    except BadRow:
      raise
    except PIL.UnidentifiedImageError:
      raise BadRow('not an image of a kind that is read') from None
    except (
      PIL.Image.DecompressionBombError,
      PIL.Image.DecompressionBombWarning,
    ):
      raise BadRow(
        f'more than {PIL.Image.MAX_IMAGE_PIXELS:,} pixels; shrink it'
      ) from None
    except Exception as error:  # broken files make Pillow raise anything
      reason = printable(str(error)[:200]) or type(error).__name__
      raise BadRow(f'broken image: {reason}') from None


def read_image(path: pathlib.Path) -> np.ndarray:
  """Returns the grey image of a file, uint8 `[48, 48]`.

  Raises:
    BadRow: if it is no image, or not one of 48x48 pixels of 8 bits.
    OSError: if the file cannot be read.
  """
  with opened(path) as image:
    if image.size != (SIDE, SIDE):
      width, height = image.size
      raise BadRow(f'{width}x{height} pixels instead of {SIDE}x{SIDE}')
    if image.mode not in ('L', 'RGB'):
      raise BadRow(f'image mode {image.mode} instead of L (grey) or RGB')
    return np.asarray(image.convert('L'))


def class_folders(
  folder: pathlib.Path, names: Sequence[str], bad_rows: BadRows
) -> list[tuple[str, list[pathlib.Path]]]:
  """Lists the files of each class folder; hidden files do not count.

  Args:
    folder: holds one folder for each class.
    names: the classes, or nothing where any may come. A folder may spell its
      class in another way: see spellings.py.
    bad_rows: told of files that lie beside the class folders.

  Returns:
    The class of each folder, as `names` has it and else its canonical name,
    and the folder's files, sorted by name.

  Raises:
    UserError: if a folder is of no class, its name is no text, or two are of
      the same class.
  """
  known = {canonical(name): name for name in names}
  result, first = [], {}
  for path in visible(folder):
    name = canonical(path.name)
    if not path.is_dir():
      bad_rows.add(str(path), BadRow('in no class folder'))
    elif known and name not in known:
      raise UserError(
        f'{path}: not a class folder; their names are {", ".join(names)}'
      )
    elif not (name and name.isprintable()):
      raise UserError(f'{str(path)!r}: not a name for a class')
    elif name in first:
      raise UserError(
        f'{path}: means the class {name}, as {first[name]} does; put their'
        ' images into one folder'
      )
    else:
      first[name] = path
      result.append((known.get(name, name), visible(path)))
  return result


def visible(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns what lies in a folder, sorted; hidden files do not count."""
  return sorted(
    path
    for path in folder.iterdir()
    if not path.name.startswith('.') and path.name != _RESIDUE
  )
