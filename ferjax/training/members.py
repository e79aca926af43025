"""Trainings in their workdirs, from config to figures: one, or many together.

Many are the folds of a cross-validation or the seeds of an ensemble. Each has a
workdir that is complete in itself, whether they are trained as one program
(`vmap`) or one after another (`loop`), and can go on in either way.
"""

from collections.abc import Iterator, Sequence
import contextlib
import pathlib
import sys
from typing import Any

import jax
from ml_collections import config_dict

from ferjax import inference, lock, origin, parallel, processes, recovery
from ferjax import workdir as workdir_lib
from ferjax.checkpoint import Checkpoints, has_checkpoint
from ferjax.errors import RetryError, TrainingError, UserError
from ferjax.evaluation import report
from ferjax.logs import make_console, print_header
from ferjax.run import Run, build
from ferjax.studies import outcome
from ferjax.training import loop, rollback
from ferjax.training.member import Member

# What a training came to: its figures on `validation`, or why it has none;
# None where a signal stopped it.
Result = dict[str, Any] | UserError | TrainingError | None


def choose_mode(config: config_dict.ConfigDict) -> str:
  """Returns `vmap` or `loop`, as `config.member_mode` says.

  `auto` is `loop` on CPUs: there, four small networks as one program cost four
  to six times one. It is `loop` too where a training may have to go back.
  """
  if config.member_mode != 'auto':
    return config.member_mode
  is_alone = jax.default_backend() == 'cpu' or config.on_nan == 'rollback'
  return 'loop' if is_alone else 'vmap'


def train_all(
  configs: Sequence[config_dict.ConfigDict],
  workdirs: Sequence[pathlib.Path],
  mode: str,
) -> list[UserError | TrainingError | None] | None:
  """Trains what is not finished yet; one that fails does not stop the others.

  Args:
    configs: of one form, and of as many steps.
    workdirs: one for each.
    mode: 'vmap' or 'loop'.

  Returns:
    Why each failed, None where it did not; None if a signal stopped them.

  Raises:
    UserError: where a workdir holds another training, or none is finished and
      the first cannot be built.
  """
  problems: list[UserError | TrainingError | None] = [None] * len(configs)
  left = [
    i
    for i, (config, workdir) in enumerate(zip(configs, workdirs, strict=True))
    if not outcome.is_finished(workdir, config)
  ]
  _check(configs, workdirs, is_new=len(left) == len(configs))
  groups = [left] if mode == 'vmap' and len(left) > 1 else [[i] for i in left]
  while groups:
    group = groups.pop(0)
    try:
      results = train_together(
        [configs[i] for i in group], [workdirs[i] for i in group]
      )
    except (loop.ApartError, UserError, TrainingError) as error:
      if len(group) > 1:
        print(f'{error}: each goes on by itself')
        groups += [[i] for i in group]
        continue
      results = [error]
    if any(result is None for result in results):
      return None
    for i, result in zip(group, results, strict=True):
      if isinstance(result, Exception):
        problems[i] = result
        print(f'failed: {workdirs[i]}: {result}', file=sys.stderr)
    jax.clear_caches()  # each one's programs are of no use to the next
  return problems


def train_together(
  configs: Sequence[config_dict.ConfigDict],
  workdirs: Sequence[pathlib.Path],
) -> list[Result]:
  """Trains as one program, or goes on where that stopped.

  Args:
    configs: of one form, and of as many steps; at least one.
    workdirs: one for each; all that a training leaves behind is there.

  Returns:
    What each came to; only where they are several, a failure is among it.

  Raises:
    UserError: when the only training cannot be made.
    TrainingError: when the loss of the only one is no longer finite.
    RetryError: when nothing can be written any more.
    ApartError: see `loop.train`.
  """
  results: list[Result] = [None] * len(configs)
  runs = {}
  datasets = {}
  with contextlib.ExitStack() as locks:
    for i, (config, workdir) in enumerate(zip(configs, workdirs, strict=True)):
      try:
        runs[i] = _begin(config, workdir, datasets, locks)
      except UserError as error:
        if len(configs) == 1:
          raise
        results[i] = error
    if not runs:
      return results
    try:
      _tell(runs, workdirs)
      _train(runs, workdirs, results)
    except OSError as error:
      raise RetryError(
        f'cannot go on in {workdirs[min(runs)]} ({error.strerror or error}): '
        'is there space, and can it be written? The same command resumes'
      ) from error
  return results


def _train(
  runs: dict[int, Run],
  workdirs: Sequence[pathlib.Path],
  results: list[Result],
) -> None:
  """Trains what was built, and writes what each came to into `results`."""
  with _open(runs, workdirs) as members:
    try:
      is_whole = _follow(list(members.values()))
    except TrainingError:
      if len(results) == 1:
        raise
      is_whole = True
    for i, member in members.items():
      if member.failure:
        results[i] = member.failure
      elif is_whole:
        results[i] = _finish(member)


def _follow(members: Sequence[Member]) -> bool:
  """Makes the steps that are left; goes back where a run of its own fails."""
  while True:
    try:
      return loop.train(members)
    except TrainingError:
      if len(members) > 1:
        raise
      line = rollback.prepare(members[0])
      if parallel.is_main_process():
        print(f'warning: {line}', flush=True)


def _check(
  configs: Sequence[config_dict.ConfigDict],
  workdirs: Sequence[pathlib.Path],
  is_new: bool,
) -> None:
  """Says once for all what each would fail of, before any is trained."""
  with parallel.together(workdirs[0]):
    if is_new:
      build(configs[0], has_checkpoint(workdirs[0]))
    for config, workdir in zip(configs, workdirs, strict=True):
      workdir_lib.check(workdir, config)


def _begin(
  config: config_dict.ConfigDict,
  workdir: pathlib.Path,
  datasets: dict[str, Any],
  locks: contextlib.ExitStack,
) -> Run:
  """Builds a run and claims its workdir.

  Args:
    config: the whole config.
    workdir: of the run.
    datasets: those loaded already, by their settings.
    locks: gets the lock of the workdir.
  """
  with parallel.together(workdir):
    resumes = has_checkpoint(workdir)
    key = config.data.to_json()
    run = build(config, resumes, datasets.get(key), recovery.read(workdir))
    datasets[key] = run.dataset
    if parallel.is_main_process():
      workdir_lib.create(workdir)
      locks.enter_context(lock.hold(workdir))
      workdir_lib.claim(workdir, config, run.dataset.describe())
  if processes.are_several():
    processes.agree(f'data set for {workdir}', run.dataset.facts())
  return run


def _tell(runs: dict[int, Run], workdirs: Sequence[pathlib.Path]) -> None:
  """Prints the header, and what became of the weights they start from."""
  if not parallel.is_main_process():
    return
  first = min(runs)
  run = runs[first]
  rows = report.header(run.config, run.dataset, run.state.params)
  title = f'ferjax in {workdirs[first]}'
  if len(runs) > 1:
    title += f' and {len(runs) - 1} more as one program, of which this is one'
  print_header(title, rows, make_console())
  for i, run in runs.items():
    if run.origin:
      source = run.config.init_from
      if i == first:
        lines = [*run.origin.lines(source), *origin.notes(run.config)]
        print(*lines, sep='\n', end='\n\n')
      workdir_lib.write_origin(workdirs[i], source, run.origin._asdict())


@contextlib.contextmanager
def _open(
  runs: dict[int, Run], workdirs: Sequence[pathlib.Path]
) -> Iterator[dict[int, Member]]:
  with contextlib.ExitStack() as stack:
    members = {}
    for i, run in runs.items():
      checkpoints = stack.enter_context(
        Checkpoints(
          workdirs[i], run.config.keep_checkpoints, run.config.to_dict()
        )
      )
      members[i] = Member(run, workdirs[i], checkpoints)
    yield members


def _finish(member: Member) -> dict[str, Any]:
  """Evaluates the best checkpoint on `validation` and draws the curves."""
  run, workdir = member.run, member.workdir
  step, variables = member.checkpoints.restore_model(
    'best', run.state.variables
  )
  predictor = inference.Predictor(
    run.config,
    run.dataset.describe(),
    step,
    variables,
    run.eval_step,
    run.config.tta,
  )
  known_step, known = member.validated or (None, None)
  figures = report.evaluate(
    predictor,
    run.dataset,
    'validation',
    workdir / 'eval' / 'validation',
    known if known_step == step else None,
  )
  if parallel.is_main_process():
    report.draw_training(workdir, run.dataset)
    print(f'curves and samples in {workdir}')
    print(
      'This checkpoint was chosen on validation. For an unbiased figure:\n'
      f'  python -m ferjax.evaluate --workdir={workdir} --split=test'
    )
  return figures
