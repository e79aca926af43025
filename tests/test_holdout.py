import numpy as np
import pytest

from ferjax.data import holdout
from ferjax.data.dataset import Dataset, Split
from ferjax.data.raw import Raw
from ferjax.errors import UserError

COUNTS = [40, 4, 41, 0, 25]


def make_split(counts):
  rng = np.random.default_rng(1)
  labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
  images = rng.integers(0, 256, (len(labels), 2, 3, 3), np.uint8)
  index = 10 + 2 * np.arange(len(labels))
  return Split(images, labels.astype(np.int32), index)


def test_a_tenth_of_each_class_is_drawn_by_seed():
  split = make_split(COUNTS)
  rest, drawn = holdout.draw(split, seed=3, source='here')
  assert drawn.counts(5).tolist() == [4, 0, 4, 0, 3]  # halves are rounded up
  assert rest.counts(5).tolist() == [36, 4, 37, 0, 22]
  for part in (rest, drawn):
    assert (np.diff(part.index) > 0).all()
    rows = np.searchsorted(split.index, part.index)
    np.testing.assert_array_equal(part.images, split.images[rows])
    np.testing.assert_array_equal(part.labels, split.labels[rows])
  assert not set(rest.index) & set(drawn.index)
  _, again = holdout.draw(split, seed=3, source='here')
  np.testing.assert_array_equal(again.index, drawn.index)
  _, other = holdout.draw(split, seed=4, source='here')
  assert other.index.tolist() != drawn.index.tolist()


def test_several_tenths_share_nothing():
  split = make_split(COUNTS)
  rest, *drawn = holdout.draw(split, seed=3, source='here', num_parts=2)
  assert [part.counts(5).tolist() for part in drawn] == [[4, 0, 4, 0, 3]] * 2
  together = np.concatenate([part.index for part in (rest, *drawn)])
  np.testing.assert_array_equal(np.sort(together), split.index)
  _, first = holdout.draw(split, seed=3, source='here')
  np.testing.assert_array_equal(first.index, drawn[0].index)


def test_too_few_examples_are_refused():
  with pytest.raises(UserError, match=r'here: too few rows .*it takes five'):
    holdout.draw(make_split([4, 4]), seed=0, source='here')


def test_what_was_read_says_what_was_drawn():
  splits = {'train': make_split(COUNTS), 'test': make_split([1] * 5)}
  dataset = Dataset('letters', tuple('abcde'), splits, 'here', ('a note',))
  published = {'train': [30] * 5, 'validation': [9] * 5, 'test': [2] * 5}
  missing = {'validation': 'never made', 'dev': 'lost'}
  raw = holdout.hold_out(Raw(dataset, published, missing, ()), 0, 'drawn')
  assert tuple(raw.dataset.splits) == ('train', 'validation', 'test')
  assert raw.dataset.notes == ('a note', 'drawn')
  assert raw.missing == {'dev': 'lost'}
  assert raw.published == {
    'train': [27] * 5,
    'validation': [3] * 5,
    'test': [2] * 5,
  }
  assert raw.dataset.splits['test'] is splits['test']


def test_two_splits_may_be_drawn_of_what_has_no_published_counts():
  dataset = Dataset(
    'letters', tuple('abcde'), {'train': make_split(COUNTS)}, ''
  )
  missing = dict.fromkeys(['validation', 'test'], 'never made')
  raw = holdout.hold_out(
    Raw(dataset, {}, missing, ()), 0, 'drawn', ('validation', 'test')
  )
  assert [len(split) for split in raw.dataset.splits.values()] == [88, 11, 11]
  assert tuple(raw.dataset.splits) == ('train', 'validation', 'test')
  assert (raw.missing, raw.published) == ({}, {})
