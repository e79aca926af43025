"""The way of the images is measured on few; sets that grew have their size."""

import importlib
import json
import pathlib
import types

import numpy as np
import pytest

from ferjax.data import unpacked
from ferjax.data.dataset import Split
from ferjax.errors import UserError

BENCHMARKS = pathlib.Path(__file__).parent.parent / 'benchmarks'


@pytest.fixture
def data_path(monkeypatch):
  monkeypatch.syspath_prepend(BENCHMARKS)
  return importlib.import_module('data_path')


@pytest.fixture
def growth(data_path):
  return data_path.growth


@pytest.fixture
def give(data_path, monkeypatch, tmp_path):
  """Gives the script flags for few images."""

  def give(**changed):
    given = {
      'csv': None,
      'rows': 200,
      'images': 100,
      'batch_sizes': ['8', '64'],
      'growth': ['1', '3'],
      'batches': 2,
      'rounds': 1,
      'seconds': 0.01,
      'output': str(tmp_path / 'figures.json'),
    }
    found = types.SimpleNamespace(**given | changed)
    monkeypatch.setattr(data_path, 'flags', types.SimpleNamespace(FLAGS=found))

  return give


def test_the_whole_way_is_measured(
  data_path, growth, give, monkeypatch, tmp_path, capsys
):
  # What a process of its own would do is done here.
  monkeypatch.setattr(growth, '_in_process', growth.train_on)
  monkeypatch.setattr(unpacked, 'LIMIT', 200 * 48 * 48)
  give()
  data_path.main([])
  figures = json.loads((tmp_path / 'figures.json').read_text())
  assert figures['num_images'] == 200
  assert list(figures['images_per_second']) == ['8', '64']
  names = ('times', 'start', 'num_images', 'is_mapped')
  assert [tuple(map(f.get, names)) for f in figures['growth']] == [
    (1, 'first', 100, False),
    (1, 'later', 100, False),
    (3, 'first', 300, True),
    (3, 'later', 300, True),
  ]
  assert '| 3x | 300 | a file | later |' in capsys.readouterr().out


@pytest.mark.slow
def test_each_size_has_a_process_of_its_own(growth, tmp_path):
  first, later = growth.measure(tmp_path, [2], 100, 2)
  assert first['num_images'] == later['num_images'] == 200
  assert first['images_per_second'] > 0


def test_faces_are_drawn_once_and_shifted(growth, monkeypatch):
  monkeypatch.setattr(growth, '_DRAWN', 14)
  images, labels = growth.draw(30)
  assert (images.shape, labels.shape) == ((30, 48, 48, 1), (30,))
  np.testing.assert_array_equal(np.roll(images[:14], 1, axis=2), images[14:28])
  assert len(np.unique(images, axis=0)) == 30
  np.testing.assert_array_equal(labels[:14], labels[14:28])


def test_every_image_of_a_stream_is_counted(data_path):
  def take_turns(works):
    for work in works.values():
      work()
    return dict.fromkeys(works, 2.0)

  images, labels = np.zeros((50, 4, 4, 1), np.uint8), np.zeros(50, np.int32)
  split = Split(images, labels, np.arange(50))
  assert data_path.rates(split, [8, 16], take_turns) == {'8': 28.0, '16': 32.0}


@pytest.mark.parametrize('given', ['none', '0', ''])
def test_growth_is_a_number(data_path, give, given):
  give(growth=[given])
  with pytest.raises(UserError, match='--growth='):
    data_path.main([])


def test_a_full_disk_is_one_line(growth, tmp_path):
  with pytest.raises(UserError, match=r'needs 2304\.0 GB of disk'):
    growth.measure(tmp_path, [10**7], 100, 1)
