"""How a face is cut from a frame: a square by one of three rules, resized.

`center` takes the middle of the frame, a square of three quarters of its
shorter side. It is meant for frames such as those of CK+ (640x490 pixels):
there, people sit before the middle of a fixed camera, and a face fills about
half of the height. A tighter square would cut faces that are off the middle or
whose jaw drops; a looser one adds little but wall. The share is a judgement,
not a measurement.

`detect` takes the largest face that OpenCV's frontal Haar cascade (Viola and
Jones, 2001) finds, in the cascade's own square and no margin around it: so the
faces of CK+48 and of ckextended.csv were cut.

`none` keeps all that fits into a square: the middle, as wide as the frame is
high or as high as it is wide.
"""

import functools
import os
from typing import Any

import numpy as np
import PIL.Image

from ferjax.data.raw import SIDE, BadRow
from ferjax.errors import UserError

RULES = ('center', 'detect', 'none')

_CENTER_SHARE = 0.75  # of the shorter side
_SMALLEST_FACE = 0.2  # of the shorter side; what is smaller is no sitter
_CASCADE = 'haarcascade_frontalface_default.xml'


def check(rule: str) -> None:
  """Raises UserError if there is no such rule."""
  if rule not in RULES:
    raise UserError(f'--crop={rule}: must be one of {", ".join(RULES)}')


def square(image: np.ndarray, rule: str) -> np.ndarray:
  """Returns the square of a frame that holds the face, as a view.

  Args:
    image: uint8 `[height, width]` or `[height, width, 3]`, of any size.
    rule: one of `RULES`.

  Raises:
    BadRow: if no face is found.
    UserError: if the rule is unknown, or 'detect' and OpenCV is missing.
  """
  check(rule)
  if rule == 'detect':
    x, y, side = _largest_face(image)
  else:
    height, width = image.shape[:2]
    side = min(height, width)
    if rule == 'center':
      side = round(_CENTER_SHARE * side)
    x, y = (width - side) // 2, (height - side) // 2
  return image[y : y + side, x : x + side]


def resize(image: np.ndarray, size: int) -> np.ndarray:
  """Returns an image at another size, uint8 `[size, size]` and its channels.

  Pillow's bicubic filter grows with the scale, so that nothing is skipped when
  an image is made smaller (antialiasing). At its own size it stays as it is.

  Args:
    image: uint8 `[height, width]` or `[height, width, 3]`.
    size: pixels of each side, from 1.
  """
  return np.asarray(
    PIL.Image.fromarray(image).resize(
      (size, size), PIL.Image.Resampling.BICUBIC
    )
  )


def resize_notes(size: int) -> tuple[str, ...]:
  """Returns what every output has to say of images that came with 48x48."""
  if size == SIDE:
    return ()
  return (f'images of {SIDE}x{SIDE} resized to {size}x{size}',)


def _largest_face(image: np.ndarray) -> tuple[int, int, int]:
  """Returns left, top and side of the largest face's box, in pixels."""
  grey = np.asarray(PIL.Image.fromarray(image).convert('L'))
  smallest = round(_SMALLEST_FACE * min(grey.shape))
  found = _cascade().detectMultiScale(
    grey, scaleFactor=1.1, minNeighbors=5, minSize=(smallest, smallest)
  )
  if not len(found):
    raise BadRow('no face found (--crop=center cuts without looking for one)')
  # Threads find boxes in any order: of equals, always the same one.
  boxes = [tuple(map(int, box)) for box in found]
  x, y, side, _ = max(boxes, key=lambda box: (box[2], box))
  return x, y, side


@functools.cache
def _cascade() -> Any:
  """Returns OpenCV's detector; from version 5 on, OpenCV comes without."""
  try:
    import cv2

    path = os.path.join(cv2.data.haarcascades, _CASCADE)
  except (ImportError, AttributeError):
    path = ''
  if not os.path.isfile(path):
    raise UserError(
      '--crop=detect looks for faces with OpenCV 4, which is not installed:'
      ' pip install "ferjax[faces]"'
    )
  return cv2.CascadeClassifier(path)
