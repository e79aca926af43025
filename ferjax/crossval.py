"""Cross-validates: python -m ferjax.crossval --config=configs/ckplus.py.

Every fold is the test once; the next one chooses the epoch, the rest trains.
The test fold chooses nothing. All folds are trained as one program, or one
after another, as `--config.member_mode` says; each gets a workdir like any
other, and the same command again goes on.
"""

from collections.abc import Sequence
import pathlib
import sys
import typing
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from ferjax import cli, interrupts, joining
from ferjax import config as config_lib
from ferjax.errors import UserError

if typing.TYPE_CHECKING:
  from ferjax.studies import rounds

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The config file, FILE or FILE:key=value,...'
)
_FOLDS = flags.DEFINE_string(
  'folds',
  None,
  'How many, or `subjects`: one for each subject. Default: '
  'config.data.num_folds.',
)
_BY = flags.DEFINE_enum(
  'by',
  None,
  ['subject', 'frame'],
  'Who is kept together; by frame, faces of one subject stand on both sides. '
  'Default: config.data.fold_by.',
)
_CHOOSE = flags.DEFINE_enum(
  'choose',
  'validation',
  ['validation', 'last'],
  'The checkpoint that is tested: the best on the validation fold, or the '
  'last.',
)
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Gets a workdir for each fold. Default: runs/crossval-<config name>.',
)
flags.mark_flag_as_required('config')


def main(argv: Sequence[str]) -> int:
  """Trains what is not finished yet, tests every fold, and tells."""
  del argv
  name = config_lib.name_of(cli.config_file(_CONFIG))
  config = _CONFIG.value
  if _FOLDS.value is not None:
    config.data.num_folds = _num_folds(_FOLDS.value)
  if _BY.value:
    config.data.fold_by = _BY.value
  folder = cli.path(_WORKDIR.value or f'runs/crossval-{name}')
  given = {'workdir': str(folder), 'choose': _CHOOSE.value}
  with joining.processes(config_lib.facts(config) | given):
    return _cross_validate(config, folder)


def _cross_validate(
  config: config_dict.ConfigDict, folder: pathlib.Path
) -> int:
  from ferjax import parallel
  from ferjax import workdir as workdir_lib
  from ferjax.studies import pooled, rounds
  from ferjax.training import members

  with parallel.together(folder):
    plan = rounds.plan(config, folder)
    if parallel.is_main_process():
      workdir_lib.create(folder)
  mode = members.choose_mode(config)
  if parallel.is_main_process():
    print(
      f'{len(plan)} folds of {config.data.name} by {config.data.fold_by}, '
      + ('as one program' if mode == 'vmap' else 'one after another'),
      flush=True,
    )
  problems = members.train_all(
    [each.config for each in plan], [each.workdir for each in plan], mode
  )
  if problems is None:
    print('stopped; the same command goes on', file=sys.stderr)
    return interrupts.status()
  failed = {i: problem for i, problem in enumerate(problems) if problem}
  results = _test(config, plan, failed) | {'member_mode': mode}
  title = f'{config.model.name} on {config.data.name}, {len(plan)} folds'
  if parallel.is_main_process():
    pooled.write(results, title, folder)
    pooled.show(results, title, folder)
  return 1 if failed else 0


def _test(
  config: config_dict.ConfigDict,
  plan: 'Sequence[rounds.Round]',
  failed: dict[int, Exception],
) -> dict[str, Any]:
  """Tests every fold that was trained; returns all results.

  Args:
    config: of the cross-validation.
    plan: all folds.
    failed: why some were not trained; gains why others cannot be tested.

  Raises:
    UserError, TrainingError: of the first, if none can be tested.
  """
  from ferjax.studies import pooled, rounds

  by, checkpoint = config.data.fold_by, rounds.CHECKPOINTS[_CHOOSE.value]
  figures = {}
  for each in plan:
    if each.fold in failed:
      continue
    try:
      figures[each.fold] = rounds.test(each, _CHOOSE.value)
    except UserError as error:
      failed[each.fold] = error
      print(f'failed: {each.workdir}: {error}', file=sys.stderr)
  if not figures:
    raise type(failed[0])(f'every fold failed, the first since {failed[0]}')
  whole = [each for each in plan if each.fold in figures]
  return {
    'dataset': config.data.name,
    'by': by,
    'checkpoint': checkpoint,
    'notes': [
      *rounds.notes(whole),
      f'folds by {by}: each is tested by the {checkpoint} checkpoint of its own'
      ' training, whose validation is the next fold',
      pooled.INDEPENDENT,
      *(f'WARNING: fold {i} failed: {failed[i]}' for i in sorted(failed)),
    ],
    **pooled.summarize(figures),
  }


def _num_folds(given: str) -> int:
  if given == 'subjects':
    return 0
  if not given.isdecimal() or int(given) == 0:
    raise UserError(f'--folds={given}: give a number, or subjects')
  return int(given)


if __name__ == '__main__':
  cli.run(main)
