"""A training begins with the weights that `init_from` names."""

import jax
import numpy as np
import pytest

from ferjax import checkpoint, inference, parallel, train_state
from ferjax import run as run_lib
from ferjax import workdir as workdir_lib
from ferjax.errors import UserError
from ferjax.train import train_and_evaluate


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
  assert any(str(workdir) in line or 'loaded' in line for line in started.start)


def test_a_classifier_of_other_classes_begins_afresh(
  make_config, workdir, tmp_path
):
  other = rename_classes(workdir, tmp_path / 'other')
  source = run_lib.build(make_config()).state
  started = begin(make_config, other)
  assert differing(source, started.state) == {'classifier'}
  assert any('classifier' in line for line in started.start)


def test_the_average_begins_with_the_same_weights(make_config, workdir):
  state = begin(make_config, workdir, ema_decay=0.9).state
  jax.tree.map(np.testing.assert_array_equal, state.ema['params'], state.params)


def test_another_network_is_refused(make_config, workdir):
  with pytest.raises(UserError, match=r'holds a simple_cnn.*a densenet_small'):
    begin(make_config, workdir, model={'name': 'densenet_small'})


def test_a_missing_file_is_refused_and_not_needed_to_resume(
  make_config, tmp_path
):
  missing = tmp_path / 'gone.safetensors'
  with pytest.raises(UserError, match=r'gone\.safetensors'):
    begin(make_config, missing)
  config = make_config()
  config.init_from = str(missing)
  assert run_lib.build(config, resumes=True).start == ()


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
