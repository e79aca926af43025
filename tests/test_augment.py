"""Augmentation against SciPy, NumPy and what the papers say."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from ferjax import augment
from ferjax.config import default_config
from ferjax.errors import UserError

MOVES = {'flip': True, 'shift': 0.2, 'scale': 0.2, 'crop': 2}


def make_config(**settings):
  config = default_config().augment
  config.flip = False
  config.update(settings)
  return config


def make_images(num_images, height=12, width=10, channels=2, seed=0):
  rng = np.random.default_rng(seed)
  shape = (num_images, height, width, channels)
  return rng.random(shape, dtype=np.float32)


def make_keys(num_keys, seed=0):
  return jax.random.split(jax.random.key(seed), num_keys)


def run(images, seed=0, **settings):
  function = jax.jit(augment.make_augment(make_config(**settings)))
  return np.asarray(function(make_keys(len(images), seed), images))


def mix(images, targets, seed=0, **settings):
  function = jax.jit(augment.make_mix(make_config(**settings)))
  mixed = function(jax.random.key(seed), images, targets)
  return tuple(np.asarray(array) for array in mixed)


def warp(image, draws, flip, shift, scale, crop, rotation=0.0):
  """The same moves as one 3x3 matrix in float64, read by SciPy."""
  height, width, channels = image.shape
  u = {name: float(value) for name, value in draws.items()}
  angle = np.radians(rotation) * (2 * u['rotation'] - 1)
  mirror = -1 if flip and u['flip'] < 0.5 else 1
  zoom = 1 + scale * (2 * u['scale'] - 1)
  move = [
    side * shift * (2 * u[f'shift_{axis}'] - 1)
    + int(u[f'crop_{axis}'] * (2 * crop + 1))
    - crop
    for side, axis in ((height, 'y'), (width, 'x'))
  ]
  center = np.array([(height - 1) / 2, (width - 1) / 2])
  turn = np.array(
    [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
  )
  old_to_new = np.eye(3)
  old_to_new[:2, :2] = zoom * np.diag([1, mirror]) @ turn
  old_to_new[:2, 2] = center + move - old_to_new[:2, :2] @ center
  y, x = np.mgrid[:height, :width]
  new = np.stack([y.ravel(), x.ravel(), np.ones(y.size)])
  old = (np.linalg.inv(old_to_new) @ new)[:2]
  return np.stack(
    [
      ndimage.map_coordinates(
        image[..., c].astype(np.float64), old, order=1, mode='nearest'
      ).reshape(height, width)
      for c in range(channels)
    ],
    axis=-1,
  )


@pytest.mark.parametrize('rotation', [0.0, 25.0])
def test_moves_match_one_matrix_read_by_scipy(rotation):
  images = make_images(12)
  moved = run(images, **MOVES, rotation=rotation)
  draws = augment._draw(make_keys(12))
  for i, image in enumerate(images):
    draw = {name: values[i] for name, values in draws.items()}
    expected = warp(image, draw, **MOVES, rotation=rotation)
    np.testing.assert_allclose(moved[i], expected, atol=2e-5)


def test_both_ways_to_read_agree():
  images = make_images(8)
  np.testing.assert_allclose(
    run(images, **MOVES, rotation=1e-6), run(images, **MOVES), atol=1e-5
  )


def test_flip_mirrors_half_of_the_images_exactly():
  images = make_images(200, height=3, width=4)
  flipped = run(images, flip=True)
  is_mirrored = (flipped == images[:, :, ::-1]).all((1, 2, 3))
  is_same = (flipped == images).all((1, 2, 3))
  assert (is_mirrored ^ is_same).all()
  assert 75 < is_mirrored.sum() < 125


def test_crop_cuts_the_padded_image_at_every_whole_offset():
  images = make_images(300, height=5, width=4, channels=1)
  cropped = run(images, crop=1)
  padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode='edge')
  counts = [
    (cropped == padded[:, y : y + 5, x : x + 4]).all((1, 2, 3)).sum()
    for y in range(3)
    for x in range(3)
  ]
  assert sum(counts) == 300
  assert min(counts) > 15  # 33 expected, 5.4 the deviation


def test_draws_are_uniform_and_uncorrelated():
  draws = np.stack(list(augment._draw(make_keys(4000)).values()))
  np.testing.assert_allclose(draws.mean(1), 0.5, atol=0.025)
  np.testing.assert_allclose(np.cov(draws) * 12, np.eye(len(draws)), atol=0.1)


def test_parts_of_a_batch_augment_like_the_whole():
  images, keys = make_images(8), make_keys(8)
  function = jax.jit(
    augment.make_augment(make_config(**MOVES, rotation=10.0, erase=0.5))
  )
  parts = [function(keys[i : i + 4], images[i : i + 4]) for i in (0, 4)]
  np.testing.assert_allclose(
    np.concatenate(parts), function(keys, images), atol=1e-6
  )


def test_erasing_does_not_change_the_moves():
  images = make_images(20)
  moved = run(images, **MOVES)
  erased = run(images, **MOVES, erase=0.5)
  same = (moved == erased).all((1, 2, 3))
  assert 0 < same.sum() < 20


def test_erasing_covers_a_box_with_the_mean():
  images = make_images(400, height=40, width=40, channels=1)
  erased = run(images, erase=0.25)
  covered = (erased != images).any(-1)
  assert 70 < covered.any((1, 2)).sum() < 130
  # Boxes reach every edge.
  assert covered.any((0, 1)).all()
  assert covered.any((0, 2)).all()
  areas, aspects = [], []
  for i in np.flatnonzero(covered.any((1, 2))):
    rows, columns = covered[i].any(1), covered[i].any(0)
    np.testing.assert_array_equal(covered[i], np.outer(rows, columns))
    assert np.ptp(np.flatnonzero(rows)) == rows.sum() - 1
    assert np.ptp(np.flatnonzero(columns)) == columns.sum() - 1
    np.testing.assert_allclose(
      erased[i][covered[i]], images[i].mean(), atol=1e-6
    )
    areas.append(covered[i].mean())
    aspects.append(rows.sum() / columns.sum())
  # Sides are rounded to whole pixels.
  assert 0.01 < min(areas) < 0.06
  assert 0.29 < max(areas) < 0.35
  assert np.mean(areas) == pytest.approx(0.175, abs=0.03)
  assert min(aspects) > 0.25
  assert max(aspects) < 4.0
  assert np.mean(np.log(aspects)) == pytest.approx(0, abs=0.25)


def test_nothing_switched_on_is_no_work():
  images, targets = make_images(2), np.eye(2, dtype=np.float32)
  config = make_config()
  assert augment.make_augment(config)(make_keys(2), images) is images
  mixed = augment.make_mix(config)(jax.random.key(0), images, targets)
  assert mixed[0] is images
  assert mixed[1] is targets


@pytest.mark.parametrize('alpha', [0.2, 1.0])
def test_mixup_blends_images_as_targets(alpha):
  n = 2000
  images = make_images(n, height=2, width=2)
  # Two classes in turn, so that neighbours differ.
  targets = np.eye(2, dtype=np.float32)[np.arange(n) % 2]
  mixed_images, mixed_targets = mix(images, targets, mixup=alpha)
  share = mixed_targets[np.arange(n), np.arange(n) % 2].astype(np.float64)
  blend = share[:, None, None, None]
  np.testing.assert_allclose(
    mixed_images,
    blend * images + (1 - blend) * np.roll(images, 1, 0),
    atol=1e-6,
  )
  np.testing.assert_allclose(mixed_targets.sum(1), 1, atol=1e-6)
  assert share.mean() == pytest.approx(0.5, abs=0.04)
  variance = 1 / (4 * (2 * alpha + 1))  # of Beta(alpha, alpha)
  assert share.var() == pytest.approx(variance, rel=0.1)


def test_cutmix_shares_targets_by_the_true_area():
  n, side = 1000, 16
  images = make_images(n, height=side, width=side, channels=1)
  targets = np.eye(2, dtype=np.float32)[np.arange(n) % 2]
  mixed_images, mixed_targets = mix(images, targets, cutmix=1.0)
  own = (mixed_images == images)[..., 0]
  partner = (mixed_images == np.roll(images, 1, 0))[..., 0]
  assert (own ^ partner).all()
  for box in partner:
    np.testing.assert_array_equal(box, np.outer(box.any(1), box.any(0)))
  share = mixed_targets[np.arange(n), np.arange(n) % 2]
  np.testing.assert_allclose(share, own.mean((1, 2)), atol=1e-6)
  assert partner.mean() == pytest.approx(_cutmix_area(side), abs=0.03)


def _cutmix_area(side):
  """The mean area of 100,000 boxes, by the authors' code (alpha 1)."""
  rng = np.random.default_rng(0)
  cut = (side * np.sqrt(1 - rng.random(100_000))).astype(int)
  spans = []
  for _ in range(2):
    center = rng.integers(side, size=len(cut))
    low = np.clip(center - cut // 2, 0, side)
    spans.append(np.clip(center + cut // 2, 0, side) - low)
  return np.mean(spans[0] * spans[1]) / side**2


def test_with_both_on_each_example_takes_one_of_them():
  n = 400
  images = make_images(n, height=8, width=8, channels=1)
  targets = np.eye(2, dtype=np.float32)[np.arange(n) % 2]
  mixed_images, mixed_targets = mix(images, targets, mixup=1.0, cutmix=1.0)
  partners = np.roll(images, 1, 0)
  is_pasted = ((mixed_images == images) | (mixed_images == partners)).all(
    (1, 2, 3)
  )
  assert 160 < is_pasted.sum() < 240
  share = mixed_targets[np.arange(n), np.arange(n) % 2][:, None, None, None]
  np.testing.assert_allclose(
    mixed_images[~is_pasted],
    (share * images + (1 - share) * partners)[~is_pasted],
    atol=1e-6,
  )


def test_lowers_for_every_platform():
  config = make_config(**MOVES, rotation=10.0, erase=0.5, mixup=0.2, cutmix=1.0)

  def function(key, images, targets):
    keys = jax.random.split(key, len(images))
    images = augment.make_augment(config)(keys, images)
    return augment.make_mix(config)(key, images, targets)

  platforms = ('cpu', 'cuda', 'tpu')
  exported = jax.export.export(jax.jit(function), platforms=platforms)(
    jax.random.key(0), make_images(2), np.eye(2, dtype=np.float32)
  )
  assert exported.platforms == platforms


def test_default_settings_are_valid():
  augment.validate(default_config().augment)


@pytest.mark.parametrize(
  ('name', 'value', 'message'),
  [
    ('erase', 1.5, 'config.augment.erase is 1.5; it is a probability, 0 to 1'),
    ('shift', -0.1, 'config.augment.shift is -0.1'),
    ('scale', 1.0, 'config.augment.scale is 1.0'),
    ('rotation', float('nan'), 'config.augment.rotation is nan; it is degrees'),
    ('crop', -1, 'config.augment.crop is -1; it is pixels'),
    ('mixup', -0.2, 'config.augment.mixup is -0.2; it is the alpha'),
    ('cutmix', float('inf'), 'config.augment.cutmix is inf'),
  ],
)
def test_settings_out_of_range_are_refused(name, value, message):
  with pytest.raises(UserError, match=message):
    augment.validate(make_config(**{name: value}))
