"""Classes matched by name, and what is scored of a split."""

import numpy as np
import pytest

from ferjax.data.dataset import Dataset, Split
from ferjax.errors import UserError
from ferjax.evaluation import assessment


def make_dataset(class_names, labels):
  labels = np.array(labels, np.int32)
  images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
  split = Split(images, labels, np.arange(len(labels)) + 100)
  return Dataset('other', class_names, {'test': split}, 'drawn')


def test_classes_of_another_data_set_are_matched_by_name():
  dataset = make_dataset(('sad', 'contempt', 'happy'), [0, 1, 2, 1, 0])
  split, left_out = assessment.match_classes(
    dataset, 'test', ('angry', 'happy', 'sad')
  )
  np.testing.assert_array_equal(split.labels, [2, 1, 2])
  np.testing.assert_array_equal(split.index, [100, 102, 104])
  np.testing.assert_array_equal(split.images.ravel(), [0, 2, 4])
  assert left_out == {'contempt': 2}


def test_no_common_class_is_refused():
  dataset = make_dataset(('zero', 'one'), [0, 1])
  with pytest.raises(UserError, match='zero, one against happy, sad'):
    assessment.match_classes(dataset, 'test', ('happy', 'sad'))
