"""The curves that are drawn are those that were given, and are named."""

import numpy as np
from PIL import Image
import pytest

from ferjax import plots
from ferjax.statistics import rates


def draw(num_classes):
  """Curves of classes of which the last has no examples."""
  rng = np.random.default_rng(0)
  probabilities = rng.dirichlet(np.ones(num_classes), 90)
  labels = rng.integers(num_classes - 1, size=90)
  return rates.one_against_rest(probabilities, labels)


def looks(lines):
  return [(line.get_color(), str(line._dash_pattern)) for line in lines]


def test_curves_and_their_areas(tmp_path, drawn):
  curves = draw(4)
  path = tmp_path / 'rates.png'
  names = ('a $name', 'b' * 40, 'c', 'd')
  plots.plot_rates(curves, names, path, 'a $title')
  with Image.open(path) as image:
    image.verify()
  roc, precision, table = drawn[0].axes
  chance, *lines = roc.lines
  assert chance.get_xydata().tolist() == [[0, 0], [1, 1]]
  assert len(lines) == len(precision.lines) == len(table.lines) == 3
  for i, curve in enumerate(curves[:3]):
    x, y = lines[i].get_data()
    np.testing.assert_array_equal(x, curve.false_positive_rate)
    np.testing.assert_array_equal(y, curve.recall)
    x, y = precision.lines[i].get_data()
    np.testing.assert_array_equal(x, curve.recall)
    np.testing.assert_array_equal(y, curve.precision)
  assert looks(lines) == looks(precision.lines) == looks(table.lines)
  words = [text.get_text() for text in table.texts]
  assert words[3:6] == [
    'a $name',
    f'{rates.roc_auc(curves[0]):.3f}',
    f'{rates.average_precision(curves[0]):.3f}',
  ]
  assert words[12:15] == ['d', '-', '-']
  mean = np.mean([rates.roc_auc(curve) for curve in curves[:3]])
  assert words[15:17] == ['mean', f'{mean:.3f}']


@pytest.mark.parametrize('num_classes', [3, 8, 21])
def test_lines_differ_and_words_do_not_meet(tmp_path, drawn, num_classes):
  names = ['a long name of a class'] * num_classes
  plots.plot_rates(draw(num_classes), names, tmp_path / 'rates.png', 'title')
  drawn[0].draw_without_rendering()  # places everything
  *_, table = drawn[0].axes
  assert len(set(looks(table.lines))) == num_classes - 1
  boxes = [text.get_window_extent() for text in table.texts if text.get_text()]
  for i, box in enumerate(boxes):
    assert not any(box.overlaps(other) for other in boxes[:i])
