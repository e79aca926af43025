"""How bright the images of each split are."""

from collections.abc import Mapping
import os

from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter
import numpy as np

from ferjax.plots.canvas import FAINT, LINE, QUIET, SPLIT_COLORS, save

BIN = 8  # grey levels


def plot_brightness(
  brightness: Mapping[str, np.ndarray], path: str | os.PathLike
) -> None:
  """Draws the histogram of each split's brightness as a line of steps.

  Args:
    brightness: by split, the mean of each image's pixels, float `[n]` in
      [0, 255].
    path: the file to write.
  """
  figure = Figure(figsize=(9, 3.4), layout='constrained')
  axes = figure.add_subplot()
  edges = np.arange(0, 257, BIN)
  for split, values in brightness.items():
    counts, _ = np.histogram(values, edges)
    axes.stairs(
      counts / max(len(values), 1),
      edges,
      color=SPLIT_COLORS[split],
      linewidth=1.6,
      label=f'{split}, mean {np.mean(values):.0f}' if len(values) else split,
    )
  axes.set_xlim(0, 256)
  axes.set_ylim(bottom=0)
  axes.set_xlabel('mean grey level of an image', color=QUIET, labelpad=6)
  axes.set_ylabel('share of the split', color=QUIET, labelpad=8)
  axes.xaxis.set_major_locator(MultipleLocator(32))
  axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(LINE)
  axes.tick_params(color=LINE, labelcolor=QUIET, labelsize=9)
  axes.grid(axis='y', color=FAINT, linewidth=0.8)
  axes.set_axisbelow(True)
  axes.legend(
    loc='upper right', frameon=False, labelcolor='linecolor', fontsize=9
  )
  save(figure, path)
