"""Settings: defaults, arguments, and what makes a run another."""

from ml_collections import config_dict
import pytest

from ferjax import config as config_lib
from ferjax.errors import UserError


def test_argument_keeps_the_types_of_the_defaults():
  given = config_lib.parse_argument('depth=50', depth=18, dataset='fer2013')
  assert given.to_dict() == {'depth': 50, 'dataset': 'fer2013'}
  assert config_lib.parse_argument('', depth=18).depth == 18


@pytest.mark.parametrize('text', ['width=3', 'depth', 'depth=deep'])
def test_bad_argument_is_named(text):
  with pytest.raises(UserError, match='config argument') as error:
    config_lib.parse_argument(text, depth=18)
  assert 'depth' in str(error.value)


def test_json_round_trip_keeps_tuples_and_types():
  config = config_lib.default_config()
  config.schedule.decay_at = (0.25, 0.5)
  config.model.dropout = 0.25
  other = config_lib.from_json(config_lib.to_json(config))
  assert other.to_dict() == config.to_dict()
  assert other.is_locked


def test_differences_name_what_changes_the_result_and_nothing_else():
  old = config_lib.default_config()
  new = config_lib.default_config()
  new.log_every_steps = 7
  new.data.dir = '/elsewhere'
  assert config_lib.differences(old, new) == []
  new.model.name = 'resnet18'
  new.seed = 5
  assert config_lib.differences(old, new) == [
    "model.name: 'densenet_small', now 'resnet18'",
    'seed: 0, now 5',
  ]


def test_free_fields_exist():
  for field in config_lib.FREE_FIELDS:
    config_lib.check_field(field)


@pytest.mark.parametrize('path', ['bach_size', 'data.nmae', 'seed.x'])
def test_unknown_field_is_answered_with_the_known_ones(path):
  with pytest.raises(UserError, match='has no field') as error:
    config_lib.check_field(path)
  known = {'bach_size': 'batch_size', 'data.nmae': 'name', 'seed.x': 'none'}
  assert known[path] in str(error.value)


def test_run_name_of_a_config_file():
  assert config_lib.name_of('configs/resnet.py') == 'resnet'
  name = config_lib.name_of('a/b.py:depth=50,dataset=ckplus')
  assert name == 'b-depth=50,dataset=ckplus'


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('seed', -1),
    ('batch_size', 0),
    ('accumulation_steps', 0),
    ('steps_per_call', -1),
    ('keep_checkpoints', 0),
  ],
)
def test_numbers_out_of_range_are_named(field, value):
  config = config_lib.default_config()
  config_lib.validate(config)
  config[field] = value
  with pytest.raises(
    UserError, match=rf'config\.{field} is {value}; the least'
  ):
    config_lib.validate(config)


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('{"seed": null}', "'seed' is null"),
    ('{"model": null}', "'model' is null"),
    ('{"seed": {}}', "'seed' is no section"),
    ('{"seed": true}', "'seed' is no number"),
    ('{"data": {"drop_classes": [["x"]]}}', 'more than texts and numbers'),
    ('{"num_epochs": 1%s}' % ('0' * 400), 'too large'),
    ('[' * 100_000, 'recursion'),
  ],
)
def test_json_of_another_shape_is_refused(text, words):
  with pytest.raises((ValueError, TypeError), match=words):
    config_lib.from_json(text)


@pytest.mark.parametrize(
  ('config', 'words'),
  [
    (5, 'no field; it is a int'),
    (None, 'no field; it is a NoneType'),
    (config_dict.ConfigDict({'seed': 1}), 'no accumulation_steps'),
  ],
)
def test_a_config_file_gives_a_whole_config(config, words):
  with pytest.raises(UserError, match=f'--config=own.py: .*{words}'):
    config_lib.check_whole(config, 'own.py')
  config_lib.check_whole(config_lib.default_config(), 'own.py')
