"""Figures: training curves, confusion matrices, samples of a data set.

Built from `Figure` objects alone, never `pyplot`: no global state, no display,
safe in threads. The suffix of the path sets the format (`.png`, `.pdf`,
`.svg`); a file appears whole or not at all.
"""

from collections.abc import Mapping, Sequence
import os
import pathlib

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
import numpy as np

# Blue and vermilion stay apart for every colour vision (Okabe and Ito, 2008).
TRAIN_COLOR, VALIDATION_COLOR = '#0072B2', '#D55E00'
INK, QUIET, LINE, FAINT = '#222222', '#666666', '#BBBBBB', '#E3E3E3'
DPI = 180
LONGEST_NAME = 24  # characters of a class name that a figure shows

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
  _save(figure, path)


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
  names = [_shorten(name) for name in class_names]
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
  _save(figure, path)


def plot_samples(
  images: np.ndarray,
  labels: np.ndarray,
  class_names: Sequence[str],
  path: str | os.PathLike,
  columns: int = 10,
) -> None:
  """Draws the first images of each class, one row a class.

  Args:
    images: uint8 `[n, height, width, channels]`, one or three channels.
    labels: int `[n]`, positions in `class_names`.
    class_names: the name of each row.
    path: the file to write.
    columns: the most images a row.
  """
  _, height, width, channels = images.shape
  gap = max(1, min(height, width) // 16)
  pitch = np.array([height + gap, width + gap])
  rows, across = pitch * (len(class_names), columns) - gap
  sheet = np.full((rows, across, channels), 255, np.uint8)
  for row in range(len(class_names)):
    for column, index in enumerate(np.flatnonzero(labels == row)[:columns]):
      top, left = pitch * (row, column)
      sheet[top : top + height, left : left + width] = images[index]
  wide = 0.75 * columns  # inches
  size = (wide + 1.5, wide * rows / across + 0.3)
  figure = Figure(figsize=size, layout='constrained')
  axes = figure.add_subplot()
  # One channel needs repeating: a colour map would stretch the grey values.
  axes.imshow(np.broadcast_to(sheet, (rows, across, 3)))
  axes.spines[:].set_visible(False)
  axes.tick_params(length=0, labelsize=10, labelcolor=INK, pad=6)
  axes.set_xticks([])
  axes.set_yticks(
    np.arange(len(class_names)) * pitch[0] + height / 2,
    [_shorten(name) for name in class_names],
    parse_math=False,
  )
  _save(figure, path)


def _save(figure: Figure, path: str | os.PathLike) -> None:
  """Writes the figure under another name first, then renames it."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(f'.{path.stem}.{os.getpid()}{path.suffix}')
  try:
    figure.savefig(partial, dpi=DPI, bbox_inches='tight', pad_inches=0.12)
    os.replace(partial, path)
  finally:
    partial.unlink(missing_ok=True)


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


def _shorten(name: str) -> str:
  """Cuts a class name that would push the figure aside."""
  return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + '…'
