"""Hashes of images against SciPy's transform; pairs against all pairs."""

import numpy as np
import pytest
from scipy import fft

from ferjax.data import perceptual


def draw(rng, n, height=40, width=48, channels=1):
  """Draws coarse images with a little noise, no two alike."""
  coarse = rng.uniform(30, 225, (n, 5, 6, channels))
  rows = np.linspace(0, 3.99, height).astype(int)
  columns = np.linspace(0, 4.99, width).astype(int)
  images = coarse[:, rows][:, :, columns]
  return (images + rng.uniform(-25, 25, images.shape)).astype(np.uint8)


@pytest.mark.parametrize('channels', [1, 3])
def test_hashes_are_those_of_scipy(channels):
  images = draw(np.random.default_rng(0), 20, channels=channels)
  values = perceptual.hashes(images)
  for image, value in zip(images, values, strict=True):
    spectrum = fft.dctn(image.mean(axis=2), type=2)
    # Without the norm, SciPy's coefficients are these but for a factor.
    low = spectrum[1:9, 1:9].reshape(-1)
    bits = ''.join('01'[int(b)] for b in low > np.median(low))
    assert f'{value:064b}' == bits


def test_pairs_are_those_of_all_pairs(monkeypatch):
  monkeypatch.setattr(perceptual, '_TILE', 300)  # several rows at once
  monkeypatch.setattr(perceptual, '_CHUNK', 7)
  rng = np.random.default_rng(1)
  images = draw(rng, 60)
  noise = rng.integers(-6, 7, images.shape)
  noisy = np.clip(images.astype(int) + noise, 0, 255).astype(np.uint8)
  images = np.concatenate([images, noisy[:30]])[rng.permutation(90)]
  found = {
    (a, b): (d, c)
    for pairs in perceptual.near_pairs(images, 12, 0.7)
    for a, b, d, c in zip(*pairs, strict=True)
  }
  values = perceptual.hashes(images)
  expected = {}
  for a in range(90):
    for b in range(a + 1, 90):
      distance = int(values[a] ^ values[b]).bit_count()
      r = np.corrcoef(images[a].reshape(-1), images[b].reshape(-1))[0, 1]
      if distance <= 12 and r >= 0.7:
        expected[a, b] = distance, r
  assert found.keys() == expected.keys()
  assert len(found) >= 20
  for pair, (distance, r) in expected.items():
    assert found[pair] == (distance, pytest.approx(r, abs=1e-5))


@pytest.mark.parametrize('n', [0, 1])
def test_few_images_have_no_pairs(n):
  images = np.zeros((n, 48, 48, 1), np.uint8)
  assert list(perceptual.near_pairs(images, 64, -1.0)) == []
