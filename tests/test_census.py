import numpy as np
import rich.console

from ferjax import census
from ferjax.data.dataset import Dataset, Split
from ferjax.data.raw import Raw


def make_raw(published, skipped=(), missing=()):
  labels = np.repeat(np.arange(3, dtype=np.int32), [4, 0, 2])
  split = Split(np.zeros((6, 2, 2, 1), np.uint8), labels, np.arange(6))
  names = 'happy', '[red]', 'sad'
  dataset = Dataset('some', names, {'train': split}, 'some from here', ('new',))
  return Raw(dataset, published, dict(missing), skipped)


def rows(raw):
  console = rich.console.Console(width=60)
  with console.capture() as capture:
    console.print(census.counts_table(raw))
  return [line.split() for line in capture.get().splitlines()]


def test_without_published_counts_there_is_no_word_of_them():
  raw = make_raw({})
  assert ['happy', '4'] in rows(raw)
  assert ['[red]', '0'] in rows(raw)
  assert ['all', '6'] in rows(raw)
  assert census.lines(raw) == ['some from here', 'note: new']


def test_published_counts_are_compared():
  same = make_raw({'train': (4, 0, 2)})
  assert ['all', '6'] in rows(same)
  assert census.lines(same)[0] == (
    'some from here: the counts are the published ones'
  )
  other = make_raw({'train': (1004, 0, 1)})
  assert ['happy', '4', '(-1,000)'] in rows(other)
  assert ['sad', '2', '(+1)'] in rows(other)
  assert 'the counts of train are not the published' in census.lines(other)[0]


def test_what_is_not_there_is_said():
  raw = make_raw({}, [f'row {n}' for n in range(25)], {'test': 'it is lost'})
  lines = census.lines(raw)
  assert 'no test split: it is lost' in lines
  assert [line for line in lines if line.startswith('left out')] == [
    *(f'left out: row {n}' for n in range(20)),
    'left out: 5 more, listed in metadata.json',
  ]
