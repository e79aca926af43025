"""The training loop: a run, or several as one program, to their last steps."""

from collections.abc import Iterator, Sequence
import contextlib
import signal

import jax

from ferjax import interrupts, parallel, processes
from ferjax.data import pipeline
from ferjax.errors import UserError
from ferjax.interrupts import StopSignals
from ferjax.logs import MetricLogger, Progress
from ferjax.meter import Meter
from ferjax.run import build
from ferjax.train_state import TrainState
from ferjax.training.member import Member
from ferjax.training.team import Team


class ApartError(Exception):
  """The members have no step in common from which they can go on together."""


def train(members: Sequence[Member]) -> bool:
  """Makes the steps that are left of all members.

  One whose loss is no longer finite is given up, see `Member.failure`; the
  others go on.

  Returns:
    Whether the last step was made, or a signal came before it.

  Raises:
    ApartError: when the members were interrupted in different places.
  """
  team = Team([member.run for member in members])
  run = team.runs[0]
  durations = run.durations
  states, start = _begin(members)
  state = team.stack(states)
  calls = pipeline.plan_calls(
    start,
    durations.num_steps,
    run.steps_per_call,
    list(durations.intervals.values()),
  )
  table, rows = team.place_table()
  _place_validation(members)
  meter = Meter()
  batches = meter.watch(team.batches(calls, rows))
  tells = parallel.is_main_process()
  with (
    _loggers(members, start, tells),
    Progress(durations.num_steps, start, enabled=tells) as progress,
    StopSignals() as signals,
  ):
    for member in members:
      while member.checkpoints.complaints:
        progress.line(f'warning: {member.checkpoints.complaints.pop(0)}')
    if start:
      progress.line(f'resumed at step {start} of {durations.num_steps}')
    if len(members) > 1:
      progress.line(f'figures are means over {len(members)} trainings')
    logged = start
    for call, batch in zip(calls, batches, strict=True):
      processes.note(call.start + 1)
      with jax.transfer_guard('disallow'):
        state, sums = team.train_step(state, table, batch)
      meter.add(parallel.settle(sums))
      step = call.start + call.num_steps
      progress.update(step)
      due = durations.due(step)
      stopping = _signal(signals, bool(due))
      if not due and not stopping:
        continue
      records = _read(meter, members, range(logged + 1, step + 1))
      with meter.paused():
        records = {
          i: members[i].record(
            read, step, due, team.pick(state, i), bool(stopping)
          )
          for i, read in records.items()
        }
        if any(records.values()):
          progress.update(step, _mean(list(records.values())))
      if stopping and step < durations.num_steps:
        _wait(members)
        whose = '' if signals.received else ' to another process'
        progress.line(
          f'stopped by {signal.Signals(stopping).name}{whose}, '
          f'step {step} is saved; the same command resumes'
        )
        interrupts.stop(stopping)
        return False
      if 'log' in due:
        logged = step
        if processes.are_several():
          processes.report(meter.input_wait, parallel.probe())
        meter.restart()
    _wait(members)  # while signals still wait for it
  return True


def _begin(members: Sequence[Member]) -> tuple[list[TrainState], int]:
  """Returns the state of each member at the step from which all go on."""
  found = [m.checkpoints.restore_latest(m.run.state) for m in members]
  starts = {restored.next_index if restored else 0 for restored in found}
  if len(starts) > 1:
    saved = set.intersection(*(set(m.checkpoints.steps()) for m in members))
    if not saved:
      raise ApartError('interrupted in different places')
    starts = {common := max(saved)}
    try:
      found = [
        m.checkpoints.restore_latest(m.run.state, common) for m in members
      ]
    except UserError as error:
      raise ApartError(f'step {common} cannot be read by all') from error
    for member in members:  # only now: the later ones might have been all
      member.checkpoints.forget_after(common)
  states = []
  for member, restored in zip(members, found, strict=True):
    run = member.run
    if restored is None and run.resumes:  # all was set aside
      member.run = build(run.config, False, run.dataset, run.recovery)
    states.append(restored.state if restored else member.run.state)
    member.remember(max(starts))
    member.best = member.checkpoints.best_accuracy()
  return states, starts.pop()


def _place_validation(members: Sequence[Member]) -> None:
  """Puts every validation split on the devices, one that is shared once."""
  tables = {}
  for member in members:
    split = member.run.dataset.splits['validation']
    if id(split) not in tables:
      tables[id(split)] = pipeline.table(split, member.run.placement)
    member.validation_table = tables[id(split)]


@contextlib.contextmanager
def _loggers(
  members: Sequence[Member], start: int, tells: bool
) -> Iterator[None]:
  with contextlib.ExitStack() as stack:
    for member in members:
      member.logger = stack.enter_context(
        MetricLogger(member.workdir, start_step=start, enabled=tells)
      )
    yield


def _read(
  meter: Meter, members: Sequence[Member], steps: range
) -> dict[int, dict[str, float]]:
  """Returns the metrics of every member that can go on, by its place.

  Raises:
    TrainingError: when none can.
  """
  records = {}
  is_alone = len(members) == 1
  for i, member in enumerate(members):
    if not member.failure:
      records[i] = meter.read(None if is_alone else i)
      member.check(records[i], steps, is_alone)
  records = {i: r for i, r in records.items() if not members[i].failure}
  if not records:
    raise members[0].failure
  return records


def _mean(records: Sequence[dict[str, float]]) -> dict[str, float]:
  """Returns what is shown of all members: their means, and speeds together."""
  mean = {
    name: sum(record[name] for record in records) / len(records)
    for name in records[0]
  }
  if 'images_per_second' in mean:
    mean['images_per_second'] *= len(records)
  return mean


def _wait(members: Sequence[Member]) -> None:
  for member in members:
    member.checkpoints.wait()


def _signal(signals: StopSignals, is_meeting_point: bool) -> int:
  """Returns the signal by which all processes stop after this step, or 0."""
  if jax.process_count() == 1:
    return signals.received or 0
  # Signals come to processes at different steps: they agree where all look.
  if not is_meeting_point:
    return 0
  return parallel.max_over_processes(signals.received or 0)
