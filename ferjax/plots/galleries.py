"""Images side by side, each with a few words below it."""

from collections.abc import Sequence
import math
import os

from matplotlib.axes import Axes
from matplotlib.figure import Figure
import numpy as np

from ferjax.plots.canvas import FAINT, INK, QUIET, save, shorten

# Inches.
WIDTH = 1.0  # of an image
GAP = 0.14
LINE_HEIGHT = 0.15
TITLE_HEIGHT = 0.34

LONGEST_LINE = 18  # characters of a caption's line, as wide as an image


def plot_gallery(
  images: np.ndarray,
  captions: Sequence[str],
  path: str | os.PathLike,
  columns: int = 8,
  title: str = '',
) -> None:
  """Draws images in rows, each with its caption below it.

  Args:
    images: uint8 `[n, height, width, channels]`, one or three channels.
    captions: n texts, of any number of lines; long lines are cut in the
      middle.
    path: the file to write.
    columns: the most images a row.
    title: stands above them, where it is given.

  Raises:
    ValueError: when there are not as many captions as images.
  """
  num_lines = max((len(text.splitlines()) for text in captions), default=0)
  height = WIDTH * images.shape[1] / images.shape[2]
  pitch = height + num_lines * LINE_HEIGHT + GAP * (1.5 if num_lines else 1)
  rows = max(1, math.ceil(len(images) / columns))
  across = max(1, min(columns, len(images))) * (WIDTH + GAP) - GAP
  top = TITLE_HEIGHT if title else 0.0
  axes = _make_sheet(across, top + rows * pitch - GAP)
  axes.text(0, 0, title, va='top', size=11, color=INK, parse_math=False)
  for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
    row, column = divmod(number, columns)
    left, above = column * (WIDTH + GAP), top + row * pitch
    _draw_image(axes, image, (left, left + WIDTH, above + height, above))
    _write_caption(axes, caption, left, above + height)
  if not len(images):
    axes.text(0, top, 'nothing to show', va='top', size=9, color=QUIET)
  save(axes.figure, path)


def plot_mean_faces(
  means: np.ndarray,
  deviations: np.ndarray,
  captions: Sequence[str],
  path: str | os.PathLike,
) -> None:
  """Draws the mean image of each class above the deviation from it.

  The deviations share one scale: black is the least of all, white the
  greatest.

  Args:
    means: float `[k, height, width, channels]` in [0, 255].
    deviations: float, of the same shape, not negative.
    captions: k texts.
    path: the file to write.
  """
  k, height, width, channels = means.shape
  gap = np.full((k, max(1, height // 24), width, channels), 255.0)
  low, high = deviations.min(), deviations.max()
  scaled = (deviations - low) * (255 / max(high - low, 1e-6))
  tiles = np.concatenate([means, gap, scaled], axis=1)
  plot_gallery(np.rint(tiles).astype(np.uint8), captions, path)


def _make_sheet(width: float, height: float) -> Axes:
  """Returns axes without a frame that count inches from the top left."""
  figure = Figure(figsize=(width, height))
  axes = figure.add_axes((0, 0, 1, 1))
  axes.set_axis_off()
  axes.set(xlim=(0, width), ylim=(height, 0))
  return axes


def _draw_image(
  axes: Axes, image: np.ndarray, extent: tuple[float, float, float, float]
) -> None:
  # One channel needs repeating: a colour map would stretch the grey values.
  pixels = np.broadcast_to(image, (*image.shape[:2], 3))
  axes.imshow(pixels, extent=extent, aspect='auto', interpolation='nearest')
  left, right, below, above = extent
  x, y = [left, right, right, left, left], [above, above, below, below, above]
  axes.plot(x, y, color=FAINT, linewidth=0.5)  # a white image has edges too
  axes.set(xlim=(0, axes.bbox.width / axes.figure.dpi))
  axes.set(ylim=(axes.bbox.height / axes.figure.dpi, 0))


def _write_caption(axes: Axes, text: str, left: float, below: float) -> None:
  """Writes the first line in ink, those after it more quietly."""
  for number, line in enumerate(text.splitlines()):
    axes.text(
      left,
      below + 0.05 + number * LINE_HEIGHT,
      shorten(line, LONGEST_LINE),
      va='top',
      size=8,
      color=QUIET if number else INK,
      parse_math=False,
    )
