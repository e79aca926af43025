import pathlib

import numpy as np
import PIL.Image
import pytest

from ferjax.data import ckplus, raw
from ferjax.errors import UserError

CK48 = pathlib.Path(__file__).parents[2] / 'shared' / 'data' / 'CK+48'
# In the order of the canonical names.
FOLDERS = 'anger', 'disgust', 'fear', 'happy', 'sadness', 'surprise', 'contempt'


def read(source, skip=False):
  return ckplus.read(source, raw.BadRows(skip), lambda part: None)


def make_tree(root, num_subjects=12):
  """Draws two frames of one sequence of each subject; returns them by name."""
  rng = np.random.default_rng(0)
  drawn = {}
  for subject in range(num_subjects):
    for frame in (8, 9):
      name = f'S{subject * 7:03}_00{subject % 5}_{frame:08}.png'
      image = rng.integers(0, 256, (48, 48), np.uint8)
      folder = root / FOLDERS[subject % 7]
      folder.mkdir(parents=True, exist_ok=True)
      PIL.Image.fromarray(image).save(folder / name)
      drawn[name] = image
  return drawn


def test_every_image_comes_with_its_subject_sequence_and_frame(tmp_path):
  drawn = make_tree(tmp_path / 'CK+48')
  result = read(tmp_path)  # the folder that holds it
  split = result.dataset.splits['full']
  columns = result.columns['full']
  assert result.dataset.class_names[-1] == 'contempt'
  for i, (name, image) in enumerate(sorted(drawn.items())):
    subject = int(name[1:4]) // 7
    np.testing.assert_array_equal(split.images[i, ..., 0], image)
    assert split.labels[i] == subject % 7
    assert columns['subject'][i] == name[:4]
    assert columns['sequence'][i] == subject % 5
    assert columns['frame'][i] == int(name[9:17])
  np.testing.assert_array_equal(split.index, np.arange(24))


def test_folds_go_round_the_sorted_subjects():
  subjects = np.array([f'S{n:03}' for n in (50, 3, 50, 7, 11, 2, 999, 3)])
  expected = [4, 1, 4, 2, 3, 0, 5, 1]
  np.testing.assert_array_equal(ckplus.folds(subjects), expected)


@pytest.mark.parametrize('fold', range(10))
def test_splits_share_no_subject_and_hold_everything(fold):
  subjects = np.array([f'S{n % 118:03}' for n in range(300)])
  parts = ckplus.fold_splits(subjects, fold)
  np.testing.assert_array_equal(sum(parts.values()), np.ones(300))
  people = [set(subjects[part]) for part in parts.values()]
  assert sum(map(len, people)) == len(set.union(*people)) == 118
  following = ckplus.fold_splits(subjects, (fold + 1) % 10)
  np.testing.assert_array_equal(parts['validation'], following['test'])


def test_bad_files_are_named_or_left_out(tmp_path):
  make_tree(tmp_path)
  PIL.Image.new('L', (64, 64)).save(tmp_path / 'fear' / 'S001_001_00000001.png')
  (tmp_path / 'fear' / 'notes.txt').touch()
  with pytest.raises(UserError, match='64x64'):
    read(tmp_path)
  result = read(tmp_path, skip=True)
  assert len(result.dataset.splits['full']) == 24
  assert len(result.skipped) == 2
  assert 'not named SUBJECT_' in result.skipped[1]


def test_other_forms_are_refused(tmp_path):
  with pytest.raises(UserError, match='no such folder'):
    read(tmp_path / 'nothing')
  with pytest.raises(UserError, match='no class folder'):
    read(tmp_path)
  for name in ('ckextended.csv', 'CKEXTENDED.CSV'):
    (tmp_path / name).touch()
    with pytest.raises(UserError, match='names no subjects'):
      read(tmp_path / name)
  (tmp_path / 'ckplus.zip').touch()
  with pytest.raises(UserError, match='unpack'):
    read(tmp_path / 'ckplus.zip')
  (tmp_path / 'empty' / 'anger').mkdir(parents=True)
  with pytest.raises(UserError, match='no valid image'):
    read(tmp_path / 'empty')
  (tmp_path / 'original' / 'cohn-kanade-images').mkdir(parents=True)
  with pytest.raises(UserError, match='original CK'):
    read(tmp_path / 'original')


@pytest.mark.real_data
def test_the_real_images_are_the_published_ones():
  result = read(CK48)
  split = result.dataset.splits['full']
  assert split.counts(7).tolist() == list(ckplus.PUBLISHED['full'])
  assert len(split) == 981
  subjects = result.columns['full']['subject']
  folds = ckplus.folds(subjects)
  people = [len(set(subjects[folds == fold])) for fold in range(10)]
  assert people == [12] * 8 + [11] * 2  # 118 in all
  fear = result.dataset.class_names.index('fear')
  assert fear not in split.labels[folds == 9]
