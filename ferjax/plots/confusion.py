"""Confusion matrices."""

from collections.abc import Sequence
import os

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
import numpy as np

from ferjax.plots.canvas import INK, QUIET, save, shorten


def plot_confusion(
  confusion: np.ndarray,
  class_names: Sequence[str],
  path: str | os.PathLike,
  title: str,
  normalized: bool,
) -> None:
  """Draws a confusion matrix: true classes on rows, predicted on columns.

  Args:
    confusion: int `[k, k]`, counts.
    class_names: k names.
    path: the file to write.
    title: the first line; the second states the accuracy.
    normalized: whether cells show the percentage of their row, not counts.
  """
  confusion = np.asarray(confusion)
  k, true, total = len(confusion), confusion.sum(axis=1), confusion.sum()
  side = max(0.66 * k, 3.4)  # inches
  figure = Figure(figsize=(side + 2, side + 2), layout='constrained')
  axes = figure.add_subplot()
  if normalized:
    shares = confusion / np.maximum(true, 1)[:, None]
    texts = [[f'{100 * s:.1f}' for s in row] for row in shares]
  else:
    shares = confusion / max(confusion.max(), 1)
    texts = [[f'{count:,}' for count in row] for row in confusion]
  _draw_cells(axes, shares, texts)
  names = [shorten(name) for name in class_names]
  rows = [f'{name} ({n:,})' for name, n in zip(names, true, strict=True)]
  axes.set_yticks(range(k), rows, parse_math=False)
  axes.set_xticks(range(k), names, parse_math=False)
  if max(map(len, names)) > 14 * side / k:  # as they stand they would touch
    axes.tick_params(axis='x', labelrotation=40)
    for label in axes.get_xticklabels():
      label.set(ha='right', rotation_mode='anchor')
  axes.set_xlabel('predicted', color=QUIET, labelpad=8)
  axes.set_ylabel('true', color=QUIET, labelpad=8)
  heading = {'color': INK, 'size': 11, 'parse_math': False}
  axes.set_title(title, loc='left', pad=24, **heading)
  hits = f'{np.trace(confusion) / total:.1%}' if total else 'unknown'
  what = 'per cent of each true class' if normalized else 'counts'
  subtitle = f'accuracy {hits} of {total:,} · {what}'
  axes.text(0, 1.015, subtitle, transform=axes.transAxes, size=9, color=QUIET)
  save(figure, path)


def _draw_cells(axes: Axes, shades: np.ndarray, texts: list[list[str]]) -> None:
  """Draws `[k, k]` squares, 0 to 1 from white to blue, with their numbers."""
  # Not to the end of the map: its last, almost black, part would stand out.
  colors = matplotlib.colormaps['Blues'](0.9 * shades)
  axes.imshow(colors)
  for (row, column), _ in np.ndenumerate(shades):
    text = axes.text(column, row, texts[row][column], ha='center', va='center')
    weight = 'bold' if row == column else 'normal'
    text.set(color=_readable_on(colors[row, column, :3]), size=9, weight=weight)
  # White rules between the cells, in place of a frame.
  edges = np.arange(len(shades) + 1) - 0.5
  axes.set_xticks(edges, minor=True)
  axes.set_yticks(edges, minor=True)
  axes.grid(which='minor', color='white', linewidth=1.5)
  axes.spines[:].set_visible(False)
  axes.tick_params(which='both', length=0, labelsize=9, labelcolor=INK)


def _readable_on(color: np.ndarray) -> str:
  """Returns white or the ink, whichever contrasts more (WCAG 2.1)."""
  linear = np.where(
    color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4
  )
  # At this luminance both contrast alike; the ink's own is 0.016.
  return 'white' if linear @ [0.2126, 0.7152, 0.0722] < 0.213 else INK
