"""A training begins with the weights that `init_from` names."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from ferjax import checkpoint, inference, origin, parallel, train_state
from ferjax import run as run_lib
from ferjax import workdir as workdir_lib
from ferjax.errors import UserError
from ferjax.train import train_and_evaluate
from ferjax.weights import names as weight_names


@pytest.fixture(scope='module')
def workdir(make_config, tmp_path_factory):
  """A run of no steps: the weights of seed 0, the classes of FER2013."""
  workdir = tmp_path_factory.mktemp('run')
  run = run_lib.build(make_config())
  workdir_lib.claim(workdir, run.config, run.dataset.describe())
  with checkpoint.Checkpoints(workdir) as checkpoints:
    checkpoints.save(
      parallel.replicate(run.state), {checkpoint.BEST_METRIC: 0.5}
    )
    checkpoints.wait()
  return workdir


def rename_classes(workdir, target):
  """Copies a workdir whose classes now mean something else."""
  target.mkdir()
  (target / 'checkpoints').symlink_to(workdir / 'checkpoints')
  (target / 'config.json').write_bytes((workdir / 'config.json').read_bytes())
  text = (workdir / 'dataset.json').read_text()
  (target / 'dataset.json').write_text(text.replace('neutral', 'contempt'))
  return target


def begin(make_config, path, **changes):
  config = make_config()
  config.seed = 1
  config.init_from = str(path)
  config.update(changes)
  return run_lib.build(config)


def flat(variables):
  """Returns the arrays by path, such as `conv1/kernel`."""
  return {
    '/'.join(entry.key for entry in path[1:]): leaf
    for path, leaf in jax.tree.leaves_with_path(variables)
  }


def torch_shaped(ours, rng):
  """Draws an array of the shape that torch has for one of ours."""
  shape = {4: (3, 2, 0, 1), 2: (1, 0)}.get(ours.ndim, (0,))
  return rng.standard_normal([ours.shape[i] for i in shape], np.float32)


def differing(a: train_state.TrainState, b: train_state.TrainState):
  """Returns the layers whose kernels differ."""
  return {
    name
    for name, layer in a.params.items()
    if 'kernel' in layer and np.any(layer['kernel'] != b.params[name]['kernel'])
  }


def test_another_run_gives_its_weights(make_config, workdir):
  source = run_lib.build(make_config()).state
  fresh = begin(make_config, '').state
  started = begin(make_config, workdir)
  assert 'classifier' in differing(source, fresh)
  assert not differing(source, started.state)
  jax.tree.map(
    np.testing.assert_array_equal, source.model_state, started.state.model_state
  )
  num_arrays = len(jax.tree.leaves((source.params, source.model_state)))
  assert len(started.origin.loaded) == num_arrays
  assert not started.origin.kept


def test_a_classifier_of_other_classes_begins_afresh(
  make_config, workdir, tmp_path
):
  other = rename_classes(workdir, tmp_path / 'other')
  source = run_lib.build(make_config()).state
  started = begin(make_config, other)
  assert differing(source, started.state) == {'classifier'}
  assert set(started.origin.kept) == {'classifier/bias', 'classifier/kernel'}


def test_the_average_begins_with_the_same_weights(make_config, workdir):
  state = begin(make_config, workdir, ema_decay=0.9).state
  jax.tree.map(np.testing.assert_array_equal, state.ema['params'], state.params)


def test_another_network_is_refused(make_config, workdir):
  with pytest.raises(UserError, match=r'holds a simple_cnn.*a densenet_small'):
    begin(make_config, workdir, model={'name': 'densenet_small'})


def test_a_run_in_a_bucket_gives_its_weights(make_config, workdir, store):
  for path in workdir.rglob('*'):
    if path.is_file():
      name = path.relative_to(workdir)
      store.put_object(f'ferjax/runs/a/{name}', path.read_bytes())
  source = run_lib.build(make_config()).state
  started = begin(make_config, 's3://ferjax/runs/a')
  assert not differing(source, started.state)


@pytest.mark.parametrize('place', ['s3://ferjax', 'gs://ferjax', '/models'])
def test_what_a_file_is_called_counts_wherever_it_lies(
  make_config, store, place
):
  """Once it is fetched, it lies in a folder of another name."""
  name = 'tf_efficientnet_b0.in1k/model.safetensors'
  store.put_object(f'ferjax/{name}', b'')
  config = make_config()
  config.init_from, config.model.name = f'{place}/{name}', 'efficientnet_b0'
  with pytest.raises(UserError, match=f'{place}/{name}: the tf_ networks'):
    origin.load(config, None, (48, 48, 1), {})


def test_a_missing_file_is_refused_and_not_needed_to_resume(
  make_config, tmp_path
):
  missing = tmp_path / 'gone.safetensors'
  with pytest.raises(UserError, match=r'gone\.safetensors'):
    begin(make_config, missing)
  config = make_config()
  config.init_from = str(missing)
  assert run_lib.build(config, resumes=True).origin is None


@pytest.mark.slow
def test_a_frozen_backbone_stays_through_a_training(
  make_config, workdir, tmp_path
):
  config = make_config()
  config.init_from = str(workdir)
  config.num_steps, config.optimizer.name = 10, 'adamw'
  config.backbone.freeze = True
  before = run_lib.build(config).state
  with jax.numpy_dtype_promotion('standard'):  # for optax's adam
    assert train_and_evaluate(config, tmp_path / 'frozen')
  with checkpoint.Checkpoints(tmp_path / 'frozen') as checkpoints:
    after = checkpoints.restore_latest(before).state
  assert differing(before, parallel.to_host(after)) == {'classifier'}
  kept = json.loads((tmp_path / 'frozen' / 'origin.json').read_text())
  assert kept['source'] == str(workdir)
  assert 'conv1/kernel' in kept['loaded']


@pytest.mark.slow
def test_a_run_whose_checkpoints_are_lost_starts_from_the_same_weights(
  make_config, workdir, tmp_path
):
  config = make_config()
  config.init_from, config.num_steps = str(workdir), 2
  config.backbone.freeze = True
  train_and_evaluate(config, tmp_path)
  (tmp_path / 'checkpoints').rename(tmp_path / 'elsewhere')
  train_and_evaluate(config, tmp_path)
  before = run_lib.build(config).state
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    after = checkpoints.restore_latest(before).state
  assert differing(before, parallel.to_host(after)) == {'classifier'}


@pytest.mark.parametrize('place', ['local', 'bucket'])
def test_a_file_gives_all_but_its_classifier(
  make_config, tmp_path, store, place
):
  config = make_config()
  config.model.name, config.model.stem = 'resnet18', 'imagenet'
  fresh = run_lib.build(config).state
  names = weight_names.find(
    'resnet18', list(flat({'params': fresh.params, **fresh.model_state})), []
  )
  rng = np.random.default_rng(0)
  arrays = {
    name: torch_shaped(value, rng)
    for path, value in flat(
      {'params': fresh.params, **fresh.model_state}
    ).items()
    if (name := names.get(path))
  }
  path = tmp_path / 'weights.safetensors'
  safetensors.numpy.save_file(arrays, path)
  if place == 'bucket':
    content = path.read_bytes()
    store.put_object('ferjax/weights.safetensors', content)
    path.write_bytes(content[:1000])
    path = 's3://ferjax/weights.safetensors'
  started = begin(make_config, path, model=config.model.to_dict(), seed=0)
  assert set(started.origin.kept) == {'classifier/bias', 'classifier/kernel'}
  assert 'classifier' not in differing(fresh, started.state)
  np.testing.assert_array_equal(
    started.state.params['stem_conv']['kernel'],
    arrays['conv1.weight'].transpose(2, 3, 1, 0),
  )
  workdir_lib.write_origin(tmp_path, str(path), {})
  kept = json.loads((tmp_path / 'origin.json').read_text())
  assert kept['source'] == str(path)
  assert len(kept['sha256']) == 64
  notes = origin.notes(started.config)
  assert 'expect --config.normalization=imagenet' in notes[0]


def test_another_look_at_the_images_is_told(make_config, workdir):
  config = make_config()
  config.init_from = str(workdir)
  assert origin.notes(config) == []
  config.normalization, config.image_size = 'center', 32
  notes = origin.notes(config)
  assert [note.split(' with ')[1] for note in notes] == [
    'normalization=per_image; this run has center',
    'image_size=0; this run has 32',
  ]


def test_a_folder_that_is_no_workdir_is_refused(make_config, tmp_path):
  (tmp_path / 'config.json').write_text('{"architectures": ["ResNet"]}')
  with pytest.raises(UserError, match=r'no workdir.*give the weight file'):
    begin(make_config, tmp_path)


@pytest.mark.slow
def test_a_network_may_see_another_size_in_colour(make_config, tmp_path):
  config = make_config()
  config.num_steps, config.image_size, config.color = 2, 20, 'rgb'
  run = run_lib.build(config)
  assert run.state.params['conv1']['kernel'].shape == (3, 3, 3, 32)
  assert run.state.params['hidden']['kernel'].shape[0] == 2 * 2 * 128
  figures = train_and_evaluate(config, tmp_path / 'colour')
  images = run.dataset.splits['validation'].images
  network = inference.load(tmp_path / 'colour')
  guesses = network.probabilities(images).argmax(1)
  hits = guesses == run.dataset.splits['validation'].labels
  assert figures['accuracy'] == pytest.approx(hits.mean())
