"""Brings arrays of other networks to the shapes of ours."""

import math

import numpy as np

from ferjax.models import vgg

# The first convolutions: they see the colours.
FIRST = ('stem_conv/kernel', 'conv1/kernel')

# The first dense layer of VGG: it sees a flattened map.
FLATTENED = 'hidden1/kernel'


def from_torch(
  array: np.ndarray, path: str, shape: tuple[int, ...]
) -> np.ndarray:
  """Moves the axes of an array of torch to where ours are.

  Kernels of convolutions are `[out, in, height, width]` there, those of dense
  layers `[out, in]`; a 1x1 convolution may stand for a dense layer, and the
  other way round.

  Args:
    array: as torch has it.
    path: our path of it.
    shape: of ours; the result has as many axes.

  Returns:
    The array; where it does not fit, its shape tells.
  """
  if path == FLATTENED:
    return _fold_pooling(array, shape)
  if len(shape) == 4 and array.ndim in (2, 4):
    array = array.reshape(*array.shape[:2], *(array.shape[2:] or (1, 1)))
    return array.transpose(2, 3, 1, 0)
  if len(shape) == 2 and array.ndim in (2, 4):
    return array.reshape(len(array), -1).T
  return array.reshape(-1) if len(shape) == 1 else array


def _fold_pooling(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """Turns the first dense layer of torch's VGG into ours.

  Torch enlarges a map of less than 7x7 by adaptive pooling, P: [7, side], and
  flattens it with the channels first. Both are linear, so P goes into the
  kernel: `kernel' = P^T kernel P`, the same function.

  Args:
    array: `[out, channels * 7 * 7]`, or with these axes apart.
    shape: of ours, `[side * side * channels, out]`.

  Returns:
    The kernel of ours, or `array` itself if it is of no such layer.
  """
  pooled = vgg.POOLED_SIDE
  features, inputs = len(array), array[0].size
  channels = inputs // pooled**2
  side = math.isqrt(shape[0] // max(1, channels))
  if channels * pooled**2 != inputs or channels * side**2 != shape[0]:
    return array
  kernel = array.reshape(features, channels, pooled, pooled)
  pooling = np.zeros((pooled, side), np.float32)
  for row, (start, end) in zip(
    pooling, vgg.pooling_windows(side, pooled), strict=True
  ):
    row[start:end] = 1 / (end - start)
  folded = np.einsum(
    'ocij,ih,jw->hwco', kernel, pooling, pooling, optimize=True
  )
  return folded.reshape(-1, features)


def adapt_colors(
  array: np.ndarray, path: str, shape: tuple[int, ...]
) -> np.ndarray:
  """Adapts a first convolution to gray images, or one of gray images to colour.

  Summed over the colours it sees a gray image as it saw three equal ones; a
  third for each colour is the reverse. Other arrays return as they are.

  Args:
    array: axes as ours.
    path: our path of it.
    shape: of ours.
  """
  if path in FIRST and array.ndim == 4:
    colors = array.shape[2], shape[2]
    if colors == (3, 1):
      return array.sum(2, keepdims=True)
    if colors == (1, 3):
      return np.repeat(array / 3, 3, axis=2)
  return array


def adaptation(path: str, before: int, after: int) -> str:
  """Returns in words what changed the size of the array at `path`."""
  if path == FLATTENED:
    return 'pooling folded in'
  return 'summed over colour' if before > after else 'shared among the colours'


def may_begin_afresh(
  path: str, shape: tuple[int, ...], ours: tuple[int, ...]
) -> bool:
  """Returns whether an array that does not fit may be left out.

  The classifier may, and a first convolution of another size or number of
  inputs.
  """
  return path.startswith('classifier/') or (
    path in FIRST and shape[-1] == ours[-1]
  )
