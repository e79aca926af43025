"""Which images are copies of others, pixel by pixel."""

from collections.abc import Sequence
import hashlib

import numpy as np

from ferjax.data.dataset import Split
from ferjax.errors import UserError


def digests(images: np.ndarray) -> np.ndarray:
  """Returns 16 bytes for each image, equal where all pixels are.

  Args:
    images: uint8 `[n, height, width, channels]`.

  Returns:
    S16 `[n]`, BLAKE2b of the pixels and the shape. NumPy hides NUL bytes at
    the end of an element; as all have 16 bytes, they stay different.
  """
  start = hashlib.blake2b(repr(images.shape[1:]).encode(), digest_size=16)
  values = np.empty(len(images), 'S16')
  for i, image in enumerate(images):
    digest = start.copy()
    digest.update(np.ascontiguousarray(image).data)
    values[i] = digest.digest()
  return values


def occurs_in(images: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns which images have a copy among others, bool `[n]`.

  Args:
    images: uint8 `[n, height, width, channels]`.
    others: uint8 `[m, height, width, channels]`; of another size, none is a
      copy.
  """
  return np.isin(digests(images), digests(others))


def groups(images: np.ndarray) -> np.ndarray:
  """Returns a number for each image that it shares with its copies alone.

  Args:
    images: uint8 `[n, height, width, channels]`.

  Returns:
    int64 `[n]`, counted from 0 in the order in which the images first occur.
  """
  _, first, inverse = np.unique(
    digests(images), return_index=True, return_inverse=True
  )
  return np.argsort(np.argsort(first))[inverse]


def exclude(train: Split, held_out: Sequence[np.ndarray]) -> tuple[Split, int]:
  """Leaves out the training examples whose image is held out too.

  Args:
    train: the training examples.
    held_out: uint8 images `[m, height, width, channels]` of other splits.

  Returns:
    The rest in its order (`train` itself where it has no copy), and the number
    that is left out.

  Raises:
    UserError: if nothing is left.
  """
  if not held_out:
    return train, 0
  others = np.concatenate([digests(images) for images in held_out])
  is_copy = np.isin(digests(train.images), others)
  if not is_copy.any():
    return train, 0
  if is_copy.all():
    raise UserError(
      'config.data.exclude_duplicates leaves nothing to train on: every'
      ' training image also stands in validation or test'
    )
  return train.take(~is_copy), int(is_copy.sum())


def note(num_left_out: int, held_out: Sequence[str]) -> str:
  """Returns what every output has to say where `exclude` was called.

  Args:
    num_left_out: training examples.
    held_out: the names of the splits that were compared.
  """
  return (
    f'left out of train: {num_left_out:,} images that also stand in '
    + ' or '.join(held_out)
  )
