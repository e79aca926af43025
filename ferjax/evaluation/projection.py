"""Features in two dimensions: principal components.

NumPy on the host, in float64.
"""

from typing import NamedTuple

import numpy as np


class Projection(NamedTuple):
  """Points in the plane.

  Attributes:
    points: float64 `[n, 2]`, with mean 0.
    explained: float64 `[2]`, the share of the variance along each axis.
  """

  points: np.ndarray
  explained: np.ndarray


def project(features: np.ndarray) -> Projection:
  """Projects on the two directions of the largest variance (Pearson 1901).

  By the singular values of the centred features. A direction's sign is free;
  here the largest of its components is positive, as in scikit-learn, so that
  equal features always give the same picture. Directions that there are too
  few examples or features for are 0.

  Args:
    features: float `[n, features]`. Of thousands of examples with thousands of
      features each, a sample is enough, and much quicker.
  """
  centered = np.asarray(features, np.float64)
  centered = centered - centered.mean(axis=0)
  _, values, directions = np.linalg.svd(centered, full_matrices=False)
  total = np.sum(values**2)
  points, explained = np.zeros((len(centered), 2)), np.zeros(2)
  for axis, direction in enumerate(directions[:2]):
    largest = direction[np.abs(direction).argmax()]
    points[:, axis] = centered @ (direction * np.copysign(1.0, largest))
    explained[axis] = values[axis] ** 2 / total if total else 0.0
  return Projection(points, explained)
