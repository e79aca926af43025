"""The lines are the costs, the dashed ones what is in proportion to them."""

import itertools

from matplotlib.colors import to_hex
import numpy as np
from PIL import Image
import pytest

from ferjax.plots import scaling

BATCHES = (8, 16, 32, 64, 128, 256, 512)
BATCH = scaling.Growth(
  title='Batch size',
  unit='images a step',
  values=BATCHES,
  images=BATCHES,
  work=[29e6 * n for n in BATCHES],
  seconds=[0.019, 0.031, 0.058, 0.113, 0.23, 0.45, 0.91],
  memory=[22e6 + 1.95e6 * n for n in BATCHES],
)
DEVICES = scaling.Growth(
  title='Virtual devices',
  unit='devices',
  values=(1, 2, 4, 8),
  images=[64] * 4,
  work=[29e6] * 4,
  seconds=[0.113, 0.115, 0.13, 0.19],
  memory=[127e6, 135e6, 150e6, 190e6],
)
ONE = scaling.Growth('One', 'of them', [2], [8], [1e6], [3e-4], [2e4])


def test_lines_and_what_is_written_on_them(tmp_path, drawn):
  path = tmp_path / 'new' / 'scaling.png'
  scaling.plot_scaling([BATCH, DEVICES], path, 'costs_of $x')
  with Image.open(path) as image:
    assert image.size[0] > 1200
  panels = drawn[0].axes
  assert len(panels) == 4
  costs = [c for g in (BATCH, DEVICES) for c in (g.seconds, g.memory)]
  for axes, growth, values in zip(
    panels, (BATCH, BATCH, DEVICES, DEVICES), costs, strict=True
  ):
    expected, measured = axes.lines
    for line in (expected, measured):
      np.testing.assert_array_equal(line.get_xdata(), growth.values)
    np.testing.assert_array_equal(measured.get_ydata(), values)
    slope = growth.work[-1] / growth.work[0]
    assert expected.get_ydata()[-1] == pytest.approx(values[0] * slope)
    assert to_hex(measured.get_color()) != to_hex(expected.get_color())
    written = [text.get_text() for text in axes.texts[1:]]
    write = scaling.format_bytes if values is growth.memory else None
    assert written == [(write or scaling.format_seconds)(v) for v in values]
    ticks = [float(label.get_text()) for label in axes.get_xticklabels()]
    assert ticks == list(growth.values)


def test_no_text_lies_on_another_or_outside(tmp_path, drawn):
  scaling.plot_scaling([BATCH, DEVICES, ONE], tmp_path / 'scaling.png', 'title')
  figure = drawn[0]
  figure.draw_without_rendering()
  for axes in figure.axes:
    boxes = [text.get_window_extent() for text in axes.texts]
    for one, other in itertools.combinations(boxes, 2):
      assert not one.overlaps(other)
    frame = axes.get_window_extent()
    assert all(frame.y0 < box.y0 and box.y1 < frame.y1 for box in boxes)


@pytest.mark.parametrize(
  ('seconds', 'text'),
  [(25e-6, '25 µs'), (0.0354, '35 ms'), (0.113, '113 ms'), (1.25, '1.2 s')],
)
def test_seconds(seconds, text):
  assert scaling.format_seconds(seconds) == text


@pytest.mark.parametrize(
  ('size', 'text'),
  [(2500, '2.5 kB'), (127.4e6, '127 MB'), (1.26e9, '1.3 GB')],
)
def test_bytes(size, text):
  assert scaling.format_bytes(size) == text
