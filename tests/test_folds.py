"""Folds keep subjects together, or say aloud that they do not."""

import collections
import pathlib

import numpy as np
import pytest

from ferjax import config as config_lib
from ferjax.data import ckplus, folds, raw
from ferjax.data.dataset import Dataset, Split
from ferjax.errors import UserError

CK48 = pathlib.Path(__file__).parents[2] / 'shared' / 'data' / 'CK+48'


def make_config(**fields):
  config = config_lib.default_config().data
  config.update(fields)
  return config


def make_dataset(num_examples, part='full'):
  labels = (np.arange(num_examples) % 3).astype(np.int32)
  images = np.zeros((num_examples, 4, 4, 1), np.uint8)
  split = Split(images, labels, np.arange(num_examples))
  return Dataset('drawn', ('a', 'b', 'c'), {part: split}, 'here', ('a note',))


def test_folds_go_round_the_sorted_subjects():
  subjects = np.array([f'S{n:03}' for n in (50, 3, 50, 7, 11, 2, 999, 3)])
  expected = [4, 1, 4, 2, 3, 0, 5, 1]
  np.testing.assert_array_equal(folds.folds(subjects, 10), expected)
  expected = [4 % 3, 1, 4 % 3, 2, 0, 0, 5 % 3, 1]
  np.testing.assert_array_equal(folds.folds(subjects, 3), expected)


def test_twelve_subjects_in_eight_folds_and_eleven_in_two():
  subjects = [f'S{n * 7 % 118:03}' for n in range(700)]
  people = collections.defaultdict(set)
  for subject, fold in zip(
    subjects, folds.folds(np.array(subjects), 10), strict=True
  ):
    people[int(fold)].add(subject)
  assert [len(people[fold]) for fold in range(10)] == [12] * 8 + [11] * 2


@pytest.mark.parametrize('num_folds', [10, 3, 0])
def test_splits_share_no_subject_and_hold_everything(num_folds):
  subjects = np.array([f'S{n % 118:03}' for n in range(300)])
  count = num_folds or 118
  tested = np.zeros(300, int)
  for fold in range(count):
    parts = folds.fold_splits(subjects, fold, num_folds)
    np.testing.assert_array_equal(sum(parts.values()), np.ones(300))
    people = [set(subjects[part]) for part in parts.values()]
    assert sum(map(len, people)) == len(set.union(*people)) == 118
    following = folds.fold_splits(subjects, (fold + 1) % count, num_folds)
    np.testing.assert_array_equal(parts['validation'], following['test'])
    tested += parts['test']
  np.testing.assert_array_equal(tested, 1)


def test_one_subject_is_left_out_of_each_fold():
  subjects = np.array(['b', 'a', 'b', 'd', 'c'])
  for fold, name in enumerate('abcd'):
    parts = folds.fold_splits(subjects, fold, 0)
    assert set(subjects[parts['test']]) == {name}
    assert set(subjects[parts['validation']]) == {'bcda'[fold]}


def test_frames_are_dealt_by_class_and_by_seed():
  labels = np.random.default_rng(0).choice(4, 203, p=[0.5, 0.3, 0.15, 0.05])
  own = folds.frame_folds(labels, 10, seed=3)
  counts = [np.bincount(labels[own == fold], minlength=4) for fold in range(10)]
  assert np.ptp(counts, axis=0).max() <= 1
  assert np.ptp(np.sum(counts, axis=1)) <= 1
  again = folds.frame_folds(labels, 10, seed=3)
  np.testing.assert_array_equal(own, again)
  assert (own != folds.frame_folds(labels, 10, seed=4)).mean() > 0.5


def test_a_fold_is_dealt_and_says_so():
  subjects = np.array([f'S{n // 2}' for n in range(20)])
  config = make_config(fold=9, num_folds=10)
  names = ('test', 'train')
  dealt = folds.deal(config, make_dataset(20), subjects, names)
  assert tuple(dealt.splits) == names
  assert dealt.splits['test'].index.tolist() == [18, 19]
  assert dealt.splits['train'].index.tolist() == list(range(2, 18))
  assert dealt.notes == (
    'a note',
    'drawn by subjects: test is fold 9 of 10, validation fold 0, train the'
    ' rest',
  )


def test_folds_by_frame_carry_a_warning():
  config = make_config(fold_by='frame', num_folds=5)
  dealt = folds.deal(config, make_dataset(60, 'train'), None, ('test',))
  assert dealt.splits['test'].counts(3).tolist() == [4, 4, 4]
  assert dealt.notes[1].startswith('the train split of drawn by frames: test')
  assert dealt.notes[2] == folds.WARNING


def test_data_without_subjects_is_refused_with_the_reason():
  with pytest.raises(UserError, match=r"whom its images show.*fold_by='frame'"):
    folds.deal(make_config(), make_dataset(60), None, ('test',))


def test_too_few_subjects_are_refused():
  subjects = np.array([f'S{n % 4}' for n in range(20)])
  config = make_config(fold=3)
  with pytest.raises(UserError, match='fold=3 leaves none for the validation'):
    folds.deal(config, make_dataset(20), subjects, ('train', 'validation'))
  assert folds.deal(config, make_dataset(20), subjects, ('test',)).splits


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'fold': 10}, r'config\.data\.fold is 10; the folds are 0 to 9'),
    ({'fold': -1}, r'config\.data\.fold is -1'),
    ({'fold': -1, 'num_folds': 0}, 'the folds are 0 and up'),
    ({'num_folds': 2}, r'config\.data\.num_folds is 2; it is 3 or more'),
    ({'fold_by': 'image'}, r"config\.data\.fold_by is 'image'"),
    ({'fold_by': 'frame', 'num_folds': 0}, 'by frame, give a number'),
  ],
)
def test_wrong_settings_are_named(fields, words):
  with pytest.raises(UserError, match=words):
    folds.validate(make_config(**fields))


@pytest.mark.real_data
def test_the_real_folds():
  result = ckplus.read(CK48, raw.BadRows(skip=False), lambda part: None)
  split = result.dataset.splits['full']
  subjects = result.columns['full']['subject']
  own = folds.folds(subjects, 10)
  people = [len(set(subjects[own == fold])) for fold in range(10)]
  assert people == [12] * 8 + [11] * 2  # 118 in all
  fear = result.dataset.class_names.index('fear')
  assert fear not in split.labels[own == 9]
  assert len(set(folds.folds(subjects, 0))) == 118
