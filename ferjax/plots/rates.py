"""ROC and precision-recall curves of all classes, with their areas."""

from collections.abc import Sequence
import math
import os
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ferjax.plots.canvas import (
  CLASS_COLORS,
  FAINT,
  INK,
  LINE,
  QUIET,
  save,
  shorten,
)
from ferjax.statistics import rates as rates_lib
from ferjax.statistics.rates import Rates

DASHES = ('-', (0, (4, 1.6)), (0, (1, 1.2)))  # where the colours run out
PANEL = 4.0  # inches
ROW, SAMPLE, LETTER, COLUMN = 0.23, 0.38, 0.08, 0.85  # inches, of the table


def plot_rates(
  curves: Sequence[Rates],
  class_names: Sequence[str],
  path: str | os.PathLike,
  title: str,
) -> None:
  """Draws how well each class is told from the rest, at every threshold.

  Args:
    curves: one a class; one that is not defined is named, but not drawn.
    class_names: the name of each.
    path: the file to write.
    title: of the whole figure.
  """
  names = [shorten(name) for name in class_names]
  letters = max(6, *map(len, names))
  width = SAMPLE + LETTER * letters + 2 * COLUMN
  height = max(PANEL, ROW * (len(names) + 4))
  figure = Figure(figsize=(2 * PANEL + width, height + 0.3))
  figure.set_layout_engine('constrained', w_pad=0.12, h_pad=0.08)
  roc, precision, table = figure.subplots(
    1, 3, width_ratios=(PANEL, PANEL, width)
  )
  _prepare(roc, 'ROC', 'false positive rate', 'recall')
  roc.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle=(0, (4, 3)))
  _prepare(precision, 'Precision and recall', 'recall', 'precision')
  for i, curve in enumerate(curves):
    if curve.is_defined:
      x, style = curve.false_positive_rate, {**_style(i), 'clip_on': False}
      roc.plot(x, curve.recall, **style)
      # The steps whose area the average precision is.
      precision.plot(
        curve.recall, curve.precision, drawstyle='steps-pre', **style
      )
  _write_table(table, curves, names, (width, height))
  figure.suptitle(
    title, x=0.01, ha='left', color=INK, size=11, parse_math=False
  )
  save(figure, path)


def _prepare(axes: Axes, title: str, x: str, y: str) -> None:
  axes.set_title(title, loc='left', color=INK, size=10, pad=10)
  axes.set_xlabel(x, color=QUIET)
  axes.set_ylabel(y, color=QUIET)
  axes.set(xlim=(0, 1), ylim=(0, 1), box_aspect=1, anchor='N')
  for axis in (axes.xaxis, axes.yaxis):
    axis.set_major_formatter(PercentFormatter(1, decimals=0))
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(LINE)
  axes.tick_params(color=LINE, labelcolor=QUIET, labelsize=9)
  axes.grid(color=FAINT, linewidth=0.8)


def _style(i: int) -> dict[str, Any]:
  """Returns how the line of class i looks."""
  return {
    'color': CLASS_COLORS[i % len(CLASS_COLORS)],
    'linestyle': DASHES[i // len(CLASS_COLORS) % len(DASHES)],
    'linewidth': 1.5,
  }


def _write_table(
  axes: Axes,
  curves: Sequence[Rates],
  names: Sequence[str],
  size: tuple[float, float],
) -> None:
  """Writes the areas of each class, and draws its line: the legend as well."""
  axes.set_axis_off()
  axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
  areas = [rates_lib.roc_auc(curve) for curve in curves]
  precisions = [rates_lib.average_precision(curve) for curve in curves]
  _write_row(axes, 0, '', ('ROC\narea', 'average\nprecision'), QUIET)
  for i, row in enumerate(zip(names, areas, precisions, strict=True)):
    y = ROW * (i + 2)
    if curves[i].is_defined:
      axes.plot([0, SAMPLE - 0.1], [y, y], **_style(i))
    name, *values = row
    _write_row(axes, y, name, _texts(values), INK)
  means = rates_lib.macro(areas), rates_lib.macro(precisions)
  y = ROW * (len(names) + 2.5)
  _write_row(axes, y, 'mean', _texts(means), INK, weight='bold')


def _texts(values: Sequence[float]) -> list[str]:
  return ['-' if math.isnan(value) else f'{value:.3f}' for value in values]


def _write_row(
  axes: Axes,
  y: float,
  name: str,
  texts: Sequence[str],
  color: str,
  **style: Any,
) -> None:
  style |= {'va': 'center', 'size': 9, 'color': color, 'parse_math': False}
  axes.text(SAMPLE, y, name, **style)
  for place, text in zip((COLUMN, 0), texts, strict=True):
    axes.text(axes.get_xlim()[1] - place, y, text, ha='right', **style)
