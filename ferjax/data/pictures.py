"""Pictures of any size and most modes, as square uint8 images."""

from collections.abc import Mapping, Sequence
import pathlib

import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageOps

from ferjax.data import crops, raw
from ferjax.errors import UserError

COLORS = ('data', 'gray', 'rgb')

# All that may be done to a picture, in the words of the notes.
_TURNED = 'turned upright, as their EXIF tells'
_LAID = 'laid over black where they are transparent'
_GREYED = 'made grey'
_CMYK = 'converted from CMYK'
_CROPPED = 'cropped centrally to a square'
_SHRUNK = 'shrunk'
_ENLARGED = 'enlarged'
_WORDS = (_TURNED, _LAID, _CMYK, _GREYED, _CROPPED, _SHRUNK, _ENLARGED)


def check_color(color: str) -> None:
  """Raises UserError if `color` is none of `COLORS`."""
  if color not in COLORS:
    raise UserError(f'--color={color}: must be one of {", ".join(COLORS)}')


def read(
  path: pathlib.Path, image_size: int, color: str
) -> tuple[np.ndarray, list[str]]:
  """Reads a picture, crops it centrally to a square and resizes it.

  Args:
    path: a file of one of `raw.FORMATS`.
    image_size: pixels of each side, or 0 for the square as it is.
    color: one of `COLORS`; 'gray' takes the luma (ITU-R 601) of what is
      coloured.

  Returns:
    The pixels, uint8 `[side, side]` where all are grey and otherwise
    `[side, side, 3]`, and what was done to them, for `join`.

  Raises:
    BadRow: if it is no picture, broken, animated, has far too many pixels, or
      more than 8 bits in each.
    OSError: if the file cannot be read.
  """
  done = []
  with raw.opened(path) as image:
    pixels = np.asarray(_to_rgb(image, done))
  red, *others = np.moveaxis(pixels, -1, 0)  # one by one: memory
  if all(np.array_equal(red, other) for other in others):
    pixels = pixels[..., 0]
  elif color == 'gray':
    pixels = np.asarray(PIL.Image.fromarray(pixels).convert('L'))
    done.append(_GREYED)
  if pixels.shape[0] != pixels.shape[1]:
    pixels = crops.square(pixels, 'none')
    done.append(_CROPPED)
  side = len(pixels)
  if image_size and side != image_size:
    pixels = crops.resize(pixels, image_size)
    done.append(_SHRUNK if side > image_size else _ENLARGED)
  return pixels, done


def _to_rgb(image: PIL.Image.Image, done: list[str]) -> PIL.Image.Image:
  """Returns a picture upright and opaque, of mode RGB."""
  # The further pictures of a phone's MPO are previews of the first.
  if getattr(image, 'n_frames', 1) > 1 and image.format != 'MPO':
    raise raw.BadRow(f'{image.n_frames} pictures in one file; save one of them')
  if image.mode.startswith(('I', 'F')):  # of unknown range: 12 bits often
    raise raw.BadRow(f'image mode {image.mode}; save it with 8 bits a pixel')
  before = image.getexif().get(PIL.ExifTags.Base.Orientation, 1)
  image = PIL.ImageOps.exif_transpose(image)
  if before in range(2, 9):
    done.append(_TURNED)
  if image.has_transparency_data:
    image = image.convert('RGBA')
    if image.getextrema()[3][0] < 255:
      black = PIL.Image.new('RGBA', image.size, 'black')
      image = PIL.Image.alpha_composite(black, image)
      done.append(_LAID)
  if image.mode == 'CMYK':
    done.append(_CMYK)
  return image.convert('RGB')


def join(
  images: Sequence[np.ndarray], done: Mapping[str, int], color: str
) -> tuple[list[np.ndarray], list[str]]:
  """Brings the pictures of a data set to one shape.

  Args:
    images: what `read` gave, all of one side.
    done: how many pictures each thing was done to.
    color: one of `COLORS`.

  Returns:
    The images, grey if all are and color is not 'rgb', and what every output
    has to say of them.
  """
  num_grey = sum(image.ndim == 2 for image in images)
  words = [f'{word} {done[word]:,}' for word in _WORDS if done.get(word)]
  notes = [f'of {len(images):,} images: {", ".join(words)}'] if words else []
  if color != 'rgb' and num_grey == len(images):
    return list(images), notes
  if 0 < num_grey < len(images):
    notes.append(
      f'{num_grey:,} of {len(images):,} images are grey, the others in colour;'
      ' all are stored as RGB'
    )
  return [
    np.stack([image] * 3, -1) if image.ndim == 2 else image for image in images
  ], notes
