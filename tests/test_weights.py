"""Weights of other libraries: the same logits, adaptations, what is refused.

The references were made by tests/references/make_references.py.
"""

import functools
import json
import math
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import draw
import safetensors.numpy

from ferjax import models, weights
from ferjax.errors import UserError
from ferjax.weights import families, layout, names

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
def trace(name, side=224):
  """Shapes of the variables, without values."""
  images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  init = functools.partial(build(name).init, train=False)
  return jax.eval_shape(init, jax.random.key(0), images)


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


@pytest.mark.parametrize('reference', ALL)
def test_every_name_and_shape_has_its_place(reference):
  name = reference.partition('-')[2]
  theirs = names.shorten(read(reference)['shapes'])
  leaves = jax.tree.leaves_with_path(trace(name))
  sizes = {'/'.join(k.key for k in path[1:]): x.size for path, x in leaves}
  table = names.find(name, sizes, theirs)
  assert table.keys() == sizes.keys()
  assert set(table.values()) == theirs.keys()
  for path, size in sizes.items():
    assert size == math.prod(theirs[table[path]])
  looks = names.looks_like(theirs)
  assert re.search(rf'\b{name}\b', looks)


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


@pytest.mark.parametrize('side', [1, 2, 3, 5, 6, 7])
def test_pooling_folds_into_the_dense_layer(side):
  # By torch's definition of adaptive pooling, window by window.
  rng = np.random.default_rng(0)
  kernel = rng.standard_normal((5, 4, 7, 7))
  x = rng.standard_normal((side, side, 4))
  pooled = np.empty((4, 7, 7))
  for i, j in np.ndindex(7, 7):
    rows = slice(math.floor(i * side / 7), math.ceil((i + 1) * side / 7))
    columns = slice(math.floor(j * side / 7), math.ceil((j + 1) * side / 7))
    pooled[:, i, j] = x[rows, columns].mean((0, 1))
  expected = kernel.reshape(5, -1) @ pooled.ravel()
  for form in kernel, kernel.reshape(5, -1):
    ours = layout.from_torch(form, 'hidden1/kernel', (side * side * 4, 5))
    np.testing.assert_allclose(x.ravel() @ ours, expected, rtol=1e-5)


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


def test_nobody_publishes_weights_of_it(resnet18):
  with pytest.raises(UserError, match=r'simple_cnn.*resnet18'):
    weights.load(resnet18, 'simple_cnn', {'params': {}})


def test_another_file_is_told_apart(save):
  path = save({'a.weight': np.zeros(3, np.float32)})
  with pytest.raises(UserError, match='those of no network here'):
    weights.load(path, 'resnet18', init('resnet18'))


def test_from_a_run_of_our_own():
  source = init('resnet18', channels=1, num_classes=7)
  ours = init('resnet18', channels=3, num_classes=8)
  source = jax.tree.map(lambda leaf: leaf + 1, source)
  variables, report = weights.load_own(source, ours, same_classes=False)
  assert report.adapted == {'stem_conv/kernel': 'shared among the colours'}
  assert report.kept == ('classifier/bias', 'classifier/kernel')
  np.testing.assert_allclose(
    variables['params']['stem_conv']['kernel'].sum(2, keepdims=True),
    source['params']['stem_conv']['kernel'],
    rtol=1e-5,
  )
  np.testing.assert_array_equal(
    variables['batch_stats']['stem_norm']['var'],
    source['batch_stats']['stem_norm']['var'],
  )


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
