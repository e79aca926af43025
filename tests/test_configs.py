"""Every config loads, and its steps lower for CPU, CUDA and TPU."""

import importlib.util
import pathlib

import jax
import numpy as np
import pytest

from ferjax import config as config_lib
from ferjax import models
from ferjax.errors import UserError
from ferjax.run import build

CONFIGS = sorted((pathlib.Path(__file__).parent.parent / 'configs').iterdir())
CONFIGS = [path for path in CONFIGS if path.suffix == '.py']


def load(path, argument=''):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config(argument)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_config_takes_a_dataset_and_refuses_the_rest(path):
  config = load(path, 'dataset=synthetic')
  assert config.data.name == 'synthetic'
  assert config.is_locked
  assert sorted(config) == sorted(config_lib.default_config())
  with pytest.raises(UserError, match='dataset='):
    load(path, 'datset=synthetic')
  text = path.read_text()
  assert f'python -m ferjax.main --config=configs/{path.name}' in text


@pytest.mark.parametrize('argument', ['depth=50', 'depth=152'])
def test_resnet_depths(argument):
  name = load(CONFIGS[[p.stem for p in CONFIGS].index('resnet')], argument)
  assert name.model.name == 'resnet' + argument.removeprefix('depth=')


def test_ckplus_starts_from_a_workdir():
  path = CONFIGS[[p.stem for p in CONFIGS].index('ckplus')]
  config = load(path, 'start=runs/densenet,fold=3')
  assert (config.init_from, config.data.fold) == ('runs/densenet', 3)
  assert config.optimizer.learning_rate < load(path).optimizer.learning_rate
  assert not load(path).init_from


@pytest.mark.parametrize('name', models.MODELS)
def test_the_zoo_has_every_network(name):
  zoo = CONFIGS[[p.stem for p in CONFIGS].index('zoo')]
  config = load(zoo, f'model={name},epochs=2')
  assert (config.model.name, config.num_epochs) == (name, 2.0)
  models.validate(config.model)


def shapes(images, *shape):
  """Returns a batch of this shape without its values."""
  batch = {
    'index': jax.ShapeDtypeStruct(shape, np.int32),
    'mask': jax.ShapeDtypeStruct(shape, np.bool_),
  }
  if len(shape) > 2:  # of the training step
    batch['seed'] = jax.ShapeDtypeStruct(shape[:2], np.uint32)
  return batch | (table(*shape) if images else {})


def table(*shape):
  return {
    'image': jax.ShapeDtypeStruct((*shape, 48, 48, 1), np.uint8),
    'label': jax.ShapeDtypeStruct(shape, np.int32),
  }


def check_lowering(run, table, train_batch, eval_batch):
  state = jax.eval_shape(lambda: run.state)
  for step, first, batch in (
    (run.train_step, state, train_batch),
    (run.eval_step, state.variables, eval_batch),
  ):
    with jax.numpy_dtype_promotion('standard'):  # for optax's adam
      exported = jax.export.export(step, platforms=['cpu', 'cuda', 'tpu'])(
        first, table, batch
      )
    assert exported.platforms == ('cpu', 'cuda', 'tpu')
    assert exported.nr_devices == jax.device_count()


CASES = [(path, '') for path in CONFIGS] + [
  (path, 'depth=121') for path in CONFIGS if path.stem == 'densenet'
]


@pytest.mark.slow
@pytest.mark.parametrize(
  ('path', 'argument'),
  CASES,
  ids=[f'{p.stem}-{a}'.strip('-') for p, a in CASES],
)
def test_steps_lower_for_every_platform(path, argument, data_dir):
  config = load(path, argument)
  config.data.name = 'fer2013'
  config.data.dir = data_dir
  config.sharding = 'shard_map'
  n = config.batch_size // jax.device_count()
  check_lowering(
    build(config),
    (),
    shapes(True, jax.device_count(), 1, n),
    shapes(True, jax.device_count(), n),
  )


@pytest.mark.slow
def test_steps_lower_in_the_form_that_accelerators_run(data_dir, monkeypatch):
  """Sixteen steps in a rolled loop, images on the device, all options on."""
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  config = config_lib.default_config()
  config.data.dir = data_dir
  config.data.placement = 'device'
  config.num_epochs = 1.0
  config.sharding = 'shard_map'
  config.accumulation_steps = 2
  config.ema_decay = 0.999
  config.model.dtype = 'bfloat16'
  config.model.dropout = 0.1
  config.model.cross_replica_batch_norm = True
  config.augment.update({'rotation': 10.0, 'mixup': 1.0, 'cutmix': 1.0})
  run = build(config)
  assert run.steps_per_call == 16
  check_lowering(run, table(84), shapes(False, 4, 16, 16), shapes(False, 4, 16))
