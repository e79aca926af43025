"""The loop, end to end on a few drawn faces: what it leaves, and resuming."""

import json

import jax
import numpy as np
import pytest

from ferjax import inference, logs, train
from ferjax.checkpoint import Checkpoints
from ferjax.errors import TrainingError, UserError
from ferjax.run import build


@pytest.fixture(scope='module')
def finished(make_config, tmp_path_factory):
  """The workdir and the figures of a run that has come to its end."""
  config = make_config()
  workdir = tmp_path_factory.mktemp('finished')
  return workdir, train.train_and_evaluate(config, workdir), config


def test_workdir_describes_itself(finished):
  workdir, _, config = finished
  stored = json.loads((workdir / 'config.json').read_text())
  assert stored['num_steps'] == 30
  dataset = json.loads((workdir / 'dataset.json').read_text())
  assert dataset['splits']['train']['num_examples'] == 84
  assert dataset['splits']['train']['counts'] == [12] * 7
  assert 'test' not in dataset['splits']  # the loop never reads it
  for name in ('curves.png', 'samples.png'):
    assert (workdir / name).stat().st_size > 10_000
  assert list((workdir / 'tensorboard').glob('events*'))
  assert stored['data']['dir'] == config.data.dir


def test_metrics_are_recorded_at_every_interval(finished):
  records = logs.read_metrics(finished[0])
  assert [record['step'] for record in records] == [5, 10, 15, 20, 25, 30]
  assert all(np.isfinite(record['train/loss']) for record in records)
  validated = [r['step'] for r in records if 'val/accuracy' in r]
  assert validated == [10, 20, 30]
  assert records[0]['epoch'] == pytest.approx(5 * 16 / 84)
  names = {'train/learning_rate', 'images_per_second', 'input_wait'}
  assert names <= set(records[0])
  # The rate of the last step made: a half cosine over 30 steps.
  rate = 0.02 * (1 + np.cos(np.pi * 4 / 30)) / 2
  assert records[0]['train/learning_rate'] == pytest.approx(rate)


def test_evaluation_equals_what_training_logged(finished):
  workdir, figures, _ = finished
  records = logs.read_metrics(workdir)
  best = max(
    (r for r in records if 'val/accuracy' in r),
    key=lambda r: (r['val/accuracy'], -r['step']),
  )
  stored = json.loads((workdir / 'eval/validation/metrics.json').read_text())
  assert stored == figures
  assert stored['step'] == best['step']
  assert stored['accuracy'] == best['val/accuracy']
  assert stored['macro_f1'] == best['val/macro_f1']
  assert stored['loss'] == pytest.approx(best['val/loss'], rel=1e-6)


def test_a_finished_run_is_only_reported_again(finished):
  workdir, figures, config = finished
  before = (workdir / 'metrics.jsonl').read_text()
  assert train.train_and_evaluate(config, workdir) == figures
  assert (workdir / 'metrics.jsonl').read_text() == before


def test_loaded_network_gives_probabilities_for_images(finished):
  workdir, figures, _ = finished
  predictor = inference.load(workdir)
  assert predictor.class_names == tuple(figures['class_names'])
  images = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1), np.uint8)
  probabilities = predictor.probabilities(images)
  assert probabilities.shape == (5, 7)
  np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
  one = predictor.probabilities(images[2:3])
  np.testing.assert_allclose(one[0], probabilities[2], rtol=1e-4)
  assert predictor.probabilities(images[:0]).shape == (0, 7)
  with pytest.raises(UserError, match=r'trained on uint8 \[48, 48, 1\]'):
    predictor.probabilities(images[:, :40])


def test_another_model_or_data_is_refused_by_name(finished):
  workdir, _, config = finished
  other = config.copy_and_resolve_references()
  other.model.name = 'densenet_small'
  other.num_steps = 40
  with pytest.raises(UserError, match=r"model\.name: 'simple_cnn', now") as e:
    train.train_and_evaluate(other, workdir)
  assert 'num_steps: 30, now 40' in str(e.value)
  other = config.copy_and_resolve_references()
  other.data.name = 'synthetic'
  with pytest.raises(UserError, match='dataset name: fer2013, now synthetic'):
    train.train_and_evaluate(other, workdir)


@pytest.mark.slow
@pytest.mark.parametrize(
  'changes', [{'data': {'placement': 'device'}}, {'sharding': 'shard_map'}]
)
def test_placement_and_sharding_do_not_change_the_run(
  finished, make_config, tmp_path, changes
):
  config = make_config()
  config.update(changes)
  train.train_and_evaluate(config, tmp_path)
  for a, b in zip(
    logs.read_metrics(finished[0]), logs.read_metrics(tmp_path), strict=True
  ):
    assert a['train/loss'] == pytest.approx(b['train/loss'], rel=2e-3)


@pytest.mark.slow
def test_several_steps_a_call_do_not_change_the_run(make_config, tmp_path):
  """With batch norm over all sixteen faces of a step.

  Over four, a change of 1e-7 in the first weights alone moves the losses by a
  hundredth after five steps, and a loop is compiled in another way. Over
  sixteen, it moves the mean of steps 1 to 5 by up to 1e-5, and that of steps 6
  to 10 by up to 3e-4; other images or keys move the first by far more.
  """
  losses = []
  for steps_per_call in (1, 5):
    config = make_config()
    config.num_steps = 10
    config.steps_per_call = steps_per_call
    config.sharding = 'shard_map'
    config.model.cross_replica_batch_norm = True
    workdir = tmp_path / str(steps_per_call)
    train.train_and_evaluate(config, workdir)
    losses.append([r['train/loss'] for r in logs.read_metrics(workdir)])
  assert len(losses[0]) == 2
  assert losses[0][0] == pytest.approx(losses[1][0], rel=5e-5)
  assert losses[0][1] == pytest.approx(losses[1][1], rel=2e-3)


def test_the_loss_falls_on_a_few_faces(finished):
  records = logs.read_metrics(finished[0])
  assert records[-1]['train/loss'] < 0.8 * records[0]['train/loss']


def test_a_loss_that_is_not_finite_stops_the_run(make_config, tmp_path):
  config = make_config()
  config.optimizer.learning_rate = 1e20
  config.checkpoint_every_steps = 1
  with pytest.raises(TrainingError, match=r'between steps \d+ and \d+') as e:
    train.train_and_evaluate(config, tmp_path)
  assert 'last good checkpoint is step' in str(e.value)
  with Checkpoints(tmp_path) as checkpoints:
    restored = checkpoints.restore_latest(build(config).state)
  assert all(
    np.isfinite(x).all() for x in jax.tree.leaves(restored.state.params)
  )
