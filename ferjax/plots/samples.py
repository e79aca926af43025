"""Samples of a data set."""

from collections.abc import Sequence
import os

from matplotlib.figure import Figure
import numpy as np

from ferjax.plots.canvas import INK, save, shorten


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
    [shorten(name) for name in class_names],
    parse_math=False,
  )
  save(figure, path)
