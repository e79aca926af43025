"""Brings arrays of other networks to the shapes of ours."""

import math

import numpy as np

from ferjax.models import layers, vgg

# The first convolutions: they see the colours.
FIRST = tuple(
  f'{name}/kernel'
  for name in ('stem_conv', 'stem_conv1', 'conv1', 'stage1_conv1')
)

# The first dense layer of VGG: it sees a flattened map.
FLATTENED = 'hidden1/kernel'


def from_torch(
  array: np.ndarray,
  path: str,
  shape: tuple[int, ...],
  sides: tuple[int, int] | None = None,
) -> np.ndarray:
  """Moves the axes of an array of torch to where ours are.

  Kernels of convolutions are `[out, in, height, width]` there, those of dense
  layers `[out, in]`; a 1x1 convolution may stand for a dense layer, and the
  other way round.

  Args:
    array: as torch has it.
    path: our path of it.
    shape: of ours.
    sides: height and width of the map that VGG flattens; None: it is square.

  Returns:
    The array; where it does not fit, its shape tells.
  """
  if path == FLATTENED and array.ndim in (2, 4):
    return _fold_pooling(array, shape, sides)
  if len(shape) == 4 and array.ndim in (2, 4):
    array = array.reshape(*array.shape[:2], *(array.shape[2:] or (1, 1)))
    return array.transpose(2, 3, 1, 0)
  if len(shape) == 2 and array.shape[2:] in ((), (1, 1)) and array.ndim > 1:
    return array.reshape(array.shape[:2]).T
  if len(shape) == 1 and array.size in array.shape:
    return array.reshape(-1)
  return array


def _fold_pooling(
  array: np.ndarray, shape: tuple[int, ...], sides: tuple[int, int] | None
) -> np.ndarray:
  """Turns the first dense layer of torch's VGG into ours.

  Torch enlarges a map of less than 7x7 by adaptive pooling, P: [7, side], and
  flattens it with the channels first. Both are linear, so the P of the height
  and that of the width go into the kernel: `kernel' = P^T kernel P`, the same
  function.

  Args:
    array: `[out, channels * 7 * 7]`, or with these axes apart.
    shape: of ours, `[height * width * channels, out]`.
    sides: height and width, or None if they are alike.

  Returns:
    The kernel of ours, or `array` itself if it is of no such layer.
  """
  pooled = vgg.POOLED_SIDE
  features, inputs = len(array), array[0].size
  channels = inputs // pooled**2
  if sides is None:
    sides = (math.isqrt(shape[0] // max(1, channels)),) * 2
  if (channels * pooled**2, channels * math.prod(sides)) != (inputs, shape[0]):
    return array
  kernel = array.reshape(features, channels, pooled, pooled)
  poolings = [np.zeros((pooled, side), np.float32) for side in sides]
  for pooling, side in zip(poolings, sides, strict=True):
    windows = vgg.pooling_windows(side, pooled)
    for row, (start, end) in zip(pooling, windows, strict=True):
      row[start:end] = 1 / (end - start)
  folded = np.einsum('ocij,ih,jw->hwco', kernel, *poolings, optimize=True)
  return folded.reshape(-1, features)


def adapt_colors(
  array: np.ndarray, path: str, shape: tuple[int, ...]
) -> np.ndarray:
  """Adapts a first convolution to gray images, or one of gray images to colour.

  Summed over the colours it sees a gray image as it saw three equal ones; a
  third for each colour is the reverse. Equal are they as the network sees them:
  a normalisation of its own for each colour comes before. Behind
  `space_to_depth` each of four pixels has its colours. Other arrays return as
  they are.

  Args:
    array: axes as ours.
    path: our path of it.
    shape: of ours.
  """
  if path in FIRST and array.ndim == 4:
    inputs = array.shape[2], shape[2]
    if inputs in ((3, 1), (12, 4)):
      return array.reshape(*array.shape[:2], shape[2], 3, -1).sum(3)
    if inputs in ((1, 3), (4, 12)):
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
  return len(shape) == len(ours) and (
    path.startswith(f'{layers.CLASSIFIER}/')
    or (path in FIRST and shape[-1] == ours[-1])
  )
