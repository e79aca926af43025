"""How many examples each class has in each split."""

from collections.abc import Mapping, Sequence
import os

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
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

BAR = 0.16  # inches that a bar takes
GAP = 0.14  # inches between two classes


def plot_counts(
  counts: Mapping[str, np.ndarray],
  class_names: Sequence[str],
  path: str | os.PathLike,
) -> None:
  """Draws a bar for each class and split, with the count at its end.

  The length is the share of the split, so that splits of any size compare.

  Args:
    counts: by split, int `[k]`.
    class_names: k names, from the top.
    path: the file to write.
  """
  pitch = BAR * len(counts) + GAP
  height = pitch * len(class_names) + 0.75
  figure = Figure(figsize=(9, height), layout='constrained')
  axes = figure.add_subplot()
  shares = {s: n / max(n.sum(), 1) for s, n in counts.items()}
  end = max((s.max(initial=0) for s in shares.values()), default=0)
  _prepare(axes, class_names, 1.12 * end or 1)
  for place, (split, values) in enumerate(counts.items()):
    shift = (place - (len(counts) - 1) / 2) * BAR / pitch
    rows = np.arange(len(class_names)) + shift
    bars = axes.barh(
      rows,
      shares[split],
      0.86 * BAR / pitch,
      color=SPLIT_COLORS[split],
      label=f'{split} ({values.sum():,})',
    )
    texts = [f'{n:,}' for n in values]
    axes.bar_label(bars, texts, padding=3, size=7.5, color=QUIET)
  axes.legend(
    loc='lower left',
    bbox_to_anchor=(-0.01, 1),
    ncols=len(counts),
    frameon=False,
    labelcolor='linecolor',
    fontsize=9,
    handlelength=0.7,
    handleheight=0.7,
    borderaxespad=0.2,
  )
  save(figure, path)


def _prepare(axes: Axes, class_names: Sequence[str], end: float) -> None:
  names = [shorten(name) for name in class_names]
  axes.set_yticks(range(len(names)), names, parse_math=False)
  axes.set_ylim(len(names) - 0.5, -0.5)
  axes.set_xlim(0, end)
  axes.set_xlabel('share of the split', color=QUIET, labelpad=6)
  axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
  axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
  axes.spines[['top', 'right', 'bottom']].set_visible(False)
  axes.spines['left'].set_color(LINE)
  axes.tick_params(axis='x', length=0, labelcolor=QUIET, labelsize=9)
  axes.tick_params(axis='y', length=0, labelcolor=INK, labelsize=10, pad=6)
  axes.grid(axis='x', color=FAINT, linewidth=0.8)
  axes.set_axisbelow(True)
