import os
import pathlib

import numpy as np
import PIL.Image
import pytest

from ferjax.data import raw
from ferjax.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, 2304)


def text(pixels):
  return ' '.join(map(str, pixels))


def with_pixel(word):
  words = text(PIXELS).split()
  words[6] = word
  return ' '.join(words)


def test_pixels_are_those_of_the_text():
  parsed = raw.parse_pixels(text(PIXELS))
  assert parsed.dtype == np.uint8
  np.testing.assert_array_equal(parsed, PIXELS)


@pytest.mark.parametrize('word', ['0163', '000', '0' * 5000 + '7'])
def test_a_number_may_begin_with_zeros(word):
  assert raw.parse_pixels(with_pixel(word))[6] == int(word[-3:])
  with pytest.raises(raw.BadRow, match="pixel 1 is 'x'"):
    raw.parse_pixels('x ' + with_pixel(word))
  with pytest.raises(raw.BadRow, match='2,305 instead of 2,304 pixels'):
    raw.parse_pixels('7 ' + with_pixel(word))


@pytest.mark.parametrize(
  'word',
  [
    *('256', '0256', '-1', '+163', 'x', '7x', '1.5', 'nan', '1\t2', '1\xa02'),
    *('4294967297', '9' * 30, '9' * 5000, '\u0663'),
  ],
)
def test_a_bad_pixel_is_named(word):
  with pytest.raises(raw.BadRow, match='pixel 7 is'):
    raw.parse_pixels(with_pixel(word))


@pytest.mark.parametrize('count', [0, 1, 2303, 2305])
def test_another_number_of_pixels_is_told(count):
  with pytest.raises(raw.BadRow, match=f'{count:,} instead of 2,304 pixels'):
    raw.parse_pixels(text(np.resize(PIXELS, count)))


def test_an_image_is_read_exactly(tmp_path):
  image = PIXELS.astype(np.uint8).reshape(48, 48)
  PIL.Image.fromarray(image).save(tmp_path / 'grey.png')
  PIL.Image.fromarray(np.stack([image] * 3, -1)).save(tmp_path / 'rgb.png')
  np.testing.assert_array_equal(raw.read_image(tmp_path / 'grey.png'), image)
  np.testing.assert_array_equal(raw.read_image(tmp_path / 'rgb.png'), image)


def test_what_is_no_image_of_the_right_size_is_a_bad_row(tmp_path):
  PIL.Image.new('L', (64, 48)).save(tmp_path / 'large.png')
  with pytest.raises(raw.BadRow, match='64x48 pixels instead of 48x48'):
    raw.read_image(tmp_path / 'large.png')
  (tmp_path / 'text.png').write_text('hello')
  with pytest.raises(raw.BadRow, match='not an image'):
    raw.read_image(tmp_path / 'text.png')
  PIL.Image.new('I;16', (48, 48)).save(tmp_path / 'deep.png')
  with pytest.raises(raw.BadRow, match='mode I;16 instead of L'):
    raw.read_image(tmp_path / 'deep.png')
  noise = PIXELS.astype(np.uint8).reshape(48, 48)
  PIL.Image.fromarray(noise).save(tmp_path / 'cut.png')
  data = (tmp_path / 'cut.png').read_bytes()
  (tmp_path / 'cut.png').write_bytes(data[: len(data) // 2])
  with pytest.raises(raw.BadRow, match='broken image'):
    raw.read_image(tmp_path / 'cut.png')


@pytest.mark.parametrize('limit', [1000, 2000])  # an error; a warning
def test_a_decompression_bomb_is_a_bad_row(tmp_path, monkeypatch, limit):
  PIL.Image.new('L', (64, 48)).save(tmp_path / 'large.png')
  monkeypatch.setattr(PIL.Image, 'MAX_IMAGE_PIXELS', limit)
  with pytest.raises(raw.BadRow, match=f'more than {limit:,} pixels'):
    raw.read_image(tmp_path / 'large.png')


def test_what_is_no_file_is_a_bad_row(tmp_path):
  os.mkfifo(tmp_path / 'pipe.png')
  (tmp_path / 'folder.png').mkdir()
  (tmp_path / 'dangling.png').symlink_to('nowhere')
  for name in ('pipe.png', 'folder.png', 'dangling.png'):
    with pytest.raises(raw.BadRow, match='not a file'):
      raw.read_image(tmp_path / name)


def test_a_file_that_cannot_be_read_is_no_bad_row(tmp_path, monkeypatch):
  def refuse(path):
    raise PermissionError(f'not {path}')

  (tmp_path / 'closed.png').touch()
  monkeypatch.setattr(pathlib.Path, 'read_bytes', refuse)
  with pytest.raises(PermissionError):
    raw.read_image(tmp_path / 'closed.png')


def test_a_file_of_too_many_bytes_is_not_read(tmp_path):
  with (tmp_path / 'large.png').open('wb') as file:
    file.truncate(1 << 40)
  with pytest.raises(raw.BadRow, match='more than 268,435,456 bytes'):
    raw.read_image(tmp_path / 'large.png')


def test_postscript_is_not_drawn(tmp_path):
  # Pillow would start Ghostscript, whatever the file is called.
  text = '%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 48\n%%EndComments\n'
  (tmp_path / 'face.png').write_text(text)
  with pytest.raises(raw.BadRow, match='not an image of a kind'):
    raw.read_image(tmp_path / 'face.png')


def test_broken_images_are_bad_rows_whatever_pillow_raises(tmp_path):
  PIL.Image.new('L', (48, 48)).save(tmp_path / 'a.png', transparency=3)
  data = (tmp_path / 'a.png').read_bytes()
  short = data.replace(b'\0\0\0\2tRNS\0\3', b'\0\0\0\1tRNS\3')
  assert len(short) < len(data)
  (tmp_path / 'a.png').write_bytes(short)  # a ValueError
  with pytest.raises(raw.BadRow, match='broken image'):
    raw.read_image(tmp_path / 'a.png')
  PIL.Image.new('L', (48, 48)).save(tmp_path / 'a.tiff')
  data = (tmp_path / 'a.tiff').read_bytes()
  long = data.replace(b'\0\1\4\0\1\0\0\0', b'\0\1\4\0\1\0\0\1', 1)
  assert long != data
  (tmp_path / 'a.tiff').write_bytes(long)  # a warning, then a TypeError
  with pytest.raises(raw.BadRow):
    raw.read_image(tmp_path / 'a.tiff')


def test_what_is_told_of_a_name_is_one_line():
  with pytest.raises(UserError) as error:
    raw.BadRows().add('a\nb\x1b[31m\udcff.png', raw.BadRow('odd'))
  assert str(error.value).startswith(r'a\nb\x1b[31m\udcff.png: odd (')


def test_bad_rows_stop_or_are_kept():
  with pytest.raises(UserError, match='file, line 3: odd'):
    raw.BadRows().add('file, line 3', raw.BadRow('odd'))
  bad_rows = raw.BadRows(skip=True)
  assert bad_rows.notes() == ()
  bad_rows.add('file, line 3', raw.BadRow('odd'))
  assert bad_rows.skipped == ['file, line 3: odd']
  assert bad_rows.notes()[0].endswith('left out: 1')


def test_only_class_folders_lie_among_class_folders(tmp_path):
  (tmp_path / 'happy').mkdir()
  (tmp_path / 'happy' / '.hidden').touch()
  (tmp_path / 'happy' / 'b.png').touch()
  (tmp_path / 'happy' / 'a.png').touch()
  bad_rows = raw.BadRows()
  ((name, paths),) = raw.class_folders(tmp_path, ['happy', 'sad'], bad_rows)
  assert name == 'happy'
  assert [path.name for path in paths] == ['a.png', 'b.png']
  (tmp_path / 'stray.png').touch()
  with pytest.raises(UserError, match=r'stray\.png: in no class folder'):
    raw.class_folders(tmp_path, ['happy'], bad_rows)
  (tmp_path / 'angst').mkdir()
  with pytest.raises(UserError, match='angst: not a class folder'):
    raw.class_folders(tmp_path, ['happy'], raw.BadRows(skip=True))


def test_class_folders_may_spell_a_class_in_any_way(tmp_path):
  for name in ('Happiness', 'SAD', '__MACOSX'):
    (tmp_path / name).mkdir()
  listed = raw.class_folders(tmp_path, ['happy', 'sadness'], raw.BadRows())
  assert [name for name, _ in listed] == ['happy', 'sadness']
  (tmp_path / 'Very proud').mkdir()
  listed = raw.class_folders(tmp_path, (), raw.BadRows())
  assert [name for name, _ in listed] == ['happy', 'sad', 'very_proud']
  (tmp_path / 'happy').mkdir()
  with pytest.raises(UserError, match='happy: means the class happy, as'):
    raw.class_folders(tmp_path, (), raw.BadRows())


@pytest.mark.parametrize('name', ['--', 'a\udcffb'])
def test_some_folders_name_no_class(tmp_path, name):
  (tmp_path / name).mkdir()
  with pytest.raises(UserError, match='not a name for a class') as error:
    raw.class_folders(tmp_path, (), raw.BadRows())
  str(error.value).encode()


def test_bad_rows_can_be_stored_whatever_the_files_name():
  bad_rows = raw.BadRows(skip=True)
  bad_rows.add('a\udcffb.png', raw.BadRow('odd'))
  assert bad_rows.skipped == ['a\\udcffb.png: odd']


@pytest.mark.parametrize(
  ('shape', 'stored'),
  [((2304,), (48, 48, 1)), ((5, 6), (5, 6, 1)), ((5, 6, 3), (5, 6, 3))],
)
def test_a_split_has_channels_whatever_it_is_made_of(shape, stored):
  images = [np.full(shape, value) for value in (3, 250)]
  split = raw.make_split(images, [1, 0], [7, 9])
  assert split.images.shape == (2, *stored)
  assert split.images.dtype == np.uint8
  np.testing.assert_array_equal(split.images[:, 0, 0, 0], [3, 250])
  assert (split.labels.dtype, split.index.dtype) == (np.int32, np.int64)
