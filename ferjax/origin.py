"""Where a training begins: with the weights of a file, or of another run."""

from typing import Any

from ml_collections import config_dict

from ferjax import inference, parallel, storage, transfer, weights
from ferjax import workdir as workdir_lib
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError
from ferjax.storage import Path


def load(
  config: config_dict.ConfigDict,
  dataset: Dataset,
  image_shape: tuple[int, int, int],
  variables: dict[str, Any],
) -> tuple[dict[str, Any], weights.Report]:
  """Takes the first weights from `config.init_from`.

  The last layer begins afresh, unless another run told the same classes apart:
  nothing in a file says which class each of its logits is.

  Args:
    config: the whole config.
    dataset: that is trained on.
    image_shape: height, width and channels of what the network sees.
    variables: as `models.init` returns them.

  Returns:
    The like of `variables`, and what became of every array.

  Raises:
    UserError: if there is nothing that fits, or if part of a backbone that is
      to be frozen begins afresh.
  """
  path = _path(config)
  if path.is_dir():
    source = _load_run(path, config)
    theirs = parallel.to_host(source.variables)
    variables, report = weights.load_own(
      {'params': theirs['params'], **theirs['model_state']},
      variables,
      same_classes=source.class_names == dataset.class_names,
    )
  else:
    weights.check_name(str(path), config.model.name)
    with transfer.fetched(path) as file:
      variables, report = weights.load(
        file, config.model.name, variables, image_shape, with_classifier=False
      )
  fresh = [name for name in report.kept if not weights.is_classifier(name)]
  if config.backbone.freeze and fresh:
    raise UserError(
      f'config.backbone.freeze would keep {fresh[0]} as it was drawn, since '
      f'{path} has nothing for it; train it, or take a stem that fits'
    )
  return variables, report


def notes(config: config_dict.ConfigDict) -> list[str]:
  """Returns where a run sees its images as `config.init_from` did not."""
  path = _path(config)
  if not path.is_dir():
    if config.normalization == 'imagenet':
      return []
    return [
      'note: published weights expect --config.normalization=imagenet; this '
      f'run has {config.normalization}'
    ]
  theirs = workdir_lib.read_config(path)
  return [
    f'note: {path} was trained with {name}={old}; this run has {new}'
    for name, old, new in (
      ('normalization', theirs.normalization, config.normalization),
      ('color', theirs.color, config.color),
      ('image_size', theirs.image_size, config.image_size),
      ('model.stem', theirs.model.stem, config.model.stem),
    )
    if old != new
  ]


def _path(config: config_dict.ConfigDict) -> Path:
  return storage.path(config.init_from)


def _load_run(
  path: Path, config: config_dict.ConfigDict
) -> inference.Predictor:
  if not (path / workdir_lib.DATASET).exists():
    raise UserError(
      f'config.init_from={path} is no workdir of a training; give the weight '
      'file in it'
    )
  source = inference.load(path)
  if source.config.model.name != config.model.name:
    raise UserError(
      f'config.init_from={path} holds a {source.config.model.name}; this run '
      f'trains a {config.model.name}'
    )
  return source
