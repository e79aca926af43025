"""A training step of ours on pixels of noise, ready to be timed: `Trial`.

Its time does not depend on the pixels. What it trains is thrown away.
"""

import functools
from typing import Any, NamedTuple

import jax
from ml_collections import config_dict
import numpy as np

from ferjax import config as config_lib
from ferjax import models, parallel, preprocess
from ferjax.data import pipeline
from ferjax.data.dataset import CLASS_NAMES, Dataset, Split
from ferjax.models import summary
from ferjax.run import build

SIDE = 48
NUM_CLASSES = 7


class Costs(NamedTuple):
  """What is known of a step before it runs.

  Attributes:
    images: that it trains on.
    work: multiply-adds of a forward pass over all of them.
    memory: bytes that the program asks for, on all devices together:
      arguments, temporaries and outputs, without those outputs that take the
      place of an argument. It is exact, and other processes do not matter.
  """

  images: int
  work: int
  memory: int


def make_config(
  network: str, batch_size: int, dtype: str
) -> config_dict.ConfigDict:
  """Returns a training by SGD with flip and shift, one step a call.

  Args:
    network: of `models.MODELS`; with the stem of ImageNet where it has one, as
      what it is compared with elsewhere.
    batch_size: over all devices.
    dtype: of `models.DTYPES`.
  """
  config = config_lib.default_config()
  config.batch_size = batch_size
  config.num_steps = 1000
  config.steps_per_call = 1  # what is timed is then what is counted
  config.model.name = network
  config.model.dtype = dtype
  if 'stem' in models.known_options(network):
    config.model.stem = 'imagenet'
  config.augment.shift = 0.1
  config.optimizer.learning_rate = 0.01
  config.optimizer.weight_decay = 5e-4
  config.schedule.name = 'constant'
  return config


class Trial:
  """The step of a config, its state and one batch of noise on the devices."""

  def __init__(self, config: config_dict.ConfigDict) -> None:
    """Builds the step; compiles nothing yet.

    Raises:
      UserError: when the config cannot be used.
    """
    split = _noise(config.batch_size)
    dataset = Dataset(
      'noise', CLASS_NAMES[:NUM_CLASSES], {'train': split}, 'drawn'
    )
    # As if it were resumed: whatever the weights start from is not read.
    run = build(config, resumes=True, dataset=dataset)
    self.steps_per_call = run.steps_per_call
    self.num_parameters = sum(map(np.size, jax.tree.leaves(run.state.params)))
    batches = pipeline.train_batches(
      split,
      [pipeline.Call(0, run.steps_per_call)],
      config.batch_size,
      config.seed,
      'host',
    )
    self._config = config
    self._batch = parallel.shard(next(batches), config.sharding)
    self._state = parallel.replicate(run.state)
    self._step = run.train_step

  @property
  def jaxpr(self) -> Any:
    """The step as it is traced, forward, backward and update."""
    return jax.make_jaxpr(self._step)(self._state, (), self._batch)

  @functools.cached_property
  def compiled(self) -> jax.stages.Compiled:
    """The program of all devices."""
    return self._step.lower(self._state, (), self._batch).compile()

  @property
  def costs(self) -> Costs:
    """Of one step a call."""
    network = models.from_config(self._config.model, NUM_CLASSES)
    shape = preprocess.input_shape(self._config, (SIDE, SIDE, 1))
    images = self._config.batch_size
    return Costs(
      images=images,
      work=images * summary.count(network, shape).flops // 2,
      memory=_memory(self.compiled) * jax.device_count(),
    )

  def train(self) -> Any:
    """Makes the steps of a call; returns sums that may be on their way."""
    self._state, sums = self.compiled(self._state, (), self._batch)
    return sums


def _noise(num_images: int) -> Split:
  rng = np.random.default_rng(0)
  shape = num_images, SIDE, SIDE, 1
  return Split(
    rng.integers(0, 256, shape, np.uint8),
    (np.arange(num_images) % NUM_CLASSES).astype(np.int32),
    np.arange(num_images),
  )


def _memory(step: jax.stages.Compiled) -> int:
  """Returns bytes on one device."""
  asked = step.memory_analysis()
  return (
    asked.argument_size_in_bytes
    + asked.temp_size_in_bytes
    + asked.output_size_in_bytes
    - asked.alias_size_in_bytes
  )
