import os

import numpy as np
import PIL.Image
import pytest

from ferjax.data import pictures, raw
from ferjax.errors import UserError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 12), np.uint8)
COLOURED = RNG.integers(0, 256, (12, 12, 3), np.uint8)


def save(path, pixels, mode=None, **options):
  image = PIL.Image.fromarray(pixels)
  (image.convert(mode) if mode else image).save(path, **options)
  return path


def read(path, image_size=0, color='data'):
  return pictures.read(path, image_size, color)


def test_pixels_are_those_of_the_file(tmp_path):
  for mode in ('L', 'RGB', 'RGBA', 'LA', 'P'):
    pixels, done = read(save(tmp_path / f'{mode}.png', GREY, mode))
    np.testing.assert_array_equal(pixels, GREY)
    assert done == []
  pixels, done = read(save(tmp_path / 'coloured.png', COLOURED))
  np.testing.assert_array_equal(pixels, COLOURED)
  assert done == []
  pixels, _ = read(save(tmp_path / 'bits.png', GREY > 99))
  np.testing.assert_array_equal(pixels, np.where(GREY > 99, 255, 0))


def test_what_is_coloured_can_be_made_grey(tmp_path):
  path = save(tmp_path / 'coloured.png', COLOURED)
  pixels, done = read(path, color='gray')
  luma = COLOURED @ np.array([0.299, 0.587, 0.114])
  np.testing.assert_allclose(pixels, luma, atol=0.51)
  assert done == ['made grey']
  assert read(save(path, GREY), color='gray')[1] == []


def test_the_middle_is_taken_and_resized_without_gaps(tmp_path):
  wide = np.full((10, 31), 255, np.uint8)
  wide[:, 10:20] = 100 * (np.arange(100).reshape(10, 10) % 2)
  path = save(tmp_path / 'wide.png', wide)
  pixels, done = read(path)
  np.testing.assert_array_equal(pixels, wide[:, 10:20])
  assert done == ['cropped centrally to a square']
  pixels, done = read(path, image_size=2)
  np.testing.assert_allclose(pixels, 50, atol=3)  # a mean, no sample
  assert done[1:] == ['shrunk']
  pixels, done = read(save(path, wide.T), image_size=40)
  assert (pixels.shape, done[1:]) == ((40, 40), ['enlarged'])


def test_pictures_are_turned_upright(tmp_path):
  exif = PIL.Image.Exif()
  exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
  path = save(tmp_path / 'turned.png', np.rot90(GREY), exif=exif)
  pixels, done = read(path)
  np.testing.assert_array_equal(pixels, GREY)
  assert done == ['turned upright, as their EXIF tells']
  exif[0x0112] = 77
  pixels, done = read(save(path, GREY, exif=exif))
  np.testing.assert_array_equal(pixels, GREY)
  assert done == []


def test_what_is_transparent_is_laid_over_black(tmp_path):
  image = PIL.Image.fromarray(COLOURED).convert('RGBA')
  image.putalpha(PIL.Image.fromarray(np.tile(np.uint8([0, 255]), (12, 6))))
  image.save(tmp_path / 'half.png')
  pixels, done = read(tmp_path / 'half.png')
  np.testing.assert_array_equal(pixels[:, 1::2], COLOURED[:, 1::2])
  assert not pixels[:, ::2].any()
  assert done == ['laid over black where they are transparent']
  path = tmp_path / 'palette.png'
  save(path, np.where(GREY > 99, np.uint8(200), 0), 'P', transparency=b'\xff')
  assert read(path)[1] == []  # opaque all the same


def test_cmyk_is_converted(tmp_path):
  smooth = np.full((16, 16, 3), (200, 120, 40), np.uint8)
  pixels, done = read(save(tmp_path / 'cmyk.jpg', smooth, 'CMYK'))
  assert np.abs(pixels.astype(int) - smooth).max() < 6
  assert done == ['converted from CMYK']


def test_faults_are_told(tmp_path, monkeypatch):
  def fault(name):
    with pytest.raises(raw.BadRow) as error:
      read(tmp_path / name)
    assert '\n' not in str(error.value)
    return str(error.value)

  (tmp_path / 'text.png').write_text('hello')
  assert fault('text.png') == 'not an image of a kind that is read'
  (tmp_path / 'empty.png').touch()
  assert fault('empty.png') == 'not an image of a kind that is read'
  PIL.Image.new('I;16', (12, 12)).save(tmp_path / 'deep.png')
  assert fault('deep.png') == 'image mode I;16; save it with 8 bits a pixel'
  PIL.Image.fromarray(np.float32(GREY)).save(tmp_path / 'float.tiff')
  assert fault('float.tiff').startswith('image mode F;')
  first = PIL.Image.fromarray(GREY)
  second = PIL.Image.fromarray(GREY.T)
  for name in ('moving.gif', 'moving.png', 'moving.webp', 'pages.tiff'):
    first.save(tmp_path / name, save_all=True, append_images=[second])
    assert fault(name) == '2 pictures in one file; save one of them'
  for name in ('cut.png', 'cut.jpg', 'cut.bmp', 'cut.webp'):
    data = save(tmp_path / name, COLOURED).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    assert fault(name).startswith(('broken image: ', 'not an image'))
  (tmp_path / 'folder.png').mkdir()
  os.mkfifo(tmp_path / 'pipe.png')
  (tmp_path / 'dangling.png').symlink_to('nowhere')
  for name in ('folder.png', 'pipe.png', 'dangling.png'):
    assert fault(name) == 'not a file'
  save(tmp_path / 'large.png', GREY)
  for limit in (50, 100):  # an error; a warning
    monkeypatch.setattr(PIL.Image, 'MAX_IMAGE_PIXELS', limit)
    assert fault('large.png') == f'more than {limit} pixels; shrink it'


def test_a_second_picture_of_a_phone_does_not_count(tmp_path):
  smooth = np.full((16, 16, 3), (200, 120, 40), np.uint8)
  first, second = map(PIL.Image.fromarray, (smooth, smooth // 2))
  first.save(tmp_path / 'a.jpg', 'MPO', save_all=True, append_images=[second])
  pixels, _ = read(tmp_path / 'a.jpg')
  assert np.abs(pixels.astype(int) - smooth).max() < 6


def test_damage_of_any_kind_is_a_bad_row(tmp_path):
  """Flips bytes of small files of many formats: read, or BadRow."""
  rng = np.random.default_rng(2)
  num_bad = 0
  for kind in ('png', 'jpg', 'gif', 'bmp', 'webp', 'tiff', 'tga', 'ppm'):
    path = save(tmp_path / f'image.{kind}', COLOURED)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(25):
      data = whole.copy()
      data[rng.integers(0, len(data), 3)] = rng.integers(0, 256, 3, np.uint8)
      path.write_bytes(data.tobytes())
      try:
        pixels, _ = read(path)
        assert pixels.dtype == np.uint8
      except raw.BadRow:
        num_bad += 1
  assert num_bad > 20


def test_joined_images_are_of_one_shape():
  same, said = pictures.join([GREY, GREY], {}, 'data')
  assert [image.shape for image in same] == [(12, 12)] * 2
  assert said == []
  same, said = pictures.join([GREY, COLOURED], {'shrunk': 2}, 'data')
  np.testing.assert_array_equal(same[0], np.stack([GREY] * 3, -1))
  np.testing.assert_array_equal(same[1], COLOURED)
  assert said[0] == 'of 2 images: shrunk 2'
  assert said[1].startswith('1 of 2 images are grey')
  same, said = pictures.join([GREY], {}, 'rgb')
  assert (same[0].shape, said) == ((12, 12, 3), [])


def test_an_unknown_color_is_refused():
  with pytest.raises(UserError, match='--color=grey: must be one of data, gr'):
    pictures.check_color('grey')
