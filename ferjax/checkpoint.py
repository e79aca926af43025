"""Checkpoints on disk: the latest ones and the best, by Orbax."""

from collections.abc import Mapping
import pathlib
from typing import Any, NamedTuple

from orbax.checkpoint import args as ocp_args
from orbax.checkpoint import checkpoint_manager
from orbax.checkpoint.checkpoint_managers import preservation_policy

from ferjax import damage, parallel
from ferjax.errors import UserError
from ferjax.train_state import TrainState

BEST_METRIC = 'val/accuracy'


def has_checkpoint(workdir: pathlib.Path) -> bool:
  """Returns whether a run in `workdir` has saved anything to go on from."""
  folder = workdir / 'checkpoints'
  return folder.is_dir() and any(p.name.isdecimal() for p in folder.iterdir())


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
    read_only: bool = False,
  ) -> None:
    """Opens the checkpoints under `workdir`.

    Args:
      workdir: of the run.
      keep: how many of the latest stay; the best stays beside them.
      config: of the run, as JSON takes it; stored in each checkpoint.
      read_only: whether nothing is to be saved, moved or made.

    Raises:
      UserError: when `read_only` and a checkpoint is so damaged that Orbax
        cannot open the folder.
    """
    self._folder = workdir / 'checkpoints'
    self._keep = keep
    self._config = dict(config or {})
    self._read_only = read_only
    self.complaints = []  # a line about each checkpoint that was set aside
    if read_only or parallel.is_main_process():
      for path in damage.broken_metrics(self._folder, (BEST_METRIC, 'step')):
        if read_only:
          raise UserError(f'{path} is damaged (its metrics); move it away')
        self._set_aside(int(path.name), 'its metrics')
    parallel.barrier('opening checkpoints')
    self._manager = self._open()

  def _open(self) -> checkpoint_manager.CheckpointManager:
    def rank(metrics: Mapping[str, float]) -> tuple[float, float]:
      return metrics[BEST_METRIC], -metrics['step']  # of equals, the first

    keep = preservation_policy.AnyPreservationPolicy(
      [
        preservation_policy.LatestN(self._keep),
        preservation_policy.BestN(
          get_metric_fn=rank, n=1, keep_checkpoints_without_metrics=False
        ),
      ]
    )
    return checkpoint_manager.CheckpointManager(
      self._folder.absolute(),
      options=checkpoint_manager.CheckpointManagerOptions(
        preservation_policy=keep, best_fn=rank, read_only=self._read_only
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
    model, training = parallel.make_global(state).split()
    self._manager.save(
      step,
      args=ocp_args.Composite(
        model=ocp_args.StandardSave(model),
        training=ocp_args.StandardSave(training),
        data=ocp_args.JsonSave({'next_index': step}),
        config=ocp_args.JsonSave(self._config),
      ),
      metrics={**metrics, 'step': step} if metrics else None,
      force=True,
    )

  def wait(self) -> None:
    """Waits until everything that was begun is on disk."""
    self._manager.wait_until_finished()

  def restore_latest(self, template: TrainState) -> Restored | None:
    """Restores the newest checkpoint that can be read, None if there is none.

    Newer ones are then moved to `checkpoints-unreadable`, so that their steps
    can be saved again and nothing is lost; `complaints` names them.

    Args:
      template: a state of the right shapes; its values are not used.

    Returns:
      The newest whole state, on all devices.

    Raises:
      UserError: when there are checkpoints, but none can be read.
    """
    broken = {}
    for step in reversed(self.steps()):
      restored = None
      try:
        restored = self._restore(step, template)
      except Exception as error:  # whatever a broken file makes Orbax raise
        broken[step] = damage.reason(error)
      if parallel.any_process(restored is None):
        broken.setdefault(step, 'another process could not read it')
        continue
      if parallel.is_main_process():
        for bad, why in broken.items():
          self._set_aside(bad, why)
      parallel.barrier('set aside')
      self._manager.reload()
      return restored
    if broken:
      step, why = next(iter(broken.items()))
      raise UserError(
        f'no checkpoint in {self._folder} can be read ({step}: {why}); move '
        'the folder away to start over'
      )
    return None

  def forget_after(self, step: int) -> None:
    """Deletes the checkpoints of later steps."""
    for later in [other for other in self.steps() if other > step]:
      self._manager.delete(later)

  def _set_aside(self, step: int, why: str) -> None:
    target = damage.set_aside(self._folder / str(step))
    self.complaints.append(
      f'checkpoint {step} is damaged ({why}); it was moved to {target}'
    )

  def _restore(self, step: int, template: TrainState) -> Restored:
    model, training = parallel.abstract(template).split()
    for item in ('model', 'training'):
      damage.check_readable(self._folder / str(step) / item)
    items = self._manager.restore(
      step,
      args=ocp_args.Composite(
        model=ocp_args.StandardRestore(model),
        training=ocp_args.StandardRestore(training),
        data=ocp_args.JsonRestore(),
      ),
    )
    state = template.join(items['model'], items['training'])
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
      damage.check_readable(self._folder / str(step) / 'model')
      items = self._manager.restore(
        step,
        args=ocp_args.Composite(
          model=ocp_args.StandardRestore(parallel.abstract(variables))
        ),
      )
    except Exception as error:
      others = [other for other in self.steps() if other != step]
      raise UserError(
        f'checkpoint {step} in {self._folder} is damaged '
        f'({damage.reason(error)}); others there: {others or "none"}'
      ) from error
    return step, items['model']

  def _find(self, which: str) -> int:
    steps = self.steps()
    if not steps:
      raise UserError(f'{self._folder} holds no checkpoint yet')
    named = {str(step): step for step in steps}
    named |= {'latest': steps[-1], 'best': self.best_step()}
    step = named.get(which)
    if step in steps:
      return step
    if which == 'best':
      raise UserError(
        f'{self._folder} holds no validated checkpoint yet; give '
        f'--checkpoint=latest or one of {steps}'
      )
    raise UserError(
      f'{self._folder}: no checkpoint {which[:80]!r}; have best, latest, '
      f'{steps}'
    )
