"""The rules for votes, against one row at a time and the published counts."""

import numpy as np
import pytest

from ferjax.data import voting
from ferjax.data.dataset import CLASS_NAMES, Split

# In the order of the file; the last two are no classes.
NAMES = (
  *('neutral', 'happy', 'surprise', 'sad', 'angry', 'disgust', 'fear'),
  *('contempt', 'unknown', 'no face'),
)


def slow_resolve(votes, mode):
  """Returns the shares by class name, of one image; nothing if it goes."""
  votes = [vote if vote > 1 else 0 for vote in votes]
  total, taken = sum(votes), [0] * 10
  if mode == 'majority':
    for i in range(10):
      if votes[i] > total / 2:
        taken[i] = votes[i]
  elif mode == 'multi_target':
    for i in range(10):
      if votes[i] and votes[i] / total >= 0.3 - 1e-9:
        taken[i] = votes[i]
  else:
    left, num_votes, num_taken, goes_on = list(votes), 0, 0, True
    while num_votes < 0.75 * total and num_taken < 3 and goes_on:
      most = max(left)
      for i in range(10):
        if left[i] == most:
          left[i], taken[i] = 0, most
          num_votes += most
          num_taken += 1
          if i >= 8:
            goes_on = False
            if sum(taken) > most:
              taken[i] = 0
              num_taken -= 1
            break
    if num_taken > 3:
      return {}
  if sum(taken) <= total / 2 or taken.index(max(taken)) >= 8:
    return {}
  rest = sum(taken[:8])
  return {NAMES[i]: taken[i] / rest for i in range(8) if taken[i]}


def draw_votes(num_images):
  """Votes of ten people who are more or less of one mind."""
  rng = np.random.default_rng(0)
  chances = [rng.dirichlet(np.full(10, a), num_images) for a in (0.1, 0.5, 2)]
  return rng.multinomial(10, np.concatenate(chances))


@pytest.mark.parametrize('mode', voting.MODES)
def test_the_rules_row_by_row(mode):
  votes = np.concatenate([draw_votes(1000), np.eye(10, dtype=int) * 10])
  votes = np.concatenate([votes, np.ones((1, 10), int), np.zeros((1, 10), int)])
  before = votes.copy()
  kept, shares = voting.resolve(votes, mode)
  np.testing.assert_array_equal(votes, before)
  assert (kept.dtype, shares.dtype) == (np.bool_, np.float32)
  for row, is_kept, share in zip(votes.tolist(), kept, shares, strict=True):
    expected = slow_resolve(row, mode)
    assert is_kept == bool(expected), row
    values = [expected.get(name, 0) for name in CLASS_NAMES]
    np.testing.assert_allclose(share, values, rtol=1e-6, err_msg=str(row))
  assert 0.2 < kept.mean() < 0.9


@pytest.mark.parametrize(
  ('mode', 'votes', 'expected'),
  [
    # More than half of what is left without the single votes.
    ('majority', [5, 4, 1, 0, 0, 0, 0, 0, 0, 0], {'neutral': 1}),
    ('majority', [5, 5, 0, 0, 0, 0, 0, 0, 0, 0], {}),
    ('majority', [0, 0, 0, 0, 0, 0, 0, 0, 6, 4], {}),
    (
      'probability',
      [0, 6, 4, 0, 0, 0, 0, 0, 0, 0],
      {'happy': 3, 'surprise': 2},
    ),
    # 8 of 10 are enough: the third is not asked for.
    ('probability', [0, 0, 0, 0, 0, 0, 0, 8, 0, 2], {'contempt': 1}),
    # Unknown is dropped after others, and is the end alone.
    ('probability', [6, 0, 0, 0, 0, 0, 0, 0, 4, 0], {'neutral': 1}),
    ('probability', [4, 0, 0, 0, 0, 0, 0, 0, 6, 0], {}),
    ('probability', [5, 0, 0, 0, 0, 0, 0, 0, 5, 0], {}),
    # Four that tie at once are too many.
    ('cross_entropy', [4, 2, 2, 2, 0, 0, 0, 0, 0, 0], {}),
    # A class takes part from 30% on, unknown too, though it is then removed.
    ('multi_target', [4, 3, 3, 0, 0, 0, 0, 0, 0, 0], None),
    ('multi_target', [0, 0, 0, 0, 0, 0, 6, 0, 4, 0], {'fear': 1}),
    ('multi_target', [3, 0, 0, 0, 0, 0, 0, 0, 5, 2], {}),
  ],
)
def test_the_rules_by_hand(mode, votes, expected):
  if expected is None:
    expected = {'neutral': 4, 'happy': 3, 'surprise': 3}
  kept, shares = voting.resolve(np.array([votes]), mode)
  values = np.array([expected.get(name, 0) for name in CLASS_NAMES], float)
  assert kept[0] == bool(expected)
  np.testing.assert_allclose(
    shares[0], values / max(values.sum(), 1), rtol=1e-6
  )


@pytest.mark.parametrize('mode', voting.MODES)
def test_a_split_holds_what_is_kept(mode):
  votes = draw_votes(20)
  images = np.random.default_rng(1).integers(0, 256, (60, 4, 4, 1), np.uint8)
  split = Split(images, np.zeros(60, np.int32), np.arange(60) + 100)
  kept, shares = voting.resolve(votes, mode)
  result = voting.to_split(split, votes, mode)
  np.testing.assert_array_equal(result.index, split.index[kept])
  np.testing.assert_array_equal(result.images, images[kept])
  np.testing.assert_array_equal(result.labels, shares[kept].argmax(1))
  assert result.labels.dtype == np.int32
  if mode == 'majority':
    assert result.targets is None
  else:
    np.testing.assert_allclose(result.targets.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(result.targets, shares[kept])
