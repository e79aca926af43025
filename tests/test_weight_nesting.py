"""Pickles that nest, as written by Python and as nobody should."""

from collections import OrderedDict
import io
import pickle

import pytest

from ferjax.weights import nesting


def nested(depth, wrap=b'\x85'):
  """A dict whose key is that many tuples in each other."""
  return b'\x80\x02})' + depth * wrap + b'K\x01s.'


@pytest.mark.parametrize(
  ('depth', 'wrap'),
  [
    (1001, b'\x85'),
    (10, b'q\x00h\x00\x86'),  # noted, fetched and joined: twice the values
    (10, b'2\x86'),  # doubled and joined
    (1001, b'(K\x01t0\x85'),  # with something made beside it and dropped
    (1001, b'(cbuiltins\nlist\no0\x85'),
  ],
)
def test_deep_nesting_is_refused(depth, wrap):
  with pytest.raises(ValueError, match='tuple of more than 1000 values'):
    nesting.check(io.BytesIO(nested(depth, wrap)))


@pytest.mark.parametrize(
  'value',
  [
    {'shape': ((1, 2), (3,)), 'list': [[[]]] * 200, 'same': (1,)},
    OrderedDict((f'{i}.weight', (i, (i, i + 1))) for i in range(5000)),
  ],
)
@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_other_pickles_pass_from_where_the_file_is(value, protocol):
  file = io.BytesIO(b'before' + pickle.dumps(value, protocol) + b'behind')
  file.seek(6)
  nesting.check(file)
  assert pickle.load(file) == value
  assert file.read() == b'behind'


def test_notes_are_numbered_in_order():
  far = b'\x80\x02}r\xff\xff\xff\x7f.'  # room for 2^31 notes
  with pytest.raises(ValueError, match='notes are not in order'):
    nesting.check(io.BytesIO(far))


def test_a_pickle_may_be_as_long_as_that_of_weights(monkeypatch):
  monkeypatch.setattr(nesting, 'MOST_INSTRUCTIONS', 50)
  nesting.check(io.BytesIO(pickle.dumps(list(range(40)))))
  with pytest.raises(ValueError, match='far more in it than weights'):
    nesting.check(io.BytesIO(pickle.dumps(list(range(60)))))


def test_numbers_of_one_hash_are_not_made_keys():
  """A dict of a million of these takes hours."""
  alike = {i * (2**61 - 1): 0 for i in range(1, 1100)}
  assert {hash(key) for key in alike} == {0}
  with pytest.raises(ValueError, match='far more in it than weights'):
    nesting.check(io.BytesIO(pickle.dumps(alike)))
