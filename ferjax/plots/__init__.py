"""Figures of data sets, trainings, evaluations and comparisons.

Built from `Figure` objects alone, never `pyplot`: no global state, no display,
safe in threads. The suffix of the path sets the format (`.png`, `.pdf`,
`.svg`); a file appears whole or not at all.
"""

from ferjax.plots.bars import Bar, plot_comparison
from ferjax.plots.canvas import INK
from ferjax.plots.confusion import plot_confusion
from ferjax.plots.counts import plot_counts
from ferjax.plots.curves import plot_curves
from ferjax.plots.galleries import plot_gallery, plot_mean_faces
from ferjax.plots.histogram import plot_brightness
from ferjax.plots.overlays import plot_overlays
from ferjax.plots.rates import plot_rates
from ferjax.plots.reliability import plot_reliability
from ferjax.plots.samples import plot_samples
from ferjax.plots.scatter import plot_scatter

__all__ = [
  'INK',
  'Bar',
  'plot_brightness',
  'plot_comparison',
  'plot_confusion',
  'plot_counts',
  'plot_curves',
  'plot_gallery',
  'plot_mean_faces',
  'plot_overlays',
  'plot_rates',
  'plot_reliability',
  'plot_samples',
  'plot_scatter',
]
