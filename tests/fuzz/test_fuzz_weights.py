"""Weight files of safetensors, and arrays that are not those of a network."""

import json

import guard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mutations import WORDS, Content, broken_bytes, broken_json
import numpy as np
import pytest

from ferjax import models, weights
from ferjax.errors import UserError
from ferjax.weights import files

pytestmark = pytest.mark.stress


@pytest.fixture(scope='module')
def home():
  yield from guard.folder()


def read(home, content):
  path = home / 'file.safetensors'
  path.write_bytes(content)
  found = guard.outcome(lambda: files.read(path), home)
  if isinstance(found, UserError):
    return None
  for array in found.values():
    assert array.dtype == np.float32
  return found


HEADER = {
  'conv1.weight': {'dtype': 'F32', 'shape': [4, 6], 'data_offsets': [0, 96]},
  'fc.bias': {'dtype': 'F64', 'shape': [3], 'data_offsets': [96, 120]},
  'half': {'dtype': 'BF16', 'shape': [2, 2], 'data_offsets': [120, 128]},
  '__metadata__': {'format': 'pt'},
}
DATA = np.arange(32, dtype=np.float32).tobytes()


def safetensors(header, data):
  """The format, by its description."""
  return Content(len(header).to_bytes(8, 'little') + header + data)


@given(broken_json(HEADER), st.binary(min_size=128, max_size=128))
@example(json.dumps(HEADER).encode(), np.full(16, 1e300).tobytes())
def test_headers_of_safetensors(home, header, data):
  found = read(home, safetensors(header, data))
  for name, array in (found or {}).items():
    told = json.loads(header)[name]
    assert array.shape == tuple(told['shape'])
    if told['dtype'] == 'F32':
      start, end = told['data_offsets']
      assert array.tobytes() == data[start:end]


@given(broken_bytes(safetensors(json.dumps(HEADER).encode(), DATA)))
def test_broken_bytes_of_safetensors(home, content):
  read(home, content)


NETWORK = 'mobilenet_v2'


@pytest.fixture(scope='module')
def published(home):
  """The variables of a network, and the same as torchvision names them."""
  model = models.create_model(NETWORK, 3)
  variables = models.init(model, (48, 48, 1), 0)
  return variables, weights.names.find(NETWORK, weights._flatten(variables), ())


@given(st.data())
@settings(max_examples=settings().max_examples // 10)
def test_arrays_of_a_network(home, published, data):
  variables, table = published
  ours = weights._flatten(variables)
  arrays = {}
  for path, name in table.items():
    array = ours[path]
    if array.ndim == 4:
      array = array.transpose(3, 2, 0, 1)
    arrays[name] = array.T if array.ndim == 2 else array
  name = data.draw(st.sampled_from(sorted(arrays)))
  array = arrays[name]
  kind = data.draw(st.integers(0, 5))
  if kind == 0:
    del arrays[name]
  elif kind == 1:
    arrays[data.draw(WORDS)] = arrays.pop(name)
  elif kind == 2:
    arrays[name] = array[..., None]
  elif kind == 3:
    arrays[name] = array[:0]
  elif kind == 4:
    arrays[name] = np.full_like(array, data.draw(st.floats(width=32)))
  header, content = {}, []
  for key, value in arrays.items():
    start = sum(map(len, content))
    content.append(np.ascontiguousarray(value).tobytes())
    header[key] = {
      'dtype': 'F32',
      'shape': value.shape,
      'data_offsets': [start, start + len(content[-1])],
    }
  path = home / 'file.safetensors'
  path.write_bytes(safetensors(json.dumps(header).encode(), b''.join(content)))
  found = guard.outcome(
    lambda: weights.load(path, NETWORK, variables, (48, 48, 1)), home
  )
  if kind == 5:
    assert found[1].kept == ()
  if not isinstance(found, UserError):
    merged = weights._flatten(found[0])
    assert {k: v.shape for k, v in merged.items()} == {
      k: v.shape for k, v in ours.items()
    }
    assert all(np.isfinite(value).all() for value in merged.values())
