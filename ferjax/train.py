"""The training loop: from a config to a trained, evaluated network."""

import math
import pathlib
from typing import Any

import jax
from ml_collections import config_dict

from ferjax import inference, metrics, origin, parallel, report
from ferjax import workdir as workdir_lib
from ferjax.checkpoint import BEST_METRIC, Checkpoints, has_checkpoint
from ferjax.data import pipeline
from ferjax.errors import TrainingError
from ferjax.interrupts import StopSignals
from ferjax.logs import MetricLogger, Progress, make_console, print_header
from ferjax.meter import Meter
from ferjax.run import Run, build


def train_and_evaluate(
  config: config_dict.ConfigDict, workdir: pathlib.Path
) -> dict[str, Any] | None:
  """Trains as `config` says, or goes on where the run in `workdir` stopped.

  Args:
    config: the whole config.
    workdir: of the run; all that it leaves behind is there.

  Returns:
    The figures of the best checkpoint on `validation`, see
    `report.summarize`; None if a signal stopped the run before its end.

  Raises:
    UserError: when the config, the data or the workdir cannot be used.
    TrainingError: when the loss is no longer finite.
  """
  is_main = parallel.is_main_process()
  with parallel.together():
    run = build(config, resumes=has_checkpoint(workdir))
    if is_main:
      workdir_lib.create(workdir)
      workdir_lib.claim(workdir, config, run.dataset.describe())
  if is_main:
    rows = report.header(config, run.dataset, run.state.params)
    print_header(f'ferjax in {workdir}', rows, make_console())
    if run.origin:
      _tell_origin(run, workdir)
  with Checkpoints(
    workdir, config.keep_checkpoints, config.to_dict()
  ) as checkpoints:
    if not _train(run, workdir, checkpoints):
      return None
    return _finish(run, workdir, checkpoints)


def _train(run: Run, workdir: pathlib.Path, checkpoints: Checkpoints) -> bool:
  """Makes the steps that are left; returns whether the run is complete."""
  config, durations = run.config, run.durations
  train_split, validation_split = map(
    run.dataset.splits.get, ('train', 'validation')
  )
  table = pipeline.table(train_split, run.placement)
  validation_table = pipeline.table(validation_split, run.placement)
  restored = checkpoints.restore_latest(run.state)
  if restored is None and run.resumes:  # all that was saved was set aside
    run = build(config)
  state, start = restored or (parallel.replicate(run.state), 0)
  best = checkpoints.best_accuracy()
  calls = pipeline.plan_calls(
    start,
    durations.num_steps,
    run.steps_per_call,
    list(durations.intervals.values()),
  )
  meter = Meter()
  batches = meter.watch(
    pipeline.prefetch_to_devices(
      pipeline.train_batches(
        train_split, calls, config.batch_size, config.seed, run.placement
      ),
      config.sharding,
      config.data.prefetch,
    )
  )
  tells = parallel.is_main_process()
  with (
    MetricLogger(workdir, start_step=start, enabled=tells) as logger,
    Progress(durations.num_steps, start, enabled=tells) as progress,
    StopSignals() as signals,
  ):
    for line in checkpoints.complaints:
      progress.line(f'warning: {line}')
    if start:
      progress.line(f'resumed at step {start} of {durations.num_steps}')
    logged = start
    for call, batch in zip(calls, batches, strict=True):
      with jax.transfer_guard('disallow'):
        state, sums = run.train_step(state, table, batch)
      meter.add(parallel.settle(sums))
      step = call.start + call.num_steps
      progress.update(step)
      due = durations.due(step)
      stopping = _is_stopping(signals, bool(due))
      if not due and not stopping:
        continue

      train_metrics = meter.read()
      _check_finite(train_metrics, range(logged + 1, step + 1), checkpoints)
      with meter.paused():
        record = {'epoch': step * config.batch_size / len(train_split)}
        if 'log' in due:
          rate = float(run.schedule(step - 1))
          record |= train_metrics | {'train/learning_rate': rate}
        validation = None
        if 'eval' in due:
          evaluation = inference.evaluate(
            config,
            run.eval_step,
            state.variables,
            validation_split,
            run.placement,
            validation_table,
          )
          validation = metrics.means(evaluation.sums, 'val')
          record |= validation
        if len(record) > 1:
          logger.write(step, record)
          progress.update(step, record)
        is_best = validation is not None and validation[BEST_METRIC] > best
        if is_best or stopping or 'checkpoint' in due:
          checkpoints.save(state, validation)
        if is_best:
          best = validation[BEST_METRIC]
      if stopping and step < durations.num_steps:
        checkpoints.wait()
        progress.line(
          f'stopped by {signals.received or "a signal to another process"}, '
          f'step {step} is saved; the same command resumes'
        )
        return False
      if 'log' in due:
        logged = step
        meter.restart()
    checkpoints.wait()  # while signals still wait for it
  return True


def _tell_origin(run: Run, workdir: pathlib.Path) -> None:
  """Prints what became of the weights it starts from, and keeps it whole."""
  source = run.config.init_from
  lines = [*run.origin.lines(source), *origin.notes(run.config)]
  print(*lines, sep='\n', end='\n\n')
  workdir_lib.write_origin(workdir, source, run.origin._asdict())


def _is_stopping(signals: StopSignals, is_meeting_point: bool) -> bool:
  """Whether to stop after this step; all processes decide the same."""
  if jax.process_count() == 1:
    return signals.received is not None
  # Signals come to processes at different steps: they agree where all look.
  return is_meeting_point and parallel.any_process(signals.received is not None)


def _check_finite(
  record: dict[str, float], steps: range, checkpoints: Checkpoints
) -> None:
  broken = [
    f'{name} is {record[name]}'
    for name in ('train/loss', 'train/grad_norm')
    if not math.isfinite(record[name])
  ]
  if not broken:
    return
  checkpoints.wait()
  saved = checkpoints.steps()
  raise TrainingError(
    f'{" and ".join(broken)} between steps {steps[0]} and {steps[-1]}; '
    + (
      f'the last good checkpoint is step {saved[-1]}'
      if saved
      else 'there is no checkpoint yet'
    )
    + '. In another --workdir, try a lower config.optimizer.learning_rate or '
    'config.optimizer.clip_norm=1'
  )


def _finish(
  run: Run, workdir: pathlib.Path, checkpoints: Checkpoints
) -> dict[str, Any]:
  """Evaluates the best checkpoint on `validation` and draws the curves."""
  step, variables = checkpoints.restore_model('best', run.state.variables)
  predictor = inference.Predictor(
    run.config, run.dataset.describe(), step, variables, run.eval_step
  )
  figures = report.evaluate(
    predictor, run.dataset, 'validation', workdir / 'eval' / 'validation'
  )
  if parallel.is_main_process():
    report.draw_training(workdir, run.dataset)
    print(f'curves and samples in {workdir}')
    print(
      'This checkpoint was chosen on validation. For an unbiased figure:\n'
      f'  python -m ferjax.evaluate --workdir={workdir} --split=test'
    )
  return figures
