"""How the cost of a training step grows along its settings."""

from collections.abc import Callable, Sequence
import os
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator
import numpy as np

from ferjax.plots.canvas import (
  CLASS_COLORS,
  FAINT,
  INK,
  LINE,
  QUIET,
  save,
)

TIME_COLOR, MEMORY_COLOR = CLASS_COLORS[0], CLASS_COLORS[2]
WIDTH, ROW = 8.0, 2.3  # inches
ROOM = 0.25  # of a panel, below the lowest and above the highest value
LEAST_SPAN = 0.7  # powers of ten that a panel spans: a hair is no hill
CLEAR = 9  # points between a point of a line and its figure


class Growth(NamedTuple):
  """What a step costs at some values of one setting.

  Attributes:
    title: of the setting, and what is held while it grows.
    unit: of `values`.
    values: of the setting, rising, above 0.
    images: that a step trains on, at each value.
    work: multiply-adds of a forward pass over all of them.
    seconds: of a step.
    memory: bytes of the compiled step, on all devices together.
  """

  title: str
  unit: str
  values: Sequence[float]
  images: Sequence[int]
  work: Sequence[float]
  seconds: Sequence[float]
  memory: Sequence[float]


def plot_scaling(
  growths: Sequence[Growth], path: str | os.PathLike, title: str
) -> None:
  """Draws time and memory of a step, a row of two panels for each setting.

  Both scales of a panel are logarithmic. Beside each line runs a light one: as
  if the cost had grown from the first point in proportion to the work.

  Args:
    growths: at least one, each of at least one value.
    path: the file to write.
    title: of the whole figure.
  """
  figure = Figure(
    figsize=(WIDTH, ROW * len(growths) + 0.7), layout='constrained'
  )
  figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
  rows = figure.subplots(len(growths), 2, squeeze=False)
  for (left, right), growth in zip(rows, growths, strict=True):
    left.set_title(growth.title, loc='left', color=INK, size=10, pad=8)
    for axes, cost, values, color, write in (
      (left, 'time', growth.seconds, TIME_COLOR, format_seconds),
      (right, 'memory', growth.memory, MEMORY_COLOR, format_bytes),
    ):
      # Costs grow to the right: this corner is empty.
      words = {'size': 9, 'color': color, 'weight': 'bold', 'va': 'top'}
      axes.text(0.03, 0.96, cost, transform=axes.transAxes, **words)
      _draw(axes, growth, np.array(values, np.float64), color, write)
  heading = {'x': 0.01, 'ha': 'left'}
  figure.suptitle(title, color=INK, size=11, parse_math=False, **heading)
  note = 'dashed: in proportion to the multiply-adds, from the first point on'
  figure.supxlabel(note, color=QUIET, size=9, **heading)
  save(figure, path)


def format_seconds(seconds: float) -> str:
  """Returns two digits and a unit, as `1.2 s` or `35 ms`."""
  if seconds < 1e-3:
    return f'{_two_digits(1e6 * seconds)} µs'
  if seconds < 1:
    return f'{_two_digits(1e3 * seconds)} ms'
  return f'{_two_digits(seconds)} s'


def format_bytes(size: float) -> str:
  """Returns two digits and a decimal unit, as `1.2 GB` or `35 MB`."""
  for power, unit in ((9, 'GB'), (6, 'MB')):
    if size >= 10**power:
      return f'{_two_digits(size / 10**power)} {unit}'
  return f'{_two_digits(size / 1e3)} kB'


def _two_digits(value: float) -> str:
  return f'{value:,.0f}' if value >= 99.5 else f'{value:.2g}'


def _draw(
  axes: Axes,
  growth: Growth,
  costs: np.ndarray,
  color: str,
  write: Callable[[float], str],
) -> None:
  """Draws one cost, and what it would be in proportion to the work."""
  work = np.array(growth.work, np.float64)
  expected = costs[0] * work / work[0]
  _prepare(axes, growth, np.concatenate([costs, expected]), write)
  axes.plot(
    growth.values, expected, color=LINE, linewidth=1.2, linestyle=(0, (4, 3))
  )
  axes.plot(
    growth.values, costs, color=color, linewidth=1.6, marker='o', markersize=4
  )
  is_below = costs[-1] < expected[-1]  # the figures keep off the other line
  for value, cost in zip(growth.values, costs, strict=True):
    axes.annotate(
      write(cost),
      (value, cost),
      xytext=(0, -CLEAR if is_below else CLEAR),
      textcoords='offset points',
      ha='center',
      va='top' if is_below else 'bottom',
      size=8,
      color=color,
      path_effects=[withStroke(linewidth=2.5, foreground='white')],
    )


def _prepare(
  axes: Axes, growth: Growth, shown: np.ndarray, write: Callable[[float], str]
) -> None:
  """Sets logarithmic scales, ticked at the values and at powers of ten."""
  axes.set(xscale='log', yscale='log')
  first, last = growth.values[0], growth.values[-1]
  side = max((last / first) ** 0.08, 1.1)
  axes.set_xlim(first / side, last * side)
  axes.set_xticks(growth.values, [f'{value:g}' for value in growth.values])
  axes.set_xlabel(growth.unit, color=QUIET, size=9)
  low, high = np.log10([shown.min(), shown.max()])
  span = max(high - low, LEAST_SPAN)
  spare = (span - (high - low)) / 2 + ROOM * span
  axes.set_ylim(10 ** (low - spare), 10 ** (high + spare))
  subs = (1,) if span > 2 else (1, 3) if span > 1 else (1, 2, 5)
  axes.yaxis.set_major_locator(LogLocator(10, subs))
  axes.yaxis.set_major_formatter(FuncFormatter(lambda cost, _: write(cost)))
  axes.minorticks_off()
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(LINE)
  axes.tick_params(color=LINE, labelcolor=QUIET, labelsize=9)
  axes.grid(axis='y', color=FAINT, linewidth=0.8)
  axes.set_axisbelow(True)
