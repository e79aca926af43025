"""A grid is checked before anything trains."""

import pytest

from ferjax import config as config_lib
from ferjax.errors import UserError
from ferjax.studies import grid


def make_base(**settings):
  base = config_lib.default_config()
  base.update({'num_epochs': 1.0, **settings})
  return base


def test_the_grid_is_every_combination():
  cells = list(
    grid.make_cells(
      make_base(seed=3), ['batch_size=64,128', 'model.name=simple_cnn,resnet18']
    )
  )
  assert [cell.name for cell in cells] == [
    'batch_size=64-model.name=simple_cnn',
    'batch_size=64-model.name=resnet18',
    'batch_size=128-model.name=simple_cnn',
    'batch_size=128-model.name=resnet18',
  ]
  assert cells[3].config.batch_size == 128
  assert cells[3].config.model.name == 'resnet18'
  assert cells[3].config.seed == 3
  assert cells[3].settings == [
    '--config.batch_size=128',
    '--config.model.name=resnet18',
  ]


def test_a_folder_can_have_the_name_of_any_value():
  cells = grid.make_cells(make_base(), ['init_from=a/b,../a b'])
  names = [cell.name for cell in cells]
  assert names == ['init_from=a%2Fb', 'init_from=..%2Fa%20b']


@pytest.mark.parametrize(
  ('given', 'words'),
  [
    (['batch_size'], 'give FIELD=VALUE,VALUE'),
    (['batch_size=1,,2'], 'give FIELD=VALUE,VALUE'),
    (['bach_size=1,2'], "no field 'bach_size'; have"),
    (['model.nme=mlp'], "no field 'nme'; have"),
    (['seed=1', 'seed=2'], 'seed is in the grid already'),
    (['batch_size=64,many'], 'cell batch_size=many: .*many'),
    (['seed=0,1.5'], 'cell seed=1.5: '),
    (['seed=0,-1'], 'config.seed is -1; the least is 0'),
    (['model.name=resnet18,mpl'], "cell model.name=mpl: unknown model 'mpl'"),
    (['num_steps=5'], 'give the same duration twice'),
    (['schedule.decay_at=(0.5,0.75'], 'brackets and quotes closed'),
    (['loss.class_weights=angry=2,fear=1'], 'does a comma end a value'),
    (
      ['num_epochs=1,1.0'],
      'cells num_epochs=1 and num_epochs=1.0 are the same',
    ),
    (['init_from=' + 'x' * 250], 'no folder can have so long a name'),
    (['data.name=fer2013,nothing'], "config.data.name is 'nothing'"),
    (['accumulation_steps=7'], 'cannot be divided'),
    (['backbone.freeze=True'], 'would keep random weights'),
    (['data.placement=host,moon'], "config.data.placement is 'moon'"),
    (['optimizer.name=sgd,agd'], 'cell optimizer.name=agd'),
  ],
)
def test_a_wrong_grid_is_refused(given, words):
  with pytest.raises(UserError, match=words) as error:
    list(grid.make_cells(make_base(), given))
  assert '\n' not in str(error.value)


def values(given):
  return [cell.settings[0].partition('=')[2] for cell in cells_of(given)]


def cells_of(*grid_):
  return list(grid.make_cells(make_base(), grid_))


def test_commas_in_brackets_and_quotes_end_no_value():
  cells = cells_of('schedule.decay_at=(0.5,0.75),(0.25, 0.5)')
  assert [cell.config.schedule.decay_at for cell in cells] == [
    (0.5, 0.75),
    (0.25, 0.5),
  ]
  weights = 'loss.class_weights="angry=2,fear=1.5",none'
  assert values(weights) == ['angry=2,fear=1.5', 'none']
  cells = cells_of(weights)
  assert cells[0].config.loss.class_weights == 'angry=2,fear=1.5'
  assert values("init_from=bob's.pth,'a,(b'") == ["bob's.pth", 'a,(b']
  assert values('loss.class_weights=angry=2') == ['angry=2']
