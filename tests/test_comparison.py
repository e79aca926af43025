"""Runs are ranked within equal data, tested, and told in every form."""

import csv

from miniature import add_evaluation, make_run
import scipy.stats

from ferjax import comparison, outcome, ranking


def rank(*workdirs):
  return ranking.rank([outcome.read(workdir) for workdir in workdirs])


def test_rows_stand_by_validation_accuracy(tmp_path):
  low = make_run(tmp_path / 'low', hits=20, model='simple_cnn')
  high = make_run(tmp_path / 'high', hits=50, model='densenet_small')
  groups = rank(low, high)
  assert [row.name for row in groups[0]] == ['high', 'low']
  assert groups[0][1].counts == (1_273_571, 46_155_264)  # three classes
  assert not ranking.warnings(groups)
  by_title = {c.title: c for c in comparison.columns(groups[0])}
  assert by_title['validation'].cells[0] == ('83.33', '72.0 to 90.7')
  assert by_title['parameters'].cells[1] == ('1.27 M', '46.2 M')
  assert by_title['gap'].cells[0][0] == '-13.3†'
  assert 'test' not in by_title
  assert comparison.RUNNING_NOTE in comparison.notes(groups, 'speed')
  assert 'drawn by hand' in comparison.notes(groups, 'speed')


def test_runs_on_other_data_are_never_ranked_together(tmp_path):
  here = make_run(tmp_path / 'a', hits=20)
  same = make_run(tmp_path / 'b', hits=30)
  other = make_run(tmp_path / 'c', hits=60, content='c3' * 16)
  less = make_run(tmp_path / 'd', hits=50, train_content='d4' * 16)
  groups = rank(other, here, less, same)
  assert [[row.name for row in g] for g in groups] == [['b', 'a'], ['c'], ['d']]
  assert 'differ in 3 ways' in ranking.warnings(groups)[0]
  titles = [comparison.title(rows) for rows in groups]
  assert len(set(titles)) == 3
  assert all('content b2b2b2b2' in title for title in titles[:2])
  rows = list(csv.DictReader(comparison.to_csv(groups).splitlines()))
  assert [row['data_group'] for row in rows] == ['1', '1', '2', '3']
  # Same validation, less to learn from: the pair can be tested all the same.
  assert len(ranking.differences(groups)) == 3


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


def test_two_runs_are_tested_pair_by_pair(tmp_path):
  best = make_run(tmp_path / 'a', hits=50, model='densenet_small')
  other = make_run(tmp_path / 'b', hits=30)
  (line,) = ranking.differences(rank(other, best))
  p_value = scipy.stats.binomtest(0, 20).pvalue
  assert line == (
    'validation, 60 images: 20 right by densenet_small alone, 0 by simple_cnn '
    f'alone; McNemar p = {p_value:.2g}: densenet_small is better'
  )
  tie = make_run(tmp_path / 'c', hits=50, seed=1)
  (line,) = ranking.differences(rank(best, tie))
  assert line.endswith('McNemar p = 1: chance alone may do that')


def test_more_runs_are_tested_against_the_best_and_judged_together(tmp_path):
  runs = [make_run(tmp_path / str(h), hits=h) for h in (54, 60, 10)]
  against_54, against_10, rule = ranking.differences(rank(*runs))
  # p = 0.031: below 0.05, but there are two tests.
  assert '6 right by 60 alone, 0 by 54 alone; McNemar p = 0.031' in against_54
  assert against_54.endswith('chance alone may do that')
  assert against_10.endswith('60 is better')
  assert rule.startswith('Each is judged at 0.05 / 2 = 0.025')


def test_other_examples_are_not_paired(tmp_path):
  first = make_run(tmp_path / 'a')
  second = make_run(tmp_path / 'b', content='c3' * 16)
  assert not ranking.differences(rank(first, second))
  third = make_run(tmp_path / 'c')
  path = third / 'eval' / 'validation' / 'predictions.csv'
  path.write_text(path.read_text().replace('\n5,', '\n99,'))
  assert not ranking.differences(rank(first, third))
  path.write_text('index,guess\n1,2\n')
  (line,) = ranking.differences(rank(first, third))
  assert 'not tested' in line
  assert str(path) in line
  path.unlink()
  assert not ranking.differences(rank(first, third))


def test_markdown_holds_every_column(tmp_path):
  run = make_run(tmp_path / 'a|b')
  text = comparison.to_markdown(rank(run), ['one', 'two'])
  heading, rule, row = [x for x in text.splitlines() if x.startswith('|')]
  count = heading.count('|')
  assert rule.count('|') == count
  assert row.replace('\\|', '').count('|') == count
  assert '66.67 (54.1 to 77.3)' in row
  assert text.endswith('\n- one\n- two\n')
