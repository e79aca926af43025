"""Which process is slower than the others, by rounds of reports."""

from ferjax.peers import pace


def feed(*rounds):
  """Returns who is named, of rounds of (input_wait, probe) of each process."""
  judge = pace.Pace(len(rounds[0]))
  named = []
  for reports in rounds:
    for i, (wait, probe) in enumerate(reports):
      named += judge.add(i, {'input_wait': wait, 'probe': probe})
  return named


def test_slow_ones_are_named_after_three_rounds_in_a_row():
  fine, reader, worker = (0.02, 0.001), (0.6, 0.001), (0.02, 0.004)
  assert feed(*[[fine, fine]] * 9) == []
  assert feed(*[[fine, reader]] * 2, [fine, fine], *[[fine, reader]] * 2) == []
  assert feed(*[[fine, reader, fine]] * 6) == [
    (1, 'it waits 60% of its time for images, others 2%')
  ]
  assert feed(*[[worker, fine, fine]] * 6) == [
    (0, 'it computes 4.0 times as long as the quickest')
  ]
  assert feed(*[[reader, reader]] * 6) == []  # none of them is slower
  assert [i for i, _ in feed(*[[reader, worker]] * 3)] == [0, 1]
