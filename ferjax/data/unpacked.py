"""Splits too large for memory: decoded once into a file that is then mapped.

It lies beside the records, SET/.unpacked/SPLIT/KEY/image.npy, and with it the
other arrays of the split. KEY is of the records as they are, so that a set that
changed never meets what was made of the old one. The folder KEY appears whole
or not at all, and may be deleted at any time.
"""

from collections.abc import Callable, Sequence
import errno
import fcntl
import hashlib
import math
import os
import pathlib
import shutil
import sys

from etils import epath
import numpy as np

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
  """Returns a split's arrays from its files, which it makes if need be.

  Of several processes that come at once, one makes them and the others wait.
  """
  target = folder / '.unpacked' / split_name / _key(folder)
  if not target.is_dir():
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
      fcntl.flock(handle, fcntl.LOCK_EX)  # ends with the process
      if not target.is_dir():
        _make(target, shape, decode)
    finally:
      os.close(handle)
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


def _make(
  target: pathlib.Path, shape: Sequence[int], decode: Callable[[Put], Arrays]
) -> None:
  """Makes the folder `target`, and removes all else beside it."""
  # Of other records, or of a start that was killed.
  for stale in target.parent.iterdir():
    shutil.rmtree(stale)
  size = math.prod(shape)
  if size > shutil.disk_usage(target.parent).free:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target.parent))
  workspace = target.with_name('incomplete')
  workspace.mkdir()
  print(
    f'unpacking {size / 1e9:.1f} GB of images to {target}, once',
    file=sys.stderr,
  )
  try:
    # Not through a map: there a disk that fills up would kill the process.
    with (workspace / 'image.npy').open('wb') as file:
      np.lib.format.write_array_header_1_0(
        file, {'shape': tuple(shape), 'fortran_order': False, 'descr': '|u1'}
      )
      arrays = decode(lambda row, image: file.write(image.tobytes()))
    for name, values in arrays.items():
      np.save(workspace / f'{name}.npy', values)
    for path in workspace.iterdir():  # whole on disk before it has its name
      with path.open('rb') as file:
        os.fsync(file.fileno())
    workspace.rename(target)
  finally:
    shutil.rmtree(workspace, ignore_errors=True)
