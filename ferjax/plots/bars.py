"""Runs side by side: a bar of accuracy each, with what sampling leaves open."""

from collections.abc import Mapping, Sequence
import math
import os
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter
import numpy as np

from ferjax.plots.canvas import (
  FAINT,
  INK,
  LINE,
  QUIET,
  SPLIT_COLORS,
  save,
  shorten,
)

ROW = 0.5  # inches
# Where each bar lies in its row, and how thick it is, in rows.
BARS = {'validation': (-0.06, 0.42), 'test': (0.28, 0.16)}
COLUMN = 56  # points that a column of figures takes
LONGEST_DETAIL = 36  # characters


class Bar(NamedTuple):
  """A run.

  Attributes:
    label: its first line.
    detail: its second line.
    accuracies: by split: in [0, 1], and its 95% interval. `validation` is a
      bar, `test` a thin one below it, `train` a mark.
  """

  label: str
  detail: str
  accuracies: Mapping[str, tuple[float, tuple[float, float]]]


def plot_comparison(
  groups: Sequence[tuple[str, Sequence[Bar]]], path: str | os.PathLike
) -> None:
  """Draws the accuracies of runs, a panel for each group.

  Args:
    groups: the title of each panel, and its bars, best first.
    path: the file to write.
  """
  sizes = [len(bars) for _, bars in groups]
  runs = [bar for _, bars in groups for bar in bars]
  height = ROW * sum(sizes) + 1.05 * len(sizes) + 0.3
  figure = Figure(figsize=(9, height), layout='constrained')
  panels = figure.subplots(
    len(sizes), sharex=True, squeeze=False, height_ratios=sizes
  )
  figure.get_layout_engine().set(h_pad=0.12)
  present = [
    s for s in SPLIT_COLORS if any(s in bar.accuracies for bar in runs)
  ]
  end = max(high for bar in runs for _, (_, high) in bar.accuracies.values())
  for axes, (title, bars) in zip(panels[:, 0], groups, strict=True):
    _prepare(axes, title, len(bars), min(1.0, math.ceil(10 * end + 0.3) / 10))
    _write_splits(axes, present)
    for row, bar in enumerate(bars):
      _write_names(axes, row, bar)
      _draw(axes, row, bar)
      _write_figures(axes, row, bar, present)
  _write_legend(panels[-1, 0], present)
  save(figure, path)


def _prepare(axes: Axes, title: str, num_rows: int, end: float) -> None:
  axes.set_title(
    title, loc='left', color=INK, size=10, pad=26, parse_math=False
  )
  axes.set_xlim(0, end)
  axes.set_ylim(num_rows - 0.45, -0.5)
  axes.set_yticks([])
  axes.xaxis.set_major_locator(MultipleLocator(0.1))
  axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
  axes.tick_params(axis='x', length=0, labelcolor=QUIET, labelsize=9)
  axes.tick_params(axis='x', labelbottom=True)
  axes.spines[['top', 'right', 'bottom']].set_visible(False)
  axes.spines['left'].set_color(LINE)
  axes.grid(axis='x', color=FAINT, linewidth=0.8)
  axes.set_axisbelow(True)


def _draw(axes: Axes, row: int, bar: Bar) -> None:
  for split, (shift, thickness) in BARS.items():
    if split in bar.accuracies:
      accuracy, interval = bar.accuracies[split]
      place = row + shift
      # A tint, not transparency: the rules would shine through.
      tint = (1 + np.array(to_rgb(SPLIT_COLORS[split]))) / 2
      axes.barh(place, accuracy, thickness, color=tint)
      axes.plot(interval, [place, place], color=INK, linewidth=1.3)
  if 'train' in bar.accuracies:
    accuracy, _ = bar.accuracies['train']
    ends = [row - 0.3, row + 0.36]
    axes.plot([accuracy] * 2, ends, color=SPLIT_COLORS['train'], linewidth=2)


def _write_names(axes: Axes, row: int, bar: Bar) -> None:
  for text, lift, size, color in (
    (shorten(bar.label), 1, 10, INK),
    (shorten(bar.detail, LONGEST_DETAIL), -11, 8, QUIET),
  ):
    _write(axes, text, (0, row), (-8, lift), size=size, color=color)


def _write_splits(axes: Axes, present: Sequence[str]) -> None:
  """Names the splits above their figures, in their colours."""
  for column, split in enumerate(present, start=1):
    _write(
      axes,
      split,
      (1, 1),
      (COLUMN * column + 8, 8),
      xycoords='axes fraction',
      size=9,
      color=SPLIT_COLORS[split],
    )


def _write_legend(axes: Axes, present: Sequence[str]) -> None:
  """Says below the last panel what its marks are."""
  words = ['bar: validation', 'black line: 95% interval']
  words += ['thin bar: test'] if 'test' in present else []
  words += ['blue mark: train'] if 'train' in present else []
  text = '; '.join(words)
  axes.set_xlabel(text, loc='left', labelpad=6, size=8, color=QUIET)


def _write_figures(
  axes: Axes, row: int, bar: Bar, present: Sequence[str]
) -> None:
  end = axes.get_xlim()[1]
  for column, split in enumerate(present, start=1):
    is_known = split in bar.accuracies
    _write(
      axes,
      f'{bar.accuracies[split][0]:.1%}' if is_known else '-',
      (end, row + BARS['validation'][0]),
      (COLUMN * column + 8, 0),
      va='center',
      size=9,
      color=SPLIT_COLORS[split] if is_known else QUIET,
      weight='bold' if split == 'validation' else 'normal',
    )


def _write(
  axes: Axes,
  text: str,
  place: tuple[float, float],
  shift: tuple[float, float],
  **style: Any,
) -> None:
  """Writes text that ends `shift` points from a place."""
  axes.annotate(
    text,
    place,
    xytext=shift,
    textcoords='offset points',
    ha='right',
    parse_math=False,
    annotation_clip=False,
    **style,
  )
