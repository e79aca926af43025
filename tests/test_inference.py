"""Networks at work: views, and which images they take."""

import types

import numpy as np
import pytest

from ferjax import inference, models, parallel, preprocess, steps, views
from ferjax.data.dataset import Split
from ferjax.errors import UserError
from ferjax.evaluation import insight

NAMES = ('angry', 'happy', 'sad')


@pytest.fixture
def make_predictor(make_config, monkeypatch):
  """Makes one that `inference.load` finds in a workdir; weights at random."""

  def make_predictor(
    views='none', shape=(16, 16, 1), model='simple_cnn', **more
  ):
    config = make_config()
    config.model.name = model
    config.update(more)
    dataset = {'class_names': list(NAMES), 'image_shape': list(shape)}
    network = models.from_config(config.model, len(NAMES))
    seen = preprocess.input_shape(config, shape)
    weights = models.init(network, seen, seed=3)
    params = weights.pop('params')
    # Before training, the classes are nearly equal.
    params['classifier']['kernel'] = 20 * params['classifier']['kernel']
    variables = parallel.replicate({'params': params, 'model_state': weights})
    monkeypatch.setattr(
      inference,
      'workdir_lib',
      types.SimpleNamespace(
        read_config=lambda workdir: config, read_dataset=lambda workdir: dataset
      ),
    )
    monkeypatch.setattr(inference, 'restore', lambda *_: (7, variables))
    return inference.load('nowhere', tta=views)

  return make_predictor


def make_split(count, shape=(16, 16, 1)):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (count, *shape), np.uint8)
  labels = rng.integers(0, len(NAMES), count).astype(np.int32)
  return Split(images, labels, np.arange(count))


def test_probabilities_are_the_mean_over_views(make_predictor):
  """Each view is taken by a network of its own, in another program."""
  split = make_split(20)
  plain = make_predictor()
  alone = [plain.probabilities(split.images)]
  alone.append(plain.probabilities(split.images[:, :, ::-1]))
  expected = np.mean(alone, axis=0, dtype=np.float64)
  assert np.abs(alone[0] - alone[1]).max() > 0.05
  evaluation = make_predictor('flip').evaluate(split)
  np.testing.assert_allclose(evaluation.probabilities, expected, atol=1e-5)
  sums = evaluation.sums
  own = expected[np.arange(20), split.labels]
  assert sums['loss'] == pytest.approx(-np.log(own).sum(), rel=1e-4)
  confusion = np.zeros((3, 3))
  np.add.at(confusion, (split.labels, expected.argmax(1)), 1)
  np.testing.assert_array_equal(sums['confusion'], confusion)
  assert (sums['correct'], sums['count']) == (np.trace(confusion), 20)


@pytest.mark.parametrize('shape', [(15, 15, 1), (15, 15, 3)])
def test_crops_of_odd_images_reach_a_network_of_another_size(
  make_predictor, shape
):
  predictor = make_predictor(
    'ten_crop', shape, 'logistic', image_size=8, color='gray'
  )
  assert predictor.tta == 'ten_crop'
  split = make_split(9, shape)
  evaluation = predictor.evaluate(split)
  weights = parallel.to_host(predictor.variables)['params']['classifier']
  see = preprocess.make_preprocess(predictor.config)
  images = preprocess.to_float(split.images)
  answers = []
  for view in views.make_views('ten_crop'):
    seen = np.asarray(see(view(images)), np.float64).reshape(9, -1)
    powers = np.exp(seen @ weights['kernel'] + weights['bias'])
    answers.append(powers / powers.sum(1, keepdims=True))
  np.testing.assert_allclose(
    evaluation.probabilities, np.mean(answers, 0), rtol=1e-4, atol=1e-6
  )


def test_batches_shrink_by_the_number_of_views(make_predictor, monkeypatch):
  sizes = []
  make = steps.make_eval_step

  def watch(*arguments):
    step = make(*arguments)

    def call(variables, table, batch):
      sizes.append(batch['label'].size)
      return step(variables, table, batch)

    return call

  monkeypatch.setattr(steps, 'make_eval_step', watch)
  for tta in ('none', 'flip', 'ten_crop'):  # 16 images; there are 4 devices
    make_predictor(tta, model='logistic').evaluate(make_split(16))
  assert sizes == [16] + [8] * 2 + [4] * 4


def test_images_of_another_size_are_taken_where_the_network_resizes(
  make_predictor,
):
  small, large = make_split(4), make_split(4, (20, 24, 3))
  sized = make_predictor(model='logistic', image_size=12, color='gray')
  assert sized.probabilities(small.images).shape == (4, 3)
  assert sized.probabilities(large.images).shape == (4, 3)
  as_they_come = make_predictor(model='logistic')
  with pytest.raises(UserError, match=r'trained on uint8 \[16, 16, 1\]'):
    as_they_come.probabilities(large.images)
  with pytest.raises(UserError, match='images are float32'):
    sized.probabilities(small.images.astype(np.float32))
  with pytest.raises(UserError, match=r'uint8 \[16, 16, 2\]'):
    sized.probabilities(np.zeros((4, 16, 16, 2), np.uint8))


def test_stored_images_have_features_and_heat(make_predictor):
  """Over two batches, of images that the network sees in another size."""
  predictor = make_predictor(image_size=16)
  split = make_split(40, (20, 24, 1))
  split.images[39], split.labels[39] = split.images[0], split.labels[0]
  features = insight.features(predictor, split.images)
  weights = parallel.to_host(predictor.variables)['params']['classifier']
  logits = features @ weights['kernel'] + weights['bias']
  powers = np.exp(logits - logits.max(1, keepdims=True))
  np.testing.assert_allclose(
    predictor.probabilities(split.images),
    powers / powers.sum(1, keepdims=True),
    atol=1e-4,
  )
  heat = insight.grad_cam(predictor, split.images, split.labels)
  assert heat.shape == (40, 20, 24)
  assert heat.dtype == np.float32
  assert 0 <= heat.min() < heat.max() <= 1
  np.testing.assert_allclose(heat[39], heat[0], atol=1e-5)


def test_unknown_views_are_refused(make_predictor):
  with pytest.raises(UserError, match='ten_crop'):
    make_predictor('tencrop')


def test_views_are_those_of_the_run_unless_told(make_predictor):
  assert make_predictor(None).tta == 'none'
  split = make_split(20)
  expected = make_predictor('flip').probabilities(split.images)
  by_config = make_predictor(None, tta='flip')
  assert by_config.tta == 'flip'
  np.testing.assert_array_equal(by_config.probabilities(split.images), expected)
