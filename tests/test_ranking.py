"""Runs are ranked within equal data, and tested pair by pair."""

import json

from miniature import add_evaluation, make_run
import pytest
import scipy.stats

from ferjax.errors import UserError
from ferjax.studies import outcome, ranking


def rank(*workdirs, speeds=None):
  runs = [outcome.read(workdir) for workdir in workdirs]
  return ranking.rank(runs, [ranking.count(run) for run in runs], speeds)


def forget(workdir):
  """Takes out what the run remembers of the content of its data."""
  for name in ('dataset.json', 'eval/validation/metrics.json'):
    path = workdir / name
    path.write_text(path.read_text().replace('content_hash', 'other'))
  return workdir


def test_rows_stand_by_validation_accuracy(tmp_path):
  low = make_run(tmp_path / 'low', hits=20, model='simple_cnn')
  high = make_run(tmp_path / 'high', hits=50, model='densenet_small')
  groups = rank(low, high)
  assert [row.name for row in groups[0]] == ['high', 'low']
  assert groups[0][1].counts == (1_273_571, 46_155_264)  # three classes
  assert groups[0][0][-3:] == (8, 160, False)
  assert not ranking.warnings(groups)
  assert groups[0][0].gap is None
  add_evaluation(high, 'train', 150, 'b2' * 16, total=160)
  (row, _), *_ = rank(low, high, speeds=[(3, 4), (1, 2)])
  assert row[-3:] == (1, 2, True)
  assert row.gap == pytest.approx(150 / 160 - 50 / 60)


def test_runs_on_other_data_are_never_ranked_together(tmp_path):
  here = make_run(tmp_path / 'a', hits=20)
  same = make_run(tmp_path / 'b', hits=30)
  other = make_run(tmp_path / 'c', hits=60, content='c3' * 16)
  less = make_run(tmp_path / 'd', hits=50, train_content='d4' * 16)
  groups = rank(other, here, less, same)
  assert [[row.name for row in g] for g in groups] == [['b', 'a'], ['c'], ['d']]
  assert 'differ in 3 ways' in ranking.warnings(groups)[0]
  # Same validation, less to learn from: the pair can be tested all the same.
  assert len(ranking.differences(groups)) == 3


def test_runs_of_unknown_data_stand_alone(tmp_path):
  groups = rank(*(forget(make_run(tmp_path / name)) for name in 'ab'))
  assert [[row.name for row in g] for g in groups] == [['a'], ['b']]
  assert groups[0][0].data == (None, None)
  lines = ranking.warnings(groups)
  assert (
    sum('a: the content of its data was not' in line for line in lines) == 1
  )
  assert not ranking.differences(groups)


def test_a_network_that_is_gone_is_named_with_its_run(tmp_path):
  workdir = make_run(tmp_path / 'a', model='alexnet')
  with pytest.raises(UserError, match="a: unknown model 'alexnet'") as error:
    ranking.count(outcome.read(workdir))
  assert str(error.value).startswith(str(workdir))


def test_other_test_examples_are_marked(tmp_path):
  first, second = make_run(tmp_path / 'a'), make_run(tmp_path / 'b')
  add_evaluation(first, 'test', 30, 'e5' * 16)
  add_evaluation(second, 'test', 30, 'f6' * 16)
  (line,) = ranking.warnings(rank(first, second))
  assert 'the test splits of a, b differ' in line


def test_an_evaluation_of_another_step_is_marked(tmp_path):
  workdir = make_run(tmp_path / 'a')
  add_evaluation(workdir, 'test', 30, 'e5' * 16, step=20)
  (line,) = ranking.warnings(rank(workdir))
  assert 'its test accuracy is that of step 20, its best step is 10' in line


def test_other_settings_are_told(tmp_path):
  first = make_run(tmp_path / 'a', seed=1)
  second = make_run(tmp_path / 'b', model='mlp', seed=2)
  assert not ranking.settings(rank(first, second))
  third = make_run(
    tmp_path / 'c',
    ema_decay=0.9,
    augment={'flip': False},
    log_every_steps=3,  # changes no result
  )
  (line,) = ranking.settings(rank(first, second, third))
  assert line == (
    'The runs differ in more than network and seed: augment.flip (True, False),'
    ' ema_decay (0.0, 0.9)'
  )


def test_two_runs_are_tested_pair_by_pair(tmp_path):
  best = make_run(tmp_path / 'a', hits=50, model='densenet_small')
  other = make_run(tmp_path / 'b', hits=42)
  line, rule = ranking.differences(rank(other, best))
  p_value = scipy.stats.binomtest(0, 8).pvalue
  assert line == (
    'validation: densenet_small is better than simple_cnn '
    f'(8 : 0 right alone, p = {p_value:.2g})'
  )
  assert 'alone gets right, judged at 0.05.' in rule
  tie = make_run(tmp_path / 'c', hits=50, seed=1)
  line, _ = ranking.differences(rank(best, tie))
  assert line == (
    'validation: densenet_small is not clearly better than simple_cnn '
    '(0 : 0 right alone, p = 1)'
  )


def test_the_better_on_test_may_be_another(tmp_path):
  best = make_run(tmp_path / 'a', hits=50)
  other = make_run(tmp_path / 'b', hits=48)
  add_evaluation(best, 'test', 20, 'e5' * 16)
  add_evaluation(other, 'test', 50, 'e5' * 16)
  _, line, _ = ranking.differences(rank(best, other))
  assert line == (
    'test: simple_cnn b is better than simple_cnn a '
    '(30 : 0 right alone, p < 0.001)'
  )


def test_more_runs_are_tested_against_the_best_and_judged_together(tmp_path):
  runs = [make_run(tmp_path / str(h), hits=h) for h in (54, 60, 10)]
  against_54, against_10, rule = ranking.differences(rank(*runs))
  # p = 0.031: below 0.05, but there are two tests.
  assert '60 is not clearly better than simple_cnn 54 (6 : 0' in against_54
  assert 'p = 0.031' in against_54
  assert '60 is better than simple_cnn 10' in against_10
  assert 'each judged at 0.05 / 2 = 0.025 (Bonferroni)' in rule


def test_what_cannot_be_tested_is_said(tmp_path):
  first = make_run(tmp_path / 'a')
  second = make_run(tmp_path / 'b', content='c3' * 16)
  assert not ranking.differences(rank(first, second))
  third = make_run(tmp_path / 'c')
  path = third / 'eval' / 'validation' / 'predictions.csv'
  text = path.read_text()
  for spoiled in (text.replace('\n8,', '\n99,'), 'index,guess\n1,2\n', None):
    if spoiled:
      path.write_text(spoiled)
    else:
      path.unlink()
    (line,) = ranking.differences(rank(first, third))
    assert line.startswith(
      'validation: simple_cnn a against simple_cnn c: not tested: '
    )
    assert ('of other examples' if '99' in str(spoiled) else str(path)) in line


def test_the_hits_are_those_of_the_predictions(tmp_path):
  workdir = make_run(tmp_path / 'a', hits=40)
  examples, hits = outcome.read_hits(workdir, 'validation')
  assert examples[:2] == [('7', 'angry'), ('8', 'happy')]
  assert hits.tolist() == [True] * 40 + [False] * 20
  figures = json.loads((workdir / 'eval/validation/metrics.json').read_text())
  assert figures['accuracy'] == hits.mean()
