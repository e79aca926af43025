"""Principal components, against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from ferjax.evaluation import projection


@pytest.mark.parametrize('shape', [(60, 5), (8, 30), (3, 2)])
def test_equals_scikit_learn(shape):
  rng = np.random.default_rng(0)
  features = rng.standard_normal(shape) * rng.uniform(0.1, 3, shape[1]) + 7
  pca = PCA(2, svd_solver='full')
  expected = pca.fit_transform(features)
  found = projection.project(features)
  np.testing.assert_allclose(found.points, expected, atol=1e-9)
  np.testing.assert_allclose(found.explained, pca.explained_variance_ratio_)


def test_the_sign_does_not_depend_on_the_order_of_examples():
  features = np.random.default_rng(1).standard_normal((50, 6)).astype('f4')
  backwards = projection.project(features[::-1]).points[::-1]
  found = projection.project(features).points
  np.testing.assert_allclose(found, backwards, atol=1e-9)


@pytest.mark.parametrize('shape', [(1, 4), (5, 1)])
def test_directions_that_are_not_there_are_zero(shape):
  features = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
  found = projection.project(features)
  assert found.points.shape == (shape[0], 2)
  np.testing.assert_array_equal(found.points[:, 1], 0)
  assert found.explained.tolist() == ([1, 0] if shape[0] > 1 else [0, 0])


def test_equal_examples_lie_on_one_point():
  found = projection.project(np.full((4, 3), 0.1))
  np.testing.assert_allclose(found.points, 0, atol=1e-12)
