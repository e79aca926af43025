"""The audit finds planted faults, and those that are known of FER2013."""

import conftest
import numpy as np
from PIL import Image
import pytest

from ferjax.data import audit, synthetic
from ferjax.data.dataset import Split

NAMES = ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')


def split(images, labels, start=0):
  index = np.arange(start, start + len(labels))
  return Split(np.stack(images), np.array(labels, np.int32), index)


@pytest.fixture(scope='module')
def planted():
  """Faces 0 to 5, some of them copied, beside two that are none."""
  faces = synthetic.draw_faces(np.arange(6), seed=0)
  black, grey = np.zeros((2, 48, 48, 1), np.uint8)
  grey[:] = 100
  grey[:20] = 103
  near = np.clip(faces[1].astype(int) + 3, 0, 255).astype(np.uint8)
  near[:4, :4] = 0
  train = [faces[0], faces[1], faces[2], faces[0], black, faces[3]]
  held_out = [faces[0], near, faces[5], grey, black]
  return {
    'train': split(train, [0, 1, 2, 3, 4, 5]),
    'test': split(held_out, [0, 1, 2, 3, 4], start=100),
  }


def test_planted_faults_are_found(planted):
  found = audit.inspect(planted)
  assert found.num_unique == 8
  assert np.flatnonzero(found.is_black).tolist() == [4, 10]
  assert np.flatnonzero(found.is_flat).tolist() == [9]
  copies_in_train, copies_in_test = found.has_copy.T
  assert np.flatnonzero(copies_in_train).tolist() == [0, 3, 6, 10]
  assert np.flatnonzero(copies_in_test).tolist() == [0, 3, 4]
  assert np.flatnonzero(found.is_conflicting).tolist() == [0, 3, 6]
  assert found.num_conflicts == 1
  near_in_train, near_in_test = found.has_near_copy.T
  assert np.flatnonzero(near_in_train).tolist() == [7]
  assert np.flatnonzero(near_in_test).tolist() == [1]
  assert found.nearest.tolist() == [-1, 7, *[-1] * 5, 1, *[-1] * 3]
  assert (found.correlation[[1, 7]] > 0.9).all()


def test_every_fault_is_listed(planted):
  rows = list(audit.findings(audit.inspect(planted), NAMES))
  kinds = [row['fault'] for row in rows]
  counts = {kind: kinds.count(kind) for kind in kinds}
  assert counts == {
    'black': 2,
    'near-constant': 1,
    'copy': 5,
    'conflict': 3,
    'near copy': 2,
  }
  assert {**rows[-1], 'score': None} == {
    'fault': 'near copy',
    'split': 'test',
    'index': 101,
    'label': 'disgust',
    'other_split': 'train',
    'other_index': 1,
    'other_label': 'disgust',
    'score': None,
  }
  conflicts = [row for row in rows if row['fault'] == 'conflict']
  assert [row['label'] for row in conflicts] == ['angry', 'happy', 'angry']
  assert len({row['group'] for row in conflicts}) == 1


def test_a_clean_split_has_no_faults():
  faces = synthetic.draw_faces(np.arange(3), seed=1)
  found = audit.inspect({'train': split(faces, [0, 1, 2])})
  assert list(audit.findings(found, NAMES)) == []
  assert (found.num_unique, found.num_conflicts) == (3, 0)


def read_strip(name):
  folder = conftest.REAL_DATA / 'fer2013'
  labels = np.loadtxt(folder / f'fer2013_{name}_labels.txt', dtype=np.int32)
  pixels = np.asarray(Image.open(folder / f'fer2013_{name}.png'))
  height, width = pixels.shape
  tiles = pixels.reshape(height // 48, 48, width // 48, 48).swapaxes(1, 2)
  images = tiles.reshape(-1, 48, 48, 1)[: len(labels)]
  return Split(images, labels, np.arange(len(labels)))


@pytest.mark.real_data
def test_faults_of_fer2013():
  splits = {'train': read_strip('train'), 'validation': read_strip('public')}
  found = audit.inspect(splits)
  held_out = found.split == 1
  assert len(found.split) == 32298
  assert found.num_unique == 30765
  assert found.num_conflicts == 48
  assert found.has_copy[held_out, 0].sum() == 280
  assert np.bincount(found.split[found.is_black]).tolist() == [11, 1]
  near_only = found.has_near_copy[:, 0] & ~found.has_copy[:, 0]
  assert (near_only & held_out).sum() == 173
