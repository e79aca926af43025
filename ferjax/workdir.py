"""The folder of a run: what it says of itself, and who may go on in it."""

import hashlib
import json
from typing import Any

from ml_collections import config_dict

from ferjax import config as config_lib
from ferjax import documents, errors, storage
from ferjax.errors import RetryError, UserError, brief, printable
from ferjax.storage import Path

CONFIG = 'config.json'
DATASET = 'dataset.json'
ORIGIN = 'origin.json'

_LARGEST = 1 << 14  # pixels of a side


def create(workdir: Path) -> None:
  """Makes the folder and sees that files can be written there.

  Raises:
    UserError: when they cannot.
    RetryError: when they cannot now, since the disk is full, say.
  """
  try:
    storage.make_folder(workdir)
  except OSError as error:
    raise errors.of_disk(
      error,
      f'cannot write to the workdir {workdir} ({error.strerror}); give'
      ' another --workdir, or mend that',
    ) from error


def check(
  workdir: Path,
  config: config_dict.ConfigDict,
  dataset: dict[str, Any] | None = None,
) -> None:
  """Refuses a folder that holds another run; one that holds none will do.

  Args:
    workdir: a folder, or none yet.
    config: the whole config.
    dataset: of `Dataset.describe`; None: not compared.

  Raises:
    UserError: naming the fields that differ.
  """
  if not (workdir / CONFIG).exists():
    return
  changes = config_lib.differences(read_config(workdir), config)
  if dataset is not None:
    changes += _dataset_changes(read_dataset(workdir), dataset)
  if changes:
    raise UserError(
      f'{workdir} holds a run that differs in {"; ".join(changes)}. Give'
      ' another --workdir, or undo the change to resume'
    )


def check_presence(workdir: Path) -> None:
  """Sees that the folder of a run is still where it was.

  Raises:
    RetryError: when it is not: it was moved or deleted, or its disk is gone.
  """
  if not storage.is_remote(workdir) and not (workdir / CONFIG).exists():
    raise RetryError(
      f'{workdir} is gone, moved or deleted, and what was saved with it; put'
      ' it back and the same command resumes'
    )


def claim(
  workdir: Path,
  config: config_dict.ConfigDict,
  dataset: dict[str, Any],
) -> None:
  """Writes what the run is, or checks that it is the same run as before.

  Args:
    workdir: an existing folder.
    config: the whole config.
    dataset: of `Dataset.describe`.

  Raises:
    UserError: see `check`.
  """
  check(workdir, config, dataset)
  storage.write_text(workdir / DATASET, json.dumps(dataset, indent=2) + '\n')
  storage.write_text(workdir / CONFIG, config_lib.to_json(config))


def write_origin(workdir: Path, source: str, report: dict[str, Any]) -> None:
  """Writes where the first weights are from, and what became of each.

  Args:
    workdir: of the run.
    source: a weight file, whose SHA-256 is written too, or another workdir.
    report: of `weights.load`, as a dict.
  """
  origin = {'source': source}
  path = storage.path(source)
  if path.is_file():
    with path.open('rb') as file:
      origin['sha256'] = hashlib.file_digest(file, 'sha256').hexdigest()
  text = json.dumps(origin | report, indent=2) + '\n'
  storage.write_text(workdir / ORIGIN, text)


def read_config(workdir: Path) -> config_dict.ConfigDict:
  """Returns the config of the run in `workdir`."""
  text = read_text(workdir / CONFIG)
  try:
    return config_lib.from_json(text)
  except (ValueError, KeyError, AttributeError, TypeError) as error:
    raise UserError(
      f'{workdir / CONFIG} is not a config: {brief(error)}'
    ) from error


def read_dataset(workdir: Path) -> dict[str, Any]:
  """Returns what the run in `workdir` knows of its data."""
  path = workdir / DATASET
  try:
    dataset = documents.parse(read_text(path))
  except UserError:
    raise
  except ValueError:
    dataset = None
  if not _is_description(dataset):
    raise UserError(f'{path} does not describe a data set')
  return dataset


def _is_description(dataset: Any) -> bool:
  """Whether this has the form that `Dataset.describe` gives it."""
  try:
    return (
      isinstance(dataset['name'], str)
      and _is_list_of(str, dataset['class_names'])
      and _is_list_of(int, dataset['image_shape'])
      and len(dataset['image_shape']) == 3
      and min(dataset['image_shape']) > 0
      and max(dataset['image_shape']) <= _LARGEST
      and all(
        isinstance(split.get('content_hash'), str | None)
        for split in dataset['splits'].values()
      )
      and isinstance(dataset.get('notes', []), list)
    )
  except (AttributeError, KeyError, TypeError):
    return False


def _is_list_of(kind: type, values: Any) -> bool:
  return (
    isinstance(values, list)
    and bool(values)
    and all(isinstance(value, kind) for value in values)
  )


def _dataset_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
  changes = [
    f'dataset {field}: {_shown(old[field])}, now {_shown(new[field])}'
    for field in ('name', 'class_names', 'image_shape')
    if old[field] != new[field]
  ]
  for name, split in new['splits'].items():
    before = old['splits'].get(name, {})
    if before.get('content_hash') != split['content_hash']:
      changes.append(
        f'dataset {name}: {_shown(before.get("num_examples"))} examples of '
        f'content {_shown(before.get("content_hash"))}, now '
        f'{split["num_examples"]} of {split["content_hash"]}'
      )
  return changes


def _shown(value: Any) -> str:
  return printable(str(value), 200)


def read_text(path: Path) -> str:
  """Returns the text of one of the files of a workdir."""
  try:
    return storage.read_text(path)
  except UnicodeDecodeError as error:
    raise UserError(f'{path} is damaged: it is no text ({error})') from error
  except OSError as error:
    raise UserError(
      f'{path} cannot be read ({error.strerror}); is {path.parent} the '
      '--workdir of a training?'
    ) from error
