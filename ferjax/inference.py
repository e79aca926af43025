"""Trained networks at work: the one door to the weights of a workdir."""

from collections.abc import Callable
import dataclasses
import pathlib
import time
from typing import Any, NamedTuple

import jax
from ml_collections import config_dict
import numpy as np

from ferjax import checkpoint, metrics, models, parallel, preprocess, steps
from ferjax import workdir as workdir_lib
from ferjax.data import pipeline
from ferjax.data.dataset import Split
from ferjax.errors import UserError


class Evaluation(NamedTuple):
  """What a network said of some examples.

  Attributes:
    sums: `loss`, `correct`, `count` and `confusion`, on the host.
    probabilities: float32 `[n, classes]`.
    images_per_second: from host to host, after two batches, which compile;
      what fills up the last batch counts too, as it takes as long. None where
      there are no more.
  """

  sums: dict[str, np.ndarray]
  probabilities: np.ndarray
  images_per_second: float | None = None


def evaluate(
  config: config_dict.ConfigDict,
  eval_step: Callable[..., Any],
  variables: Any,
  split: Split,
  placement: str = 'host',
  table: Any = (),
) -> Evaluation:
  """Runs a network over every example of `split`, once each.

  Args:
    config: of the run.
    eval_step: of `steps.make_eval_step`.
    variables: the weights, replicated.
    split: the examples.
    placement: `host` or `device`.
    table: under `device` placement, the split on the devices.
  """
  devices = jax.device_count()
  batch_size = -(-config.eval_batch_size // devices) * devices
  batches = pipeline.prefetch_to_devices(
    pipeline.eval_batches(split, batch_size, placement),
    config.sharding,
    config.data.prefetch,
  )
  sums, probabilities, began = None, [], 0.0
  for batch in batches:
    more, batch_probabilities = eval_step(variables, table, batch)
    sums = metrics.add(sums, parallel.settle(more))
    probabilities.append(batch_probabilities)
    if len(probabilities) == 2:  # one compiles the step, one the addition
      jax.block_until_ready(sums)
      began = time.perf_counter()
  rows = [x.reshape(-1, x.shape[-1]) for x in parallel.gather(probabilities)]
  sums = parallel.to_host(sums)
  timed = (len(rows) - 2) * batch_size
  speed = timed / (time.perf_counter() - began) if timed > 0 else None
  return Evaluation(sums, np.concatenate(rows)[: len(split)], speed)


@dataclasses.dataclass(frozen=True)
class Predictor:
  """A trained network.

  Attributes:
    config: of its run.
    dataset: what the run knows of its data, see `Dataset.describe`.
    step: the checkpoint's.
    variables: the weights, on all devices.
  """

  config: config_dict.ConfigDict
  dataset: dict[str, Any]
  step: int
  variables: Any
  eval_step: Callable[..., Any]

  @property
  def class_names(self) -> tuple[str, ...]:
    """The meaning of each column of `probabilities`."""
    return tuple(self.dataset['class_names'])

  def evaluate(self, split: Split) -> Evaluation:
    """Runs the network over every example of `split`.

    Raises:
      UserError: when the images are not of the shape it was trained on.
    """
    shape = tuple(self.dataset['image_shape'])
    if split.images.dtype != np.uint8 or split.images.shape[1:] != shape:
      raise UserError(
        f'images are {split.images.dtype} {list(split.images.shape[1:])}; '
        f'the network was trained on uint8 {list(shape)}'
      )
    return evaluate(self.config, self.eval_step, self.variables, split)

  def probabilities(self, images: np.ndarray) -> np.ndarray:
    """Returns float32 `[n, classes]` for uint8 `[n, height, width, channels]`.

    Raises:
      UserError: when the images are not of the shape it was trained on.
    """
    if not len(images):
      return np.zeros((0, len(self.class_names)), np.float32)
    index = np.arange(len(images))
    return self.evaluate(
      Split(images, np.zeros(len(images), np.int32), index)
    ).probabilities


def load(workdir: str | pathlib.Path, checkpoint: str = 'best') -> Predictor:
  """Loads a trained network from its workdir, which is all it needs.

  Args:
    workdir: of the training.
    checkpoint: `best`, `latest` or a step.

  Raises:
    UserError: when the workdir or the checkpoint cannot be read.
  """
  workdir = pathlib.Path(workdir)
  config = workdir_lib.read_config(workdir)
  dataset = workdir_lib.read_dataset(workdir)
  model = models.from_config(config.model, len(dataset['class_names']))
  shape = preprocess.input_shape(config, tuple(dataset['image_shape']))
  template = models.init(model, shape, seed=0)
  step, variables = restore(workdir, checkpoint, template)
  eval_step = steps.make_eval_step(config, model)
  return Predictor(config, dataset, step, variables, eval_step)


def restore(
  workdir: pathlib.Path, which: str, variables: Any
) -> tuple[int, Any]:
  """Restores the weights that count from a workdir, see `Checkpoints`."""
  template = dict(variables)
  params = template.pop('params')
  with checkpoint.Checkpoints(workdir, read_only=True) as checkpoints:
    return checkpoints.restore_model(
      which, {'params': params, 'model_state': template}
    )
