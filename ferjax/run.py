"""What a training is made of: every part checked and built from the config."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from ml_collections import config_dict

from ferjax import (
  augment,
  data,
  losses,
  metrics,
  models,
  optim,
  preprocess,
  steps,
  train_state,
)
from ferjax import config as config_lib
from ferjax import durations as durations_lib
from ferjax.data import pipeline
from ferjax.data.dataset import Dataset
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
  placement: str
  steps_per_call: int


def build(config: config_dict.ConfigDict) -> Run:
  """Checks every setting, loads the data and builds what `config` asks for.

  Raises:
    UserError: for the first setting that cannot work, or missing data.
  """
  config_lib.validate(config)
  durations_lib.validate(config)
  steps.validate(config)
  data.validate(config.data)
  pipeline.validate(config.data)
  models.validate(config.model)
  preprocess.validate(config.normalization)
  augment.validate(config.augment)
  optim.validate(config.optimizer, config.schedule)
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
  optimizer = optim.make_optimizer(config.optimizer, schedule)
  weights = losses.class_weights(
    config.loss.class_weights,
    train_split.counts(dataset.num_classes),
    dataset.class_names,
  )
  model = models.from_config(config.model, dataset.num_classes)
  variables = models.init(model, dataset.image_shape, config.seed)
  on_cpu = jax.default_backend() == 'cpu'
  return Run(
    config=config,
    dataset=dataset,
    durations=durations,
    schedule=schedule,
    train_step=steps.make_train_step(config, model, optimizer, weights),
    eval_step=steps.make_eval_step(config, model),
    state=train_state.create(variables, optimizer, config.ema_decay > 0),
    placement=pipeline.choose_placement(
      config.data.placement, list(dataset.splits.values())
    ),
    steps_per_call=config.steps_per_call or (1 if on_cpu else 16),
  )
