"""Images that look alike: a hash of what is coarse in them, then a closer look.

The hash is pHash's (C. Zauner, Implementation and Benchmarking of Perceptual
Image Hash Functions, 2010): the signs, about their median, of 8 x 8 low
frequencies of the discrete cosine transform.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

NUM_FREQUENCIES = 8  # in each direction, from the first above the mean
_CHUNK = 2048  # images, or pairs of them, whose pixels are floats at a time
_TILE = 1 << 19  # pairs of hashes that are compared at once: 4 MiB


class Pairs(NamedTuple):
  """Some pairs of images.

  Attributes:
    first: int64 `[m]`, positions.
    second: int64 `[m]`, always greater than the first.
    distance: uint8 `[m]`, bits in which the hashes differ.
    correlation: float32 `[m]`, of the pixels, in [-1, 1].
  """

  first: np.ndarray
  second: np.ndarray
  distance: np.ndarray
  correlation: np.ndarray


def hashes(images: np.ndarray) -> np.ndarray:
  """Returns 64 bits for each image, alike where the images look alike.

  Args:
    images: uint8 `[n, height, width, channels]`; colours are averaged.

  Returns:
    uint64 `[n]`.
  """
  _, height, width, _ = images.shape
  rows, columns = _cosines(height), _cosines(width)
  values = np.empty(len(images), np.uint64)
  for start in range(0, len(images), _CHUNK):
    gray = images[start : start + _CHUNK].mean(axis=3, dtype=np.float32)
    coefficients = (rows @ gray @ columns.T).reshape(len(gray), -1)
    middle = np.median(coefficients, axis=1, keepdims=True)
    bits = np.packbits(coefficients > middle, axis=1)
    values[start : start + _CHUNK] = bits.view('>u8')[:, 0]
  return values


def near_pairs(
  images: np.ndarray, distance: int, correlation: float
) -> Iterator[Pairs]:
  """Yields the pairs of images that look alike, piece by piece.

  All pairs of hashes are compared, about 500 million in a second; those that
  are close are then compared pixel by pixel. Memory grows with the number of
  images, not of pairs.

  Args:
    images: uint8 `[n, height, width, channels]`.
    distance: the most bits in which two hashes may differ.
    correlation: the least correlation of two images' pixels.
  """
  values = hashes(images)
  step = max(1, _TILE // max(1, len(values)))
  for start in range(0, len(values), step):
    some = values[start : start + step, None]
    differing = np.bitwise_count(some ^ values[None, start:])
    first, second = np.nonzero(differing <= distance)
    is_pair = second > first
    first, second = first[is_pair], second[is_pair]
    bits = differing[first, second]
    for at in range(0, len(first), _CHUNK):
      part = slice(at, at + _CHUNK)
      a, b = first[part] + start, second[part] + start
      values_ab = _correlations(images[a], images[b])
      alike = values_ab >= correlation
      if alike.any():
        yield Pairs(a[alike], b[alike], bits[part][alike], values_ab[alike])


def _cosines(size: int) -> np.ndarray:
  """Returns the rows 1 to 8 of the DCT-II, float32 `[8, size]`."""
  frequency = np.arange(1, NUM_FREQUENCIES + 1)[:, None]
  phase = np.pi * frequency * (np.arange(size) + 0.5) / size
  return np.cos(phase).astype(np.float32)


def _correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Returns Pearson's correlation of the pixels, float32 `[m]`."""
  a, b = _standardized(first), _standardized(second)
  return np.einsum('np,np->n', a, b)


def _standardized(images: np.ndarray) -> np.ndarray:
  flat = images.reshape(len(images), -1).astype(np.float32)
  flat -= flat.mean(axis=1, keepdims=True)
  norms = np.linalg.norm(flat, axis=1, keepdims=True)
  return flat / np.where(norms > 0, norms, 1)
