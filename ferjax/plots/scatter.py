"""Points in the plane, coloured by class."""

from collections.abc import Sequence
import os

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
import numpy as np

from ferjax.plots.canvas import (
  CLASS_COLORS,
  FAINT,
  INK,
  LINE,
  QUIET,
  save,
  shorten,
)

# Where the colours run out, another.
MARKERS = 'o^sDvP*X'


def plot_scatter(
  points: np.ndarray,
  labels: np.ndarray,
  class_names: Sequence[str],
  path: str | os.PathLike,
  title: str = '',
  axis_names: tuple[str, str] = ('', ''),
) -> None:
  """Draws a point for each example; the legend stands beside the panel.

  Points are drawn in a fixed shuffled order, so that no class hides another.

  Args:
    points: float `[n, 2]`.
    labels: int `[n]`, positions in `class_names`.
    class_names: those without a point are left out of the legend.
    path: the file to write.
    title: above the panel.
    axis_names: of the horizontal and the vertical axis.
  """
  figure = Figure(figsize=(7.4, 5.4), layout='constrained')
  axes = figure.add_subplot()
  size = float(np.clip(14000 / max(len(points), 1), 10, 40))  # square points
  order = np.random.default_rng(0).permutation(len(points))
  counts = np.bincount(labels, minlength=len(class_names))
  for turn in range(-(-len(class_names) // len(CLASS_COLORS))):
    rows = order[labels[order] // len(CLASS_COLORS) == turn]
    axes.scatter(
      *points[rows].T,
      s=size,
      c=[CLASS_COLORS[label % len(CLASS_COLORS)] for label in labels[rows]],
      marker=_marker(turn),
      edgecolors='white',
      linewidths=0.3,
      alpha=0.85,
    )
  axes.set_title(
    title, loc='left', color=INK, size=11, pad=10, parse_math=False
  )
  for name, write in zip(
    axis_names, (axes.set_xlabel, axes.set_ylabel), strict=True
  ):
    write(name, color=QUIET, parse_math=False)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(LINE)
  axes.tick_params(color=LINE, labelcolor=QUIET, labelsize=9)
  axes.grid(color=FAINT, linewidth=0.8)
  axes.set_axisbelow(True)
  handles = [_handle(i, class_names[i], counts[i]) for i in counts.nonzero()[0]]
  if handles:
    axes.legend(
      handles=handles,
      loc='upper left',
      bbox_to_anchor=(1.01, 1),
      frameon=False,
      fontsize=9,
      labelcolor=INK,
    )
  save(figure, path)


def _marker(turn: int) -> str:
  return MARKERS[turn % len(MARKERS)]


def _handle(label: int, name: str, count: int) -> Line2D:
  """Returns a class's line of the legend."""
  turn, color = divmod(label, len(CLASS_COLORS))
  handle = Line2D([], [], linestyle='', marker=_marker(turn), markersize=7)
  handle.set(color=CLASS_COLORS[color], markeredgecolor='white')
  handle.set_label(f'{shorten(name)} ({count:,})')
  return handle
