"""Points by class: all are there, in colours that stay apart."""

from matplotlib.colors import to_hex
import numpy as np
from PIL import Image
import pytest

from ferjax.plots import scatter

NAMES = ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')


def shown(axes):
  """The points of each colour and marker, as a set."""
  found = {}
  for i, collection in enumerate(axes.collections):
    for place, color in zip(
      collection.get_offsets(), collection.get_facecolors(), strict=True
    ):
      found.setdefault((i, to_hex(color).upper()), set()).add(tuple(place))
  return found


@pytest.mark.parametrize('num_classes', [7, 20])
def test_each_class_has_its_points_and_a_look_of_its_own(
  tmp_path, drawn, num_classes
):
  rng = np.random.default_rng(0)
  points = rng.standard_normal((200, 2))
  labels = rng.integers(0, num_classes - 1, 200)  # none of the last class
  names = [f'class $ {i}' for i in range(num_classes)]
  path = tmp_path / 'new' / 'scatter.png'
  scatter.plot_scatter(points, labels, names, path, 'title', ('one', 'two'))
  with Image.open(path) as image:
    assert min(image.size) > 600
  (axes,) = drawn[0].axes
  found = shown(axes)
  for label in range(num_classes - 1):
    turn, color = divmod(label, len(scatter.CLASS_COLORS))
    expected = set(map(tuple, points[labels == label]))
    assert found.pop((turn, scatter.CLASS_COLORS[color])) == expected
  assert not found
  counts = np.bincount(labels)
  legend = [text.get_text() for text in axes.get_legend().get_texts()]
  assert legend == [
    f'class $ {i} ({counts[i]})' for i in range(num_classes - 1)
  ]
  looks = [
    (h.get_color(), h.get_marker()) for h in axes.get_legend().legend_handles
  ]
  assert len(set(looks)) == num_classes - 1


def test_the_legend_stands_beside_the_panel(tmp_path, drawn):
  points = np.random.default_rng(0).standard_normal((70, 2))
  labels = np.arange(70) % 7
  scatter.plot_scatter(points, labels, NAMES, tmp_path / 'scatter.png')
  drawn[0].draw_without_rendering()  # at one resolution, unlike the file
  (axes,) = drawn[0].axes
  legend = axes.get_legend().get_window_extent()
  assert not legend.overlaps(axes.get_window_extent())


@pytest.mark.parametrize('count', [0, 1])
def test_few_points_are_drawn_too(tmp_path, count):
  points, labels = np.zeros((count, 2)), np.zeros(count, np.int64)
  scatter.plot_scatter(points, labels, NAMES, tmp_path / 'scatter.png')
