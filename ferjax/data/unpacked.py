"""Splits too large for memory: decoded once into a file that is then mapped.

It lies beside the records, SET/.unpacked/SPLIT/KEY/image.npy, and with it the
other arrays of the split. KEY is of the records as they are, so that a set that
changed never meets what was made of the old one. The folder KEY appears whole
or not at all, and may be deleted at any time.
"""

from collections.abc import Callable, Sequence
import hashlib
import math
import pathlib
import sys

from etils import epath
import numpy as np

from ferjax.data import once
from ferjax.data.mapped import Mapped

LIMIT = 1 << 28  # bytes of images: a split that has more stays on disk

# Takes each row and its image, in order.
Put = Callable[[int, np.ndarray], None]

Arrays = dict[str, np.ndarray | Mapped]


def load(
  folder: epath.Path,
  split_name: str,
  shape: Sequence[int],
  decode: Callable[[Put], Arrays],
) -> Arrays:
  """Returns a split's arrays: all in memory, or its images mapped.

  Where the folder cannot be written, it is memory, and a line says why.

  Args:
    folder: of the prepared set, on this machine.
    split_name: which of its splits.
    shape: of all images, `[n, height, width, channels]`.
    decode: puts the images, then returns the other arrays by name.

  Returns:
    What `decode` returned, and `image`.
  """
  if math.prod(shape) > LIMIT:
    try:
      return _mapped(pathlib.Path(folder), split_name, shape, decode)
    except OSError as error:
      print(
        f'warning: {split_name} takes {math.prod(shape) / 1e9:.1f} GB of'
        f' memory, as it cannot be unpacked ({error})',
        file=sys.stderr,
      )
  images = np.empty(shape, np.uint8)
  return decode(images.__setitem__) | {'image': images}


def _mapped(
  folder: pathlib.Path,
  split_name: str,
  shape: Sequence[int],
  decode: Callable[[Put], Arrays],
) -> Arrays:
  """Returns a split's arrays from its files, made if need be."""
  target = folder / '.unpacked' / split_name / _key(folder)
  size = math.prod(shape)
  note = f'unpacking {size / 1e9:.1f} GB of images to {target}, once'
  once.make(target, size, note, lambda place: _fill(place, shape, decode))
  # A plain array of the same memory: np.memmap is slow to index.
  images = np.asarray(np.load(target / 'image.npy', mmap_mode='r'))
  others = [path for path in target.iterdir() if path.stem != 'image']
  arrays = {path.stem: np.load(path) for path in others}
  return arrays | {'image': Mapped(images)}


def _key(folder: pathlib.Path) -> str:
  """Returns a name for the set's files as they are: names, sizes and times."""
  digest = hashlib.blake2b(digest_size=8)
  for file in sorted(filter(pathlib.Path.is_file, folder.iterdir())):
    status = file.stat()
    known = (file.name, status.st_size, status.st_mtime_ns)
    digest.update(repr(known).encode())
  return digest.hexdigest()


def _fill(
  folder: pathlib.Path, shape: Sequence[int], decode: Callable[[Put], Arrays]
) -> None:
  # Not through a map: there a disk that fills up would kill the process.
  with (folder / 'image.npy').open('wb') as file:
    np.lib.format.write_array_header_1_0(
      file, {'shape': tuple(shape), 'fortran_order': False, 'descr': '|u1'}
    )
    arrays = decode(lambda row, image: file.write(image.tobytes()))
  for name, values in arrays.items():
    np.save(folder / f'{name}.npy', values)
