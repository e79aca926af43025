"""What is wrong with a data set's images: empty ones, copies, conflicts.

An exact copy equals another image pixel by pixel. A near copy looks like it:
their perceptual hashes differ in at most `NEAR_DISTANCE` bits of 64, and their
pixels correlate with at least `NEAR_CORRELATION`.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from ferjax.data import copies, perceptual
from ferjax.data.dataset import Split

FLAT_DEVIATION = 5.0  # grey levels of 255; below, an image is near-constant
NEAR_DISTANCE = 8
NEAR_CORRELATION = 0.9

_CHUNK = 4096  # images whose deviations are taken at a time


@dataclasses.dataclass(frozen=True)
class Audit:
  """The images of all splits in one row, and what was found of each.

  Attributes:
    split_names: of the splits.
    split: int64 `[n]`, the place of each image's split in `split_names`.
    index: int64 `[n]`, as in `Split`.
    labels: int32 `[n]`.
    is_black: bool `[n]`, whether every pixel is 0.
    is_flat: bool `[n]`, whether it is near-constant but not black.
    groups: int64 `[n]`, a number that an image shares with its exact copies.
    has_copy: bool `[n, splits]`, whether another image of the split is an
      exact copy.
    has_near_copy: bool `[n, splits]`, whether an image of the split is a near
      copy and not an exact one.
    nearest: int64 `[n]`, the position of the near copy that correlates most,
      -1 where there is none.
    correlation: float32 `[n]`, with that one; 0 where there is none.
  """

  split_names: tuple[str, ...]
  split: np.ndarray
  index: np.ndarray
  labels: np.ndarray
  is_black: np.ndarray
  is_flat: np.ndarray
  groups: np.ndarray
  has_copy: np.ndarray
  has_near_copy: np.ndarray
  nearest: np.ndarray
  correlation: np.ndarray

  @property
  def num_unique(self) -> int:
    """How many different images there are."""
    return int(self.groups.max(initial=-1)) + 1

  @property
  def is_conflicting(self) -> np.ndarray:
    """Whether an exact copy has another label, bool `[n]`."""
    lowest = np.full(self.num_unique, np.iinfo(np.int32).max)
    highest = np.full(self.num_unique, -1)
    np.minimum.at(lowest, self.groups, self.labels)
    np.maximum.at(highest, self.groups, self.labels)
    return (lowest != highest)[self.groups]

  @property
  def num_conflicts(self) -> int:
    """How many groups of exact copies have more than one label."""
    return len(np.unique(self.groups[self.is_conflicting]))


def inspect(splits: Mapping[str, Split]) -> Audit:
  """Inspects all images of some splits of one data set.

  Args:
    splits: at least one, by name.
  """
  sizes = [len(split) for split in splits.values()]
  images = np.concatenate([split.images for split in splits.values()])
  split = np.repeat(np.arange(len(sizes)), sizes)
  highest, deviation = _ranges(images)
  is_black = highest == 0
  is_flat = ~is_black & (deviation < FLAT_DEVIATION)
  groups = copies.groups(images)
  _, first = np.unique(groups, return_index=True)
  counts = np.zeros((len(first), len(sizes)), np.int64)
  np.add.at(counts, (groups, split), 1)
  own = np.eye(len(sizes), dtype=np.int64)[split]
  # A flat image's hash is that of its noise.
  eligible = np.flatnonzero(~(is_black | is_flat)[first])
  near = _find_near(images[first[eligible]], counts[eligible] > 0)
  seen = np.zeros((len(first), len(sizes)), bool)
  nearest, correlation = np.full(len(first), -1), np.zeros(len(first))
  seen[eligible], correlation[eligible] = near[0], near[2]
  # From positions among the eligible to positions among all images.
  known = near[1] >= 0
  nearest[eligible[known]] = first[eligible[near[1][known]]]
  return Audit(
    split_names=tuple(splits),
    split=split,
    index=np.concatenate([s.index for s in splits.values()]),
    labels=np.concatenate([s.labels for s in splits.values()]),
    is_black=is_black,
    is_flat=is_flat,
    groups=groups,
    has_copy=counts[groups] > own,
    has_near_copy=seen[groups],
    nearest=nearest[groups],
    correlation=correlation[groups].astype(np.float32),
  )


def findings(
  audit: Audit, class_names: Sequence[str]
) -> Iterator[dict[str, Any]]:
  """Yields every fault of every image.

  Args:
    audit: of the data set.
    class_names: the meaning of each label.

  Yields:
    `fault` (black, near-constant, copy, conflict, near copy), `split`,
    `index` and `label` of the image; of a copy and a conflict its `group`; of
    a near copy the `other_split`, `other_index` and `other_label` of the image
    that it resembles most, and as `score` their correlation.
  """

  def about(i: int, prefix: str = '') -> dict[str, Any]:
    return {
      f'{prefix}split': audit.split_names[audit.split[i]],
      f'{prefix}index': int(audit.index[i]),
      f'{prefix}label': class_names[audit.labels[i]],
    }

  for fault, mask in (
    ('black', audit.is_black),
    ('near-constant', audit.is_flat),
  ):
    for i in np.flatnonzero(mask):
      yield {'fault': fault, **about(i)}
  by_group = np.argsort(audit.groups, kind='stable')
  for fault, mask in (
    ('copy', audit.has_copy.any(axis=1)),
    ('conflict', audit.is_conflicting),
  ):
    for i in by_group[mask[by_group]]:
      yield {'fault': fault, **about(i), 'group': int(audit.groups[i])}
  for i in np.flatnonzero(audit.nearest >= 0):
    score = round(float(audit.correlation[i]), 4)
    other = about(audit.nearest[i], 'other_')
    yield {'fault': 'near copy', **about(i), **other, 'score': score}


def _ranges(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the highest value and the deviation of each image's pixels."""
  highest = images.max(axis=(1, 2, 3), initial=0)
  deviation = np.empty(len(images), np.float32)
  for start in range(0, len(images), _CHUNK):
    part = slice(start, start + _CHUNK)
    deviation[part] = images[part].std(axis=(1, 2, 3), dtype=np.float32)
  return highest, deviation


def _find_near(
  images: np.ndarray, occurs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Finds the near copies among images that all differ.

  Args:
    images: uint8 `[n, height, width, channels]`.
    occurs: bool `[n, splits]`, in which splits each image stands.

  Returns:
    In which splits near copies of it stand, bool `[n, splits]`; the position
    of the nearest, int64 `[n]`, or -1; the correlation with that one.
  """
  seen = np.zeros_like(occurs)
  nearest, best = np.full(len(images), -1), np.zeros(len(images))
  for pairs in perceptual.near_pairs(images, NEAR_DISTANCE, NEAR_CORRELATION):
    order = np.argsort(pairs.correlation, kind='stable')
    values = pairs.correlation[order]
    one, other = pairs.first[order], pairs.second[order]
    for a, b in ((one, other), (other, one)):
      for split, stands in enumerate(occurs[b].T):
        seen[a[stands], split] = True
      better = values > best[a]
      # Of several for one image the last is assigned, which is the best.
      nearest[a[better]], best[a[better]] = b[better], values[better]
  return seen, nearest, best
