"""The door to training: from a config to trained, evaluated networks."""

from typing import Any

from ml_collections import config_dict

from ferjax import inference, parallel
from ferjax import run as run_lib
from ferjax import workdir as workdir_lib
from ferjax.data import training
from ferjax.errors import UserError
from ferjax.evaluation import ensemble, report
from ferjax.storage import Path
from ferjax.training import members


def train_and_evaluate(
  config: config_dict.ConfigDict, workdir: Path
) -> dict[str, Any] | None:
  """Trains as `config` says, or goes on where the run in `workdir` stopped.

  With `config.num_members` above 1, an ensemble of as many seeds, `config.seed`
  and those that follow it. Each member has a workdir of its own in `workdir`,
  `member_0` and so on, that is like any other.

  Args:
    config: the whole config.
    workdir: of the run; all that it leaves behind is there.

  Returns:
    The figures of the best checkpoint on `validation`, see
    `report.evaluate`, or those of the ensemble of the members' best; None if
    a signal stopped the run before its end.

  Raises:
    UserError: when the config, the data or the workdir cannot be used.
    TrainingError: when the loss is no longer finite.
  """
  with parallel.together(workdir):
    _check_folder(config.num_members, workdir)
  if config.num_members == 1:
    (figures,) = members.train_together([config], [workdir])
    return figures
  with parallel.together(workdir):
    run_lib.validate(config)
    if parallel.is_main_process():
      workdir_lib.create(workdir)
  configs = [member_config(config, i) for i in range(config.num_members)]
  workdirs = [
    workdir / f'{ensemble.MEMBER}{i}' for i in range(config.num_members)
  ]
  problems = members.train_all(configs, workdirs, members.choose_mode(config))
  if problems is None:
    return None
  for path, problem in zip(workdirs, problems, strict=True):
    if problem:
      raise type(problem)(f'{path}: {problem}')
  return _evaluate_ensemble(config, workdir, workdirs)


def member_config(
  config: config_dict.ConfigDict, member: int
) -> config_dict.ConfigDict:
  """Returns what one member of an ensemble is trained with."""
  alone = config.copy_and_resolve_references()
  alone.seed = config.seed + member
  alone.num_members = 1
  alone.member_mode = 'auto'  # alone, it has none
  return alone


def _check_folder(num_members: int, workdir: Path) -> None:
  """Refuses a folder of which an evaluation would take other networks."""
  seeds = len(ensemble.member_workdirs(workdir))
  is_single = (workdir / workdir_lib.CONFIG).exists()
  if num_members > 1 and is_single:
    what = 'a single run'
  elif seeds > num_members or (seeds and num_members == 1):
    what = f'an ensemble of {seeds}'
  else:
    return
  raise UserError(
    f'{workdir} holds {what} and config.num_members is {num_members}; give '
    'another --workdir'
  )


def _evaluate_ensemble(
  config: config_dict.ConfigDict,
  workdir: Path,
  workdirs: list[Path],
) -> dict[str, Any]:
  """Evaluates the members together on `validation`."""
  dataset = training.load(config.data)
  predictors = tuple(inference.load(path) for path in workdirs)
  names = tuple(path.name for path in workdirs)
  figures = report.evaluate(
    ensemble.Ensemble(predictors, names),
    dataset,
    'validation',
    workdir / 'eval' / 'validation',
  )
  if parallel.is_main_process():
    print(
      'Each checkpoint was chosen on validation. For an unbiased figure:\n'
      f'  python -m ferjax.evaluate --workdir={workdir} --split=test'
    )
  return figures
