"""The same seed on the same machine gives the same, bit for bit."""

import pytest
import resumable

from ferjax import logs

pytestmark = [pytest.mark.stress, pytest.mark.slow]


@pytest.mark.parametrize(
  'flags',
  [
    pytest.param([], id='plain', marks=pytest.mark.long),
    pytest.param(
      [  # everything that draws
        '--config.augment.shift=0.1',
        '--config.augment.rotation=10',
        '--config.augment.erase=0.5',
        '--config.augment.mixup=0.2',
        '--config.model.dropout=0.5',
        '--config.data.balance=oversample',
      ],
      id='drawing',
    ),
  ],
)
@pytest.mark.parametrize(
  'devices', [pytest.param(1, marks=pytest.mark.long), 2]
)
def test_a_training_repeats_bit_for_bit(data_dir, tmp_path, flags, devices):
  num_steps = 12
  for name in ('one', 'two'):
    process = resumable.start(
      tmp_path / name, data_dir, num_steps, *flags, devices=devices
    )
    resumable.finish(process)
  resumable.assert_equal(tmp_path / 'one', tmp_path / 'two', num_steps)
  losses = [
    [r.get('train/loss') for r in logs.read_metrics(tmp_path / name)]
    for name in ('one', 'two')
  ]
  assert losses[0] == losses[1]
  predictions = [
    (tmp_path / name / 'eval/validation/predictions.csv').read_bytes()
    for name in ('one', 'two')
  ]
  assert predictions[0] == predictions[1]
