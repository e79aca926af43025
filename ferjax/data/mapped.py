"""Images that lie in a file, of which no more is read than is asked for."""

from collections.abc import Iterator
from typing import Any

import numpy as np

_CHUNK = 1 << 24  # bytes of images that a walk over all of them holds at once


class Mapped:
  """Images in a file, seen through the rows that were chosen of them.

  It has what the parts of a training ask of an array of images. Choosing rows
  costs an index, indexing copies the images that it names, and only
  `np.asarray` reads all. What is read stays in the page cache: it is the
  kernel's to drop, not this process's memory.

  Attributes:
    shape: `[n, height, width, channels]`.
    dtype: uint8.
    nbytes: of all its images.
  """

  def __init__(
    self, images: np.ndarray, rows: np.ndarray | None = None
  ) -> None:
    """Shows the images of a file.

    Args:
      images: uint8 `[m, height, width, channels]`, a read-only memory map.
      rows: int32 `[n]`, positions among them; None for all.
    """
    self._images = images
    self._rows = (
      np.arange(len(images), dtype=np.int32) if rows is None else rows
    )
    self.shape = (len(self._rows), *images.shape[1:])
    self.dtype = images.dtype
    self.nbytes = len(self._rows) * images[:1].nbytes

  def __len__(self) -> int:
    return len(self._rows)

  def __getitem__(self, rows: Any) -> np.ndarray:
    """Copies the images at `rows`, indexed as the first axis of an array."""
    return self._images[self._rows[rows]]

  def __array__(
    self, dtype: Any = None, copy: bool | None = None
  ) -> np.ndarray:
    """Reads all images."""
    return np.array(self[:], dtype=dtype, copy=copy)

  def select(self, rows: np.ndarray) -> 'Mapped':
    """Returns the images at `rows`, positions or bool `[n]`; reads none."""
    return Mapped(self._images, self._rows[rows])


Images = np.ndarray | Mapped  # uint8 `[n, height, width, channels]`


def select(images: Images, rows: np.ndarray) -> Images:
  """Returns the images at `rows`, positions or bool `[n]`."""
  return images.select(rows) if isinstance(images, Mapped) else images[rows]


def chunks(images: Images) -> Iterator[np.ndarray]:
  """Yields all images in their order, some megabytes at a time."""
  size = max(1, _CHUNK * len(images) // max(1, images.nbytes))
  for start in range(0, len(images), size):
    yield images[start : start + size]
