"""Views of an image, over which a network's answers are averaged.

What is averaged are probabilities, with equal weights: the mean is again a
distribution, that of asking one view at random. Averaged logits would let one
view that is sure of nonsense overrule the others.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferjax.errors import UserError

View = Callable[[jax.Array], jax.Array]

# Sides of a crop, in parts of the image's. 40 of 48 pixels is what Tang (2013,
# arXiv:1306.0239) and Khaireddin & Chen (2021, arXiv:2105.03588) crop from
# FER2013. The smallest of the others is about that.
TEN_CROP_SCALE = 5 / 6
MULTI_CROP_SCALES = (0.92, 0.84)

SHIFT = 1 / 24  # of the side: 2 pixels of 48


class Crop(NamedTuple):
  """A part of an image, in pixels."""

  top: int
  left: int
  height: int
  width: int


def keep(images: jax.Array) -> jax.Array:
  """Returns the images as they are: the view of `none`."""
  return images


def mirror(images: jax.Array) -> jax.Array:
  """Swaps left and right of `[n, height, width, channels]`."""
  return images[:, :, ::-1]


def five_crops(height: int, width: int, scale: float) -> list[Crop]:
  """Returns the centre and the four corners of an image.

  Args:
    height: of the image, pixels.
    width: of the image, pixels.
    scale: of a crop's sides to the image's, in (0, 1]; they are rounded to
      whole pixels, one at least. What is left around the centre is halved;
      an odd pixel goes to the bottom and the right.
  """
  own_height, own_width = (
    max(1, round(scale * side)) for side in (height, width)
  )
  bottom, right = height - own_height, width - own_width
  corners = ((0, 0), (0, right), (bottom, 0), (bottom, right))
  return [
    Crop(top, left, own_height, own_width)
    for top, left in ((bottom // 2, right // 2), *corners)
  ]


def _five(scale: float, number: int) -> View:
  """Returns the view of the crop of this number, at the image's size."""

  def crop(images: jax.Array) -> jax.Array:
    place = five_crops(*images.shape[1:3], scale)[number]
    bottom, right = place.top + place.height, place.left + place.width
    part = images[:, place.top : bottom, place.left : right]
    # Bilinear, edges repeated; nothing shrinks, so nothing is averaged.
    return jax.image.resize(part, images.shape, 'linear', antialias=False)

  return crop


def _with_mirrors(*plain: View) -> tuple[View, ...]:
  """Returns each view, followed by its mirror image."""

  def mirrored(view: View) -> View:
    return lambda images: mirror(view(images))

  return tuple(v for view in plain for v in (view, mirrored(view)))


def _crops(*scales: float) -> tuple[View, ...]:
  return tuple(_five(scale, number) for scale in scales for number in range(5))


def _moved(rows: int, columns: int) -> View:
  """Returns the view of an image moved by `SHIFT`, edges repeated.

  Args:
    rows: 1 is up, -1 down.
    columns: 1 is left, -1 right.
  """

  def move(images: jax.Array) -> jax.Array:
    height, width = images.shape[1:3]
    down, right = round(SHIFT * height), round(SHIFT * width)
    around = ((0, 0), (down, down), (right, right), (0, 0))
    top, left = down * (1 + rows), right * (1 + columns)
    padded = jnp.pad(images, around, mode='edge')
    return padded[:, top : top + height, left : left + width]

  return move


_DIAGONALS = tuple(_moved(r, c) for r in (-1, 1) for c in (-1, 1))

VIEWS: dict[str, tuple[View, ...]] = {
  'none': (keep,),
  'flip': _with_mirrors(keep),
  'shift': _with_mirrors(keep, *_DIAGONALS),
  'ten_crop': _with_mirrors(*_crops(TEN_CROP_SCALE)),
  'multi_crop': _with_mirrors(keep, *_crops(*MULTI_CROP_SCALES)),
}


def make_views(name: str) -> tuple[View, ...]:
  """Returns the views of this name (test-time augmentation).

  Args:
    name: 'none', the image itself; 'flip', it and its mirror image; 'shift',
      it and it moved by 1/24 of its sides towards each corner, and their mirror
      images; 'ten_crop', its centre and four corners at 5/6 of its sides, and
      their mirror images, but not the image itself, as in the literature;
      'multi_crop', the image and these five crops at 0.92 and at 0.84 of its
      sides, with mirror images 22 in all. Crops are resized to the image's
      size, so they show a larger face: a network that was trained without crops
      or scaling may lose by them.

  Returns:
    Functions of images, float `[n, height, width, channels]` of any size, that
    return the like. They stand before colour, size and normalisation.

  Raises:
    UserError: where the name is unknown.
  """
  if name not in VIEWS:
    raise UserError(f'unknown tta {name!r}; have {", ".join(VIEWS)}')
  return VIEWS[name]


def stack(views: tuple[View, ...], images: jax.Array) -> jax.Array:
  """Returns all views of all images, `[views * n, height, width, channels]`.

  One batch instead of a program of as many networks as views, which would
  take that many times as long to compile. The first n are of the first view.
  """
  return jnp.concatenate([view(images) for view in views])


def average(logits: jax.Array, num_views: int) -> jax.Array:
  """Returns the mean probabilities, float32 `[n, classes]`.

  Args:
    logits: float32 `[views * n, classes]`, in the order of `stack`.
    num_views: at least one.
  """
  probabilities = jax.nn.softmax(logits)
  if num_views == 1:
    return probabilities
  return probabilities.reshape(num_views, -1, logits.shape[-1]).mean(0)
