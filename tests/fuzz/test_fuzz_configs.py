"""Config files, their arguments and overrides: a run that works, or a line."""

import json
import pathlib
import sys
import warnings

from absl import flags
import guard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ml_collections import config_flags
from mutations import VALUES, WORDS, broken_json
import numpy as np
import pytest

from ferjax import cli, workdir
from ferjax import config as config_lib
from ferjax import run as run_lib
from ferjax.data.dataset import CLASS_NAMES, Dataset, Split
from ferjax.errors import UserError

pytestmark = pytest.mark.stress

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
DEFAULTS = config_lib.flatten(config_lib.default_config())
RNG = np.random.default_rng(0)


def split(size):
  return Split(
    RNG.integers(0, 256, (size, 48, 48, 1), np.uint8),
    np.arange(size, dtype=np.int32) % 7,
    np.arange(size),
  )


TINY = Dataset(
  'synthetic',
  CLASS_NAMES[:7],
  {name: split(64) for name in ('train', 'validation')},
  'nowhere',
)


@pytest.fixture(scope='module')
def home():
  yield from guard.folder()


def start(argv, home):
  """Does what `main` does before it trains; returns the config."""
  values = flags.FlagValues()
  argv = ['main', *argv]
  flag = config_flags.DEFINE_config_file(
    'config', flag_values=values, sys_argv=argv
  )

  def parse():
    # What ml_collections calls to run the file.
    warnings.filterwarnings('ignore', r'the load_module\(\)')
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(cli.flags, 'FLAGS', values)
      said = []
      patch.setattr(cli, '_complain', lambda error, _: said.append(str(error)))
      try:
        cli._parse(argv)
        cli.config_file(flag)
      except SystemExit:
        raise UserError(said[0]) from None
    run_lib.validate(values.config)
    return values.config

  return guard.outcome(parse, home, '')


FIELDS = st.one_of(
  st.sampled_from(sorted(DEFAULTS)),
  st.sampled_from(('model', 'data', 'seed.x', 'modell', '', '.', 'data.')),
)
MEANT = st.one_of(
  *(
    st.sampled_from(group)
    for group in (
      ('True', 'False', 'None', 'none', 'auto', '0', '1', '2', '4', '64'),
      ('0.5', '1.0', '-1', '1e-3', '1e300', 'nan', 'inf', '-inf', '2147483648'),
      ('synthetic', 'mnist', '../x', '/etc', 'a/b', 'simple_cnn', 'resnet18'),
      (
        'mlp',
        'dexpression',
        'vit_tiny',
        'step',
        'adamw',
        'lion',
        'rgb',
        'gray',
      ),
      (
        'imagenet',
        'center',
        'flip',
        'ten_crop',
        'balanced',
        'angry=2',
        'x=nan',
      ),
      ("('disgust',)", "('a=b+c',)", '(1, 2)', '((),)', '(' * 300, '[1]', "''"),
      ('frame', 'vmap', 'loop', 'bfloat16', 'small', 'oversample', 'mirror'),
      (
        'majority',
        'multi_target',
        'device',
        'host',
        'shard_map',
        '1_0',
        '9' * 40,
      ),
    )
  ),
  WORDS.filter(lambda word: len(word) < 100),
)
OVERRIDES = st.lists(st.tuples(FIELDS, MEANT), max_size=3)


def as_flags(overrides):
  return [f'--config.{field}={value}' for field, value in overrides]


BASE = f'--config={CONFIGS}/simple_cnn.py:dataset=synthetic'


@given(OVERRIDES)
@example([('seed', '99999999999999999999999')])
@example([('data.seed', '99999999999999999999999')])
def test_overrides(home, overrides):
  config = start([BASE, *as_flags(overrides)], home)
  if isinstance(config, UserError):
    return
  for field, value in config_lib.flatten(config).items():
    default = DEFAULTS[field]
    assert default is None or type(value) is type(default), field


@given(OVERRIDES)
@settings(max_examples=settings().max_examples // 10)
@example([])
def test_what_is_valid_can_be_built(home, overrides):
  argv = [BASE, '--config.batch_size=8', *as_flags(overrides)]
  config = start(argv, home)
  if not isinstance(config, UserError):
    run = guard.outcome(lambda: run_lib.build(config, dataset=TINY), home, '')
    assert overrides or not isinstance(run, UserError)


ARGUMENTS = st.lists(
  st.tuples(
    st.sampled_from(('depth', 'dataset', 'model', 'epochs', 'stem', 'x', '')),
    st.sampled_from(('=', '', '==')),
    MEANT,
  ).map(''.join),
  max_size=3,
).map(','.join)


@given(st.sampled_from(sorted(p.name for p in CONFIGS.glob('*.py'))), ARGUMENTS)
def test_arguments_of_config_files(home, name, argument):
  config = start([f'--config={CONFIGS}/{name}:{argument}'], home)
  if not argument and name != 'ckplus.py':
    assert not isinstance(config, UserError)


@given(ARGUMENTS)
def test_parse_argument(home, argument):
  known = {'depth': 0, 'epochs': 1.5, 'dataset': 'x'}
  found = guard.outcome(
    lambda: config_lib.parse_argument(argument, **known), home, ''
  )
  if not isinstance(found, UserError):
    assert {k: type(v) for k, v in found.items()} == {
      key: type(value) for key, value in known.items()
    }


WHOLE = config_lib.default_config().to_dict()


@given(broken_json(WHOLE))
def test_config_json(home, content):
  (home / 'config.json').write_bytes(content)
  config = guard.outcome(lambda: workdir.read_config(home), home)
  if isinstance(config, UserError):
    return
  assert config.is_locked
  for field, value in config_lib.flatten(config).items():
    default = DEFAULTS[field]
    assert default is None or type(value) is type(default), field


@given(st.sampled_from(sorted(DEFAULTS)), VALUES)
def test_any_value_of_a_field_in_config_json(home, field, value):
  *sections, name = field.split('.')
  config = {name: value}
  for section in sections:
    config = {section: config}
  text = json.dumps(config).encode('utf-8', 'surrogatepass')
  (home / 'config.json').write_bytes(text)
  config = guard.outcome(lambda: workdir.read_config(home), home)
  if not isinstance(config, UserError):
    found = config_lib.flatten(config)[field]
    expected = tuple(value) if isinstance(value, list) else value
    if isinstance(found, float):
      expected = float(expected)
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
  'code',
  [
    'def get_config(): return 5',
    'def get_config(): return None',
    'def get_config(): return {}',
    'from ml_collections import ConfigDict as get_config',
    'def get_config(): raise ValueError("a\\nb\\x1b[31m\\x00")',
    'def get_config(): raise ValueError',
    'def get_config(): return get_config()',
    'def get_config(x, y): return 5',
    'get_config = 5',
    'import nowhere_at_all',
    '1 / 0',
    'def',
    '\x00',
    '(' * 1000,
    '',
  ],
)
def test_files_that_are_no_config(home, code):
  path = home / 'own.py'
  path.write_text(code)
  sys.modules.pop('own', None)
  assert isinstance(start([f'--config={path}'], home), UserError)
