"""What `torch.save` writes, broken and hostile: arrays or a line, no code."""

import itertools
import pathlib
import zipfile

import guard
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import VALUES, WORDS, Content, broken_bytes
import numpy as np
import pickling
from pickling import Built, Call, Name, Stored
import pytest

from ferjax.errors import UserError
from ferjax.weights import files

pytestmark = pytest.mark.stress

REFERENCES = pathlib.Path(__file__).parents[1] / 'references'
NUMBERS = {
  '0': np.arange(24, dtype=np.float32).tobytes(),
  '1': np.arange(6, dtype=np.float32).tobytes(),
}
REBUILD = Name('torch._utils', '_rebuild_tensor_v2')


@pytest.fixture(scope='module')
def home():
  yield from guard.folder()


def read(home, content, name='file.pth'):
  path = home / name
  path.write_bytes(content)
  found = guard.outcome(lambda: files.read(path), home)
  if isinstance(found, UserError):
    return None
  for array in found.values():
    assert array.dtype == np.float32
  return found


def storage(key, size):
  return Stored(('storage', Name('torch', 'FloatStorage'), key, 'cpu', size))


def tensor(key='0', size=24, offset=0, shape=(4, 6), strides=(6, 1)):
  arguments = (storage(key, size), offset, shape, strides, False, {})
  return Call(REBUILD, arguments)


STATE = {
  'conv1.weight': tensor(),
  'conv1.part': tensor(offset=1, shape=(2, 2), strides=(12, 3)),
  'fc.bias': tensor('1', 6, 0, (6,), (1,)),
  'epoch': 3,
}
HOSTILE = st.sampled_from(
  (
    Call(Name('os', 'system'), ('touch was_here',)),
    Call(Name('posix', 'system'), ('touch was_here',)),
    Call(Name('builtins', 'eval'), ('open("was_here", "w")',)),
    Call(Name('builtins', 'exec'), ('open("was_here", "w")',)),
    Call(Name('subprocess', 'Popen'), (('touch', 'was_here'),)),
    Call(Name('builtins', 'getattr'), (Name('os', 'path'), 'system')),
    Call(Name('torch._utils', '_rebuild_tensor_v2.__class__'), ()),
    Call(REBUILD, ('a', 0, ('x' * 100, 2**31), (1, 1))),
    Call(REBUILD, (storage('0', 24), 0, (2**31, 2**31), (0, 0))),
    Call(REBUILD, (storage('../../x', 24), 0, (1,), (1,))),
    Call(Name('collections', 'OrderedDict'), ([[1, 2], [[], 3]],)),
    Built(
      Name('collections', 'OrderedDict'), {'__init__': Name('os', 'system')}
    ),
    Built(REBUILD, {'__call__': 1}),
    Name('torch', 'FloatStorage'),
    Stored((1, 2, 3)),
    Stored(('storage', 'x', ['0'], 'cpu', 1)),
  )
)


@st.composite
def broken_values(draw, value):
  """Returns what a pickle says, with some part of it changed at any depth."""
  kind = draw(st.integers(0, 6))
  if kind == 0:
    return draw(st.one_of(VALUES, HOSTILE))
  if isinstance(value, dict) and value:
    key = draw(st.sampled_from(list(value)))
    if kind == 1:
      words = draw(
        st.one_of(WORDS, st.integers(), st.sampled_from((1.5, None)))
      )
      return {words if k == key else k: v for k, v in value.items()}
    return value | {key: draw(broken_values(value[key]))}
  if isinstance(value, tuple) and value:
    place = draw(st.integers(0, len(value) - 1))
    parts = list(value)
    parts[place] = draw(broken_values(parts[place]))
    is_named = type(value) is not tuple
    return type(value)(*parts) if is_named else tuple(parts)
  if isinstance(value, int):
    return draw(st.one_of(st.integers(-2, 30), st.integers()))
  return draw(st.one_of(VALUES, HOSTILE))


def encodable(value):
  """Whether a pickle of protocol 2 can say so."""
  match value:
    case Name(module, name):
      return isinstance(module, str) and isinstance(name, str)
    case dict():
      return all(map(encodable, value.values()))
    case tuple() | list():
      return all(map(encodable, value))
  return True


def elements(state):
  """Computes, one by one, the numbers of each tensor of a state dict."""
  expected = {}
  for name, value in state.items():
    if not isinstance(value, Call) or value.function != REBUILD:
      continue
    stored, offset, shape, strides, *_ = value.arguments
    row = np.frombuffer(NUMBERS[stored.words[2]], np.float32)
    array = np.empty(shape, np.float32)
    for place in itertools.product(*map(range, shape)):
      array[place] = row[offset + sum(np.multiply(place, strides))]
    expected[str(name)] = array
  return expected


@given(
  st.one_of(st.just(STATE), broken_values(STATE)).filter(encodable),
  st.sampled_from(('archive', 'stream', 'container')),
  st.sampled_from(('archive', '..', '../../etc', '/etc', 'a\nb', '')),
)
@example({('a', 'b'): tensor()}, 'archive', 'archive')
@example({10**5000: tensor(), 'x': tensor('2')}, 'archive', 'archive')
@example(
  {str(i): tensor(shape=(24,), strides=(1,)) for i in range(1000)},
  'archive',
  'archive',
)
def test_what_torch_pickles(home, state, form, root):
  if form == 'container':
    saved = pickling.dump({'epoch': 1, 'state_dict': state})
  else:
    saved = pickling.dump(state)
  if form == 'stream':
    content = pickling.stream(saved, NUMBERS)
  else:
    content = pickling.archive(saved, NUMBERS, root)
  found = read(home, content)
  if found is None:
    return
  expected = elements(state)
  assert found.keys() == expected.keys()
  for name, array in expected.items():
    np.testing.assert_array_equal(found[name], array)


def test_the_whole_state_is_read(home):
  """The others would pass if nothing could be read."""
  for content in (
    pickling.archive(pickling.dump(STATE), NUMBERS, '../..'),
    pickling.stream(pickling.dump(STATE), NUMBERS),
  ):
    assert read(home, content).keys() == STATE.keys() - {'epoch'}


WHOLE = [
  Content(pickling.archive(pickling.dump(STATE), NUMBERS)),
  Content(pickling.stream(pickling.dump(STATE), NUMBERS)),
  Content((REFERENCES / 'archive.pth').read_bytes()),
  Content((REFERENCES / 'stream.pth').read_bytes()),
  Content((REFERENCES / 'module.pth').read_bytes()),
]


@given(st.sampled_from(WHOLE).flatmap(broken_bytes))
def test_broken_bytes_of_torch(home, content):
  read(home, content)


# Those that build, note, fetch, call and set; some with their arguments.
OPCODES = (
  b'(.0123laedptujsqrhbcRQo}])\x80\x81\x85\x86\x87\x8f\x90\x91\x93\x94\x97'
)
INSTRUCTIONS = st.one_of(
  st.sampled_from([bytes([opcode]) for opcode in OPCODES]),
  st.sampled_from(
    (
      *(b'K\x01', b'q\x00', b'h\x00', b'M\x00\x01', b'U\x01a', b'N', b'\x88'),
      *(b'X\x01\x00\x00\x00a', b'\x8a\x01\x01', b'I1\n', b'L9L\n', b'\x82\x01'),
      *(b'cos\nsystem\n', b'\x8c\x02os', b'\x8c\x06system'),
    )
  ),
)


@given(st.lists(INSTRUCTIONS, max_size=40), st.booleans())
@example([b'}', b')', *[b'2\x86'] * 40, b'K\x01s'], True)
def test_any_instructions(home, parts, is_archive):
  saved = b'\x80\x02' + b''.join(parts) + b'.'
  if is_archive:
    content = pickling.archive(saved, NUMBERS)
  else:
    content = pickling.stream(saved, NUMBERS)
  read(home, Content(content))


def test_a_bomb_is_not_unpacked(home, monkeypatch):
  """Torch compresses nothing, so nothing compressed is opened."""
  monkeypatch.setattr(guard, 'MEGABYTES', 64)
  content = pickling.archive(
    pickling.dump(STATE), {'0': bytes(1 << 28)}, 'a', zipfile.ZIP_DEFLATED
  )
  assert len(content) < 1 << 20
  assert read(home, content) is None
