"""Drawn faces are reproducible, varied, and not too easy to tell apart."""

import hashlib

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ferjax.data import synthetic

NUM_CLASSES = 7


@pytest.fixture(scope='module')
def dataset():
  return synthetic.load(('train', 'validation', 'test'), seed=0)


def test_shapes_and_types(dataset):
  assert dataset.name == 'synthetic'
  assert dataset.class_names == (
    'angry',
    'disgust',
    'fear',
    'happy',
    'sad',
    'surprise',
    'neutral',
  )
  sizes = {name: len(split) for name, split in dataset.splits.items()}
  assert sizes == {'train': 5000, 'validation': 1000, 'test': 1000}
  for split in dataset.splits.values():
    assert split.images.shape == (len(split), 48, 48, 1)
    assert split.images.dtype == np.uint8
    assert split.labels.dtype == np.int32
    np.testing.assert_array_equal(split.index, np.arange(len(split)))


def test_expressions_name_the_classes_and_known_units(dataset):
  assert tuple(synthetic.EXPRESSIONS) == dataset.class_names
  for ways in synthetic.EXPRESSIONS.values():
    for way in ways:
      assert set(way) <= set(synthetic.ACTION_UNITS)


def test_classes_are_balanced_and_shuffled(dataset):
  for split in dataset.splits.values():
    counts = split.counts(NUM_CLASSES)
    # Four standard deviations of a multinomial count.
    expected = len(split) / NUM_CLASSES
    assert np.abs(counts - expected).max() < 4 * np.sqrt(expected)
    repeats = np.mean(split.labels[1:] == split.labels[:-1])
    assert abs(repeats - 1 / NUM_CLASSES) < 0.05


def test_a_split_alone_is_the_same_and_splits_differ(dataset):
  alone = synthetic.load(('test',), seed=0).splits['test']
  together = dataset.splits['test']
  assert alone.content_hash() == together.content_hash()
  other = dataset.splits['validation']
  assert not np.array_equal(other.labels, together.labels)
  pictures = np.concatenate([s.images for s in dataset.splits.values()])
  assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_seeds_differ():
  labels = np.arange(NUM_CLASSES)
  first, second = (synthetic.draw_faces(labels, seed) for seed in (0, 1))
  assert (first != second).any(axis=(1, 2, 3)).all()


def test_a_face_does_not_depend_on_how_many_are_drawn():
  labels = np.arange(40) % NUM_CLASSES
  many = synthetic.draw_faces(labels, seed=5)
  for count in (0, 1, 15, 17, 33):
    few = synthetic.draw_faces(labels[:count], seed=5)
    np.testing.assert_array_equal(few, many[:count])


def test_a_face_depends_on_its_own_label_alone():
  labels = np.zeros(5, np.int32)
  changed = labels.copy()
  changed[2] = 3
  same = synthetic.draw_faces(labels, 0) == synthetic.draw_faces(changed, 0)
  np.testing.assert_array_equal(same.all(axis=(1, 2, 3)), labels == changed)


def test_faces_are_the_same_bytes_everywhere():
  # Every operation is exactly rounded, so no library or processor may differ.
  images = synthetic.draw_faces(np.arange(70) % NUM_CLASSES, seed=3)
  digest = hashlib.blake2b(images.tobytes(), digest_size=8).hexdigest()
  assert digest == 'df81a555f7253e69'


def test_mean_faces_differ_where_the_expression_shows(dataset):
  split = dataset.splits['train']
  means = np.stack(
    [split.images[split.labels == k].mean(axis=0) for k in range(NUM_CLASSES)]
  )[..., 0]
  gaps = np.abs(means[:, None] - means[None])
  noise = split.images.std() / np.sqrt(len(split) / NUM_CLASSES)
  peak = gaps.max(axis=(2, 3))[~np.eye(NUM_CLASSES, dtype=bool)]
  assert peak.min() > 4 * noise
  # A dropped jaw is dark in the middle of the lower face.
  mouth = means[:, 33:40, 20:28].mean(axis=(1, 2))
  assert dataset.class_names[mouth.argmin()] == 'surprise'


def test_pictures_are_neither_flat_nor_burnt_out(dataset):
  images = dataset.splits['test'].images.astype(np.float32)
  assert images.std(axis=(1, 2, 3)).min() > 8
  assert np.mean(images == 255) < 0.1
  assert np.mean(images == 0) < 0.1


def test_a_linear_model_is_between_chance_and_sixty_percent(dataset):
  train, test = dataset.splits['train'], dataset.splits['test']
  pixels = [split.images.reshape(len(split), -1) for split in (train, test)]
  model = make_pipeline(
    StandardScaler(), LogisticRegression(C=1e-3, max_iter=500)
  )
  # On shared cores, BLAS threads wait for each other.
  with threadpool_limits(1):
    model.fit(pixels[0][:1500], train.labels[:1500])
    accuracy = model.score(pixels[1], test.labels)
  assert 0.3 < accuracy < 0.6
