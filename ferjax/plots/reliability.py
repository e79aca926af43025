"""Reliability diagrams: how often a network is right when it is how sure."""

from collections.abc import Mapping
import os

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter
import numpy as np

from ferjax import statistics
from ferjax.plots.canvas import FAINT, INK, LINE, QUIET, save
from ferjax.statistics.calibration import Reliability

RIGHT = '#8FBFDC'  # tints of blue, vermilion and green
TOO_SURE, NOT_SURE = '#EDA877', '#66C2A5'
PANEL = 4.2  # inches


def plot_reliability(
  tables: Mapping[str, Reliability], path: str | os.PathLike, title: str
) -> None:
  """Draws accuracy against confidence, with the examples in each bin below.

  Args:
    tables: one panel each, by its name, as `{'as trained': ...}`, and beside
      it perhaps `'temperature 1.4'`.
    path: the file to write.
    title: of the whole figure.
  """
  figure = Figure(
    figsize=(PANEL * len(tables) + 0.7, PANEL + 1.8), layout='constrained'
  )
  figure.get_layout_engine().set(w_pad=0.1)
  panels = figure.subplots(
    2,
    len(tables),
    sharex=True,
    sharey='row',
    squeeze=False,
    height_ratios=(3.6, 1),
  )
  for (name, table), (upper, lower) in zip(
    tables.items(), panels.T, strict=True
  ):
    _prepare(upper)
    _prepare(lower)
    words = f'{name}\n{_figures(table)}'
    upper.set_title(words, loc='left', pad=8, size=9, color=INK)
    _draw_gaps(upper, table)
    _draw_counts(lower, table)
    lower.set_xlabel('confidence in the guess', color=QUIET)
  panels[0, 0].set_ylabel('accuracy', color=QUIET)
  panels[1, 0].set_ylabel('examples', color=QUIET)
  panels[0, 0].set(xlim=(0, 1), ylim=(0, 1))
  panels[1, 0].yaxis.set_major_locator(MaxNLocator(3, integer=True))
  panels[1, 0].yaxis.set_major_formatter('{x:,.0f}')
  figure.suptitle(
    title, x=0.01, ha='left', color=INK, size=11, parse_math=False
  )
  _write_legend(figure)
  figure.align_ylabels(panels[:, 0])
  save(figure, path)


def _prepare(axes: Axes) -> None:
  axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(LINE)
  axes.tick_params(color=LINE, labelcolor=QUIET, labelsize=9)
  axes.grid(axis='y', color=FAINT, linewidth=0.8)
  axes.set_axisbelow(True)


def _figures(table: Reliability) -> str:
  """Returns the calibration error and the two means it comes from."""
  total = table.counts.sum()
  if not total:
    return 'no examples'
  shares = table.counts / total
  accuracy, confidence = (
    np.nansum(shares * values) for values in (table.accuracy, table.confidence)
  )
  return (
    f'ECE {table.error:.1%} · accuracy {accuracy:.1%}'
    f' · mean confidence {confidence:.1%}'
  )


def _draw_gaps(axes: Axes, table: Reliability) -> None:
  """Draws accuracy as bars, and what parts it from the mean confidence."""
  axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
  filled = table.counts > 0
  left, right = table.edges[:-1][filled], table.edges[1:][filled]
  accuracy, confidence = table.accuracy[filled], table.confidence[filled]
  bars = {'align': 'edge', 'edgecolor': 'white', 'linewidth': 1}
  low, gap = np.minimum(accuracy, confidence), abs(accuracy - confidence)
  colors = np.where(accuracy < confidence, TOO_SURE, NOT_SURE)
  axes.bar(left, low, right - left, color=RIGHT, **bars)
  axes.bar(left, gap, right - left, low, color=colors, **bars)
  # A bar of two colours does not say which of its ends is the accuracy.
  axes.hlines(accuracy, left, right, color=INK, linewidth=1.8)
  intervals = [
    statistics.wilson_interval(round(share * count), int(count))
    for share, count in zip(accuracy, table.counts[filled], strict=True)
  ]
  axes.vlines(
    (left + right) / 2,
    *np.reshape(intervals, (-1, 2)).T,
    color=INK,
    linewidth=0.9,
  )
  axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 3)))


def _draw_counts(axes: Axes, table: Reliability) -> None:
  axes.bar(
    table.edges[:-1],
    table.counts,
    np.diff(table.edges),
    align='edge',
    color=LINE,
    edgecolor='white',
    linewidth=1,
  )


def _write_legend(figure: Figure) -> None:
  """Says below the panels what is what; above, bars could reach it."""
  figure.legend(
    handles=[
      Line2D([], [], color=INK, label='accuracy and its 95% interval'),
      Patch(color=TOO_SURE, label='too sure'),
      Patch(color=NOT_SURE, label='not sure enough'),
    ],
    loc='outside lower left',
    ncols=3,
    frameon=False,
    labelcolor=INK,
    fontsize=9,
    handlelength=1.4,
    columnspacing=1.4,
  )
