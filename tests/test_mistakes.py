"""The surest mistakes come first."""

import numpy as np

from ferjax.evaluation import mistakes

PROBABILITIES = np.array(
  [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.05, 0.95], [0.2, 0.8]], np.float32
)
LABELS = np.array([1, 0, 1, 0, 0], np.int32)


def test_mistakes_are_ranked_by_their_confidence():
  rows = mistakes.most_confident(PROBABILITIES, LABELS, 10)
  assert rows.tolist() == [3, 0, 1, 4]  # 2 is right, and 1 as sure as 4
  assert mistakes.most_confident(PROBABILITIES, LABELS, 2).tolist() == [3, 0]


def test_a_network_that_is_always_right_has_none():
  guesses = PROBABILITIES.argmax(axis=1)
  assert not mistakes.most_confident(PROBABILITIES, guesses, 10).size


def test_captions_say_what_was_taken_for_what():
  lines = mistakes.captions(PROBABILITIES, LABELS, ('fear', 'sad'), [3, 0])
  assert lines == ['sad, not fear: 95%', 'fear, not sad: 90%']
