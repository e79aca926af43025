"""Evaluates a trained network: python -m ferjax.evaluate --workdir=DIR."""

from collections.abc import Sequence

from absl import flags

from ferjax import cli

_WORKDIR = flags.DEFINE_string('workdir', None, 'The workdir of a training.')
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
flags.mark_flag_as_required('workdir')


def main(argv: Sequence[str]) -> None:
  """Evaluates as the flags say."""
  del argv
  from ferjax import data, inference, parallel, report

  parallel.initialize()
  parallel.use_compilation_cache()
  workdir = cli.path(_WORKDIR.value)
  predictor = inference.load(workdir, _CHECKPOINT.value)
  settings = predictor.config.data
  name = settings.name
  if _DATASET.value:
    settings.name = _DATASET.value
  if _DATA_DIR.value:
    settings.dir = _DATA_DIR.value
  dataset = data.load_dataset(settings, (_SPLIT.value,))
  parts = [_SPLIT.value]
  if settings.name != name:
    parts.append(settings.name.replace('/', '-'))
  if _CHECKPOINT.value != 'best':
    parts.append(_CHECKPOINT.value)
  folder = workdir / 'eval' / '-'.join(parts)
  report.evaluate(predictor, dataset, _SPLIT.value, folder)


if __name__ == '__main__':
  cli.run(main)
