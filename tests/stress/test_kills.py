"""`kill -9` at random moments, saves included: nothing is lost or changed."""

import os
import random
import time

import pytest
import resumable

from ferjax import logs

IS_LONG = os.environ.get('FERJAX_STRESS') == '1'
NUM_KILLS = 50 if IS_LONG else 4
NUM_STEPS = 600 if IS_LONG else 90

SMALL = '--config.model.name=cnn_s1'  # is saved in no time

pytestmark = [pytest.mark.stress, pytest.mark.slow]


def wait_for_a_moment(rng, workdir, process):
  """Waits for one of the moments at which a machine may fail; returns which."""
  kind = rng.choice(['start', 'step', 'save', 'save'])
  goal = newest(workdir) + 2 * rng.randint(1, 8)
  seconds = rng.uniform(0, 8) if kind == 'start' else 120
  deadline = time.monotonic() + seconds

  def has_come():
    if kind == 'start' or newest(workdir) < goal:
      return False
    # While a checkpoint is written, or just renamed.
    return kind == 'step' or any(
      workdir.glob('checkpoints/*.orbax-checkpoint-tmp')
    )

  while not has_come() and time.monotonic() < deadline:
    if process.poll() is not None:
      return 'end'
    time.sleep(0.002)
  time.sleep(rng.uniform(0, 0.3 if kind == 'step' else 0.04))
  return kind


def newest(workdir):
  """Returns the step of the newest whole checkpoint, 0 without one."""
  names = [path.name for path in workdir.glob('checkpoints/*')]
  return max([int(name) for name in names if name.isdecimal()], default=0)


def test_kills_change_nothing(data_dir, tmp_path):
  def start(workdir):
    return resumable.start(workdir, data_dir, NUM_STEPS, SMALL)

  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  output = resumable.finish(start(whole), seconds=900)
  rng = random.Random(0)
  moments, starts = [], []
  for _ in range(NUM_KILLS):
    process = start(killed)
    moments.append(wait_for_a_moment(rng, killed, process))
    process.kill()
    output, _ = process.communicate()
    assert 'damaged' not in output
    assert 'error' not in output
    assert 'Traceback' not in output
    starts.append(
      int((output.partition('resumed at step ')[2] or '0').split()[0])
    )
  output = resumable.finish(start(killed), seconds=900)
  assert 'damaged' not in output
  assert not (killed / 'checkpoints-unreadable').exists()
  assert max(starts) > NUM_STEPS / 10  # it did get somewhere in between
  resumable.assert_equal(whole, killed, NUM_STEPS)

  def history(workdir):
    names = ('step', 'train/loss', 'val/loss', 'val/accuracy')
    return [
      {name: r[name] for name in names if name in r}
      for r in logs.read_metrics(workdir)
    ]

  assert [r['step'] for r in history(killed)] == [
    r['step'] for r in history(whole)
  ]
  validations = [
    [r for r in history(workdir) if 'val/loss' in r]
    for workdir in (whole, killed)
  ]
  for a, b in zip(*validations, strict=True):
    assert a['val/loss'] == b['val/loss']
    assert a['val/accuracy'] == b['val/accuracy']
  counts = {kind: moments.count(kind) for kind in sorted(set(moments))}
  print(f'{NUM_KILLS} kills: {counts}; resumed at {starts}')
