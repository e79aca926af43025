import collections

from ml_collections import config_dict
import numpy as np
import pytest
from sklearn.utils import class_weight

from ferjax import losses
from ferjax.data import balance
from ferjax.data.dataset import Split
from ferjax.errors import UserError

COUNTS = (9, 2, 0, 20, 13)
NAMES = tuple('abcde')


def make_split(counts=COUNTS, soft=False):
  rng = np.random.default_rng(1)
  labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
  n = len(labels)
  images = rng.integers(0, 256, (n, 4, 3, 2), np.uint8)
  targets = rng.dirichlet([1] * len(counts), n).astype(np.float32)
  index = 10 + 2 * rng.permutation(n)
  return Split(
    images, labels.astype(np.int32), index, targets if soft else None
  )


def added_rows(before, after):
  """Returns the row of `before` that each added one comes from."""
  row_of = {number: row for row, number in enumerate(before.index.tolist())}
  return [row_of[number] for number in after.index[len(before) :].tolist()]


def assert_starts_with(after, before):
  for field in ('images', 'labels', 'index', 'targets'):
    old, new = getattr(before, field), getattr(after, field)
    if old is not None:
      assert new.dtype == old.dtype
      np.testing.assert_array_equal(new[: len(before)], old)


@pytest.mark.parametrize('soft', [False, True])
def test_oversampling_makes_present_classes_equal(soft):
  before = make_split(soft=soft)
  after = balance.balance(before, 5, 'oversample', seed=3)
  assert after.counts(5).tolist() == [20, 20, 0, 20, 20]
  assert_starts_with(after, before)
  rows = added_rows(before, after)
  np.testing.assert_array_equal(
    after.images[len(before) :], before.images[rows]
  )
  np.testing.assert_array_equal(
    after.labels[len(before) :], before.labels[rows]
  )
  if soft:
    np.testing.assert_array_equal(
      after.targets[len(before) :], before.targets[rows]
    )
  else:
    assert after.targets is None
  for label in range(5):  # nothing comes again before all have come
    times = collections.Counter(after.index[after.labels == label].tolist())
    assert max(times.values(), default=0) - min(times.values(), default=0) <= 1


def test_rounds_are_drawn_without_replacement():
  before = make_split((3, 11))
  after = balance.balance(before, 2, 'oversample', seed=0)
  added = after.index[len(before) :].tolist()
  own = set(before.index[before.labels == 0].tolist())
  assert set(added[:3]) == set(added[3:6]) == own
  assert len(set(added[6:])) == 2


@pytest.mark.parametrize('soft', [False, True])
def test_mirrored_copies_double_a_class_at_most(soft):
  before = make_split(soft=soft)
  after = balance.balance(before, 5, 'mirror', seed=3)
  assert after.counts(5).tolist() == [18, 4, 0, 20, 20]
  assert_starts_with(after, before)
  rows = added_rows(before, after)
  assert len(set(rows)) == len(rows)
  for row, image in zip(rows, after.images[len(before) :], strict=True):
    original = before.images[row]
    for column in range(3):
      np.testing.assert_array_equal(image[:, column], original[:, 2 - column])
  np.testing.assert_array_equal(
    after.labels[len(before) :], before.labels[rows]
  )


@pytest.mark.parametrize('setting', ['oversample', 'mirror'])
def test_the_seed_decides_which_are_added(setting):
  before = make_split()
  untouched = before.content_hash()
  hashes = [
    balance.balance(before, 5, setting, seed).content_hash()
    for seed in (3, 3, 4)
  ]
  assert hashes[0] == hashes[1] != hashes[2]
  assert before.content_hash() == untouched


@pytest.mark.parametrize('setting', balance.BALANCES)
def test_where_nothing_is_added_the_split_itself_returns(setting):
  equal = make_split((4, 4, 0, 4))
  assert balance.balance(equal, 4, setting, seed=0) is equal
  assert balance.balance(make_split(), 5, 'none', seed=0).counts(5).sum() == 44


def test_balanced_weights_are_counted_after_oversampling():
  before = make_split()
  after = balance.balance(before, 5, 'oversample', seed=0)
  weights = losses.class_weights('balanced', after.counts(5), NAMES)
  assert weights.tolist() == [1, 1, 0, 1, 1]
  after = balance.balance(before, 5, 'mirror', seed=0)
  expected = class_weight.compute_class_weight(
    'balanced', classes=np.array([0, 1, 3, 4]), y=after.labels
  )
  weights = losses.class_weights('balanced', after.counts(5), NAMES)
  np.testing.assert_allclose(weights[[0, 1, 3, 4]], expected, rtol=1e-6)


def test_the_note_names_the_classes_that_grew():
  before = make_split((1200, 700, 0, 650))
  after = balance.balance(before, 4, 'mirror', seed=0)
  assert balance.note('mirror', before, after, 'abcd') == (
    'train with mirrored examples: b 700 to 1,200, d 650 to 1,200'
  )
  after = balance.balance(before, 4, 'oversample', seed=0)
  assert 'repeated' in balance.note('oversample', before, after, 'abcd')


def test_unknown_settings_are_refused():
  for setting in balance.BALANCES:
    balance.validate(config_dict.ConfigDict({'balance': setting}))
  with pytest.raises(UserError, match="'smote'; have none, oversample, mirror"):
    balance.validate(config_dict.ConfigDict({'balance': 'smote'}))
