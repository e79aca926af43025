"""Checkpoints on disk: the latest ones and the best, by Orbax."""

from collections.abc import Mapping
import pathlib
from typing import Any, NamedTuple

import jax
from orbax.checkpoint import args as ocp_args
from orbax.checkpoint import checkpoint_manager
from orbax.checkpoint.checkpoint_managers import preservation_policy
import tensorstore

from ferjax import parallel
from ferjax.errors import UserError
from ferjax.train_state import TrainState

BEST_METRIC = 'val/accuracy'


class Restored(NamedTuple):
  """What a checkpoint holds: the state, and the next step of the data."""

  state: TrainState
  next_index: int


class Checkpoints:
  """The checkpoints of one workdir.

  Each holds four items: `model` (the weights that count, all that evaluation
  reads), `training` (the rest of the state), `data` (the position in the
  stream of batches) and `config`, with the metrics of the validation that was
  made there.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    keep: int = 2,
    config: Mapping[str, Any] | None = None,
  ) -> None:
    """Opens the checkpoints under `workdir`.

    Args:
      workdir: of the run.
      keep: how many of the latest stay; the best stays beside them.
      config: of the run, as JSON takes it; stored in each checkpoint.
    """
    self._folder = workdir / 'checkpoints'
    self._keep = keep
    self._config = dict(config or {})
    self._manager = self._open()

  def _open(self) -> checkpoint_manager.CheckpointManager:
    def accuracy(metrics: Mapping[str, float]) -> float:
      return metrics[BEST_METRIC]

    keep = preservation_policy.AnyPreservationPolicy(
      [
        preservation_policy.LatestN(self._keep),
        preservation_policy.BestN(
          get_metric_fn=accuracy, n=1, keep_checkpoints_without_metrics=False
        ),
      ]
    )
    return checkpoint_manager.CheckpointManager(
      self._folder.absolute(),
      options=checkpoint_manager.CheckpointManagerOptions(
        preservation_policy=keep, best_fn=accuracy
      ),
      item_names=('model', 'training', 'data', 'config'),
    )

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *error: object) -> None:
    self._manager.close()

  def steps(self) -> list[int]:
    """Returns the steps that have a checkpoint, in order."""
    return sorted(self._manager.all_steps())

  def best_step(self) -> int | None:
    """Returns the step of the highest validation accuracy, if there is one."""
    return self._manager.best_step()

  def best_accuracy(self) -> float:
    """Returns the highest validation accuracy so far, -1 before the first."""
    step = self.best_step()
    return -1.0 if step is None else self._manager.metrics(step)[BEST_METRIC]

  def save(
    self, state: TrainState, metrics: Mapping[str, float] | None = None
  ) -> None:
    """Begins to save `state`; a step that is saved already is left alone.

    Args:
      state: replicated, after its last step.
      metrics: of the validation at this step, if there was one.
    """
    step = int(parallel.to_host(state.step))
    if step in self._manager.all_steps():
      return
    model, training = _split(_global(state))
    self._manager.save(
      step,
      args=ocp_args.Composite(
        model=ocp_args.StandardSave(model),
        training=ocp_args.StandardSave(training),
        data=ocp_args.JsonSave({'next_index': step}),
        config=ocp_args.JsonSave(self._config),
      ),
      metrics=dict(metrics) if metrics else None,
      force=True,
    )

  def wait(self) -> None:
    """Waits until everything that was begun is on disk."""
    self._manager.wait_until_finished()

  def restore_latest(
    self, template: TrainState
  ) -> tuple[Restored | None, list[str]]:
    """Restores the newest checkpoint that can be read.

    One that cannot be read is moved aside, to `checkpoints-unreadable`, so
    that its step can be saved again and nothing is lost.

    Args:
      template: a state of the right shapes; its values are not used.

    Returns:
      The newest whole state on all devices (None if there is none), and a
      line about each checkpoint that could not be read.
    """
    complaints = []
    for step in reversed(self.steps()):
      try:
        return self._restore(step, template), complaints
      except Exception as error:  # whatever a broken file makes Orbax raise
        aside = self._move_aside(step)
        complaints.append(
          f'checkpoint {step} is damaged ({_reason(error)}); it was moved '
          f'to {aside}'
        )
    return None, complaints

  def _restore(self, step: int, template: TrainState) -> Restored:
    model, training = _split(_abstract(template))
    for item in ('model', 'training'):
      _check_readable(self._folder / str(step) / item)
    items = self._manager.restore(
      step,
      args=ocp_args.Composite(
        model=ocp_args.StandardRestore(model),
        training=ocp_args.StandardRestore(training),
        data=ocp_args.JsonRestore(),
      ),
    )
    state = _join(items['model'], items['training'], template)
    return Restored(state, items['data']['next_index'])

  def restore_model(self, which: str, variables: Any) -> tuple[int, Any]:
    """Restores the weights that count.

    Args:
      which: `best`, `latest` or a step.
      variables: of the right shapes; the values are not used.

    Returns:
      The step and the variables, on all devices.

    Raises:
      UserError: when there is no such checkpoint, or it cannot be read.
    """
    step = self._find(which)
    try:
      _check_readable(self._folder / str(step) / 'model')
      items = self._manager.restore(
        step,
        args=ocp_args.Composite(
          model=ocp_args.StandardRestore(_abstract(variables))
        ),
      )
    except Exception as error:
      others = [other for other in self.steps() if other != step]
      raise UserError(
        f'checkpoint {step} in {self._folder} cannot be read: it is damaged '
        f'({_reason(error)}); others there: {others or "none"}'
      ) from error
    return step, items['model']

  def _find(self, which: str) -> int:
    steps = self.steps()
    if not steps:
      raise UserError(f'{self._folder} holds no checkpoint yet')
    if which == 'latest':
      return steps[-1]
    if which == 'best':
      best = self.best_step()
      if best is None:
        raise UserError(
          f'{self._folder} holds no validated checkpoint yet; give '
          f'--checkpoint=latest or one of {steps}'
        )
      return best
    if which.isdecimal() and int(which) in steps:
      return int(which)
    raise UserError(
      f'{self._folder} holds no checkpoint {which!r}; have best, latest, '
      f'{steps}'
    )

  def _move_aside(self, step: int) -> pathlib.Path:
    folder = self._folder.with_name('checkpoints-unreadable')
    target = folder / str(step)
    parallel.barrier('unreadable')
    if parallel.is_main_process():
      folder.mkdir(exist_ok=True)
      number = 1
      while target.exists():
        target = folder / f'{step}-{number}'
        number += 1
      (self._folder / str(step)).rename(target)
    parallel.barrier('moved')
    self._manager.reload()
    return target


def _check_readable(item: pathlib.Path) -> None:
  """Reads every array of an item once, or raises what TensorStore does.

  Orbax finds the same faults, but its threads then print tracebacks.
  """
  base = {'driver': 'file', 'path': f'{item.absolute()}/'}
  store = tensorstore.KvStore.open({'driver': 'ocdbt', 'base': base}).result()
  for key in store.list().result():
    store.read(key).result()


def _split(state: TrainState) -> tuple[Any, dict[str, Any]]:
  training = {'step': state.step, 'opt_state': state.opt_state}
  if state.ema is not None:
    training |= {'params': state.params, 'model_state': state.model_state}
  return state.variables, training


def _join(
  model: Any, training: dict[str, Any], template: TrainState
) -> TrainState:
  has_ema = template.ema is not None
  return TrainState(
    **({**training, 'ema': model} if has_ema else {**training, **model})
  )


def _abstract(tree: Any) -> Any:
  sharding = parallel.replicated()
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
  )


def _global(tree: Any) -> Any:
  # What pmap returns is replicated over this process's devices only.
  if jax.process_count() == 1:
    return tree
  return parallel.replicate(parallel.to_host(tree))


def _reason(error: Exception) -> str:
  # Orbax's messages run over many lines; their head names the kind.
  return str(error).strip().partition(':')[0][:60] or type(error).__name__
