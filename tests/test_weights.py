"""Weights of other libraries: the same logits, adaptations, what is refused.

The references were made by tests/references/make_references.py.
"""

import functools
import json
import pathlib
import re

import jax
import numpy as np
import pytest
from references import draw
import safetensors.numpy

from ferjax import models, weights
from ferjax.errors import UserError
from ferjax.weights import families

REFERENCES = pathlib.Path(__file__).parent / 'references'
STEMLESS = ('vgg',)  # all others have one for images of ImageNet's size

ALL = sorted(path.stem for path in REFERENCES.glob('*.json'))

# The largest difference may be this part of the largest logit.
TOLERANCE = 1e-4


def build(name, num_classes=draw.NUM_CLASSES, **options):
  sizes = next(sizes for sizes, _ in families.FAMILIES if name in sizes)
  if not name.startswith(STEMLESS):
    options = {'stem': 'imagenet', **options}
  return sizes[name](num_classes=num_classes, **options)


@functools.cache
def compiled(name, channels=3):
  """Logits of variables and images; little optimised, so compiled soon."""
  apply = jax.jit(functools.partial(build(name).apply, train=False))
  variables = init(name, channels=channels)
  images = np.zeros((*draw.IMAGE_SHAPE[:3], channels), np.float32)
  options = {'xla_backend_optimization_level': 0}
  return apply.lower(variables, images).compile(compiler_options=options)


@functools.cache
def read(reference):
  return json.loads((REFERENCES / f'{reference}.json').read_text())


def drawn(reference):
  shapes = read(reference)['shapes']
  return {name: draw.draw(name, tuple(shapes[name])) for name in shapes}


def init(name, side=64, channels=3, **options):
  return models.init(build(name, **options), (side, side, channels), seed=0)


@pytest.fixture
def save(tmp_path):
  def save(tensors):
    path = tmp_path / 'file.safetensors'
    safetensors.numpy.save_file(tensors, path)
    return path

  return save


@pytest.fixture(scope='module')
def resnet18(tmp_path_factory):
  path = tmp_path_factory.mktemp('resnet18') / 'resnet18.safetensors'
  safetensors.numpy.save_file(drawn('torchvision-resnet18'), path)
  return path


@pytest.mark.slow
@pytest.mark.parametrize('reference', [r for r in ALL if r != 'timm-vgg11'])
def test_logits_are_those_of_the_library(reference, save):
  name = reference.partition('-')[2]
  path = save(drawn(reference))
  variables, report = weights.load(path, name, init(name))
  path.unlink()
  assert not report.kept
  assert not report.unused
  logits = compiled(name)(variables, draw.draw_images())
  expected = np.array(read(reference)['logits'])
  difference = np.abs(logits - expected).max() / np.abs(expected).max()
  print(f'{reference}: {difference:.1e}')
  assert difference < TOLERANCE


@pytest.mark.slow
def test_gray_images_are_seen_as_three_equal_colours(resnet18):
  variables, report = weights.load(
    resnet18, 'resnet18', init('resnet18', channels=1)
  )
  colour, _ = weights.load(resnet18, 'resnet18', init('resnet18'))
  assert report.adapted == {'stem_conv/kernel': 'summed over colour'}
  images = draw.draw_images()[..., :1]
  np.testing.assert_allclose(
    compiled('resnet18', channels=1)(variables, images),
    compiled('resnet18')(colour, np.repeat(images, 3, axis=3)),
    rtol=1e-4,
  )


def test_another_number_of_classes(resnet18):
  ours = init('resnet18', num_classes=7)
  variables, report = weights.load(resnet18, 'resnet18', ours)
  assert jax.tree.map(np.shape, variables) == jax.tree.map(np.shape, ours)
  assert report.kept == ('classifier/bias', 'classifier/kernel')
  assert report.unused == ('fc.bias', 'fc.weight')
  classifier = variables['params']['classifier']
  assert classifier is not ours['params']['classifier']
  np.testing.assert_array_equal(
    classifier['kernel'], ours['params']['classifier']['kernel']
  )
  assert report.lines('resnet18.pth') == [
    'loaded 100 of 102 arrays from resnet18.pth',
    'begins afresh: classifier/bias, classifier/kernel',
    'not used: fc.bias, fc.weight',
  ]


@pytest.mark.parametrize('stem', ['small', 'space_to_depth'])
def test_a_smaller_stem_begins_afresh(resnet18, stem):
  _, report = weights.load(resnet18, 'resnet18', init('resnet18', stem=stem))
  assert report.kept == ('stem_conv/kernel',)


def test_squeeze_excitation_begins_afresh(resnet18):
  ours = init('resnet18', squeeze_excitation=True)
  _, report = weights.load(resnet18, 'resnet18', ours)
  assert len(report.kept) == 32  # two layers in each of eight blocks
  assert all('/squeeze/' in path for path in report.kept)
  assert report.lines('FILE')[1].endswith(' and 28 more')


@pytest.mark.parametrize('prefix', ['module.', 'model.', 'module.model.'])
def test_prefixes(save, prefix):
  tensors = drawn('torchvision-resnet18')
  path = save({prefix + name: array for name, array in tensors.items()})
  variables, report = weights.load(path, 'resnet18', init('resnet18'))
  assert not report.kept
  np.testing.assert_array_equal(
    variables['batch_stats']['stem_norm']['mean'], tensors['bn1.running_mean']
  )


def test_old_names_of_densenet(save):
  tensors = drawn('torchvision-densenet121')
  old = {
    re.sub(r'(denselayer\d+\.(?:norm|conv))', r'\1.', name): array
    for name, array in tensors.items()
  }
  assert 'features.denseblock4.denselayer16.conv.2.weight' in old
  ours = init('densenet121')
  variables, report = weights.load(save(old), 'densenet121', ours)
  expected, _ = weights.load(save(tensors), 'densenet121', ours)
  assert not report.kept
  jax.tree.map(np.testing.assert_array_equal, variables, expected)


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('resnet34', r'not of resnet34: it lacks layer1\.2.* those of resnet18$'),
    ('resnet50', r'lacks .*layer1\.0\.bn3.* and \d+ more; .* of resnet18$'),
    ('densenet121', r'lacks features.* and \d+ more; .* of resnet18$'),
  ],
)
def test_another_network_is_refused(resnet18, name, message):
  with pytest.raises(UserError, match=message):
    weights.load(resnet18, name, init(name))


def test_more_than_the_network_has_is_refused(save):
  tensors = drawn('torchvision-resnet18')
  tensors['layer4.2.conv1.weight'] = tensors['layer4.1.conv1.weight']
  with pytest.raises(UserError, match=r'it has layer4\.2\.conv1\.weight'):
    weights.load(save(tensors), 'resnet18', init('resnet18'))


def test_another_shape_is_refused(save):
  tensors = drawn('torchvision-resnet18')
  tensors['layer1.0.conv1.weight'] = np.zeros((64, 64, 5, 5), np.float32)
  message = (
    r'layer1\.0\.conv1\.weight \(64, 64, 5, 5\) does not fit our '
    r'stage1_block1/conv1/kernel \(3, 3, 64, 64\)'
  )
  with pytest.raises(UserError, match=message):
    weights.load(save(tensors), 'resnet18', init('resnet18'))


@pytest.mark.parametrize(
  ('name', 'array', 'message'),
  [
    ('fc.weight', np.zeros((0, 512)), r'fc\.weight is empty \(0, 512\)'),
    ('conv1.weight', np.zeros(()), r'conv1\.weight \(\) does not fit our stem'),
    ('fc.weight', np.zeros(()), r'fc\.weight \(\) does not fit our classi'),
    ('bn1.weight', np.zeros((8, 8)), r'bn1\.weight \(8, 8\) does not fit'),
    ('bn1.bias', np.full(64, np.nan), r'bn1\.bias has values .* not finite'),
    ('bn1.bias', np.full(64, np.inf), r'bn1\.bias has values .* not finite'),
  ],
)
def test_arrays_that_are_none_are_refused(save, name, array, message):
  tensors = drawn('torchvision-resnet18')
  tensors[name] = np.asarray(array, np.float32)
  with pytest.raises(UserError, match=message):
    weights.load(save(tensors), 'resnet18', init('resnet18'))


@pytest.mark.parametrize('name', ['efficientnet_b0', 'mobilenet_v2'])
def test_networks_that_pad_as_tensorflow_are_refused(name):
  for path in (
    'tf_some.pth',
    'timm--tf_efficientnet_b0/model.safetensors',
    's3://models/tf_efficientnet_b0.in1k/model.safetensors',
  ):
    with pytest.raises(UserError, match='pad as TensorFlow does, where the'):
      weights.check_name(path, name)
  weights.check_name('tf_some.pth', 'resnet18')
  weights.check_name('/tmp/tf_/model.pth', name)


def test_nobody_publishes_weights_of_it(resnet18):
  with pytest.raises(UserError, match=r'simple_cnn.*resnet18'):
    weights.load(resnet18, 'simple_cnn', {'params': {}})


def test_another_file_is_told_apart(save):
  path = save({'a.weight': np.zeros(3, np.float32)})
  with pytest.raises(UserError, match='those of no network here'):
    weights.load(path, 'resnet18', init('resnet18'))


@pytest.mark.parametrize('same_classes', [True, False])
def test_the_classifier_of_a_run_is_kept_for_the_same_classes(same_classes):
  source = jax.tree.map(lambda leaf: leaf + 1, init('resnet18'))
  variables, report = weights.load_own(source, init('resnet18'), same_classes)
  bias = variables['params']['classifier']['bias']
  assert (bias == (1 if same_classes else 0)).all()
  assert len(report.kept) == (0 if same_classes else 2)


def test_a_run_of_another_network_is_refused():
  with pytest.raises(
    UserError, match='another network: it lacks stage1_block3'
  ):
    weights.load_own(init('resnet18'), init('resnet34'), True)
