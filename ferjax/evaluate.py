"""Evaluates trained networks: python -m ferjax.evaluate --workdir=DIR.

Given `--workdir` several times, it evaluates them as an ensemble.
"""

from collections.abc import Sequence

from absl import flags
from ml_collections import config_dict

from ferjax import cli, joining
from ferjax import config as config_lib
from ferjax.errors import UserError
from ferjax.storage import Path

_WORKDIR = flags.DEFINE_multi_string(
  'workdir', None, 'The workdir of a training; several make an ensemble.'
)
_SPLIT = flags.DEFINE_enum(
  'split', 'test', ['train', 'validation', 'test'], 'What to evaluate on.'
)
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'best', 'best (on validation), latest, or a step.'
)
_DATASET = flags.DEFINE_string(
  'dataset', None, "Another prepared data set; default: the training's."
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', None, "Where it was prepared; default: the training's."
)
_TTA = flags.DEFINE_string(
  'tta',
  None,
  'Views to average over: none, flip, shift, ten_crop, multi_crop; default: '
  "the training's.",
)
_TEMPERATURE = flags.DEFINE_enum(
  'temperature',
  'none',
  ['none', 'fit'],
  'fit: also give calibrated figures, by a temperature fitted on validation.',
)
_REPORT = flags.DEFINE_bool('report', False, 'Also write all as one HTML page.')
_EXPLAIN = flags.DEFINE_multi_integer(
  'explain',
  [],
  'With --report: the index of an image whose heat map to draw, as in '
  "predictions.csv; default: each class's surest hit and surest mistake.",
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Where to write; default: eval/... in the (first) workdir.'
)
flags.mark_flag_as_required('workdir')


def main(argv: Sequence[str]) -> None:
  """Evaluates as the flags say."""
  del argv
  if _EXPLAIN.value and not _REPORT.value:
    raise UserError('--explain goes with --report, whose page has heat maps')
  workdirs = [cli.path(given) for given in _WORKDIR.value]
  with joining.processes(_facts(workdirs)):
    _evaluate(workdirs)


def _facts(workdirs: Sequence[Path]) -> dict[str, str]:
  """Returns what all processes must have in common, by name.

  The data that a machine has in a --data_dir of its own is compared later.
  """
  steering = _SPLIT, _CHECKPOINT, _DATASET, _TTA, _TEMPERATURE, _REPORT
  given = {flag.name: str(flag.value) for flag in steering}
  given['explain'] = str(_EXPLAIN.value)
  given['workdir'] = ', '.join(map(str, workdirs))
  return given | config_lib.libraries()


def _evaluate(workdirs: Sequence[Path]) -> None:
  from ferjax import parallel, processes
  from ferjax.evaluation import assessment, ensemble, report, scoring

  classifier = ensemble.load(workdirs, _CHECKPOINT.value, _TTA.value)
  split, other = _SPLIT.value, (_DATASET.value, _DATA_DIR.value)
  dataset = scoring.load_data(classifier, split, *other)
  if processes.are_several():
    processes.agree('data set', dataset.facts())
  if _EXPLAIN.value:
    from ferjax.evaluation import explanation

    explanation.check(classifier, dataset.splits[split], _EXPLAIN.value)
  if _TEMPERATURE.value == 'fit':
    classifier, dataset = scoring.calibrate(classifier, dataset, split, *other)
  folder = _folder(workdirs, classifier.config)
  result = assessment.assess(classifier, dataset, split)
  if not parallel.is_main_process():
    return
  report.write(result, folder)
  if _REPORT.value:
    from ferjax.evaluation import page as evaluation_page

    path = evaluation_page.write(
      classifier, result, workdirs, folder, _EXPLAIN.value
    )
    print(f'all of it on one page: {path}')


def _folder(workdirs: Sequence[Path], config: config_dict.ConfigDict) -> Path:
  """Returns where to write: named after what differs from the defaults.

  Args:
    workdirs: of all members; the first one's `eval` holds the folder.
    config: of the first one's training.
  """
  if _OUTPUT.value:
    return cli.path(_OUTPUT.value)
  parts = [_SPLIT.value]
  if _DATASET.value not in (None, config.data.name):
    parts.append(_DATASET.value.replace('/', '-'))
  if _CHECKPOINT.value != 'best':
    parts.append(_CHECKPOINT.value)
  if _TTA.value not in (None, config.tta):
    parts.append(_TTA.value)
  if len(workdirs) > 1:
    parts.append('ensemble')
  return workdirs[0] / 'eval' / '-'.join(parts)


if __name__ == '__main__':
  cli.run(main)
