"""What is said of a training whose loss is not a number."""

import math
import types

import pytest

from ferjax.training.member import Member


@pytest.fixture
def make():
  def make(on_nan):
    config = types.SimpleNamespace(on_nan=on_nan, max_loss_factor=0.0)
    checkpoints = types.SimpleNamespace(
      best_accuracy=lambda: 0.0, wait=lambda: None, steps=lambda: [5, 10]
    )
    run = types.SimpleNamespace(config=config)
    return Member(run, 'workdir', checkpoints)

  return make


@pytest.mark.parametrize(
  ('on_nan', 'is_alone', 'end'),
  [
    ('stop', True, 'clip_norm=1; or here config.on_nan=rollback'),
    (
      'stop',
      False,
      'clip_norm=1; or here config.on_nan=rollback config.member_mode=loop',
    ),
    ('rollback', True, 'clip_norm=1'),  # it does so already
  ],
)
def test_the_advice_is_what_can_be_done(make, on_nan, is_alone, end):
  member = make(on_nan)
  fine = {'train/loss': 1.0, 'train/grad_norm': 1.0}
  member.check(fine, range(11, 16), is_alone)
  assert member.failure is None
  member.check(fine | {'train/loss': math.nan}, range(11, 16), is_alone)
  message = str(member.failure)
  assert message.startswith(
    'train/loss is nan between steps 11 and 15; the last good checkpoint is'
    ' step 10. '
  )
  assert message.endswith(end)
