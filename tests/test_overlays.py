"""Heat maps over images: what is shown is what was given."""

import matplotlib
import numpy as np
from PIL import Image
import pytest

from ferjax.plots import overlays


@pytest.mark.parametrize('channels', [1, 3])
def test_the_heat_lies_over_its_own_image(tmp_path, drawn, channels):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (4, 10, 16, channels), np.uint8)
  heat = rng.random((4, 10, 16))
  captions = [f'image {i}\n$50 of_{i}' for i in range(4)]
  path = tmp_path / 'new' / 'overlays.png'
  overlays.plot_overlays(images, heat, captions, path, title='where')
  with Image.open(path) as image:
    assert min(image.size) > 300
  panels = [axes for axes in drawn[0].axes if axes.images]
  assert len(panels) == 4
  for i, axes in enumerate(panels):
    assert axes.get_title(loc='left') == captions[i]
    shown = axes.images[0].get_array()
    plain = np.broadcast_to(images[i] / 255, (10, 16, 3))
    np.testing.assert_allclose(shown[:, :16], plain)
    colors = matplotlib.colormaps['viridis'](heat[i])[..., :3]
    expected = (plain + colors) / 2
    np.testing.assert_allclose(shown[:, -16:], expected)


def test_nothing_overlaps(tmp_path, drawn):
  images = np.zeros((5, 48, 48, 1), np.uint8)
  captions = ['a very long name of a class, not another one: 99%\nx'] * 5
  path = tmp_path / 'overlays.png'
  overlays.plot_overlays(images, np.zeros((5, 48, 48)), captions, path)
  figure = drawn[0]
  figure.draw_without_rendering()  # at one resolution, unlike the file
  boxes = []
  for axes in figure.axes:
    if axes.images:
      boxes.append(axes.get_window_extent())
      boxes.append(axes._left_title.get_window_extent())
  for i, box in enumerate(boxes):
    for other in boxes[i + 1 :]:
      assert not box.overlaps(other)


def test_one_image_is_enough(tmp_path):
  images = np.zeros((1, 8, 8, 1), np.uint8)
  overlays.plot_overlays(images, np.ones((1, 8, 8)), [''], tmp_path / 'x.png')
