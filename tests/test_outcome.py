"""A run's outcome is read from its workdir, or what is wrong there is named."""

import dataclasses
import json
import math

from etils import epath
import jax.numpy as jnp
from miniature import add_evaluation, make_run
import numpy as np
import pytest

from ferjax import inference, statistics
from ferjax.data import dataset
from ferjax.errors import UserError
from ferjax.studies import naming, outcome


def test_a_run_is_read_from_its_workdir(tmp_path):
  run = outcome.read(make_run(tmp_path / 'run'))
  assert run.epochs == 2
  assert run.best_step == 10  # of equals, the first
  assert run.is_final
  assert run.images_per_second == 8  # without the first record
  assert run.inference_images_per_second == 160
  assert run.scores == {
    'validation': outcome.Score(
      accuracy=40 / 60,
      interval=statistics.wilson_interval(40, 60),
      macro_f1=pytest.approx(0.6),
      num_examples=60,
      content='a1' * 16,
      step=10,
      images_per_second=160,
    )
  }
  assert not run.warnings


def test_the_train_accuracy_is_one_that_was_measured(tmp_path):
  workdir = make_run(tmp_path / 'run')
  add_evaluation(workdir, 'train', 150, 'b2' * 16, total=160)
  run = outcome.read(workdir)
  assert list(run.scores) == ['train', 'validation']
  assert run.scores['train'].accuracy == 150 / 160
  assert run.inference_images_per_second == 260  # of the most images


@pytest.mark.parametrize(
  ('content', 'step', 'words'),
  [
    ('b2' * 16, 20, 'is that of step 20, its best step is 10, so it is left'),
    ('e5' * 16, 10, 'is over other examples than those it was trained on, so'),
  ],
)
def test_a_train_accuracy_of_something_else_is_left_out(
  tmp_path, content, step, words
):
  workdir = make_run(tmp_path / 'run')
  add_evaluation(workdir, 'train', 150, content, step, total=160)
  run = outcome.read(workdir)
  assert list(run.scores) == ['validation']
  assert run.inference_images_per_second == 160
  (line,) = run.warnings
  assert f'{workdir}: its train accuracy {words}' in line


@pytest.mark.parametrize('text', ['{"accuracy": 0.5}', 'x', '[]', '\xff'])
def test_a_damaged_test_split_is_left_out(tmp_path, text):
  workdir = make_run(tmp_path / 'run')
  add_evaluation(workdir, 'test', 30, 'e5' * 16)
  path = workdir / 'eval' / 'test' / 'metrics.json'
  path.write_text(text, encoding='latin-1')
  run = outcome.read(workdir)
  assert list(run.scores) == ['validation']
  assert run.is_final
  (line,) = run.warnings
  assert line.startswith(f'{path} cannot be read (')
  assert line.endswith('evaluate this split again')


@pytest.mark.parametrize('accuracy', [math.nan, -0.1, 1.1, 0.9])
def test_an_accuracy_out_of_its_interval_is_damage(tmp_path, accuracy):
  workdir = make_run(tmp_path / 'run')
  path = workdir / 'eval' / 'validation' / 'metrics.json'
  figures = json.loads(path.read_text()) | {'accuracy': accuracy}
  path.write_text(json.dumps(figures))
  with pytest.raises(UserError, match='an accuracy of'):
    outcome.read(workdir)


@pytest.mark.parametrize(
  ('folders', 'names', 'labels'),
  [
    (['r/a', 'r/b'], ['a', 'b'], ['a', 'b']),
    (['r/a'], ['a'], ['a']),
    (
      ['z/model.name=mlp', 'z/model.name=cnn5'],
      ['model.name=mlp', 'model.name=cnn5'],
      ['', ''],
    ),
    (
      ['z/seed=0-model.name=mlp', 'z/seed=0-model.name=cnn5', 'mlp'],
      ['z/seed=0-model.name=mlp', 'z/seed=0-model.name=cnn5', 'mlp'],
      ['z/seed=0', 'z/seed=0', ''],
    ),
    (
      ['z/lr=1e-3-seed=0-x=1', 'z/lr=1e-3-seed=1-x=1'],
      ['lr=1e-3-seed=0-x=1', 'lr=1e-3-seed=1-x=1'],
      ['seed=0', 'seed=1'],
    ),
    (['a/mlp', 'mlp/mlp'], ['a/mlp', 'mlp/mlp'], ['a/mlp', 'mlp/mlp']),
  ],
)
def test_names_are_as_short_as_they_can_be(tmp_path, folders, names, labels):
  runs = []
  for folder in folders:
    model = 'cnn5' if folder.endswith('cnn5') else 'mlp'
    runs.append(outcome.read(make_run(tmp_path / folder, model=model)))
  assert naming.names(runs) == list(zip(names, labels, strict=True))


def test_names_in_buckets_are_as_short(tmp_path):
  run = outcome.read(make_run(tmp_path / 'a'))
  places = 's3://b/runs/x', 's3://b/runs/y/z', 'gs://b/runs/x'
  runs = [
    dataclasses.replace(run, workdir=epath.Path(place)) for place in places
  ]
  assert [n for n, _ in naming.names(runs[:2])] == ['x', 'y/z']
  names = [n for n, _ in naming.names(runs)]
  assert names == ['s3/b/runs/x', 's3/b/runs/y/z', 'gs/b/runs/x']


def damage(workdir, name, text):
  (workdir / name).write_text(text)


def set_config(workdir, field, value):
  values = json.loads((workdir / 'config.json').read_text())
  damage(workdir, 'config.json', json.dumps(values | {field: value}))


def set_examples(workdir, count):
  dataset = json.loads((workdir / 'dataset.json').read_text())
  dataset['splits']['train']['num_examples'] = count
  damage(workdir, 'dataset.json', json.dumps(dataset))


@pytest.mark.parametrize(
  ('spoil', 'words'),
  [
    (lambda run: damage(run, 'config.json', '{"a": 1}'), 'is not a config'),
    (lambda run: damage(run, 'dataset.json', '{'), 'does not describe'),
    (lambda run: damage(run, 'metrics.jsonl', 'x\n'), 'not a record'),
    (lambda run: set_config(run, 'batch_size', 0), 'ZeroDivisionError'),
    (lambda run: set_config(run, 'batch_size', None), 'is null'),
    (lambda run: set_examples(run, 0), 'is damaged'),
    (lambda run: set_examples(run, 'many'), 'is damaged'),
    (
      lambda run: damage(run, 'metrics.jsonl', '{"step": 20}\n'),
      'is damaged',
    ),
    (
      lambda run: damage(
        run, 'eval/validation/metrics.json', '{"accuracy": 1}'
      ),
      'cannot be read',
    ),
    (
      lambda run: (run / 'eval/validation/metrics.json').unlink(),
      'step 20 of 20, not evaluated yet',
    ),
    (lambda run: (run / 'metrics.jsonl').unlink(), 'step 0 of 20'),
  ],
)
def test_what_cannot_be_compared_is_named(tmp_path, spoil, words):
  workdir = make_run(tmp_path / 'run')
  spoil(workdir)
  with pytest.raises(UserError, match=words) as error:
    outcome.read(workdir)
  assert str(workdir) in str(error.value)
  assert '\n' not in str(error.value)


def test_what_fills_the_last_batch_does_not_slow_an_evaluation(
  make_config, monkeypatch
):
  config, clock = make_config(), iter([10.0, 14.0] * 2)
  monkeypatch.setattr(inference.time, 'perf_counter', lambda: next(clock))

  def eval_step(variables, table, batch):
    probabilities = jnp.zeros((*batch['label'].shape, 3))
    return {'count': jnp.sum(batch['mask'])}, probabilities

  speeds = []
  for count in (64, 49, 32):  # the batches are of 16
    images = np.zeros((count, 4, 4, 1), np.uint8)
    split = dataset.Split(images, np.zeros(count, np.int32), np.arange(count))
    evaluation = inference.evaluate(config, eval_step, (), split)
    assert evaluation.sums['count'] == len(evaluation.probabilities) == count
    speeds.append(evaluation.images_per_second)
    clock = iter([10.0, 14.0])
  assert speeds == [8, 8, None]


@pytest.mark.slow
def test_a_trained_run_can_be_compared_and_timed(
  make_config, tmp_path, monkeypatch
):
  from ferjax import speed, train

  config = make_config()
  config.num_steps = 10
  config.eval_batch_size = 8
  figures = train.train_and_evaluate(config, tmp_path / 'run')
  run = outcome.read(tmp_path / 'run')
  score = run.scores['validation']
  assert score.accuracy == figures['accuracy']
  assert score.content == run.dataset['splits']['validation']['content_hash']
  assert run.is_final
  assert run.inference_images_per_second > 0  # 4 batches
  examples, hits = outcome.read_hits(run.workdir, 'validation')
  assert len(examples) == len(hits) == 28
  assert np.mean(hits) == figures['accuracy']
  monkeypatch.setattr(speed, '_ROUND_SECONDS', 0.1)
  ((training, inference),) = speed.race([speed.Racer(config)])
  assert training > 0
  assert inference > training
