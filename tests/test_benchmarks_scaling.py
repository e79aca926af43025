"""What a step costs, against counts by hand; one table and figure of all."""

import importlib
import pathlib

import pytest

from ferjax import models
from ferjax.errors import UserError

BENCHMARKS = pathlib.Path(__file__).parent.parent / 'benchmarks'
PIXELS, CLASSES = 48 * 48, 7
SIZES = ('batch_sizes', 'image_sizes', 'widths', 'devices')


@pytest.fixture
def scaling(monkeypatch):
  monkeypatch.syspath_prepend(BENCHMARKS)
  monkeypatch.setattr(models, 'MODELS', dict(models.MODELS))
  return importlib.import_module('scaling')


@pytest.fixture
def config(make_config):
  """A step that compiles in a moment: one matrix product."""
  config = make_config()
  config.model.name = 'logistic'
  return config


class Turns:
  """Calls each work once; call i took i seconds."""

  def __call__(self, works):
    for work in works.values():
      work()
    return {name: float(i) for i, name in enumerate(works, start=1)}


def test_batch_and_image_size(scaling, config):
  sizes = dict.fromkeys(SIZES, ()) | {
    'batch_sizes': [8, 512],
    'image_sizes': [24, 48],
  }
  batch, image = scaling.grow(config, sizes, 4, Turns())
  assert batch.values == batch.images == [8, 512]
  assert batch.work == [n * PIXELS * CLASSES for n in (8, 512)]
  assert batch.seconds == [1.0, 2.0]
  # 504 images more are in the arguments at least as bytes, then as floats.
  more = batch.memory[1] - batch.memory[0]
  assert 504 * PIXELS <= more <= 10 * 4 * 504 * PIXELS
  # Each of four devices has the weights and their momentum.
  assert batch.memory[0] >= 4 * 2 * 4 * PIXELS * CLASSES
  assert image.values == [24, 48]
  assert image.images == [4, 4]
  assert image.work == [4 * side**2 * CLASSES for side in (24, 48)]
  assert image.memory[0] < image.memory[1]


@pytest.mark.slow
def test_virtual_devices_are_those_of_another_process(scaling, config):
  sizes = dict.fromkeys(SIZES, ()) | {'devices': [2]}
  (growth,) = scaling.grow(config, sizes, 4, Turns())
  assert growth.work == [config.batch_size * PIXELS * CLASSES]
  # Here are four; each has the weights and their momentum.
  more = scaling.Trial(config).costs.memory - growth.memory[0]
  assert more >= (4 - 2) * 2 * 4 * PIXELS * CLASSES


@pytest.mark.parametrize(
  ('name', 'factor', 'expected'),
  [
    ('densenet_small', 2, {'width': 64, 'growths': (32, 64, 128)}),
    ('simple_cnn', 0.5, {'widths': (16, 32, 64), 'hidden': 128}),
    ('resnet18', 0.001, {'width': 1}),
  ],
)
def test_a_wider_network_has_its_channels_times_the_factor(
  scaling, config, name, factor, expected
):
  config.model.name = name
  wide = scaling.widened(config, factor)
  assert config.model.name == name
  network = models.from_config(wide.model, CLASSES)
  found = {field: getattr(network, field) for field in expected}
  assert found == expected


@pytest.mark.parametrize('name', ['logistic', 'mobilenet_v2'])
def test_a_network_without_a_width_is_told(scaling, config, name):
  config.model.name = name
  with pytest.raises(UserError, match='no known width'):
    scaling.widened(config, 2.0)


def test_the_table_says_what_grows_out_of_proportion(scaling):
  growth = scaling.Growth(
    title='Batch size',
    unit='images a step',
    values=[8, 16],
    images=[8, 16],
    work=[8_000_000, 16_000_000],
    seconds=[0.01, 0.03],
    memory=[1e6, 1.5e6],
  )
  *_, first, second = scaling.table(growth).splitlines()
  assert first == '| 8 | 1 million | 10 ms | 800 | 1 MB | 1.00 | 1.00 |'
  assert second == '| 16 | 1 million | 30 ms | 533 | 1.5 MB | 1.50 | 0.75 |'


def test_only_widths_need_not_be_whole(scaling):
  assert scaling._sizes('widths', ['0.5', '2']) == [0.5, 2.0]
  assert scaling._sizes('devices', []) == []
  with pytest.raises(UserError, match='--batch_sizes='):
    scaling._sizes('batch_sizes', ['1.5'])
