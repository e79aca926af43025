"""What a prepared data set says of itself, looked at before it is acted on."""

from collections.abc import Mapping
from typing import Any

from etils import epath
import numpy as np
import tensorflow_datasets as tfds

from ferjax import documents
from ferjax.errors import UserError, printable

FEATURES = 'features.json'

_NAMES = 'label.labels.txt'

_LIBRARY = 'tensorflow_datasets.'


def check(path: epath.Path) -> None:
  """Checks that a data set is made of tensorflow-datasets' own features alone.

  To read others, it imports whatever module they are said to be in, which
  runs what is in that.

  Args:
    path: its folder.

  Raises:
    ValueError: if it has others, or its features are no JSON.
  """
  file = path / FEATURES
  if not file.exists():
    return
  for name in _classes(documents.parse(file.read_text())):
    if not name.startswith(_LIBRARY):
      raise ValueError(f'features of {name!r:.80}, which would run its code')


def image_shape(
  path: epath.Path, features: Mapping[str, Any]
) -> tuple[int, int, int]:
  """Returns what the features say of the images, or refuses them."""
  image, label = (features.get(name) for name in ('image', 'label'))
  kinds = tfds.features.Image, tfds.features.Tensor
  if not isinstance(image, kinds) or not isinstance(
    label, tfds.features.ClassLabel
  ):
    raise UserError(
      f'{path}: its examples have no `image` (Image or Tensor) with a `label`'
      f' (ClassLabel); they have {printable(", ".join(sorted(features)), 200)}'
    )
  if image.np_dtype != np.uint8 or image.shape[2:] not in ((1,), (3,)):
    raise UserError(
      f'{path}: its images are {np.dtype(image.np_dtype).name} {image.shape};'
      ' uint8 (height, width, 1 or 3) is needed'
    )
  if None in image.shape:
    raise UserError(
      f'{path}: its images have no fixed size; prepare it with all of one size,'
      f' tfds.features.Image(shape=(48, 48, {image.shape[2]})) for example'
    )
  return image.shape


def class_names(path: epath.Path, label: Any, is_own: bool) -> tuple[str, ...]:
  """Returns the meaning of each label.

  Args:
    path: the folder of the data set.
    label: its feature.
    is_own: whether ferjax wrote it, which always gives names.

  Raises:
    ValueError, OSError: where there are none, or their file cannot be read:
      tensorflow-datasets would take numbers for them.
  """
  if not label.num_classes:
    raise ValueError('its labels have no classes')
  if is_own:
    lines = (path / _NAMES).read_text().split('\n')
    if list(filter(None, lines)) != label.names:
      raise ValueError(f'{_NAMES} holds other names')
  return tuple(label.names)


def _classes(value: Any) -> list[str]:
  """Returns the class of every feature, at any depth."""
  found, left = [], [value]
  while left:
    value = left.pop()
    if isinstance(value, dict):
      names = (value.get(key) for key in ('pythonClassName', 'type'))
      found += [name for name in names if isinstance(name, str)]
      left += value.values()
    elif isinstance(value, list):
      left += value
  return found


def metadata(given: Any) -> dict[str, Any]:
  """Returns `source`, `notes` and `missing` of what ferjax wrote, as texts.

  Raises:
    ValueError, TypeError, KeyError: if it wrote none such.
  """
  result = {
    'source': given['source'],
    'notes': tuple(given['notes']),
    'missing': dict(given['missing']),
  }
  if not all(
    isinstance(text, str)
    for text in (
      result['source'],
      *result['notes'],
      *result['missing'],
      *result['missing'].values(),
    )
  ):
    raise TypeError('what is no text stands in its metadata')
  return result
