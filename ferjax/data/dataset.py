"""What a data set is once it is loaded: named splits of uint8 images."""

from collections.abc import Mapping
import dataclasses
import hashlib
from typing import Any

import numpy as np

from ferjax.data import mapped

SPLITS = ('train', 'validation', 'test')

# Every source's spellings map to these, in this order.
CLASS_NAMES = (
  'angry',
  'disgust',
  'fear',
  'happy',
  'sad',
  'surprise',
  'neutral',
  'contempt',
)


@dataclasses.dataclass(frozen=True)
class Split:
  """The examples of one split.

  Attributes:
    images: uint8 `[n, height, width, channels]`; those of a large split stay
      on disk, and each use reads what it asks for.
    labels: int32 `[n]`, positions in `Dataset.class_names`.
    index: int64 `[n]`, each example's row in its source.
    targets: soft labels, float32 `[n, classes]` with rows that sum to 1; None
      where the labels say it all.
  """

  images: mapped.Images
  labels: np.ndarray
  index: np.ndarray
  targets: np.ndarray | None = None

  def __len__(self) -> int:
    return len(self.labels)

  def take(self, rows: np.ndarray) -> 'Split':
    """Returns the examples at `rows`: positions, or bool `[n]`."""
    images = mapped.select(self.images, rows)
    targets = None if self.targets is None else self.targets[rows]
    return Split(images, self.labels[rows], self.index[rows], targets)

  def counts(self, num_classes: int) -> np.ndarray:
    """Returns the number of examples of each class, int `[num_classes]`."""
    return np.bincount(self.labels, minlength=num_classes)

  def content_hash(self) -> str:
    """Returns 32 hex digits of images, labels, targets and their order."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr(self.images.shape).encode())
    for chunk in mapped.chunks(self.images):
      digest.update(np.ascontiguousarray(chunk).data)
    digest.update(self.labels.astype('<i4').data)
    if self.targets is not None:  # without them, as ever
      digest.update(self.targets.astype('<f4', order='C').data)
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Dataset:
  """Some splits of one data set.

  Attributes:
    name: as in `config.data.name`.
    class_names: the meaning of each label.
    splits: those that were asked for, by name.
    source: where the examples come from, for people.
    notes: what every output has to say about this data, often nothing.
  """

  name: str
  class_names: tuple[str, ...]
  splits: Mapping[str, Split]
  source: str
  notes: tuple[str, ...] = ()

  @property
  def num_classes(self) -> int:
    """The number of classes."""
    return len(self.class_names)

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """Height, width and channels of every image."""
    return next(iter(self.splits.values())).images.shape[1:]

  def describe(self) -> dict[str, Any]:
    """Returns what a workdir remembers of its data, ready for JSON."""
    return {
      'name': self.name,
      'source': self.source,
      'notes': list(self.notes),
      'class_names': list(self.class_names),
      'image_shape': list(self.image_shape),
      'splits': {
        name: {
          'num_examples': len(split),
          'counts': split.counts(self.num_classes).tolist(),
          'content_hash': split.content_hash(),
        }
        for name, split in self.splits.items()
      },
    }

  def facts(self) -> dict[str, str]:
    """Returns what all processes must have in common, by name."""
    about = self.describe()
    facts = {name: str(about[name]) for name in ('name', 'class_names')}
    return facts | {
      name: f'{split["num_examples"]} examples of content '
      + split['content_hash']
      for name, split in about['splits'].items()
    }
