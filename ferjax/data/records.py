"""Prepared data sets: a tensorflow-datasets builder's files, and back.

They lie in DATA_DIR/NAME/VERSION. Each example has an `image`, a `label`, the
`index` of its row in the source, and what else the source tells of it.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import io
import itertools
import pathlib
from typing import Any

from etils import epath
import numpy as np
import tensorflow_datasets as tfds

from ferjax.data import atomic
from ferjax.data.dataset import Split
from ferjax.data.raw import Progress, Raw
from ferjax.errors import UserError

VERSION = '1.0.0'  # of the files' layout

_CHUNK = 4096  # examples read at once

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
          tfds.features.Text() if is_text else tfds.features.Scalar(np.int64)
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


class Prepared:
  """A prepared data set on disk.

  Attributes:
    path: its folder.
    split_names: the splits that it has.
    class_names: the meaning of each label.
    source: where its examples came from, for people.
    notes: what every output has to say about it.
    missing: why a usual split is not there, by split.
  """

  def __init__(self, path: epath.Path) -> None:
    """Opens the folder `path`.

    Raises:
      UserError: if it cannot be read or is damaged.
    """
    self.path = path
    with _readable(path):
      for file in filter(epath.Path.is_file, path.iterdir()):
        file.open('rb').close()  # tfds would not say that it may not
      self._builder = tfds.builder_from_directory(path)
      info = self._builder.info
      metadata = info.metadata
      self.split_names = tuple(info.splits)
      self.class_names = tuple(info.features['label'].names)
      self.source = metadata['source']
      self.notes = tuple(metadata['notes'])
      self.missing = dict(metadata['missing'])

  def read(
    self, split_name: str, columns: Sequence[str] = ()
  ) -> tuple[Split, dict[str, np.ndarray]]:
    """Reads a whole split into memory, in the order of the raw files.

    Args:
      split_name: one of `split_names`.
      columns: further values of the examples to return, by name.

    Returns:
      The split, and each column `[n]`.

    Raises:
      UserError: if they cannot be read or are damaged.
    """
    with _readable(self.path):
      source = self._builder.as_data_source(split_name)
      count = len(source)
      shape = self._builder.info.features['image'].shape
      images = np.empty((count, *shape), np.uint8)
      labels = np.empty(count, np.int32)
      index = np.empty(count, np.int64)
      values = {name: [] for name in columns}
      for start in range(0, count, _CHUNK):
        rows = range(start, min(start + _CHUNK, count))
        examples = source.__getitems__(list(rows))
        for row, example in zip(rows, examples, strict=True):
          images[row] = example['image']
          labels[row] = example['label']
          index[row] = example['index']
          for name, column in values.items():
            column.append(example[name])
    order = np.argsort(index, kind='stable')
    split = Split(images[order], labels[order], index[order])
    return split, {
      name: _column(column)[order] for name, column in values.items()
    }


def _column(values: list) -> np.ndarray:
  column = np.array(values)  # text comes as bytes
  return np.char.decode(column) if column.dtype.kind == 'S' else column


def find(data_dir: str, name: str) -> epath.Path | None:
  """Returns the folder of a prepared data set, its newest version, if any."""
  folder = epath.Path(data_dir).expanduser() / name
  versions = [
    path
    for path in (folder.iterdir() if folder.is_dir() else ())
    if tfds.core.Version.is_valid(path.name)
  ]
  return max(versions, key=lambda p: tfds.core.Version(p.name), default=None)


def target(data_dir: str, name: str) -> pathlib.Path:
  """Returns the folder that `write` makes, `DATA_DIR/NAME/VERSION`.

  Raises:
    UserError: if `data_dir` is not of this machine, or the home of nobody.
  """
  if '://' in data_dir:
    raise UserError(
      f'--data_dir={data_dir}: prepare in a local folder, then copy it there'
    )
  try:
    return pathlib.Path(data_dir).expanduser() / name / VERSION
  except RuntimeError as error:
    raise UserError(f'--data_dir={data_dir}: {error}') from None


def write(
  raw: Raw, data_dir: str, overwrite: bool, progress: Progress
) -> pathlib.Path:
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
      raise UserError(f'cannot write {path}: {_first_line(error)}') from error
    (workspace / name / VERSION).rename(workspace / atomic.RESULT)
  return path


@contextlib.contextmanager
def _readable(path: epath.Path) -> Iterator[None]:
  """Says in one line why a folder cannot be read."""
  try:
    yield
  except (MemoryError, PermissionError) as error:
    raise UserError(f'cannot read {path}: {_first_line(error)}') from error
  except Exception as error:  # whatever tfds and array_record stumble over
    raise UserError(
      f'{path}: damaged; prepare it again with --overwrite'
      f' ({_first_line(error)})'
    ) from error


def _first_line(error: Exception) -> str:
  return (str(error).splitlines() or [type(error).__name__])[0]
