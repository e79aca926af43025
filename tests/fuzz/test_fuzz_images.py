"""Pictures of every kind, broken: seen as Pillow sees them, or a bad row."""

import io
import struct
import zlib

import guard
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import Content, broken_bytes
import numpy as np
import PIL.Image
import pytest

from ferjax.data import pictures, raw
from ferjax.errors import UserError

pytestmark = pytest.mark.stress

RNG = np.random.default_rng(0)
GREY = PIL.Image.fromarray(RNG.integers(0, 256, (48, 48), np.uint8))
SMOOTH = np.add.outer(np.arange(48), np.arange(48)).astype(np.uint8)
COLOURED = PIL.Image.merge('RGB', [GREY, GREY.rotate(90), GREY.rotate(180)])
HALF = PIL.Image.merge('LA', [GREY, PIL.Image.fromarray(SMOOTH)])
TURNED = PIL.Image.Exif()
TURNED[0x0112] = 6


def encode(image, kind, several=False, **options):
  buffer = io.BytesIO()
  if several:
    options |= {'save_all': True, 'append_images': [image.rotate(90)]}
  image.copy().save(buffer, kind, **options)  # it leaves traces in an image
  return Content(buffer.getvalue())


def chunk(name, data):
  checked = name + data
  return (
    struct.pack('>I', len(data))
    + checked
    + struct.pack('>I', zlib.crc32(checked))
  )


def png(width, height, depth, colour, *chunks, content=b''):
  """A PNG whose header says this, whatever follows."""
  header = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0)
  parts = [
    chunk(b'IHDR', header),
    *chunks,
    chunk(b'IDAT', zlib.compress(content)),
  ]
  return Content(b'\x89PNG\r\n\x1a\n' + b''.join(parts) + chunk(b'IEND', b''))


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 48 48
%%EndComments
(was_here) (w) file closefile
showpage
%%EOF
"""

WHOLE = [
  *(encode(GREY, kind) for kind in ('PNG', 'BMP', 'GIF', 'TIFF', 'PPM', 'TGA')),
  *(encode(COLOURED, kind) for kind in ('PNG', 'BMP', 'TIFF', 'PPM', 'TGA')),
  *(encode(COLOURED, kind) for kind in ('JPEG', 'WEBP', 'JPEG2000', 'QOI')),
  *(encode(COLOURED, kind) for kind in ('AVIF', 'ICO', 'PCX', 'SGI')),
  encode(COLOURED, 'JPEG', progressive=True, exif=TURNED, comment='face'),
  encode(GREY, 'JPEG', exif=TURNED),
  encode(COLOURED.convert('CMYK'), 'JPEG'),
  encode(COLOURED.convert('CMYK'), 'TIFF'),
  encode(COLOURED, 'MPO', several=True),
  encode(COLOURED, 'PNG', exif=TURNED),
  encode(HALF, 'PNG'),
  encode(HALF.convert('RGBA'), 'PNG'),
  encode(HALF.convert('RGBA'), 'WEBP', lossless=True),
  encode(COLOURED.quantize(16), 'PNG', transparency=b'\x00\x80'),
  encode(COLOURED.quantize(16), 'GIF', transparency=3),
  encode(GREY.convert('1'), 'PNG'),
  encode(GREY.convert('1'), 'TIFF', compression='group4'),
  encode(GREY.convert('I;16'), 'PNG'),
  encode(GREY.convert('F'), 'TIFF'),
  *(
    encode(COLOURED, 'TIFF', compression=kind)
    for kind in ('tiff_lzw', 'tiff_deflate', 'packbits', 'jpeg')
  ),
  *(
    encode(COLOURED, kind, several=True)
    for kind in ('GIF', 'PNG', 'WEBP', 'TIFF')
  ),
  Content(EPS),
]

SIDES = st.sampled_from((0, 1, 2, 47, 48, 49, 9000, 65535, 2**31 - 1))


@st.composite
def images(draw):
  """The bytes of a picture, most of them broken."""
  if not draw(st.integers(0, 5)):
    depth, colour = draw(st.sampled_from((1, 8, 16))), draw(st.integers(0, 7))
    content = draw(st.binary(max_size=100)) * draw(st.sampled_from((1, 60)))
    more = chunk(
      draw(st.sampled_from((b'PLTE', b'tRNS', b'eXIf', b'iCCP'))), content[:60]
    )
    return png(draw(SIDES), draw(SIDES), depth, colour, more, content=content)
  content = draw(st.sampled_from(WHOLE))
  kind = draw(st.integers(0, 5))
  if kind == 0:
    return content
  if kind <= 2:  # what it says of itself, before its pixels
    end = draw(st.sampled_from((32, 128)))
    return Content(draw(broken_bytes(content[:end], 3)) + content[end:])
  return draw(broken_bytes(content, 4))


def read(home, content, call):
  """Returns what `call` makes of a file, None of a bad row."""
  path = home / 'face.png'
  path.write_bytes(content)

  def answer():
    try:
      return call(path)
    except raw.BadRow as reason:
      raise UserError(f'{path}: {reason}') from None

  found = guard.outcome(answer, home)
  return None if isinstance(found, UserError) else found


def by_pillow(content):
  with PIL.Image.open(io.BytesIO(content)) as image:
    return np.asarray(image.convert('RGB'))


@pytest.fixture(scope='module')
def home():
  yield from guard.folder()


@given(images(), st.sampled_from((0, 24)), st.sampled_from(pictures.COLORS))
@example(Content(EPS), 0, 'data')
@pytest.mark.filterwarnings('ignore')  # of the reference
def test_pictures(home, content, image_size, color):
  found = read(
    home, content, lambda path: pictures.read(path, image_size, color)
  )
  if not found:
    return
  pixels, done = found
  assert pixels.dtype == np.uint8
  assert pixels.shape[0] == pixels.shape[1] == (image_size or len(pixels)) > 0
  if not done:
    pixels = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, -1)
    np.testing.assert_array_equal(pixels, by_pillow(content))


@given(images())
@example(encode(GREY, 'PNG'))
@pytest.mark.filterwarnings('ignore')
def test_images_of_48x48(home, content):
  found = read(home, content, raw.read_image)
  if found is None:
    return
  assert found.dtype == np.uint8
  with PIL.Image.open(io.BytesIO(content)) as image:
    np.testing.assert_array_equal(found, np.asarray(image.convert('L')))
