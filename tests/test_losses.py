"""Targets, cross entropy and weights against NumPy and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from sklearn.utils import class_weight

from ferjax import losses
from ferjax.config import default_config
from ferjax.errors import UserError

NAMES = ('angry', 'fear', 'happy')


@pytest.fixture
def logits():
  return np.random.default_rng(0).normal(0, 5, (7, 3)).astype(np.float32)


@pytest.fixture
def targets():
  rng = np.random.default_rng(1)
  return rng.dirichlet(np.ones(3), 7).astype(np.float32)


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_targets_are_smoothed_one_hot(smoothing):
  labels = np.array([2, 0, 1], np.int32)
  targets = losses.make_targets(labels, 4, smoothing)
  expected = np.full((3, 4), smoothing / 4)
  expected[range(3), labels] += 1 - smoothing
  assert targets.dtype == np.float32
  np.testing.assert_allclose(targets, expected, atol=1e-7)


def test_cross_entropy_matches_scipy(logits, targets):
  expected = -(targets * special.log_softmax(logits.astype(float), -1)).sum(-1)
  np.testing.assert_allclose(
    losses.cross_entropy(logits, targets), expected, rtol=1e-6
  )


def test_cross_entropy_works_in_float32(logits, targets):
  rounded = jnp.asarray(logits, jnp.bfloat16)
  computed = losses.cross_entropy(rounded, targets)
  assert computed.dtype == np.float32
  np.testing.assert_array_equal(
    computed, losses.cross_entropy(rounded.astype(jnp.float32), targets)
  )


def test_large_logits_stay_finite():
  logits = np.array([[1e4, 0.0, -1e4]], np.float32)
  target = np.array([[0.0, 0.0, 1.0]], np.float32)
  np.testing.assert_allclose(losses.cross_entropy(logits, target), [2e4])


def test_any_label_is_as_good_as_the_likeliest_of_them(logits, targets):
  targets = np.where(targets > 0.3, targets, 0)
  targets[0] = [0, 1, 0]
  logits[1] = [9, -3, -5]  # where the others may win, at 0.001
  targets[1] = [0, 0.5, 0.5]
  probabilities = special.softmax(logits.astype(float), -1)
  factors = np.where(targets > 0, 1, 0.001)
  expected = -np.log((factors * probabilities).max(-1))
  loss = losses.make_loss('multi_target')
  computed = loss(logits, targets)
  assert computed.dtype == np.float32
  np.testing.assert_allclose(computed, expected, rtol=1e-5)
  np.testing.assert_allclose(computed[1], -np.log(0.001), rtol=1e-4)
  assert loss(jnp.asarray(logits, jnp.bfloat16), targets).dtype == np.float32
  # Only the likeliest label pulls: softmax minus its one-hot.
  gradient = jax.grad(lambda x: loss(x, targets).sum())(logits)
  one_hot = np.eye(3)[(factors * probabilities).argmax(-1)]
  np.testing.assert_allclose(gradient, probabilities - one_hot, atol=1e-6)


@pytest.mark.parametrize('mode', ['majority', 'probability', 'cross_entropy'])
def test_other_modes_have_the_cross_entropy(mode):
  assert losses.make_loss(mode) is losses.cross_entropy


def test_smoothing_soft_targets_keeps_their_sum(targets):
  computed = losses.smooth(targets, 0.1)
  np.testing.assert_allclose(computed, 0.9 * targets + 0.1 / 3, rtol=1e-6)
  assert computed.dtype == np.float32


def test_labels_are_drawn_as_often_as_the_targets_say():
  target = np.array([[0.5, 0, 0.3, 0.2], [0, 1, 0, 0]], np.float32)
  keys = jax.random.split(jax.random.key(0), 8000)
  labels = jax.jit(losses.draw_labels)(keys, np.repeat(target, 4000, axis=0))
  assert labels.dtype == np.int32
  counts = [np.bincount(half, minlength=4) for half in np.split(labels, 2)]
  np.testing.assert_array_equal(counts[1], [0, 4000, 0, 0])
  assert counts[0][1] == 0
  p_value = stats.chisquare(counts[0][[0, 2, 3]], [2000, 1200, 800]).pvalue
  assert p_value > 0.001


def test_weighted_loss_of_an_uneven_batch(logits, targets):
  weights = np.array([2.0, 0.5, 1.0], np.float32)
  mask = np.array([True, True, False, True, False, True, True])
  each = jax.jit(losses.example_weights)(targets, weights, mask)
  loss = (each * losses.cross_entropy(logits, targets)).sum()
  weight = each.sum()
  expected_loss = expected_weight = 0.0
  for i in np.flatnonzero(mask):
    w = sum(
      float(t) * float(c) for t, c in zip(targets[i], weights, strict=True)
    )
    expected_loss -= (
      w * targets[i] @ special.log_softmax(logits[i].astype(float))
    )
    expected_weight += w
  np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
  np.testing.assert_allclose(weight, expected_weight, rtol=1e-6)


def test_padding_weighs_nothing(targets):
  weights = losses.example_weights(
    targets, np.ones(3, np.float32), np.arange(7) < 4
  )
  np.testing.assert_allclose(weights, [1, 1, 1, 1, 0, 0, 0], atol=1e-6)


def test_balanced_weights_match_scikit_learn():
  labels = np.repeat([0, 1, 2], [50, 7, 23])
  computed = losses.class_weights('balanced', np.bincount(labels), NAMES)
  expected = class_weight.compute_class_weight(
    'balanced', classes=np.arange(3), y=labels
  )
  assert computed.dtype == np.float32
  np.testing.assert_allclose(computed, expected, rtol=1e-6)


def test_balanced_weight_of_an_absent_class_is_0():
  counts = np.array([30, 0, 10])
  computed = losses.class_weights('balanced', counts, NAMES)
  np.testing.assert_allclose(computed, [40 / 60, 0, 2], rtol=1e-6)
  assert counts @ computed / counts.sum() == pytest.approx(1)


@pytest.mark.parametrize(
  ('setting', 'expected'),
  [
    ('none', [1, 1, 1]),
    ('happy=2.5', [1, 1, 2.5]),
    ('angry=2, fear=0.5', [2, 0.5, 1]),
  ],
)
def test_weights_by_name(setting, expected):
  computed = losses.class_weights(setting, np.array([1, 2, 3]), NAMES)
  assert computed.dtype == np.float32
  np.testing.assert_array_equal(computed, np.float32(expected))


@pytest.mark.parametrize(
  'setting',
  [
    'balance',
    'hapy=2',
    'happy',
    'happy=',
    'happy=x',
    'happy=-1',
    'happy=nan',
    'happy=2,',
    'happy=2,happy=3',
    '',
  ],
)
def test_wrong_weights_are_refused(setting):
  config = default_config().loss
  config.class_weights = setting
  with pytest.raises(UserError, match=r'class_weights is .*angry, fear, happy'):
    losses.validate(config, NAMES)


@pytest.mark.parametrize('smoothing', [-0.1, 1.0, float('nan')])
def test_wrong_smoothing_is_refused(smoothing):
  config = default_config().loss
  config.label_smoothing = smoothing
  with pytest.raises(UserError, match=f'label_smoothing is {smoothing}'):
    losses.validate(config, NAMES)


@pytest.mark.parametrize('weights', ['none', 'balanced', 'fear=3'])
def test_right_settings_are_accepted(weights):
  config = default_config().loss
  config.class_weights = weights
  losses.validate(config, NAMES)
