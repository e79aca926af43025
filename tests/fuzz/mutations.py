"""Strategies that break what was whole: bytes, lines, fields and JSON."""

import json
import math

from hypothesis import strategies as st

# Bytes that mean something to somebody.
_TELLING = (
  b'\x00',
  b'\xff',
  b'\x7f\xff\xff\xff',
  b'\xff\xff\xff\xff',
  b'\n',
  b'"',
  b',',
  b'-1',
  b'\x80',
  b'../',
)

_LETTERS = (
  'aZé٣09.+-_=,;:/\\"\'()[]{}% \t\n\r\x00\x0b\x1b\x85\u2028\u202e😀\udc80'
)

# Texts that stand where a number, a name or a path should.
WORDS = st.one_of(
  st.sampled_from(
    (
      *('', ' ', '0', '-1', '1', '255', '256', '00', '1e3', 'nan', 'inf'),
      *('1_0', '٣', '²', '0x1', '99999999999999999999', '9' * 5000, '1.0'),
      *('a\nb', 'a\rb', '\x00', '\x1b[31m', '\u202e', '\udcff', 'é', '"', ','),
      *('..', '../x', '/etc/passwd', '(', '[a', '(a+)+$', '\\', '{0}', '%s'),
    )
  ),
  st.text(_LETTERS, max_size=8),
)

_PLACES = st.floats(0, 1, exclude_max=True)


class Content(bytes):
  """The bytes of a file, of which a failing test shows some."""

  def __repr__(self):
    shown = bytes(self[:300])
    return f'{shown!r}...{len(self)} bytes' if len(self) > 300 else repr(shown)


@st.composite
def broken_bytes(draw, content, most=6):
  """Returns `content` with some bytes flipped, cut, doubled or put in."""
  for _ in range(draw(st.integers(1, most))):
    start = int(draw(_PLACES) * len(content))
    kind = draw(st.integers(0, 5))
    stop = start + draw(st.integers(1, 40))
    if kind == 0:
      byte = bytes([draw(st.integers(0, 255))])
      content = content[:start] + byte + content[start + 1 :]
    elif kind == 1:
      told = draw(st.sampled_from(_TELLING))
      content = content[:start] + told + content[start + len(told) :]
    elif kind == 2:
      content = content[:start] + content[stop:]
    elif kind == 3:
      content = content[:stop] + content[start:]
    elif kind == 4:
      content = content[:start] + draw(st.binary(max_size=8)) + content[start:]
    elif draw(st.booleans()):
      content = content[:start]
  return Content(content)


@st.composite
def broken_rows(draw, rows, most=4):
  """Returns rows of fields, with some fields, rows and columns changed."""
  rows = [list(row) for row in rows]
  for _ in range(draw(st.integers(0, most))):
    place = int(draw(_PLACES) * len(rows)) if rows else 0
    row = rows[place] if rows else []
    column = int(draw(_PLACES) * len(row)) if row else 0
    kind = draw(st.integers(0, 7))
    if kind <= 2 and row:
      row[column] = draw(WORDS)
    elif kind == 3 and row:
      del row[column]
    elif kind == 4:
      row.insert(column, draw(WORDS))
    elif kind == 5 and rows:
      rows.insert(place, list(rows[int(draw(_PLACES) * len(rows))]))
    elif kind == 6 and rows:
      del rows[place]
    elif kind == 7 and row:
      other = int(draw(_PLACES) * len(row))
      row[column], row[other] = row[other], row[column]
  return rows


# What may stand anywhere in a JSON file.
VALUES = st.one_of(
  st.sampled_from(
    (
      *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 10**400),
      *(0.5, -0.0, 1e308, math.nan, math.inf, -math.inf),
      *('', 'x', [], {}, [[]], [1], ['x'], {'x': 1}, [None], [[1, 2], [3]]),
    )
  ),
  WORDS,
  st.integers(),
  st.floats(),
)


@st.composite
def broken_json(draw, whole, most=3):
  """Returns the text of a JSON value, some of it changed at any depth."""
  value = json.loads(json.dumps(whole))
  for _ in range(draw(st.integers(0, most))):
    value = draw(_changed(value))
  text = json.dumps(value)
  kind = draw(st.integers(0, 9))
  if kind == 0:
    return draw(broken_bytes(text.encode(), 2))
  if kind == 1:  # deeper than any parser goes
    return Content(b'[' * 100_000)
  return Content(text.encode('utf-8', 'surrogatepass'))


@st.composite
def _changed(draw, value):
  """Returns a JSON value with one part of it changed."""
  if not (isinstance(value, dict | list) and value) or not draw(
    st.integers(0, 6)
  ):
    return draw(VALUES)
  value = value.copy()
  keys = list(value) if isinstance(value, dict) else range(len(value))
  key = draw(st.sampled_from(keys))
  kind = draw(st.integers(0, 7))
  if kind == 0:
    del value[key]
  elif kind == 1 and isinstance(value, dict):
    value[draw(WORDS)] = draw(VALUES)
  elif kind == 1:
    value.append(draw(VALUES))
  else:
    value[key] = draw(_changed(value[key]))
  return value
