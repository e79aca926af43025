"""Images beside the places that a network looked at."""

from collections.abc import Sequence
import math
import os

import matplotlib
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
import numpy as np

from ferjax.plots.canvas import INK, LINE, QUIET, save, shorten

COLORS = 'viridis'  # even steps of it look even, for every colour vision
OPACITY = 0.5  # of the heat over the image
SIDE = 1.15  # inches of an image
LONGEST = 34  # characters of a caption's line


def plot_overlays(
  images: np.ndarray,
  heat: np.ndarray,
  captions: Sequence[str],
  path: str | os.PathLike,
  columns: int = 3,
  title: str = '',
) -> None:
  """Draws each image, and beside it the same under its heat map.

  Args:
    images: uint8 `[n, height, width, channels]`, one or three channels.
    heat: float `[n, height, width]` in [0, 1].
    captions: one for each image, of one or two lines.
    path: the file to write.
    columns: pairs a row, at most.
    title: above all of them.
  """
  count, height, width = images.shape[:3]
  columns = max(1, min(columns, count))
  rows = max(1, math.ceil(count / columns))
  tall = SIDE * height / width
  figure = Figure(
    figsize=(columns * (2 * SIDE + 0.35) + 0.6, rows * (tall + 0.42) + 0.4),
    layout='constrained',
  )
  figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
  if title:
    style = {'x': 0.01, 'ha': 'left', 'size': 11, 'color': INK}
    figure.suptitle(title, parse_math=False, **style)
  panels = figure.subplots(rows, columns, squeeze=False)
  # A white rule between the two, a sixteenth of the width.
  rule = np.ones((height, max(1, width // 16), 3))
  colors = matplotlib.colormaps[COLORS]
  for number, axes in enumerate(panels.flat):
    axes.set_axis_off()
    if number >= count:
      continue
    plain = np.broadcast_to(images[number] / 255.0, (height, width, 3))
    heated = (1 - OPACITY) * plain + OPACITY * colors(heat[number])[..., :3]
    axes.imshow(np.concatenate([plain, rule, heated], axis=1))
    lines = captions[number].split('\n')
    text = '\n'.join(shorten(line, LONGEST) for line in lines)
    axes.set_title(text, loc='left', size=8, color=INK, pad=4, parse_math=False)
  _draw_scale(figure, panels)
  save(figure, path)


def _draw_scale(figure: Figure, panels: np.ndarray) -> None:
  """Says what the colours mean, at the right of all images."""
  scale = ScalarMappable(Normalize(0, 1), COLORS)
  bar = figure.colorbar(
    scale, ax=list(panels.flat), shrink=min(1.0, 2.2 / len(panels)), aspect=14
  )
  bar.set_ticks([0, 1], labels=['none', 'most'])
  bar.set_label('speaks for the class', size=8, color=QUIET)
  bar.ax.tick_params(length=0, labelsize=8, labelcolor=QUIET)
  bar.outline.set_edgecolor(LINE)
