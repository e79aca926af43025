"""What a training is made of: every part checked and built from the config."""

from collections.abc import Callable
import functools
import os
import pathlib
from typing import Any, NamedTuple

import jax
from ml_collections import config_dict

from ferjax import (
  augment,
  backbone,
  data,
  inference,
  losses,
  metrics,
  models,
  optim,
  parallel,
  preprocess,
  steps,
  train_state,
  weights,
)
from ferjax import config as config_lib
from ferjax import durations as durations_lib
from ferjax import workdir as workdir_lib
from ferjax.data import pipeline
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError
from ferjax.train_state import TrainState


class Run(NamedTuple):
  """Everything a training is made of, built but not yet compiled."""

  config: config_dict.ConfigDict
  dataset: Dataset
  durations: durations_lib.Durations
  schedule: Callable[[int], jax.Array]
  train_step: Callable[..., tuple[TrainState, metrics.Sums]]
  eval_step: Callable[..., tuple[metrics.Sums, jax.Array]]
  state: TrainState  # before the first step, on the host
  resumes: bool  # whether the state is still to be restored
  origin: weights.Report | None  # of the state, where `config.init_from` is
  placement: str
  steps_per_call: int


def validate(config: config_dict.ConfigDict) -> None:
  """Checks every setting that can be checked without the data.

  Raises:
    UserError: for the first that cannot work.
  """
  config_lib.validate(config)
  durations_lib.validate(config)
  steps.validate(config)
  data.validate(config.data)
  pipeline.validate(config.data)
  models.validate(config.model)
  preprocess.validate(config)
  augment.validate(config.augment)
  optim.validate(config.optimizer, config.schedule)
  backbone.validate(config.backbone)
  if config.backbone.freeze and not config.init_from:
    raise UserError(
      'config.backbone.freeze would keep random weights; give config.init_from'
    )


def build(config: config_dict.ConfigDict, resumes: bool = False) -> Run:
  """Checks every setting, loads the data and builds what `config` asks for.

  Args:
    config: the whole config.
    resumes: whether the state will be restored: `config.init_from` is then
      not read, and need not be there any more.

  Raises:
    UserError: for the first setting that cannot work, or missing data.
  """
  validate(config)
  dataset = data.load_dataset(config.data, ('train', 'validation'))
  losses.validate(config.loss, dataset.class_names)
  train_split = dataset.splits['train']
  durations = durations_lib.resolve(config, len(train_split))
  schedule = optim.make_schedule(
    config.schedule,
    config.optimizer.learning_rate,
    durations.num_steps,
    durations.warmup_steps,
  )
  optimizer = optim.make_optimizer(
    config.optimizer, schedule, config.backbone, durations.thaw_step
  )
  hold = functools.partial(backbone.hold, config.backbone, durations.thaw_step)
  class_weights = losses.class_weights(
    config.loss.class_weights,
    train_split.counts(dataset.num_classes),
    dataset.class_names,
  )
  model = models.from_config(config.model, dataset.num_classes)
  image_shape = preprocess.input_shape(config, dataset.image_shape)
  variables = models.init(model, image_shape, config.seed)
  origin = None
  if config.init_from and not resumes:
    variables, origin = _start(config, dataset, variables)
  on_cpu = jax.default_backend() == 'cpu'
  return Run(
    config=config,
    dataset=dataset,
    durations=durations,
    schedule=schedule,
    train_step=steps.make_train_step(
      config, model, optimizer, class_weights, hold
    ),
    eval_step=steps.make_eval_step(config, model),
    state=train_state.create(variables, optimizer, config.ema_decay > 0),
    resumes=resumes,
    origin=origin,
    placement=pipeline.choose_placement(
      config.data.placement, list(dataset.splits.values())
    ),
    steps_per_call=config.steps_per_call or (1 if on_cpu else 16),
  )


def _start(
  config: config_dict.ConfigDict,
  dataset: Dataset,
  variables: dict[str, Any],
) -> tuple[dict[str, Any], weights.Report]:
  """Takes the first weights from `config.init_from`: a file, or a workdir."""
  path = pathlib.Path(os.path.expanduser(config.init_from))
  if path.is_dir():
    loaded, report = _load_run(path, config, dataset.class_names, variables)
  else:
    shape = preprocess.input_shape(config, dataset.image_shape)
    loaded, report = weights.load(path, config.model.name, variables, shape)
    # Nothing tells which class each of its logits is.
    fresh = variables['params'][backbone.HEAD]
    loaded = loaded | {'params': loaded['params'] | {backbone.HEAD: fresh}}
    heads = tuple(p for p in report.loaded if p.startswith(backbone.HEAD))
    report = report._replace(
      loaded=tuple(p for p in report.loaded if p not in heads),
      kept=(*report.kept, *heads),
    )
  kept = [name for name in report.kept if backbone.HEAD not in name]
  if config.backbone.freeze and kept:
    raise UserError(
      f'config.backbone.freeze would keep {kept[0]} as it was drawn, since '
      f'{path} has nothing for it; train it, or take a stem that fits'
    )
  return loaded, report


def _load_run(
  path: pathlib.Path,
  config: config_dict.ConfigDict,
  class_names: tuple[str, ...],
  variables: dict[str, Any],
) -> tuple[dict[str, Any], weights.Report]:
  if not (path / workdir_lib.DATASET).exists():
    raise UserError(
      f'config.init_from={path} is no workdir of a training; give the weight '
      'file in it'
    )
  source = inference.load(path)
  if source.config.model.name != config.model.name:
    raise UserError(
      f'config.init_from={path} holds a {source.config.model.name}; this run '
      f'trains a {config.model.name}'
    )
  theirs = parallel.to_host(source.variables)
  theirs = {'params': theirs['params'], **theirs['model_state']}
  same_classes = source.class_names == class_names
  return weights.load_own(theirs, variables, same_classes)


def start_notes(config: config_dict.ConfigDict) -> list[str]:
  """Returns where a run sees its images as `config.init_from` did not."""
  path = pathlib.Path(os.path.expanduser(config.init_from))
  if not path.is_dir():
    if config.normalization == 'imagenet':
      return []
    return [
      'note: published weights expect --config.normalization=imagenet; this '
      f'run has {config.normalization}'
    ]
  theirs = workdir_lib.read_config(path)
  return [
    f'note: {path} was trained with {name}={old}; this run has {new}'
    for name, old, new in (
      ('normalization', theirs.normalization, config.normalization),
      ('color', theirs.color, config.color),
      ('image_size', theirs.image_size, config.image_size),
      ('model.stem', theirs.model.stem, config.model.stem),
    )
    if old != new
  ]
