"""Training curves: loss and accuracy over the epochs."""

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
  TRAIN_COLOR,
  VALIDATION_COLOR,
  save,
)

History = Sequence[Mapping[str, float | None]]


def plot_curves(history: History, path: str | os.PathLike) -> None:
  """Draws loss and accuracy, training against validation, over the epochs.

  The validation with the highest accuracy is marked in both panels. Where no
  record has an `epoch`, the axis counts steps.

  Args:
    history: the records of `logs.read_metrics`; each has a `step` and any of
      `epoch`, `train/loss`, `train/accuracy`, `val/loss`, `val/accuracy`.
      Values that are missing or not finite leave a gap.
    path: the file to write.
  """
  figure = Figure(figsize=(10, 4), layout='constrained')
  steps_per_epoch, best_step = _steps_per_epoch(history), _best_step(history)
  end = max((r['step'] for r in history), default=0) / (steps_per_epoch or 1)
  panels = figure.subplots(1, 2)
  for axes, metric in zip(panels, ('loss', 'accuracy'), strict=True):
    _prepare_panel(axes, metric, 'epoch' if steps_per_epoch else 'step', end)
    for split, color in (('train', TRAIN_COLOR), ('val', VALIDATION_COLOR)):
      steps, values = _series(history, f'{split}/{metric}')
      if not np.isfinite(values).any():
        continue
      x = steps / (steps_per_epoch or 1)
      axes.plot(
        x,
        values,
        color=color,
        label='training' if split == 'train' else 'validation',
        linewidth=1.2 if split == 'train' else 1.8,
        marker='o' if len(x) <= (1 if split == 'train' else 30) else None,
        markersize=3.5,
      )
      if split == 'val' and best_step in steps:
        at = np.flatnonzero(steps == best_step)[0]
        _mark_best(axes, x[at], values[at], metric)
    place = 'upper right' if metric == 'loss' else 'lower right'
    if axes.lines:
      axes.legend(loc=place, frameon=False, labelcolor='linecolor', fontsize=9)
    else:
      axes.set(xticks=[], yticks=[])
      axes.text(0.02, 0.5, 'nothing recorded', color=QUIET)
  save(figure, path)


def _prepare_panel(axes: Axes, metric: str, unit: str, end: float) -> None:
  """Leaves two spines, quiet ticks and horizontal rules."""
  axes.set_title(metric.capitalize(), loc='left', color=INK, size=11, pad=10)
  axes.set_xlabel(unit, color=QUIET)
  axes.set_xlim(0, 1.02 * end or 1)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(LINE)
  axes.tick_params(color=LINE, labelcolor=QUIET, labelsize=9)
  axes.grid(axis='y', color=FAINT, linewidth=0.8)
  axes.xaxis.set_major_locator(
    MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
  )
  if metric == 'accuracy':
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))


def _mark_best(axes: Axes, x: float, y: float, metric: str) -> None:
  """Rings the best validation; its label, above, never meets the curves."""
  if np.isnan(y):
    return
  ring = {'mec': VALIDATION_COLOR, 'mew': 1.8, 'mfc': 'white', 'ms': 8}
  axes.plot(x, y, 'o', zorder=5, clip_on=False, **ring)
  label = f'○ {y:.3f} at best accuracy'
  if metric == 'accuracy':
    when = f'{axes.get_xlabel()} {x:,.1f}'.removesuffix('.0')
    label = f'○ best {y:.1%}, {when}'
  axes.set_title(label, loc='right', size=9, color=VALIDATION_COLOR, pad=10)


def _series(history: History, key: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns the steps and values of one metric, float64 `[n]` each."""
  points = [(r['step'], r[key]) for r in history if key in r]
  steps, values = np.array(points, np.float64).reshape(-1, 2).T
  return steps, np.where(np.isfinite(values), values, np.nan)


def _steps_per_epoch(history: History) -> float | None:
  """Returns how many steps make an epoch, None where no record says it."""
  steps, epochs = _series(history, 'epoch')
  ratios = steps[epochs > 0] / epochs[epochs > 0]
  return float(np.median(ratios)) if ratios.size else None


def _best_step(history: History) -> float | None:
  """Returns the first step of the highest validation accuracy, if any."""
  steps, values = _series(history, 'val/accuracy')
  return steps[np.nanargmax(values)] if np.isfinite(values).any() else None
