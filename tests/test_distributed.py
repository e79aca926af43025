"""Several real processes on this machine train what one process does."""

import pathlib
import shutil
import time

import company
import numpy as np
import pytest

from ferjax import logs


def read_predictions(workdir, split='validation'):
  """Returns the index and the probabilities of each row."""
  path = workdir / 'eval' / split / 'predictions.csv'
  columns = (0, *range(3, 10))
  return np.loadtxt(path, delimiter=',', skiprows=1, usecols=columns)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('count', 'sharding'),
  [
    (2, 'pmap'),
    pytest.param(2, 'shard_map', marks=pytest.mark.stress),
    pytest.param(4, 'pmap', marks=[pytest.mark.stress, pytest.mark.long]),
  ],
)
def test_several_processes_train_the_losses_of_one(
  train, tmp_path, count, sharding
):
  one, several = tmp_path / 'one', tmp_path / 'several'
  flag = f'--config.sharding={sharding}'
  company.finish(train(one, 1, flag, devices=count).start_all())
  first, *others = company.finish(train(several, count, flag).start_all())
  assert f'in {count} processes' in first
  assert 'step 8/8' in first
  assert not any('accuracy' in other for other in others)  # only 0 tells

  expected, actual = logs.read_metrics(one), logs.read_metrics(several)
  assert [r['step'] for r in actual] == [2, 4, 6, 8]
  for a, b in zip(expected, actual, strict=True):
    assert a.keys() == b.keys()
    for name in a.keys() - {'images_per_second', 'input_wait'}:
      assert a[name] == pytest.approx(b[name], rel=1e-3), name
  assert 'val/accuracy' in actual[-1]
  rows = [read_predictions(workdir) for workdir in (one, several)]
  np.testing.assert_array_equal(rows[0][:, 0], rows[1][:, 0])
  np.testing.assert_allclose(rows[0], rows[1], atol=1e-3)
  for name in ('curves.png', 'samples.png', 'eval/validation/metrics.json'):
    assert (several / name).is_file()


@pytest.mark.stress
@pytest.mark.slow
def test_any_number_goes_on_where_another_stopped(train, tmp_path):
  company.finish(train(tmp_path / 'run', 2, devices=2).start_all())
  expected = logs.read_metrics(tmp_path / 'run')[-1]
  for count, devices, start in ((4, 1, 4), (1, 4, 4), (2, 2, 8)):
    if start < 8:
      shutil.rmtree(tmp_path / 'run' / 'checkpoints' / '8')
    outputs = company.finish(
      train(
        tmp_path / 'run',
        count,
        '--config.data.placement=device',
        devices=devices,
      ).start_all()
    )
    assert f'resumed at step {start} of 8' in outputs[0]
    last = logs.read_metrics(tmp_path / 'run')[-1]
    assert last['train/loss'] == pytest.approx(expected['train/loss'], 1e-3)


@pytest.mark.stress
@pytest.mark.slow
def test_evaluation_by_two_processes_is_that_of_one(train, data_dir, tmp_path):
  workdir = tmp_path / 'run'
  company.finish(train(workdir, 1).start_all())
  tests = []
  for count in (1, 2):
    some = company.Company(
      tmp_path / f'evaluate-{count}',
      count,
      f'--workdir={workdir}',
      '--split=test',
      '--tta=flip',
      f'--output={tmp_path / "eval" / str(count)}',
      binary='evaluate',
    ).start_all()
    try:
      outputs = company.finish(some)
    finally:
      some.kill()
    assert not any('accuracy' in other for other in outputs[1:])
    tests.append(read_predictions(tmp_path, str(count)))
  assert len(tests[0]) == 28
  np.testing.assert_allclose(tests[0], tests[1], atol=1e-5)


@pytest.mark.slow
def test_where_one_process_cannot_go_on_none_does(train, tmp_path):
  (tmp_path / 'file').touch()
  began = time.monotonic()
  some = train(pathlib.Path(tmp_path, 'file', 'run'), 2).start_all()
  assert set(some.statuses().values()) == {2}
  assert time.monotonic() - began < 120
  assert 'cannot write to the workdir' in some.output(0)
  assert 'cannot write' in some.output(1) or 'another' in some.output(1)
