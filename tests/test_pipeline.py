"""The order of the examples: every one, once an epoch, wherever it is read."""

import dataclasses

import jax
import numpy as np
import pytest

from ferjax.data import pipeline
from ferjax.data.dataset import Split


@pytest.fixture
def split():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (37, 6, 6, 1), np.uint8)
  return Split(images, rng.integers(0, 7, 37).astype(np.int32), np.arange(37))


def test_each_epoch_is_one_permutation_and_nothing_is_dropped():
  order = pipeline.TrainOrder(num_examples=37, batch_size=8, seed=3)
  rows = np.concatenate([order[k] for k in range(37)])  # eight epochs
  for epoch in rows.reshape(8, 37):
    np.testing.assert_array_equal(np.sort(epoch), np.arange(37))
  assert not np.array_equal(rows[:37], rows[37:74])
  first = np.random.default_rng((3, 0)).permutation(37)
  np.testing.assert_array_equal(rows[:37], first)


def test_order_does_not_depend_on_the_batch_size():
  small, large = (
    np.concatenate([pipeline.TrainOrder(37, size, 1)[k] for k in range(n)])
    for size, n in ((4, 24), (32, 3))
  )
  np.testing.assert_array_equal(small, large)


def test_batch_larger_than_the_data_spans_several_epochs():
  rows = pipeline.TrainOrder(5, 16, 0)[0]
  np.testing.assert_array_equal(np.bincount(rows[:15]), [3] * 5)


def test_calls_stop_at_every_interval_and_have_two_lengths():
  calls = pipeline.plan_calls(5, 60, 4, [25, 10, 0])
  assert [call.start for call in calls[:3]] == [5, 9, 10]
  assert sum(call.num_steps for call in calls) == 55
  assert {call.num_steps for call in calls} == {1, 4}
  ends = {call.start + call.num_steps for call in calls}
  assert ends >= {10, 20, 25, 30, 40, 50, 60}


def test_processes_share_a_batch_without_overlap(split, monkeypatch):
  calls = [pipeline.Call(0, 2), pipeline.Call(2, 1)]
  shares = []
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  for process in range(2):
    monkeypatch.setattr(jax, 'process_index', lambda p=process: p)
    batches = list(pipeline.train_batches(split, calls, 16, 0, 'device'))
    shares.append(batches[0]['index'])
    assert batches[1]['index'].shape == (4, 1, 2)
  order = pipeline.TrainOrder(37, 16, 0)
  # [process, device, step, n] to [step, process, device, n].
  joined = np.stack(shares).transpose(2, 0, 1, 3).reshape(2, 16)
  np.testing.assert_array_equal(joined, [order[0], order[1]])


def test_host_and_device_placement_see_the_same_images(split):
  calls = pipeline.plan_calls(0, 6, 2, [])
  host = list(pipeline.train_batches(split, calls, 8, 0, 'host'))
  device = list(pipeline.train_batches(split, calls, 8, 0, 'device'))
  assert len(host) == len(device) == 3
  for a, b in zip(host, device, strict=True):
    np.testing.assert_array_equal(a['index'], b['index'])
    np.testing.assert_array_equal(a['image'], split.images[b['index']])
    np.testing.assert_array_equal(a['label'], split.labels[b['index']])
    assert set(b) == {'index', 'mask', 'seed'}
    assert a['mask'].all()


def test_soft_targets_travel_with_the_labels(split):
  targets = np.random.default_rng(1).dirichlet(np.ones(7), 37)
  split = dataclasses.replace(split, targets=targets.astype(np.float32))
  calls = pipeline.plan_calls(0, 6, 2, [])
  for batch in pipeline.train_batches(split, calls, 8, 0, 'host'):
    np.testing.assert_array_equal(
      batch['target'], split.targets[batch['index']]
    )
  table = pipeline.table(split, 'device')
  assert set(table) == {'image', 'label', 'target'}
  np.testing.assert_array_equal(table['target'], split.targets)
  assert pipeline.table(split, 'host') == ()


def test_reading_goes_on_where_it_stopped(split):
  whole = pipeline.plan_calls(0, 12, 1, [])
  rest = pipeline.plan_calls(7, 12, 1, [])
  expected = list(pipeline.train_batches(split, whole, 8, 5, 'device'))[7:]
  actual = list(pipeline.train_batches(split, rest, 8, 5, 'device'))
  for a, b in zip(expected, actual, strict=True):
    np.testing.assert_array_equal(a['index'], b['index'])


def test_nothing_left_to_read(split):
  assert not list(pipeline.train_batches(split, [], 8, 5, 'host'))


@pytest.mark.parametrize('batch_size', [8, 16, 64])
def test_evaluation_sees_every_example_once(split, batch_size):
  batches = list(pipeline.eval_batches(split, batch_size, 'host'))
  index = np.concatenate([b['index'].ravel() for b in batches])
  mask = np.concatenate([b['mask'].ravel() for b in batches])
  np.testing.assert_array_equal(index[mask], np.arange(37))
  assert (index[~mask] == -1).all()
  assert batches[0]['image'].shape == (4, batch_size // 4, 6, 6, 1)


def test_prefetching_keeps_the_order(split):
  batches = pipeline.eval_batches(split, 8, 'host')
  placed = list(pipeline.prefetch_to_devices(batches, 'pmap', 2))
  assert len(placed) == 5
  index = np.concatenate([np.ravel(b['index']) for b in placed])
  np.testing.assert_array_equal(index[:37], np.arange(37))
  assert len(placed[0]['image'].sharding.device_set) == 4


@pytest.mark.parametrize(
  ('memory', 'placement'), [(10**6, 'device'), (5000, 'host')]
)
def test_auto_placement_fills_a_quarter_of_an_accelerator(
  split, monkeypatch, memory, placement
):
  class Device:
    platform = 'gpu'

    def memory_stats(self):
      return {'bytes_limit': memory}

  monkeypatch.setattr(jax, 'local_devices', lambda: [Device()])
  assert split.images.nbytes == 1332
  assert pipeline.choose_placement('auto', [split]) == placement


def test_auto_placement_keeps_images_on_the_host_of_a_cpu(split):
  assert pipeline.choose_placement('auto', [split]) == 'host'
  assert pipeline.choose_placement('device', [split]) == 'device'
