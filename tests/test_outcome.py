"""A run's outcome is read from its workdir, or what is wrong there is named."""

from miniature import add_evaluation, make_run
import numpy as np
import pytest

from ferjax import outcome, ranking
from ferjax.errors import UserError


def test_a_run_is_read_from_its_workdir(tmp_path):
  run = outcome.read(make_run(tmp_path / 'run'))
  assert run.epochs == 2
  assert run.best_step == 10  # of equals, the first
  assert run.is_final
  assert run.images_per_second == 8  # without the first record
  assert run.inference_images_per_second == 160
  train, validation = run.scores['train'], run.scores['validation']
  assert train.is_running
  assert train.accuracy == pytest.approx((4 * 0.4 + 6 * 0.9) / 10)
  assert validation.accuracy == pytest.approx(2 / 3)
  assert not validation.is_running


def test_an_evaluation_of_train_takes_the_place_of_the_running_accuracy(
  tmp_path,
):
  workdir = make_run(tmp_path / 'run')
  add_evaluation(workdir, 'train', 150, 'b2' * 16, total=160)
  run = outcome.read(workdir)
  assert run.scores['train'].accuracy == 150 / 160
  assert run.inference_images_per_second == 260  # of the most images
  ((row,),) = ranking.rank([run])
  assert row.gap == pytest.approx(150 / 160 - 40 / 60)


def damage(workdir, name, text):
  (workdir / name).write_text(text)


@pytest.mark.parametrize(
  ('spoil', 'words'),
  [
    (lambda run: damage(run, 'config.json', '{"a": 1}'), 'is not a config'),
    (lambda run: damage(run, 'dataset.json', '{'), 'does not describe'),
    (lambda run: damage(run, 'metrics.jsonl', 'x\n'), 'not a record'),
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
