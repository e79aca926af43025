"""What is made of counts and probabilities: NumPy alone, on the host."""

from ferjax.statistics.confusion import (
  ClassScores,
  McNemar,
  balanced_accuracy,
  class_scores,
  confusion_matrix,
  macro_f1,
  mcnemar,
  top_k,
  wilson_interval,
)

__all__ = [
  'ClassScores',
  'McNemar',
  'balanced_accuracy',
  'class_scores',
  'confusion_matrix',
  'macro_f1',
  'mcnemar',
  'top_k',
  'wilson_interval',
]
