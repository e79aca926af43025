"""Trained networks at work: the one door to the weights of a workdir."""

from collections.abc import Callable
import dataclasses
import time
from typing import Any, NamedTuple, Protocol

import jax
from ml_collections import config_dict
import numpy as np

from ferjax import (
  checkpoint,
  metrics,
  models,
  parallel,
  preprocess,
  steps,
  storage,
  views,
)
from ferjax import workdir as workdir_lib
from ferjax.data import pipeline
from ferjax.data.dataset import Split
from ferjax.errors import UserError
from ferjax.storage import Path


class Evaluation(NamedTuple):
  """What a network, or several together, said of some examples.

  Attributes:
    sums: `loss`, `correct`, `count` and `confusion`, on the host.
    probabilities: float32 `[n, classes]`.
    images_per_second: from host to host, after two batches, which compile;
      what fills up the last batch counts too, as it takes as long. None where
      there are no more.
    members: the name of each member of an ensemble and what it said alone, in
      the ensemble's order of classes; nothing of a single network.
  """

  sums: dict[str, np.ndarray]
  probabilities: np.ndarray
  images_per_second: float | None = None
  members: tuple[tuple[str, 'Evaluation'], ...] = ()


class Classifier(Protocol):
  """What a network and an ensemble have in common.

  Attributes:
    config: of the run; of an ensemble, its first member's.
    configs: of every run in it.
    class_names: the meaning of each column of `probabilities`.
    title: what it is, for people.
    step: of the checkpoint; of an ensemble, the latest of its members'.
    tta: the name of the views that it averages over.
    temperature: see `Predictor`.
  """

  config: config_dict.ConfigDict
  configs: tuple[config_dict.ConfigDict, ...]
  class_names: tuple[str, ...]
  title: str
  step: int
  tta: str
  temperature: float | None

  def evaluate(self, split: Split) -> Evaluation:
    """Answers for every example of `split`."""

  def probabilities(self, images: np.ndarray) -> np.ndarray:
    """Returns float32 `[n, classes]` for uint8 images."""


def evaluate(
  config: config_dict.ConfigDict,
  eval_step: Callable[..., Any],
  variables: Any,
  split: Split,
  placement: str = 'host',
  table: Any = (),
  num_views: int = 1,
) -> Evaluation:
  """Runs a network over every example of `split`, once each.

  Args:
    config: of the run.
    eval_step: of `steps.make_eval_step`.
    variables: the weights, replicated.
    split: the examples.
    placement: `host` or `device`.
    table: under `device` placement, the split on the devices.
    num_views: that the step looks at; batches are as many times smaller, so
      that its memory does not grow.
  """
  parts = jax.device_count() * num_views
  batch_size = -(-config.eval_batch_size // parts) * jax.device_count()
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
    eval_step: of `steps.make_eval_step`, over these views.
    tta: the name of the views, see `views.make_views`.
    temperature: that validation asks for, None where nobody fitted it. The
      probabilities are without it; see `calibration.apply_temperature`.
  """

  config: config_dict.ConfigDict
  dataset: dict[str, Any]
  step: int
  variables: Any
  eval_step: Callable[..., Any]
  tta: str = 'none'
  temperature: float | None = None

  @property
  def configs(self) -> tuple[config_dict.ConfigDict, ...]:
    """The config alone: an ensemble has several."""
    return (self.config,)

  @property
  def class_names(self) -> tuple[str, ...]:
    """The meaning of each column of `probabilities`."""
    return tuple(self.dataset['class_names'])

  @property
  def title(self) -> str:
    """The name of the network."""
    return self.config.model.name

  def evaluate(self, split: Split) -> Evaluation:
    """Runs the network over every example of `split`.

    Raises:
      UserError: when the images are not of the shape it was trained on.
    """
    self._check(split.images)
    return evaluate(
      self.config,
      self.eval_step,
      self.variables,
      split,
      num_views=len(views.make_views(self.tta)),
    )

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

  def _check(self, images: np.ndarray) -> None:
    """Refuses images that would reach the network in another size."""
    shape = tuple(self.dataset['image_shape'])
    if images.dtype == np.uint8 and images.shape[-1] in (1, 3):
      seen = preprocess.input_shape(self.config, images.shape[1:])
      if seen == preprocess.input_shape(self.config, shape):
        return
    raise UserError(
      f'images are {images.dtype} {list(images.shape[1:])}; '
      f'the network was trained on uint8 {list(shape)}'
    )


def load(
  workdir: str | Path, checkpoint: str = 'best', tta: str | None = None
) -> Predictor:
  """Loads a trained network from its workdir, which is all it needs.

  Args:
    workdir: of the training.
    checkpoint: `best`, `latest` or a step.
    tta: over which views of an image to average, see `views.make_views`;
      None: those of the run's config.

  Raises:
    UserError: when the workdir or the checkpoint cannot be read, or there are
      no such views.
  """
  workdir = storage.path(workdir)
  config = workdir_lib.read_config(workdir)
  tta = config.tta if tta is None else tta
  seen = views.make_views(tta)
  preprocess.validate(config)
  dataset = workdir_lib.read_dataset(workdir)
  model = models.from_config(config.model, len(dataset['class_names']))
  shape = preprocess.input_shape(config, tuple(dataset['image_shape']))
  template = models.init(model, shape, seed=0)
  step, variables = restore(workdir, checkpoint, template)
  eval_step = steps.make_eval_step(config, model, seen)
  return Predictor(config, dataset, step, variables, eval_step, tta)


def restore(workdir: Path, which: str, variables: Any) -> tuple[int, Any]:
  """Restores the weights that count from a workdir, see `Checkpoints`."""
  template = dict(variables)
  params = template.pop('params')
  with checkpoint.Checkpoints(workdir, read_only=True) as checkpoints:
    return checkpoints.restore_model(
      which, {'params': params, 'model_state': template}
    )
