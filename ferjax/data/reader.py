"""Reads prepared data sets, those of tensorflow-datasets itself as well.

They lie in DATA_DIR/NAME/VERSION or DATA_DIR/NAME/CONFIG/VERSION, as
ArrayRecord files. Of a data set that ferjax did not write, the `image` and the
`label` are read. Images that are too many for memory: see `unpacked`.
"""

from collections.abc import Iterator, Sequence
import contextlib
import functools
import io
from typing import Any

from etils import epath
import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

from ferjax import documents, storage
from ferjax.data import cached, declared, records, unpacked
from ferjax.data.dataset import Split
from ferjax.errors import UserError

_CHUNK = 1024  # examples read at once
_FORMAT = 'array_record'


class Prepared:
  """A prepared data set on disk.

  Attributes:
    path: its folder.
    is_own: whether ferjax wrote it.
    split_names: the splits that it has.
    class_names: the meaning of each label.
    image_shape: height, width and channels of every image.
    columns: names of what else ferjax wrote of each example.
    source: where its examples came from, for people.
    notes: what every output has to say about it.
    missing: why a usual split is not there, by split.
  """

  def __init__(self, path: epath.Path) -> None:
    """Opens the folder `path`.

    Raises:
      UserError: if it cannot be read, is damaged, or holds no images of one
        size with labels.
    """
    self.path = path
    self._local = local = epath.Path(cached.local(path))
    with _readable(path):
      for file in filter(epath.Path.is_file, local.iterdir()):
        file.open('rb').close()  # tfds would not say that it may not
      declared.check(local)
      self._builder = tfds.builder_from_directory(local)
      info = self._builder.info
      features = dict(info.features.items())
      formats = {form.value for form in info.available_file_formats()}
      self.split_names = tuple(info.splits)
      self.is_own = info.as_proto.module_name == records.__name__
      metadata = declared.metadata(
        info.metadata if self.is_own else _metadata(info, path)
      )
      self.source, self.notes = metadata['source'], metadata['notes']
      self.missing = metadata['missing']
    if _FORMAT not in formats:
      raise UserError(
        f'{path}: its files are {", ".join(sorted(formats))}; prepare it with'
        f' tfds.builder(..., file_format={_FORMAT!r})'
      )
    self.image_shape = declared.image_shape(path, features)
    with _readable(path):
      label = features['label']
      self.class_names = declared.class_names(path, label, self.is_own)
    own = features.keys() - records.EXAMPLE if self.is_own else ()
    self.columns = tuple(sorted(own))

  def read(
    self, split_name: str, columns: Sequence[str] = ()
  ) -> tuple[Split, dict[str, np.ndarray]]:
    """Reads a whole split; its images stay on disk where they are large.

    Args:
      split_name: one of `split_names`.
      columns: further values of the examples to return, by name.

    Returns:
      The split, in the order of the raw files where ferjax wrote it and
      otherwise as stored, and each column `[n]` or `[n, k]`.

    Raises:
      UserError: if they cannot be read or are damaged, or if an example has
        no label.
    """
    with _readable(self.path):
      count = self._builder.info.splits[split_name].num_examples
      decode = functools.partial(self._decode, split_name, count)
      shape = (count, *self.image_shape)
      arrays = unpacked.load(self._local, split_name, shape, decode)
      if arrays['label'].max(initial=-1) >= len(self.class_names):
        raise ValueError('a label that is none of its classes')
    split = Split(arrays['image'], arrays['label'], arrays['index'])
    unlabelled = np.count_nonzero(split.labels < 0)  # how tfds stores them
    if unlabelled:
      raise UserError(
        f'{self.path}: {unlabelled:,} examples of {split_name} have no label; '
        'use another split, or prepare it again without them'
      )
    order = np.argsort(split.index, kind='stable')
    if (np.diff(order) != 1).any():  # copies the images, if not on disk
      split = split.take(order)
    return split, {name: arrays[name][order] for name in columns}

  def _decode(
    self, split_name: str, count: int, put: unpacked.Put
  ) -> unpacked.Arrays:
    """Puts the images as stored; returns labels, index and columns by name."""
    labels, index = np.empty(count, np.int32), np.arange(count)
    values = {name: [] for name in self.columns}
    row = -1
    for row, example in enumerate(self._examples(split_name)):
      put(row, self._pixels(example['image']))
      labels[row] = example['label']
      if self.is_own:
        index[row] = example['index']
      for name, column in values.items():
        column.append(example[name])
    if row + 1 != count:
      raise ValueError(f'{row + 1:,} examples of {split_name}, not {count:,}')
    columns = {name: _column(column) for name, column in values.items()}
    return columns | {'label': labels, 'index': index}

  def _examples(self, split_name: str) -> Iterator[dict[str, Any]]:
    """Yields the examples as stored, images still encoded."""
    image = self._builder.info.features['image']
    is_encoded = isinstance(image, tfds.features.Image)
    # Where OpenCV is installed, tfds' JPEGs would differ in their last bits.
    decoders = {'image': tfds.decode.SkipDecoding()} if is_encoded else None
    source = self._builder.as_data_source(
      split_name, decoders=decoders, file_format=_FORMAT
    )
    for start in range(0, len(source), _CHUNK):
      stop = min(start + _CHUNK, len(source))
      yield from source.__getitems__(list(range(start, stop)))

  def _pixels(self, image: np.ndarray | bytes) -> np.ndarray:
    if isinstance(image, bytes):
      image = _decode_image(image, channels=self.image_shape[-1])
    if image.shape != self.image_shape:
      raise ValueError(f'an image is {image.shape}, not {self.image_shape}')
    return image


def find(data_dir: str, name: str) -> epath.Path | None:
  """Returns the folder of a prepared data set, if any.

  Of several versions, it is the newest of those that ferjax wrote, and of
  tensorflow-datasets' own only where there is no such.

  Args:
    data_dir: the folder of all data sets.
    name: NAME, or NAME/CONFIG where it has several.

  Raises:
    UserError: if it has several and `name` does not say which.
  """
  if not all(part.strip('.') for part in name.split('/')):
    return None  # it would lead out of the folder
  folder = epath.Path(storage.path(data_dir)) / name
  newest = _newest_version(folder)
  if newest or not folder.is_dir():
    return newest
  configs = {
    path.name: _newest_version(path)
    for path in folder.iterdir()
    if path.name.isprintable()  # others cannot be given as a name
  }
  configs = {key: path for key, path in sorted(configs.items()) if path}
  if len(configs) > 1:
    raise UserError(
      f'config.data.name is {name!r}, which has several configs; give one of '
      + ', '.join(f'{name}/{key}' for key in configs)
    )
  return next(iter(configs.values()), None)


def _newest_version(folder: epath.Path) -> epath.Path | None:
  versions = [
    path
    for path in (folder.iterdir() if folder.is_dir() else ())
    if tfds.core.Version.is_valid(path.name)
  ]
  versions = list(filter(_is_own, versions)) or versions
  return max(versions, key=lambda p: tfds.core.Version(p.name), default=None)


def _is_own(path: epath.Path) -> bool:
  """Whether ferjax wrote the data set in this folder."""
  try:
    info = documents.parse(storage.read_text(path / 'dataset_info.json'))
  except (OSError, ValueError):
    return False  # `Prepared` says what is wrong with it
  return isinstance(info, dict) and info.get('moduleName') == records.__name__


def _metadata(info: tfds.core.DatasetInfo, path: epath.Path) -> dict[str, Any]:
  """Returns what ferjax would have written beside its examples."""
  source = f'{info.full_name} of tensorflow-datasets from {path}'
  return {'source': source, 'notes': (), 'missing': {}}


def _decode_image(encoded: bytes, channels: int) -> np.ndarray:
  """Returns an encoded image, uint8 `[height, width, channels]`."""
  image = PIL.Image.open(io.BytesIO(encoded))
  if image.mode.startswith(('I', 'F')):
    raise ValueError(f'an image has mode {image.mode}, not 8 bits')
  pixels = np.asarray(image.convert('L' if channels == 1 else 'RGB'))
  return pixels.reshape(*pixels.shape[:2], channels)


def _column(values: list) -> np.ndarray:
  column = np.array(values)  # text comes as bytes
  return np.char.decode(column) if column.dtype.kind == 'S' else column


@contextlib.contextmanager
def _readable(path: epath.Path) -> Iterator[None]:
  """Says in one line why a folder cannot be read."""
  try:
    yield
  except Exception as error:  # whatever tfds and array_record stumble over
    reason = records.first_line(error)
    if isinstance(error, MemoryError | PermissionError):
      raise UserError(f'cannot read {path}: {reason}') from error
    raise UserError(f'{path}: damaged; prepare it again ({reason})') from error
