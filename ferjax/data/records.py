"""Writes a data set as the files of a tensorflow-datasets builder.

They lie in DATA_DIR/NAME/VERSION. Each example has an `image`, a `label`, the
`index` of its row in the source, and what else the source tells of it.
"""

from collections.abc import Callable, Iterator
import contextlib
import io
import itertools
import pathlib
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from ferjax import storage
from ferjax.data import atomic
from ferjax.data.raw import Progress, Raw
from ferjax.errors import UserError, printable
from ferjax.storage import Path

VERSION = '1.0.0'  # of the files' layout

EXAMPLE = ('image', 'label', 'index')  # what every example has

tfds.disable_progress_bar()


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Writes what was read from raw files as ArrayRecord files."""

  VERSION = tfds.core.Version(VERSION)

  def __init__(
    self, raw: Raw, data_dir: pathlib.Path, progress: Callable[[], None]
  ) -> None:
    self.name = raw.dataset.name
    self._raw = raw
    self._progress = progress
    super().__init__(data_dir=data_dir, file_format='array_record')

  def _info(self) -> tfds.core.DatasetInfo:
    dataset = self._raw.dataset
    features = {
      'image': tfds.features.Tensor(
        shape=dataset.image_shape,
        dtype=np.uint8,
        encoding=tfds.features.Encoding.BYTES,
      ),
      'label': tfds.features.ClassLabel(names=dataset.class_names),
      'index': tfds.features.Scalar(np.int64),  # records are shuffled
    }
    for columns in self._raw.columns.values():
      for name, values in columns.items():
        is_text = values.dtype.kind == 'U'
        features[name] = (
          tfds.features.Text()
          if is_text
          else tfds.features.Tensor(shape=values.shape[1:], dtype=np.int64)
        )
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(features),
      metadata=tfds.core.MetadataDict(
        source=dataset.source,
        notes=list(dataset.notes),
        missing=dict(self._raw.missing),
        skipped=list(self._raw.skipped),
      ),
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
    del dl_manager  # nothing is downloaded
    return {
      name: self._generate_examples(name) for name in self._raw.dataset.splits
    }

  def _generate_examples(self, name: str) -> Iterator[tuple[int, dict]]:
    split = self._raw.dataset.splits[name]
    columns = self._raw.columns.get(name, {})
    for row, index in enumerate(split.index.tolist()):
      example = {key: values[row] for key, values in columns.items()}
      example['image'] = split.images[row]
      example['label'] = int(split.labels[row])
      example['index'] = index
      yield index, example
      self._progress()


def target(data_dir: str, name: str) -> Path:
  """Returns the folder that `write` makes, `DATA_DIR/NAME/VERSION`.

  Raises:
    UserError: if `data_dir` is no path, the home of nobody or no text.
  """
  folder = storage.path(data_dir)
  try:
    data_dir.encode()  # as array_record will
    return folder.expanduser() / name / VERSION
  except (RuntimeError, UnicodeError) as error:
    raise UserError(f'--data_dir={data_dir}: {error}') from None


def write(raw: Raw, data_dir: str, overwrite: bool, progress: Progress) -> Path:
  """Writes a data set; it is there whole, or not at all.

  Args:
    raw: what to write.
    data_dir: the folder of all data sets.
    overwrite: whether to replace one that is there.
    progress: told how much is done.

  Returns:
    The folder that was made.

  Raises:
    UserError: if it is there already or cannot be written.
  """
  name = raw.dataset.name
  path = target(data_dir, name)
  done, total = itertools.count(1), sum(map(len, raw.dataset.splits.values()))
  with (
    atomic.folder(path, overwrite) as workspace,
    contextlib.redirect_stdout(io.StringIO()),  # tfds is chatty
  ):
    builder = Builder(raw, workspace, lambda: progress(next(done) / total))
    try:
      builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
      )
    except RuntimeError as error:  # array_record's, of a full disk too
      raise UserError(f'cannot write {path}: {first_line(error)}') from error
    (workspace / name / VERSION).rename(workspace / atomic.RESULT)
  return path


def first_line(error: Exception) -> str:
  """Returns the first line of what an error says, or its kind."""
  lines = str(error).splitlines() or [type(error).__name__]
  return printable(lines[0], 500)
