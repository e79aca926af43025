"""The table that members share, and their axis in front of a tree."""

import types

import jax
import numpy as np
import pytest

from ferjax.data import pipeline
from ferjax.data.dataset import Split
from ferjax.recovery import Recovery
from ferjax.training import team


def make_split(rows, targets=False):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (30, 5, 4, 1), np.uint8)
  soft = rng.random((30, 3)).astype(np.float32) if targets else None
  labels = (np.arange(30) % 3).astype(np.int32)
  return Split(images, labels, np.arange(30), soft).take(np.array(rows))


def test_each_example_is_held_once_and_found_again():
  for targets in (False, True):
    splits = [make_split(rows, targets) for rows in ([4, 2, 9], [9, 7, 4, 4])]
    joined, rows = team.join([*splits, splits[0]])
    assert joined.index.tolist() == [4, 2, 9, 7]
    for split, own in zip([*splits, splits[0]], rows, strict=True):
      again = joined.take(own)
      np.testing.assert_array_equal(again.images, split.images)
      np.testing.assert_array_equal(again.labels, split.labels)
      if targets:
        np.testing.assert_array_equal(again.targets, split.targets)


def test_the_same_image_with_another_label_is_another_example():
  first, second = make_split([1, 2]), make_split([1, 2])
  second.labels[0] = 2
  joined, rows = team.join([first, second])
  assert len(joined) == 3
  assert joined.labels[rows[1]].tolist() == [2, 2]


def make_run(split, seed=0, placement='host'):
  config = types.SimpleNamespace(
    seed=seed,
    batch_size=8,
    sharding='pmap',
    data=types.SimpleNamespace(prefetch=1),
  )
  return types.SimpleNamespace(
    dataset=types.SimpleNamespace(splits={'train': split}),
    train_step=None,
    make_train_step=lambda weights, has_members: None,
    class_weights=np.ones(3, np.float32),
    config=config,
    placement=placement,
    recovery=Recovery(),
  )


@pytest.mark.parametrize('placement', ['host', 'device'])
def test_each_member_gets_its_own_images_in_its_own_order(placement):
  splits = [make_split(range(0, 20)), make_split(range(29, 9, -1))]
  seeds = [3, 4]
  two = team.Team(
    [
      make_run(split, seed, placement)
      for split, seed in zip(splits, seeds, strict=True)
    ]
  )
  table, rows = two.place_table()
  (batch,) = two.batches([pipeline.Call(1, 2)], rows)
  for member, (split, seed) in enumerate(zip(splits, seeds, strict=True)):
    order = pipeline.TrainOrder(len(split), 8, seed)
    expected = split.images[np.stack([order[1], order[2]])]
    if placement == 'device':
      index = np.asarray(batch['index'])[:, :, member]
      images = np.asarray(table['image'])[index]
    else:
      images = np.asarray(batch['image'])[:, :, member]
    # [devices, steps, n, ...] as one batch a step.
    images = images.swapaxes(0, 1).reshape(expected.shape)
    np.testing.assert_array_equal(images, expected)


def test_what_is_stacked_is_picked_again():
  states = [{'a': np.full((2, 3), i), 'b': np.float32(i)} for i in range(3)]
  three = team.Team([make_run(make_split([0])) for _ in states])
  stacked = three.stack(states)
  assert stacked['a'].shape == (3, 2, 3)
  for i, state in enumerate(states):
    jax.tree.map(np.testing.assert_array_equal, three.pick(stacked, i), state)
  alone = team.Team([make_run(make_split([0]))])
  assert alone.stack(states[:1])['a'].shape == (2, 3)
