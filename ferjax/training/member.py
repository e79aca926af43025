"""A run in the loop: where it lives, and what it has come to so far."""

import collections
import math
import pathlib
import statistics
from typing import Any

from ferjax import inference, logs, metrics, parallel, views
from ferjax import workdir as workdir_lib
from ferjax.checkpoint import BEST_METRIC, Checkpoints
from ferjax.errors import TrainingError
from ferjax.logs import MetricLogger
from ferjax.run import Run
from ferjax.train_state import TrainState

_USUAL = 5  # records that tell what loss is usual


class Member:
  """What the loop knows of one of the runs that it trains.

  Attributes:
    run: all it is made of.
    workdir: where it lives.
    checkpoints: in its workdir.
    logger: of its metrics, None before the loop begins.
    validation_table: its validation split on the devices, or nothing.
    validated: the step of the last validation, and what it found.
    best: the highest validation accuracy so far.
    failure: why it cannot go on, None while it can.
    why: the same in few words, and `astray` the steps where it happened.
    losses: the latest that were logged, for comparison.
  """

  def __init__(
    self, run: Run, workdir: pathlib.Path, checkpoints: Checkpoints
  ) -> None:
    self.run = run
    self.workdir = workdir
    self.checkpoints = checkpoints
    self.best = checkpoints.best_accuracy()
    self.failure: TrainingError | None = None
    self.why, self.astray = '', range(0)
    self.losses: collections.deque[float] = collections.deque(maxlen=_USUAL)
    self.logger: MetricLogger | None = None
    self.validation_table: Any = ()
    self.validated: tuple[int, inference.Evaluation] | None = None

  def validate(self, step: int, variables: Any) -> dict[str, float]:
    """Returns the metrics of the validation split after so many steps."""
    evaluation = inference.evaluate(
      self.run.config,
      self.run.eval_step,
      variables,
      self.run.dataset.splits['validation'],
      self.run.placement,
      self.validation_table,
      num_views=len(views.make_views(self.run.config.tta)),
    )
    self.validated = step, evaluation
    return metrics.means(evaluation.sums, 'val')

  def remember(self, step: int) -> None:
    """Takes the losses up to `step`, where the training goes on."""
    self.losses.clear()
    for record in logs.read_metrics(self.workdir):
      if record['step'] <= step and 'train/loss' in record:
        self.losses.append(record['train/loss'])

  def check(
    self, record: dict[str, float], steps: range, is_alone: bool
  ) -> None:
    """Notes the failure where a metric of these steps is not as it should be.

    None may be NaN or infinite, and the loss not above
    `config.max_loss_factor` times the median of the latest that were logged.

    Args:
      record: the metrics.
      steps: that they are of.
      is_alone: whether no other member is trained in the same program.
    """
    broken = [
      f'{name} is {record[name]}'
      for name in ('train/loss', 'train/grad_norm')
      if not math.isfinite(record[name])
    ]
    factor = self.run.config.max_loss_factor
    if factor and not broken and len(self.losses) == _USUAL:
      usual = statistics.median(self.losses)
      if record['train/loss'] > factor * usual:
        broken = [f'train/loss is {record["train/loss"]:.3g}, not {usual:.3g}']
    if not broken:
      return
    self.checkpoints.wait()
    saved = self.checkpoints.steps()
    self.why, self.astray = ' and '.join(broken), steps
    back = ''
    if self.run.config.on_nan == 'stop':
      back = '; or here config.on_nan=rollback'
      back += '' if is_alone else ' config.member_mode=loop'
    self.failure = TrainingError(
      f'{self.why} between steps {steps[0]} and {steps[-1]}; '
      + (
        f'the last good checkpoint is step {saved[-1]}'
        if saved
        else 'there is no checkpoint yet'
      )
      + '. In another --workdir, try a lower config.optimizer.learning_rate or '
      'config.optimizer.clip_norm=1' + back
    )

  def record(
    self,
    read: dict[str, float],
    step: int,
    due: set[str],
    state: TrainState,
    stopping: bool,
  ) -> dict[str, float]:
    """Logs, validates and saves what is due; returns what was logged.

    Args:
      read: of `Meter.read`.
      step: steps made so far.
      due: of `Durations.due`.
      state: after them.
      stopping: whether the training ends here, and is to be saved.
    """
    run = self.run
    if parallel.is_main_process():
      workdir_lib.check_presence(self.workdir)
    record = {}
    if 'log' in due:
      rate = float(run.schedule(step - 1))
      record |= read | {'train/learning_rate': rate}
      self.losses.append(read['train/loss'])
    validation = None
    if 'eval' in due:
      validation = self.validate(step, state.variables)
      record |= validation
    if record:
      num_examples = len(run.dataset.splits['train'])
      epoch = step * run.config.batch_size / num_examples
      record = {'epoch': epoch} | record
      self.logger.write(step, record)
    is_best = validation is not None and validation[BEST_METRIC] > self.best
    if is_best or stopping or 'checkpoint' in due:
      self.checkpoints.save(state, validation)
    if is_best:
      self.best = validation[BEST_METRIC]
    return record
