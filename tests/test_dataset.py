"""Splits: taken apart, counted and told from each other."""

import dataclasses

import numpy as np
import pytest

from ferjax.data.dataset import Split


@pytest.fixture
def split():
  rng = np.random.default_rng(0)
  return Split(
    images=rng.integers(0, 256, (6, 2, 2, 1), np.uint8),
    labels=np.array([0, 2, 1, 2, 0, 2], np.int32),
    index=np.arange(6) + 10,
  )


@pytest.fixture
def soft(split):
  targets = np.random.default_rng(1).dirichlet(np.ones(3), 6)
  return dataclasses.replace(split, targets=targets.astype(np.float32))


@pytest.mark.parametrize('rows', [[4, 1], np.arange(6) % 2 == 0])
def test_what_is_taken_stays_together(split, soft, rows):
  taken = soft.take(rows)
  for name in ('images', 'labels', 'index', 'targets'):
    np.testing.assert_array_equal(
      getattr(taken, name), getattr(soft, name)[rows]
    )
  assert split.take(rows).targets is None


def test_the_hash_of_hard_labels_stays_what_it_was():
  """Workdirs keep it, and are compared and resumed by it."""
  split = Split(
    images=np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1),
    labels=np.array([1, 0], np.int32),
    index=np.arange(2),
  )
  assert split.content_hash() == '7c1fa7b092d042e526c8d9a092932cae'


def test_the_hash_is_of_the_targets_too(split, soft):
  other = dataclasses.replace(soft, targets=soft.targets[::-1])
  hashes = {s.content_hash() for s in (split, soft, other)}
  assert len(hashes) == 3


def test_counts_are_of_the_labels(soft):
  np.testing.assert_array_equal(soft.counts(4), [2, 1, 3, 0])
