"""Tables of faces and of votes: read as the csv module does, or refused."""

import csv
import io

import guard
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import WORDS, Content, broken_bytes, broken_rows
import numpy as np
import pytest

from ferjax.data import ckplus, fer2013, ferplus, raw, rows, voting
from ferjax.errors import UserError

pytestmark = pytest.mark.stress

FACES = np.random.default_rng(0).integers(0, 256, (14, 2304)).astype(str)
USAGES = (*['Training'] * 10, *['PublicTest'] * 2, *['PrivateTest'] * 2)
TABLE = [
  [str(row % 2), ' '.join(face), usage]  # five of a class, to draw from
  for row, (face, usage) in enumerate(zip(FACES, USAGES, strict=True))
]
HEADERS = (
  ['emotion', 'pixels', 'Usage'],  # fer2013.csv, ckextended.csv
  ['emotion', ' Usage', ' pixels'],  # icml_face_data.csv
  ['emotion', 'pixels'],  # train.csv
)
ENDS = ('\n', '\r\n', '\r')


@pytest.fixture(scope='module')
def home():
  yield from guard.folder()


def to_bytes(table, end):
  lines = (','.join(fields) for fields in table)
  return Content(end.join(lines).encode('utf-8', 'surrogatepass'))


@st.composite
def tables(draw):
  """Bytes of a csv file of faces, broken somewhere."""
  header = draw(st.sampled_from(HEADERS))
  places = [['emotion', 'pixels', 'Usage'].index(c.strip()) for c in header]
  table = [[row[place] for place in places] for row in TABLE]
  if draw(st.booleans()):  # in the pixels of a row
    row, column = (
      draw(st.integers(0, 13)),
      header.index('pixels' if 'pixels' in header else ' pixels'),
    )
    words = draw(broken_rows([table[row][column].split()], 2))
    table[row][column] = ' '.join(words[0] if words else [])
  table = draw(broken_rows([header, *table], 3))
  content = to_bytes(table, draw(st.sampled_from(ENDS)))
  if draw(st.integers(0, 4)) == 0:
    content = draw(broken_bytes(content, 3))
  return content


def by_csv(content, num_codes):
  """Reads a table without a fault as slowly and as plainly as can be."""
  text = content.decode('utf-8-sig', 'replace')
  lines = [line for line in io.StringIO(text, None) if not line.isspace()]
  found = {usage: [] for usage in rows.USAGES}
  for row in csv.DictReader(lines, skipinitialspace=True):
    row = {key.strip(): value.strip() for key, value in row.items()}
    pixels = [int(word) for word in row['pixels'].split()]
    assert len(pixels) == 2304
    assert all(0 <= pixel <= 255 for pixel in pixels)
    assert 0 <= int(row['emotion']) < num_codes
    face = pixels, int(row['emotion'])
    found[row.get('Usage', 'Training')].append(face)
  return found


def check(splits, expected):
  for usage, name in rows.USAGES.items():
    images = [face for face, _ in expected[usage]]
    labels = [label for _, label in expected[usage]]
    if not labels:
      assert name not in splits
      continue
    split = splits[name]
    np.testing.assert_array_equal(split.labels, labels)
    np.testing.assert_array_equal(split.images.reshape(-1, 2304), images)


@given(tables(), st.booleans())
@example(to_bytes([HEADERS[0], *TABLE], '\n'), False)
@example(Content(b'emotion,pixels\n' + b'0' * 3_000_000), False)
def test_fer2013(home, content, skip):
  path = home / 'fer2013.csv'
  path.write_bytes(content)
  bad_rows = raw.BadRows(skip)
  found = guard.outcome(
    lambda: fer2013.read(path, bad_rows, lambda part: None), home
  )
  if isinstance(found, UserError):
    return
  splits = found.dataset.splits
  num_rows = sum(map(len, splits.values())) + len(found.skipped)
  lines = io.StringIO(content.decode('utf-8-sig', 'replace'), None)
  assert num_rows == sum(not line.isspace() for line in lines) - 1
  if not found.skipped and b'"' not in content and rows.has_usage(path):
    check(splits, by_csv(content, 7))


@given(tables(), st.booleans())
@example(to_bytes([HEADERS[0], *TABLE], '\r\n'), False)
def test_ckextended(home, content, skip):
  path = home / 'ckextended.csv'
  path.write_bytes(content)
  bad_rows = raw.BadRows(skip)
  found = guard.outcome(
    lambda: ckplus.read(path, bad_rows, lambda part: None), home
  )
  if isinstance(found, UserError) or found.skipped or b'"' in content:
    return
  check(found.dataset.splits, by_csv(content, 8))


VOTES = [
  [
    usage,
    f'fer{row:07}.png',
    *('9' if i == row % 2 else '0' for i in range(9)),
    '1',
  ]
  for row, usage in enumerate(USAGES)
]
VOTES_HEADER = ['Usage', 'Image name', *voting.COLUMNS]


@st.composite
def votes(draw):
  table = draw(broken_rows([VOTES_HEADER, *VOTES], 3))
  content = to_bytes(table, draw(st.sampled_from(ENDS)))
  return draw(broken_bytes(content, 3)) if draw(st.booleans()) else content


@given(votes(), st.booleans())
@example(to_bytes([VOTES_HEADER, *VOTES], '\n'), True)
def test_votes(home, content, has_bad_row):
  source, path = home / 'fer2013.csv', home / 'fer2013new.csv'
  table = [HEADERS[0], *TABLE]
  if has_bad_row:
    table[3] = ['9', '1 2', 'Training']
  source.write_bytes(to_bytes(table, '\n'))
  path.write_bytes(content)
  bad_rows = raw.BadRows(skip=True)
  found = guard.outcome(
    lambda: ferplus.read(source, path, bad_rows, lambda part: None), home
  )
  if isinstance(found, UserError):
    return
  text = content.decode('utf-8-sig', 'replace')
  lines = [line for line in io.StringIO(text, None) if not line.isspace()]
  table = [row for row in csv.reader(lines) if row[0].strip() in rows.USAGES]
  for name, split in found.dataset.splits.items():
    counted = [[int(n) for n in table[i][2:]] for i in split.index]
    np.testing.assert_array_equal(found.columns[name]['votes'], counted)


@given(WORDS)
def test_a_word_alone_is_no_pixel(word):
  with pytest.raises(raw.BadRow) as error:
    raw.parse_pixels(word)
  assert str(error.value).isprintable()
