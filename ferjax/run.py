"""What a training is made of: every part checked and built from the config."""

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
from ml_collections import config_dict
import numpy as np

from ferjax import (
  augment,
  backbone,
  data,
  inputs,
  losses,
  metrics,
  models,
  optim,
  preprocess,
  steps,
  train_state,
  views,
  weights,
)
from ferjax import config as config_lib
from ferjax import durations as durations_lib
from ferjax import origin as origin_lib
from ferjax import recovery as recovery_lib
from ferjax.data import pipeline, training
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError
from ferjax.recovery import Recovery
from ferjax.train_state import TrainState


class Run(NamedTuple):
  """Everything a training is made of, built but not yet compiled."""

  config: config_dict.ConfigDict
  dataset: Dataset
  durations: durations_lib.Durations
  schedule: Callable[[int], jax.Array]
  class_weights: np.ndarray
  make_train_step: Callable[..., steps.TrainStep]  # takes class weights, seeds
  train_step: steps.TrainStep
  eval_step: Callable[..., tuple[metrics.Sums, jax.Array]]
  state: TrainState  # before the first step, on the host
  resumes: bool  # whether the state is still to be restored
  origin: weights.Report | None  # of the state, where `config.init_from` is
  placement: str
  steps_per_call: int
  recovery: Recovery


def validate(config: config_dict.ConfigDict) -> None:
  """Checks every setting that can be checked without the data.

  Raises:
    UserError: for the first that cannot work.
  """
  config_lib.validate(config)
  durations_lib.validate(config)
  steps.validate(config)
  recovery_lib.validate(config)
  data.validate(config.data)
  pipeline.validate(config.data)
  models.validate(config.model)
  preprocess.validate(config)
  views.make_views(config.tta)
  augment.validate(config.augment)
  inputs.validate(config)
  optim.validate(config.optimizer, config.schedule)
  backbone.validate(config.backbone)
  if config.backbone.freeze and not config.init_from:
    raise UserError(
      'config.backbone.freeze would keep random weights; give config.init_from'
    )


def build(
  config: config_dict.ConfigDict,
  resumes: bool = False,
  dataset: Dataset | None = None,
  recovery: Recovery = recovery_lib.NONE,
) -> Run:
  """Checks every setting, loads the data and builds what `config` asks for.

  Args:
    config: the whole config.
    resumes: whether the state will be restored: `config.init_from` is then
      not read, and need not be there any more.
    dataset: of `training.load`, where it is loaded already.
    recovery: what holds after rollbacks, if there were any.

  Raises:
    UserError: for the first setting that cannot work, or missing data.
  """
  validate(config)
  dataset = dataset or training.load(config.data)
  losses.validate(config.loss, dataset.class_names)
  train_split = dataset.splits['train']
  durations = durations_lib.resolve(config, len(train_split))
  schedule = optim.make_schedule(
    config.schedule,
    config.optimizer.learning_rate * recovery.learning_rate_factor,
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
    variables, origin = origin_lib.load(config, dataset, image_shape, variables)
  make_train_step = functools.partial(
    steps.make_train_step, config, model, optimizer, hold=hold
  )
  on_cpu = jax.default_backend() == 'cpu'
  return Run(
    config=config,
    dataset=dataset,
    durations=durations,
    schedule=jax.jit(schedule),  # for the log; alone, each operation is one
    class_weights=class_weights,
    make_train_step=make_train_step,
    train_step=make_train_step(class_weights),
    eval_step=steps.make_eval_step(config, model, views.make_views(config.tta)),
    state=train_state.create(variables, optimizer, config.ema_decay > 0),
    resumes=resumes,
    origin=origin,
    placement=pipeline.choose_placement(
      config.data.placement, list(dataset.splits.values())
    ),
    steps_per_call=config.steps_per_call or (1 if on_cpu else 16),
    recovery=recovery,
  )
