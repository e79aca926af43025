"""Reliability diagrams show the gaps between confidence and accuracy."""

import numpy as np
from PIL import Image
import pytest

from ferjax import plots
from ferjax.statistics import calibration

# Ten guesses at 75%, four of them right, and ten at 95%, all right.
PROBABILITIES = np.repeat([[0.75, 0.25], [0.95, 0.05]], 10, axis=0)
LABELS = np.array([0] * 4 + [1] * 6 + [0] * 10)


def test_bars_end_at_accuracy_and_confidence(tmp_path, drawn):
  table = calibration.reliability(PROBABILITIES, LABELS, num_bins=10)
  path = tmp_path / 'reliability.png'
  plots.plot_reliability({'as trained': table}, path, 'a $title')
  with Image.open(path) as image:
    image.verify()
  upper, lower = drawn[0].axes
  spans = [(bar.get_y(), bar.get_height()) for bar in upper.patches]
  assert spans == [
    pytest.approx(span)
    for span in [(0, 0.4), (0, 0.95), (0.4, 0.35), (0.95, 0.05)]
  ]
  # Too sure at first, not sure enough in the end.
  assert upper.patches[2].get_facecolor() != upper.patches[3].get_facecolor()
  assert [bar.get_height() for bar in lower.patches] == [0] * 7 + [10, 0, 10]
  assert upper.get_title(loc='left') == (
    'as trained\nECE 20.0% · accuracy 70.0% · mean confidence 85.0%'
  )


def test_before_and_after_stand_side_by_side(tmp_path, drawn):
  fitted = calibration.fit_temperature(PROBABILITIES, LABELS)
  mended = calibration.apply_temperature(PROBABILITIES, fitted)
  tables = {
    'as trained': calibration.reliability(PROBABILITIES, LABELS),
    f'temperature {fitted:.2f}': calibration.reliability(mended, LABELS),
  }
  plots.plot_reliability(tables, tmp_path / 'reliability.png', 'title')
  titles = [axes.get_title(loc='left') for axes in drawn[0].axes[:2]]
  for title, (name, table) in zip(titles, tables.items(), strict=True):
    assert title.startswith(f'{name}\nECE {table.error:.1%}')


def test_no_examples(tmp_path, drawn):
  table = calibration.reliability(np.zeros((0, 7)), np.zeros(0, int))
  plots.plot_reliability({'nothing': table}, tmp_path / 'r.png', 'title')
  assert drawn[0].axes[0].get_title(loc='left') == 'nothing\nno examples'
