"""Figures: curves, confusion matrices, samples of a data set, comparisons.

Built from `Figure` objects alone, never `pyplot`: no global state, no display,
safe in threads. The suffix of the path sets the format (`.png`, `.pdf`,
`.svg`); a file appears whole or not at all.
"""

from ferjax.plots.bars import Bar, plot_comparison
from ferjax.plots.canvas import INK
from ferjax.plots.confusion import plot_confusion
from ferjax.plots.curves import plot_curves
from ferjax.plots.samples import plot_samples

__all__ = [
  'INK',
  'Bar',
  'plot_comparison',
  'plot_confusion',
  'plot_curves',
  'plot_samples',
]
