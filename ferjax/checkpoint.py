"""Checkpoints on disk: the latest ones and the best, by Orbax."""

from collections.abc import Mapping
import contextlib
from typing import Any, NamedTuple

from orbax.checkpoint import args as ocp_args

from ferjax import damage, keeping, mirror, parallel, unwritable
from ferjax.errors import UserError
from ferjax.keeping import BEST_METRIC
from ferjax.storage import Path
from ferjax.train_state import TrainState


def has_checkpoint(workdir: Path) -> bool:
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
    workdir: Path,
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
      UserError: when so much is damaged that Orbax cannot open the folder.
      RetryError: when it cannot be read just now.
    """
    unwritable.ignore_late_answers()
    self._folder = workdir / 'checkpoints'
    self._config = dict(config or {})
    self.complaints = []  # a line about each checkpoint that was set aside
    if read_only or parallel.is_main_process():
      self.complaints += damage.set_aside_unranked(
        self._folder, (BEST_METRIC, 'step'), read_only
      )
    parallel.barrier('opening checkpoints')
    self._manager = mirror.open_manager(
      self._folder,
      options=keeping.options(keep, read_only),
      item_names=('model', 'training', 'data', 'config'),
    )

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *error: object) -> None:
    with self._writing():
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
    metrics = {**metrics, 'step': step} if metrics else None
    data = {
      'next_index': step,
      'metrics': metrics,
      'digests': {
        'model': damage.digest(parallel.to_host(model)),
        'training': damage.digest(parallel.to_host(training)),
      },
    }
    with self._writing():
      self._manager.save(
        step,
        args=ocp_args.Composite(
          model=ocp_args.StandardSave(model),
          training=ocp_args.StandardSave(training),
          data=ocp_args.JsonSave(data),
          config=ocp_args.JsonSave(self._config),
        ),
        metrics=metrics,
        force=True,
      )

  def wait(self) -> None:
    """Waits until everything that was begun is on disk.

    Raises:
      RetryError: when it cannot be written.
    """
    with self._writing():
      self._manager.wait_until_finished()

  def _writing(self) -> contextlib.AbstractContextManager[None]:
    return unwritable.writing(
      self._folder,
      self._manager.directory,
      parallel.is_main_process(),
      lambda: mirror.whole_steps(self._manager),
    )

  def restore_latest(
    self, template: TrainState, only: int | None = None
  ) -> Restored | None:
    """Restores the newest checkpoint that can be read, None if there is none.

    Newer ones are then moved to `checkpoints-unreadable`, so that their steps
    can be saved again and nothing is lost; `complaints` names them.

    Args:
      template: a state of the right shapes; its values are not used.
      only: the step of the one to try; None: of all.

    Returns:
      The newest whole state, on all devices.

    Raises:
      UserError: when there are checkpoints, but none can be read.
    """
    broken = {}
    for step in self.steps()[::-1] if only is None else [only]:
      restored, why = damage.attempt(lambda s=step: self._restore(s, template))
      if restored is None:
        broken[step] = why
      if parallel.any_process(restored is None):
        broken.setdefault(step, 'another process could not read it')
        continue
      if parallel.is_main_process():
        for bad, why in broken.items():
          aside = damage.set_aside(self._folder / str(bad), why)
          self.complaints.append(aside)
      parallel.barrier('set aside')
      self._manager.reload()
      return restored
    if broken:
      raise damage.none_readable(self._folder, *next(iter(broken.items())))
    return None

  def forget_after(self, step: int) -> None:
    """Deletes the checkpoints of later steps."""
    for later in [other for other in self.steps() if other > step]:
      self._manager.delete(later)

  def _restore(self, step: int, template: TrainState) -> Restored:
    model, training = parallel.abstract(template).split()
    for item in ('model', 'training'):
      damage.check_readable(self._manager.directory / str(step), item)
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
    restored, why = damage.attempt(lambda: self._restore_model(step, variables))
    if restored is None:
      others = [other for other in self.steps() if other != step]
      raise UserError(
        f'checkpoint {step} in {self._folder} is damaged ({why}); others '
        f'there: {others or "none"}'
      )
    return step, restored

  def _restore_model(self, step: int, variables: Any) -> Any:
    damage.check_readable(self._manager.directory / str(step), 'model')
    items = self._manager.restore(
      step,
      args=ocp_args.Composite(
        model=ocp_args.StandardRestore(parallel.abstract(variables))
      ),
    )
    return items['model']

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
