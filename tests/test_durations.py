"""Durations become steps; ambiguous or impossible ones are named."""

import math

import numpy as np
import pytest

from ferjax import durations
from ferjax.config import default_config
from ferjax.errors import UserError


@pytest.mark.parametrize(
  ('changes', 'steps'),
  [
    ({'num_steps': 7}, 7),
    ({'num_epochs': 1.5}, 15),
    ({'num_examples': 210}, 3),
    ({'num_epochs': 0.001}, 1),  # a duration that is given is never nothing
    ({}, 0),
  ],
)
def test_durations_become_steps(changes, steps):
  config = default_config()
  config.update(changes)
  config.batch_size = 100
  assert durations.resolve(config, 1000).num_steps == steps


def test_a_duration_given_twice_is_an_error():
  config = default_config()
  config.update({'num_steps': 5, 'num_epochs': 2.0})
  with pytest.raises(UserError, match=r'5 and config\.num_epochs=2\.0'):
    durations.validate(config)


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({}, 'no length'),
    ({'num_steps': -3}, 'negative'),
    ({'num_epochs': math.inf}, 'num_epochs is inf; it must be finite'),
    ({'num_epochs': math.nan}, 'num_epochs is nan; it must be finite'),
    ({'num_steps': 3, 'eval_every_epochs': math.inf}, 'every_epochs is inf'),
  ],
)
def test_bad_durations(changes, words):
  config = default_config()
  config.update(changes)
  with pytest.raises(UserError, match=words):
    durations.validate(config)


@pytest.mark.parametrize(
  ('thaw', 'words'),
  [
    ({'thaw_epochs': 2.0}, r'thaw_epochs=2\.0 never comes: it is 20 steps'),
    ({'thaw_steps': 21}, r'never comes: .* the whole training has 20'),
    ({'thaw_steps': 19}, ''),
  ],
)
def test_a_thaw_comes_before_the_end(thaw, words):
  config = default_config()
  config.update({'num_steps': 20, 'batch_size': 100})
  config.backbone.update(thaw)
  if words:
    with pytest.raises(UserError, match=words):
      durations.resolve(config, num_examples=1000)
  else:
    assert durations.resolve(config, num_examples=1000).thaw_step == 19


def test_what_is_due():
  all_five = durations.Durations(
    num_steps=10,
    warmup_steps=0,
    thaw_step=0,
    log_every=1,
    eval_every=4,
    checkpoint_every=0,
  )
  assert all_five.due(3) == {'log'}
  assert all_five.due(8) == {'log', 'eval'}
  assert all_five.due(10) == {'log', 'eval', 'checkpoint'}


@pytest.mark.parametrize('interval', [1.0, 7.0, 78.125, 448.578, 0.1 * 70])
def test_events_follow_the_multiples_of_an_interval(interval):
  events = [0]
  for _ in range(9):
    events.append(durations.next_event(events[-1], interval))
  multiples = interval * np.arange(10)
  assert ((events - multiples > -1e-5) & (events - multiples < 1)).all()


def test_the_last_epoch_ends_with_the_training():
  config = default_config()
  config.update({'num_epochs': 8.0, 'eval_every_epochs': 1.0})
  resolved = durations.resolve(config, num_examples=5000)
  steps = [s for s in range(1, 626) if 'eval' in resolved.due(s)]
  assert steps == [79, 157, 235, 313, 391, 469, 547, 625]
  assert resolved.num_steps == 625
