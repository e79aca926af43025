"""Large splits stay on disk: the same examples, batches and numbers."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from unittest import mock

from etils import epath
import numpy as np
import pytest
from test_records import make_raw, open_prepared, write

from ferjax.data import balance, copies, mapped, pipeline, unpacked
from ferjax.data.mapped import Mapped

SHAPE = (5, 4, 4, 1)
IMAGES = np.arange(80, dtype=np.uint8).reshape(SHAPE)

# Decodes into the folder that is given, and dies in the middle of it.
VICTIM = """
import os, signal, sys
from etils import epath
import numpy as np
from ferjax.data import unpacked
unpacked.LIMIT = 0
def decode(put):
  for row in range(3):
    put(row, np.full((4, 4, 1), 99, np.uint8))
  os.kill(os.getpid(), signal.SIGKILL)
unpacked.load(epath.Path(sys.argv[1]), 'train', (5, 4, 4, 1), decode)
"""


@pytest.fixture(autouse=True)
def nothing_fits(monkeypatch):
  monkeypatch.setattr(unpacked, 'LIMIT', 0)
  monkeypatch.setattr(mapped, '_CHUNK', 20_000)  # several to a split


@pytest.fixture
def folder(tmp_path):
  (tmp_path / 'records').write_text('as they are')
  return epath.Path(tmp_path)


def load(folder, images=IMAGES, times=None):
  def decode(put):
    if times is not None:
      times.append(1)
    for row, image in enumerate(images):
      put(row, image)
    return {'label': np.arange(len(images))}

  return unpacked.load(folder, 'train', images.shape, decode)


def kept(folder):
  return list((folder / '.unpacked' / 'train').iterdir())


@pytest.fixture
def both(tmp_path, monkeypatch):
  """The same split, in memory and on disk."""
  write(make_raw(), tmp_path)
  on_disk, _ = open_prepared(tmp_path).read('train')
  monkeypatch.setattr(unpacked, 'LIMIT', 1 << 30)
  in_memory, _ = open_prepared(tmp_path).read('train')
  assert isinstance(on_disk.images, Mapped)
  assert isinstance(in_memory.images, np.ndarray)
  return in_memory, on_disk


def assert_same(a, b):
  assert a.content_hash() == b.content_hash()
  for name in ('images', 'labels', 'index'):
    np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_what_is_read_is_the_same(tmp_path):
  raw = make_raw()
  write(raw, tmp_path)
  for _ in range(2):  # unpacked at first, found then
    split, columns = open_prepared(tmp_path).read('train', ('votes', 'subject'))
    assert_same(raw.dataset.splits['train'], split)
    for name, values in columns.items():
      np.testing.assert_array_equal(values, raw.columns['train'][name])


@pytest.mark.parametrize(
  'rows', [np.array([4, 1, 1]), np.arange(30) % 3 == 0, np.zeros(0, int)]
)
def test_what_is_taken_is_the_same_and_read_only_when_used(both, rows):
  in_memory, on_disk = both
  taken = on_disk.take(rows).take(np.arange(np.arange(30)[rows].size)[::-1])
  assert isinstance(taken.images, Mapped)
  expected = in_memory.take(rows).take(slice(None, None, -1))
  assert_same(expected, taken)
  assert taken.images.shape == expected.images.shape
  assert taken.images.nbytes == expected.images.nbytes


def test_batches_are_the_same_byte_for_byte(both):
  calls = pipeline.plan_calls(3, 12, 2, [5])  # as after a resume
  for ways in (
    lambda split: pipeline.train_batches(split, calls, 8, 1, 'host'),
    lambda split: pipeline.eval_batches(split, 8, 'host'),
    lambda split: pipeline.prefetch_to_devices(
      pipeline.train_batches(split, calls, 8, 1, 'host'), 'pmap', 2
    ),
  ):
    for a, b in zip(*map(ways, both), strict=True):
      assert a.keys() == b.keys()
      for name in a:
        np.testing.assert_array_equal(a[name], b[name])
        assert a[name].dtype == b[name].dtype


def test_devices_get_the_same_table(both):
  a, b = (pipeline.table(split, 'device') for split in both)
  assert a.keys() == b.keys()
  for name in a:
    np.testing.assert_array_equal(a[name], b[name])
    assert b[name].sharding == a[name].sharding


@pytest.mark.parametrize('setting', ['oversample', 'mirror'])
def test_balanced_examples_are_the_same(both, setting):
  a, b = (balance.balance(split, 3, setting, 0) for split in both)
  assert len(a) > 30
  assert_same(a, b)
  assert isinstance(b.images, Mapped) == (setting == 'oversample')


def test_copies_are_found(both):
  in_memory, _ = both
  held_out = [in_memory.images[[2, 7]]]
  (a, _), (b, left_out) = (copies.exclude(split, held_out) for split in both)
  assert left_out == 2
  assert_same(a, b)


def test_a_split_is_decoded_once(folder, capfd):
  times = []
  for _ in range(2):
    arrays = load(folder, times=times)
    np.testing.assert_array_equal(arrays['image'], IMAGES)
    np.testing.assert_array_equal(arrays['label'], np.arange(5))
  assert times == [1]
  assert capfd.readouterr().err.count('unpacking') == 1


def test_a_changed_set_never_meets_the_old_images(folder):
  load(folder)
  (folder / 'records').write_text('other ones')
  arrays = load(folder, IMAGES[::-1])
  np.testing.assert_array_equal(arrays['image'], IMAGES[::-1])
  assert len(kept(folder)) == 1


def test_overwriting_a_prepared_set_replaces_its_images(tmp_path):
  for seed in (0, 1):
    write(make_raw(seed), tmp_path, overwrite=True)
    split, _ = open_prepared(tmp_path).read('train')
    assert_same(make_raw(seed).dataset.splits['train'], split)


def test_what_a_killed_start_leaves_is_not_trusted(folder):
  done = subprocess.run(
    [sys.executable, '-c', VICTIM, folder], capture_output=True
  )
  assert done.returncode == -signal.SIGKILL
  assert [path.name for path in kept(folder)] == ['incomplete']
  np.testing.assert_array_equal(load(folder)['image'], IMAGES)
  assert [path.name for path in kept(folder)] != ['incomplete']
  assert len(kept(folder)) == 1


def test_a_file_that_strays_there_does_no_harm(folder):
  load(folder)
  (kept(folder)[0].parent / '.DS_Store').write_text('')
  (folder / 'records').write_text('other ones')
  assert isinstance(load(folder)['image'], Mapped)
  assert len(kept(folder)) == 1


def test_of_several_at_once_one_decodes(folder):
  times, results = [], []
  threads = [
    threading.Thread(target=lambda: results.append(load(folder, times=times)))
    for _ in range(4)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert times == [1]
  for arrays in results:
    np.testing.assert_array_equal(arrays['image'], IMAGES)


def fill_at_once(folder, monkeypatch):
  monkeypatch.setattr(
    shutil, 'disk_usage', lambda _: mock.Mock(free=IMAGES.nbytes - 1)
  )


def fill_midway(folder, monkeypatch):
  def fail(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(os, 'fsync', fail)


def forbid(folder, monkeypatch):
  (folder / '.unpacked').write_text('a file is in the way')


@pytest.mark.parametrize('spoil', [fill_at_once, fill_midway, forbid])
def test_where_it_cannot_be_written_memory_is_filled(
  folder, monkeypatch, capfd, spoil
):
  spoil(folder, monkeypatch)
  arrays = load(folder)
  assert isinstance(arrays['image'], np.ndarray)
  np.testing.assert_array_equal(arrays['image'], IMAGES)
  lines = capfd.readouterr().err.splitlines()
  assert [line for line in lines if 'warning: train takes' in line] == lines[
    -1:
  ]
  assert ('unpacking' in lines[0]) == (spoil is fill_midway)
  assert spoil is forbid or not kept(folder)


def test_what_is_unpacked_is_used_where_nothing_can_be_written(
  folder, monkeypatch
):
  load(folder)
  monkeypatch.setattr(unpacked, '_fill', None)
  monkeypatch.setattr(os, 'open', None)
  assert isinstance(load(folder)['image'], Mapped)


def test_small_splits_stay_in_memory(folder, monkeypatch):
  monkeypatch.setattr(unpacked, 'LIMIT', IMAGES.nbytes)
  assert isinstance(load(folder)['image'], np.ndarray)
  assert not (folder / '.unpacked').exists()


@pytest.mark.parametrize('index', [[3, 5, 9], [5, 3, 9]])
def test_what_is_in_order_is_not_copied(tmp_path, monkeypatch, index):
  monkeypatch.setattr(unpacked, 'LIMIT', 1 << 30)
  write(make_raw(), tmp_path)
  arrays = {
    'image': np.arange(48, dtype=np.uint8).reshape(3, 4, 4, 1),
    'label': np.arange(3),
    'index': np.array(index),
    'subject': np.array(['a', 'b', 'c']),
  }
  monkeypatch.setattr(unpacked, 'load', lambda *_: arrays)
  split, columns = open_prepared(tmp_path).read('train', ('subject',))
  is_sorted = index == sorted(index)
  assert (split.images is arrays['image']) == is_sorted
  np.testing.assert_array_equal(split.index, [3, 5, 9])
  expected = [0, 1, 2] if is_sorted else [1, 0, 2]
  np.testing.assert_array_equal(split.labels, expected)
  np.testing.assert_array_equal(
    split.images, arrays['image'][expected], strict=True
  )
  np.testing.assert_array_equal(
    columns['subject'], np.array(list('abc'))[expected]
  )
