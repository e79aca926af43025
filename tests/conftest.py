"""What every test runs under: four virtual devices and strict promotion."""

import atexit
import os
import pathlib
import shutil
import signal
import tempfile

# Before anything imports jax.
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=4'
)
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

# Every program is compiled once, here and in the processes that tests start. A
# worker has its own folder: entries are written in place, half of one is bad.
os.environ['JAX_COMPILATION_CACHE_DIR'] = tempfile.mkdtemp(prefix='ferjax')
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
# Hypothesis would write into the repository.
os.environ['HYPOTHESIS_STORAGE_DIRECTORY'] = os.path.join(
  os.environ['JAX_COMPILATION_CACHE_DIR'], 'hypothesis'
)

from absl import flags
import buckets
import company
import hypothesis
import jax
from matplotlib import figure as figures
import numpy as np
import pytest

from ferjax import config as config_lib

atexit.register(shutil.rmtree, os.environ['JAX_COMPILATION_CACHE_DIR'], True)
# What a shell's background job ignores, all that it starts would ignore too.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under nohup
  signal.signal(signal.SIGHUP, lambda *_: None)
jax.config.update('jax_numpy_dtype_promotion', 'strict')
jax.config.update('jax_numpy_rank_promotion', 'raise')
flags.FLAGS.mark_as_parsed()  # grain reads its own flags

# How many cases a test of tests/fuzz tries; always the same ones.
for name, count in (('short', 60), ('stress', 10_000)):
  hypothesis.settings.register_profile(
    name,
    max_examples=count,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
  )
is_stress = os.environ.get('FERJAX_STRESS') == '1'
hypothesis.settings.load_profile('stress' if is_stress else 'short')

ROOT = pathlib.Path(__file__).parent.parent
REAL_DATA = ROOT.parent / 'shared' / 'data'


def pytest_collection_modifyitems(items):
  for item in items:
    if item.get_closest_marker('real_data') and not REAL_DATA.exists():
      item.add_marker(pytest.mark.skip(reason=f'no {REAL_DATA}'))
    if item.get_closest_marker('long') and not is_stress:
      item.add_marker(pytest.mark.skip(reason='FERJAX_STRESS=1 runs it'))


@pytest.fixture(scope='session')
def data_dir(tmp_path_factory):
  """A prepared `fer2013` of drawn faces: 84 train, 28 validation, 28 test."""
  from ferjax.data import fer2013, raw, records, synthetic

  folder = tmp_path_factory.mktemp('data')
  labels = np.arange(140) % 7
  images = synthetic.draw_faces(labels, seed=0).reshape(140, -1)
  usages = ['Training'] * 84 + ['PublicTest'] * 28 + ['PrivateTest'] * 28
  lines = ['emotion,pixels,Usage'] + [
    f'{label},{" ".join(map(str, image))},{usage}'
    for label, image, usage in zip(labels, images, usages, strict=True)
  ]
  (folder / 'fer2013.csv').write_text('\n'.join(lines))
  faces = fer2013.read(
    folder / 'fer2013.csv', raw.BadRows(skip=False), lambda part: None
  )
  records.write(faces, str(folder), False, lambda part: None)
  return str(folder)


@pytest.fixture(scope='session')
def make_config(data_dir):
  """Makes configs of a few seconds: `simple_cnn`, 30 steps of 16 faces."""

  def make_config():
    config = config_lib.default_config()
    config.update(
      {
        'batch_size': 16,
        'eval_batch_size': 16,
        'num_steps': 30,
        'log_every_steps': 5,
        'eval_every_epochs': 0.0,
        'eval_every_steps': 10,
        'checkpoint_every_epochs': 0.0,
        'checkpoint_every_steps': 10,
      }
    )
    config.data.dir = data_dir
    config.model.name = 'simple_cnn'
    config.optimizer.learning_rate = 0.02
    return config

  return make_config


@pytest.fixture
def store(monkeypatch, tmp_path):
  """A bucket in memory behind `s3://ferjax` and `gs://ferjax`."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  with buckets.in_memory(monkeypatch) as store:
    yield store


@pytest.fixture
def train(data_dir, tmp_path):
  """Makes companies that train, and leaves none of their processes behind."""
  made = []

  def train(workdir, count, *more, steps=8, devices=1):
    given = [
      '--config=configs/simple_cnn.py',
      *company.flags(workdir, data_dir, steps),
      *more,
    ]
    folder = tmp_path / f'outputs-{len(made)}'
    made.append(company.Company(folder, count, *given, devices=devices))
    return made[-1]

  yield train
  for each in made:
    each.kill()


@pytest.fixture
def drawn(monkeypatch):
  """Collects the figures that are saved."""
  saved = []
  save = figures.Figure.savefig

  def remember(figure, *args, **kwargs):
    saved.append(figure)
    save(figure, *args, **kwargs)

  monkeypatch.setattr(figures.Figure, 'savefig', remember)
  return saved
