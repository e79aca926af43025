"""Galleries show the pixels that they were given, each with its words."""

import numpy as np
from PIL import Image
import pytest

from ferjax import plots
from ferjax.plots import galleries


@pytest.fixture
def drawn(monkeypatch):
  """Collects the figures that are saved."""
  saved, save = [], galleries.save

  def remember(figure, path):
    saved.append(figure)
    save(figure, path)

  monkeypatch.setattr(galleries, 'save', remember)
  return saved


@pytest.mark.parametrize('channels', [1, 3])
def test_images_keep_their_pixels_and_captions(tmp_path, drawn, channels):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (5, 20, 16, channels)).astype(np.uint8)
  captions = [f'$first {i}\nand a second line far too long' for i in range(5)]
  plots.plot_gallery(images, captions, tmp_path / 'g.png', 3, 'A $title')
  axes = drawn[0].axes[0]
  for image, shown in zip(images, axes.images, strict=True):
    expected = np.broadcast_to(image, (20, 16, 3))
    np.testing.assert_array_equal(shown.get_array(), expected)
  words = [text.get_text() for text in axes.texts]
  assert words[:2] == ['A $title', '$first 0']
  assert all(len(word) <= 18 for word in words[1:])
  left, right, below, above = axes.images[4].get_extent()
  assert (below - above) / (right - left) == pytest.approx(20 / 16)
  with Image.open(tmp_path / 'g.png') as image:
    image.verify()


def test_words_and_images_do_not_overlap(monkeypatch):
  drawn = []
  monkeypatch.setattr(galleries, 'save', lambda figure, _: drawn.append(figure))
  images = np.zeros((9, 48, 48, 1), np.uint8)
  captions = ['neutral → surprise\nvalidation 31234'] * 9
  plots.plot_gallery(images, captions, 'unused', 3, 'A title')
  axes = drawn[0].axes[0]
  texts = [text.get_window_extent() for text in axes.texts]
  boxes = [image.get_window_extent() for image in axes.images] + texts
  for i, box in enumerate(boxes):
    assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_an_empty_gallery_says_so(tmp_path, drawn):
  plots.plot_gallery(np.zeros((0, 8, 8, 1), np.uint8), [], tmp_path / 'g.png')
  words = [text.get_text() for text in drawn[0].axes[0].texts]
  assert words[-1] == 'nothing to show'


def test_captions_must_be_as_many_as_images(tmp_path):
  with pytest.raises(ValueError, match='shorter'):
    plots.plot_gallery(np.zeros((2, 8, 8, 1), np.uint8), ['a'], tmp_path / 'g')


def test_deviations_share_one_scale(tmp_path, drawn):
  means = np.full((2, 24, 24, 1), 100.0)
  deviations = np.full((2, 24, 24, 1), 10.0)
  deviations[1] = 30
  plots.plot_mean_faces(means, deviations, ['a', 'b'], tmp_path / 'm.png')
  low, high = (image.get_array() for image in drawn[0].axes[0].images)
  assert low.shape == (49, 24, 3)
  assert (low[:24] == 100).all()
  assert (low[25:] == 0).all()
  assert (high[25:] == 255).all()
