"""Reading weight files: torch's and safetensors', whole, strange and broken.

The `.pth` files were made by tests/references/make_references.py.
"""

import io
import json
import os
import pathlib
import pickle
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.weights import files

REFERENCES = pathlib.Path(__file__).parent / 'references'

NUMBERS = np.arange(24, dtype=np.float32).reshape(4, 6)
EXPECTED = {  # what the script saved; the counter of batches is left out
  'whole': NUMBERS,
  'transposed': NUMBERS.T,
  'part': NUMBERS[1:3, ::2],
  'parameter': NUMBERS[0] / 8,
  'half': NUMBERS[0] / 8,
  'bfloat16': NUMBERS[0] / 8,
  'double': NUMBERS[0] / 8,
  'scalar': np.float32(0.5),
}


def check(arrays):
  assert arrays.keys() == EXPECTED.keys()
  for name, expected in EXPECTED.items():
    assert arrays[name].dtype == np.float32
    np.testing.assert_array_equal(arrays[name], expected, strict=True)


@pytest.fixture
def write(tmp_path):
  def write(data, name='file.pth'):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name

  return write


def rewrite(change):
  """Returns `archive.pth` with each record changed."""
  buffer = io.BytesIO()
  with (
    zipfile.ZipFile(REFERENCES / 'archive.pth') as old,
    zipfile.ZipFile(buffer, 'w') as new,
  ):
    for name in old.namelist():
      new.writestr(name, change(name, old.read(name)))
  return buffer.getvalue()


@pytest.mark.parametrize('name', ['archive.pth', 'stream.pth'])
def test_files_of_torch(name):
  check(files.read(REFERENCES / name))


def test_stream_of_2017(write):
  # Its tensors were rebuilt by a function of fewer arguments.
  data = (REFERENCES / 'stream.pth').read_bytes()
  assert data.count(b'_rebuild_tensor_v2\n') == 1
  check(
    files.read(write(data.replace(b'_rebuild_tensor_v2', b'_rebuild_tensor')))
  )


def test_big_endian_archive(write):
  def swap(name, data):
    if name.endswith('/byteorder'):
      return b'big'
    if '/data/' not in name:
      return data
    size = {96: 4, 24: 4, 12: 2, 48: 8, 4: 4, 8: 8}[len(data)]  # of a number
    return np.frombuffer(data, f'u{size}').byteswap().tobytes()

  check(files.read(write(rewrite(swap))))


def safetensors_bytes(tensors):
  """The format, by its description: a header's length, the header, the data."""
  header, data = {}, b''
  for name, (kind, array) in tensors.items():
    ends = [len(data), len(data) + array.nbytes]
    header[name] = {'dtype': kind, 'shape': array.shape, 'data_offsets': ends}
    data += array.tobytes()
  text = json.dumps(header).encode()
  return len(text).to_bytes(8, 'little') + text + data


@pytest.mark.parametrize(
  ('kind', 'dtype'),
  [
    ('F64', np.float64),
    ('F32', np.float32),
    ('F16', np.float16),
    ('BF16', jnp.bfloat16),
  ],
)
def test_safetensors(write, kind, dtype):
  values = NUMBERS / 8
  tensors = {'x': (kind, values.astype(dtype)), 'n': ('I64', np.arange(1))}
  arrays = files.read(write(safetensors_bytes(tensors), 'file.safetensors'))
  assert arrays.keys() == {'x'}
  np.testing.assert_array_equal(arrays['x'], values, strict=True)


class Attack:
  def __init__(self, marker):
    self.marker = marker

  def __reduce__(self):
    return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize('form', ['archive', 'stream', 'plain'])
def test_no_code_runs(write, tmp_path, form):
  attack = pickle.dumps({'weight': Attack(tmp_path / 'was_here')}, protocol=2)
  if form == 'archive':
    attack = rewrite(
      lambda name, data: attack if name.endswith('data.pkl') else data
    )
  elif form == 'stream':
    head = (0x1950A86A20F9469CFC6C, 1001, {'little_endian': True})
    attack = b''.join(pickle.dumps(x, protocol=2) for x in head) + attack
  with pytest.raises(UserError, match=r'mkdir.*safetensors') as caught:
    files.read(write(attack))
  assert '\n' not in str(caught.value)
  assert not (tmp_path / 'was_here').exists()


@pytest.mark.parametrize(
  'name', ['_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_parameter']
)
@pytest.mark.parametrize(
  'state',
  [
    b'}X\x08\x00\x00\x00__dict__K\x01s',  # {'__dict__': 1}
    b'}X\x01\x00\x00\x00aK\x01s',  # {'a': 1}, for its __dict__
    b'N}X\x0c\x00\x00\x00__defaults__)s\x86',  # (None, ...), its slots
  ],
)
def test_nothing_that_a_file_names_can_be_changed(write, name, state):
  function = f'ctorch._utils\n{name}\n'.encode()
  with pytest.raises(UserError, match=r'damaged.*attribute'):
    files.read(write(b'\x80\x02' + function + state + b'b.'))


def test_a_key_of_a_million_tuples_is_refused(write):
  nested = b'\x80\x02})' + 1_000_000 * b'\x85' + b'K\x01s.'
  with pytest.raises(UserError, match='tuple of more than'):
    files.read(write(nested))


@pytest.mark.parametrize('name', ['a\nb', '\x1b[31mred', 'a\u202eb'])
def test_names_that_cannot_be_printed_are_refused(write, name):
  data = safetensors_bytes({name: ('F32', NUMBERS)})
  with pytest.raises(UserError, match='calls an array') as caught:
    files.read(write(data, 'file.safetensors'))
  assert str(caught.value).isprintable()
  data = b'\x80\x04X%bX\x01\x00\x00\x00x\x93.' % (
    len(name.encode()).to_bytes(4, 'little') + name.encode()
  )
  with pytest.raises(UserError, match='which only running code') as caught:
    files.read(write(data))
  assert str(caught.value).isprintable()


@pytest.mark.parametrize('name', ['file.pth', 'file.safetensors'])
def test_a_file_that_may_not_be_read(write, monkeypatch, name):
  path = write(b'', name)
  path.chmod(0)
  if os.geteuid() == 0:  # who may read anything
    monkeypatch.setattr(os, 'access', lambda *_: False)
  with pytest.raises(UserError, match='no permission to read'):
    files.read(path)


def test_a_whole_network_is_refused_by_name():
  with pytest.raises(UserError, match=r'module\.pth.*torch\.nn.*Linear'):
    files.read(REFERENCES / 'module.pth')


@pytest.mark.parametrize('name', ['archive.pth', 'stream.pth'])
@pytest.mark.parametrize('part', [0.02, 0.3, 0.6, 0.97])
def test_cut_files(write, name, part):
  data = (REFERENCES / name).read_bytes()
  with pytest.raises(UserError, match='damaged') as caught:
    files.read(write(data[: int(len(data) * part)]))
  assert '\n' not in str(caught.value)


def test_tensors_stay_within_their_numbers(write):
  # One number is missing in every storage.
  short = rewrite(lambda name, data: data[:-8] if '/data/' in name else data)
  with pytest.raises(UserError, match='beyond its numbers'):
    files.read(write(short))


@pytest.mark.parametrize(
  ('name', 'data', 'message'),
  [
    ('file.safetensors', b'junk', 'damaged'),
    ('file.safetensors', b'\xff' * 64, 'damaged'),
    ('file.pth', b'', 'damaged'),
    ('file.pth', b'PK\x05\x06' + bytes(18), 'damaged'),  # an empty zip
    ('file.onnx', b'', r'ends in \.safetensors'),
    ('file.safetensors', b'\x02' + bytes(7) + b'{}', 'holds no arrays by name'),
  ],
)
def test_what_is_no_weight_file(write, name, data, message):
  with pytest.raises(UserError, match=message):
    files.read(write(data, name))


def test_a_missing_file(tmp_path):
  with pytest.raises(UserError, match='there is no weight file'):
    files.read(tmp_path / 'file.pth')


def test_what_nobody_has_memory_for_is_refused(write):
  def tensors(shape, number):
    """A state dict of as many tensors of two numbers."""
    one = (
      b'ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nHalfStorage\n'
      b'U\x010U\x03cpuK\x02tQK\x00' + shape + b'(K\x01t\x89}tR'
    )
    names = (b'U\x03%03d' % i for i in range(number))
    pickled = b'\x80\x02}(' + b''.join(n + one for n in names) + b'u.'
    data = io.BytesIO()
    with zipfile.ZipFile(data, 'w') as archive:
      archive.writestr('a/data.pkl', pickled)
      archive.writestr('a/data/0', bytes(4))
    return data.getvalue()

  assert len(files.read(write(tensors(b'(K\x02t', 4)))) == 4
  with pytest.raises(UserError, match='many views of few numbers'):
    files.read(write(tensors(b'(K\x02t', 5)))
  for shape in (
    b'U\x05aaaaa',
    b'(U\x01aM\xff\xfft',
    b'(G?\xf0' + bytes(6) + b't',
  ):
    with pytest.raises(UserError, match='what no tensor is made of'):
      files.read(write(tensors(shape, 1)))


def test_compressed_archives_are_refused(write):
  data = io.BytesIO()
  with zipfile.ZipFile(data, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('a/data.pkl', pickle.dumps({}))
  with pytest.raises(UserError, match='its records are compressed'):
    files.read(write(data.getvalue()))


def test_numbers_too_large_for_float32_become_infinite(write):
  data = safetensors_bytes({'x': ('F64', np.array([1e300, 0.5]))})
  arrays = files.read(write(data, 'file.safetensors'))  # and none warns
  np.testing.assert_array_equal(arrays['x'], np.float32([np.inf, 0.5]))
