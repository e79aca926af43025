"""Views of images, against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import views
from ferjax.errors import UserError

SHAPES = [(2, 48, 48, 1), (2, 13, 10, 3)]


def enlarge(image, height, width):
  """Bilinear, pixels as squares, edges repeated; in loops and float64."""

  def read(size, side):
    # Where each new pixel's centre lies among the old ones.
    places = (np.arange(size) + 0.5) * side / size - 0.5
    places = np.clip(places, 0, side - 1)
    low = np.floor(places).astype(int)
    return low, np.minimum(low + 1, side - 1), places - low

  rows, columns = read(height, image.shape[0]), read(width, image.shape[1])
  result = np.zeros((height, width, image.shape[2]))
  for y in range(height):
    for x in range(width):
      top, bottom, down = (part[y] for part in rows)
      left, right, across = (part[x] for part in columns)
      upper = (1 - across) * image[top, left] + across * image[top, right]
      lower = (1 - across) * image[bottom, left] + across * image[bottom, right]
      result[y, x] = (1 - down) * upper + down * lower
  return result


def expected_views(name, image):
  """All views of one image `[height, width, channels]`, in order."""
  height, width, _ = image.shape
  scales = {'ten_crop': [5 / 6], 'multi_crop': [0.92, 0.84]}.get(name, [])
  plain = [] if name == 'ten_crop' else [image]
  for scale in scales:
    h, w = round(height * scale), round(width * scale)
    middle = (height - h) // 2, (width - w) // 2
    ends = [(0, 0), (0, width - w), (height - h, 0), (height - h, width - w)]
    for top, left in [middle, *ends]:
      part = image[top : top + h, left : left + w]
      plain.append(enlarge(part, height, width))
  if name == 'shift':
    down, right = round(height / 24), round(width / 24)
    for rows in (down, -down):
      for columns in (right, -right):
        y = np.clip(np.arange(height) - rows, 0, height - 1)
        x = np.clip(np.arange(width) - columns, 0, width - 1)
        plain.append(image[y][:, x])
  if name == 'none':
    return plain
  return [view for each in plain for view in (each, each[:, ::-1])]


@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize(
  ('name', 'count'),
  [
    ('none', 1),
    ('flip', 2),
    ('shift', 10),
    ('ten_crop', 10),
    ('multi_crop', 22),
  ],
)
def test_views_equal_numpy(name, count, shape):
  images = np.random.default_rng(0).random(shape, np.float32)
  seen = views.make_views(name)
  assert len(seen) == count
  stacked = np.asarray(views.stack(seen, jnp.asarray(images)))
  assert stacked.dtype == np.float32
  stacked = stacked.reshape(count, *shape)
  for i, image in enumerate(images.astype(np.float64)):
    expected = expected_views(name, image)
    np.testing.assert_allclose(stacked[:, i], expected, atol=1e-5)


def test_ten_crop_takes_forty_of_forty_eight_pixels():
  crops = views.five_crops(48, 48, views.TEN_CROP_SCALE)
  corners = [(c.top, c.left) for c in crops]
  assert corners == [(4, 4), (0, 0), (0, 8), (8, 0), (8, 8)]
  assert {(c.height, c.width) for c in crops} == {(40, 40)}


def test_one_pixel_is_left_of_the_smallest_image():
  images = jnp.full((1, 1, 1, 1), 0.5)
  for view in views.make_views('ten_crop'):
    assert view(images).tolist() == images.tolist()


def test_probabilities_are_averaged_not_logits():
  logits = np.array([[3, 0], [0, 0], [-1, 0], [0, 5]], np.float32)
  single = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  mean = views.average(jnp.asarray(logits), 2)  # two views of two images
  expected = [single[[0, 2]].mean(0), single[[1, 3]].mean(0)]
  np.testing.assert_allclose(mean, expected, rtol=1e-6)
  alone = views.average(jnp.asarray(logits), 1)
  np.testing.assert_array_equal(alone, jax.nn.softmax(jnp.asarray(logits)))


def test_an_unknown_name_is_answered_with_all():
  with pytest.raises(
    UserError, match='none, flip, shift, ten_crop, multi_crop'
  ):
    views.make_views('five_crop')
