import pathlib
import sys
import types

import numpy as np
import PIL.Image
import pytest

from ferjax.data import crops, raw, synthetic
from ferjax.errors import UserError

CK48 = pathlib.Path(__file__).parents[2] / 'shared' / 'data' / 'CK+48'


def make_frame(height, width, *channels):
  rng = np.random.default_rng(height)
  return rng.integers(0, 256, (height, width, *channels), np.uint8)


@pytest.mark.parametrize(
  ('shape', 'rule', 'left', 'top', 'side'),
  [
    ((490, 640), 'center', 136, 61, 368),
    ((480, 640, 3), 'center', 140, 60, 360),
    ((490, 640), 'none', 75, 0, 490),
    ((20, 8), 'none', 0, 6, 8),
    ((48, 48, 3), 'none', 0, 0, 48),
    ((1, 5), 'center', 2, 0, 1),
  ],
)
def test_the_middle_of_a_frame(shape, rule, left, top, side):
  frame = make_frame(*shape)
  np.testing.assert_array_equal(
    crops.square(frame, rule), frame[top : top + side, left : left + side]
  )


def test_smaller_images_are_antialiased_and_equal_ones_untouched():
  stripes = np.tile(np.uint8([[0, 255]]), (64, 32))  # of one pixel
  np.testing.assert_allclose(crops.resize(stripes, 8)[:, 1:-1], 127.5, atol=1)
  frame = make_frame(30, 30, 3)
  np.testing.assert_array_equal(crops.resize(frame, 30), frame)
  assert crops.resize(frame, 48).shape == (48, 48, 3)
  # Against a filter written anew: Keys' cubic (a = -0.5), four times as wide.
  ramp = np.repeat(np.arange(0, 256, 4, np.uint8)[None], 64, 0)
  center = (5 + 0.5) * 4 - 0.5
  x = np.abs(np.arange(64) - center) / 4
  inner, outer = (
    1.5 * x**3 - 2.5 * x**2 + 1,
    -0.5 * (x**3 - 5 * x**2 + 8 * x - 4),
  )
  weights = np.where(x < 1, inner, np.where(x < 2, outer, 0))
  expected = ramp[0] @ weights / weights.sum()
  assert abs(crops.resize(ramp, 16)[3, 5] - expected) <= 1


def test_unknown_rules_are_named():
  with pytest.raises(
    UserError, match='--crop=face: must be one of center, det'
  ):
    crops.square(make_frame(9, 9), 'face')


class Detector:
  """Finds what it is told to, as OpenCV answers."""

  def __init__(self, *boxes):
    self.boxes = boxes

  def detectMultiScale(self, image, scaleFactor, minNeighbors, minSize):  # noqa: N802, N803
    assert image.dtype == np.uint8
    assert image.ndim == 2
    assert minSize == (18, 18)
    return np.array(self.boxes, np.int32) if self.boxes else ()


def test_the_largest_face_is_taken_whatever_the_order(monkeypatch):
  frame = make_frame(90, 120, 3)
  boxes = [(50, 20, 30, 30), (2, 3, 40, 40), (70, 40, 40, 40)]
  for found in (boxes, boxes[::-1]):
    monkeypatch.setattr(crops, '_cascade', lambda found=found: Detector(*found))
    np.testing.assert_array_equal(
      crops.square(frame, 'detect'), frame[40:80, 70:110]
    )
  monkeypatch.setattr(crops, '_cascade', Detector)
  with pytest.raises(raw.BadRow, match=r'no face found \(--crop=center'):
    crops.square(frame, 'detect')


@pytest.mark.parametrize('module', [None, types.ModuleType('cv2')])
def test_without_a_cascade_it_says_what_to_install(monkeypatch, module):
  monkeypatch.setitem(sys.modules, 'cv2', module)  # none, or OpenCV 5
  crops._cascade.cache_clear()
  with pytest.raises(UserError, match=r'pip install "ferjax\[faces\]"'):
    crops.square(make_frame(90, 120), 'detect')


def framed(face, left=200, top=125, side=240):
  frame = np.full((490, 640), 128, np.uint8)
  frame[top : top + side, left : left + side] = crops.resize(face, side)
  return frame


def test_opencv_finds_nothing_in_an_empty_frame_and_drawn_faces_in_others():
  pytest.importorskip('cv2')
  with pytest.raises(raw.BadRow, match='no face found'):
    crops.square(np.full((490, 640), 128, np.uint8), 'detect')
  found = 0
  for face in synthetic.draw_faces(np.arange(14) % 7, seed=0)[..., 0]:
    frame = framed(face)
    try:
      first = crops.square(frame, 'detect')
    except raw.BadRow:
      continue
    found += 1
    np.testing.assert_array_equal(crops.square(frame, 'detect'), first)
    assert first.shape[0] == first.shape[1]
  assert found > 0


@pytest.mark.real_data
def test_opencv_finds_faces_as_those_of_ck48_were_cut():
  """CK+48 holds the cascade's own boxes: it finds nearly the same again."""
  pytest.importorskip('cv2')
  offsets = []
  for path in sorted(CK48.glob('*/*.png'))[::100]:
    frame = framed(np.asarray(PIL.Image.open(path).convert('L')), 180, 120)
    face = crops.square(frame, 'detect')
    pointer = face.__array_interface__['data'][0]
    start = pointer - frame.__array_interface__['data'][0]
    top, left = divmod(start, frame.shape[1])
    offsets.append((left - 180, top - 120, len(face) - 240))
  assert len(offsets) == 10
  np.testing.assert_allclose(np.mean(offsets, 0), 0, atol=8)
  np.testing.assert_allclose(offsets, 0, atol=36)  # a step of the scale: 24
