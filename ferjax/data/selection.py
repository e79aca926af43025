"""Which classes a data set has: merged, dropped and ordered by name."""

from collections.abc import Mapping, Sequence
import dataclasses

from ml_collections import config_dict
import numpy as np

from ferjax.data.dataset import Dataset, Split
from ferjax.errors import UserError

# The classes in their order, each with the positions that it had at first.
Classes = Mapping[str, Sequence[int]]

_ROUNDING = 1e-5  # of sums of shares; two that differ do so by far more


def validate(config: config_dict.ConfigDict) -> None:
  """Checks what the section `config.data` says of classes, without the data.

  Raises:
    UserError: naming the field that is wrong.
  """
  _names(config, 'drop_classes')
  _names(config, 'class_order')
  _merges(config)


def select(
  config: config_dict.ConfigDict, dataset: Dataset, foreign: bool = False
) -> Dataset:
  """Merges, then drops, then orders the classes as `config.data` says.

  A merged class stands where the first of its parts stood. Soft targets are
  summed over merged classes, and the label is the class that then leads; of
  equals, the one that did. An example of a dropped class is left out, and so
  is one whose soft target holds nothing else; the targets of the others are
  scaled to sum to 1 again.

  Args:
    config: the section `config.data`.
    dataset: as it was loaded.
    foreign: whether it is not the one that the settings were made for: names
      that it lacks are passed over, one that it has already as a merged class
      joins that, and those missing in the order come last.

  Returns:
    The data set with new labels and the index of each example as it was, or
    `dataset` itself where nothing changes.

  Raises:
    UserError: for an unknown name, and where too little is left.
  """
  before = {name: [i] for i, name in enumerate(dataset.class_names)}
  merged, notes = _merge(before, _merges(config), foreign)
  dropped = _known(
    _names(config, 'drop_classes'), merged, 'drop_classes', foreign
  )
  left = {name: merged[name] for name in merged if name not in dropped}
  after = _order(left, _names(config, 'class_order'), foreign)
  if list(after.items()) == list(before.items()):
    return dataset
  if len(after) < 2 and not (foreign and after):
    raise UserError(
      'config.data.merge_classes and drop_classes leave'
      f' {", ".join(after) or "nothing"} of {", ".join(before)}; two classes'
      ' are the least'
    )
  splits = {
    name: _relabel(_lead(split, merged), after, dataset.num_classes)
    for name, split in dataset.splits.items()
  }
  if dropped:
    notes.append(_dropped_note(dropped, dataset.splits, splits))
  return dataclasses.replace(
    dataset,
    class_names=tuple(after),
    splits=splits,
    notes=(*dataset.notes, *notes),
  )


def _names(config: config_dict.ConfigDict, field: str) -> list[str]:
  """Returns the names in a field; on a command line, commas part them too."""
  names = [
    name.strip() for entry in config[field] for name in str(entry).split(',')
  ]
  for name in names:  # they come to stand in messages and figures
    if not name.isprintable():
      raise UserError(
        f'config.data.{field} has {name[:80]!r}, which cannot be printed'
      )
  twice = sorted({name for name in names if names.count(name) > 1})
  if twice:
    raise UserError(
      f'config.data.{field} has {", ".join(twice)} more than once'
    )
  if '' in names:
    raise UserError(f'config.data.{field} holds an empty name: {names}')
  return names


def _merges(config: config_dict.ConfigDict) -> dict[str, list[str]]:
  """Returns the parts of each class that is merged."""
  merges = {}
  for entry in _names(config, 'merge_classes'):
    new, _, text = (part.strip() for part in entry.partition('='))
    parts = [part.strip() for part in text.split('+')]
    if not (new and all(parts)) or len(set(parts)) < len(parts):
      raise UserError(
        f'config.data.merge_classes has {entry!r}; it is NEW=OLD+OLD, such as'
        ' negative=angry+sad'
      )
    if new in merges:
      raise UserError(f'config.data.merge_classes makes {new!r} twice')
    merges[new] = parts
  return merges


def _known(
  names: Sequence[str], classes: Classes, field: str, foreign: bool
) -> list[str]:
  """Returns those of `names` that are classes; others must not be there."""
  unknown = [name for name in names if name not in classes]
  if unknown and not foreign:
    raise UserError(
      f'config.data.{field} has the unknown {", ".join(unknown)}; the classes'
      f' are {", ".join(classes)}'
    )
  return [name for name in names if name in classes]


def _merge(
  classes: Classes, merges: Mapping[str, Sequence[str]], foreign: bool
) -> tuple[Classes, list[str]]:
  """Returns the classes after all merges, and what is said of them."""
  notes = []
  for new, names in merges.items():
    parts = _known(names, classes, 'merge_classes', foreign)
    if new in classes and new not in parts:
      if not foreign:
        raise UserError(
          f'config.data.merge_classes makes {new!r}, which is a class already;'
          ' merge it too, or take another name'
        )
      parts = [new, *parts]
    if parts in ([], [new]):
      continue
    place = next(name for name in classes if name in parts)
    positions = sorted(i for part in parts for i in classes[part])
    classes = {
      new if name == place else name: positions if name == place else old
      for name, old in classes.items()
      if name == place or name not in parts
    }
    notes.append(f'classes merged into {new}: {", ".join(parts)}')
  return classes, notes


def _order(classes: Classes, names: Sequence[str], foreign: bool) -> Classes:
  """Returns the classes in the order of `names`."""
  if not names:
    return classes
  known = _known(names, classes, 'class_order', foreign)
  missing = [name for name in classes if name not in known]
  if missing and not foreign:
    raise UserError(
      f'config.data.class_order lacks {", ".join(missing)}; it names all'
      f' classes that are left: {", ".join(classes)}'
    )
  return {name: classes[name] for name in (*known, *missing)}


def _lead(split: Split, classes: Classes) -> Split:
  """Returns the examples with labels of the classes that lead after merges.

  The label of a merged class is then that of one of its parts.
  """
  if split.targets is None or all(len(i) == 1 for i in classes.values()):
    return split
  shares = np.zeros_like(split.targets)  # of its whole class, for each part
  for positions in classes.values():
    shares[:, positions] = split.targets[:, positions].sum(1, keepdims=True)
  own = np.take_along_axis(shares, split.labels[:, None], axis=1)[:, 0]
  leads = shares.max(1, initial=0) > own + _ROUNDING
  labels = np.where(leads, shares.argmax(1), split.labels)
  return dataclasses.replace(split, labels=labels.astype(np.int32))


def _relabel(split: Split, classes: Classes, num_classes: int) -> Split:
  """Returns the examples of `classes`, out of `num_classes`, relabelled."""
  relabelled = np.full(num_classes, -1, np.int32)
  for new, positions in enumerate(classes.values()):
    relabelled[positions] = new
  labels, targets = relabelled[split.labels], split.targets
  kept = labels >= 0
  if targets is not None:
    targets = np.stack([targets[:, i].sum(1) for i in classes.values()], axis=1)
    if (relabelled < 0).any():
      rest = targets.sum(1, keepdims=True)
      kept &= rest[:, 0] > 0
      targets = targets / np.where(rest > 0, rest, 1)
  split = dataclasses.replace(split, labels=labels, targets=targets)
  return split if kept.all() else split.take(kept)


def _dropped_note(
  dropped: Sequence[str],
  before: Mapping[str, Split],
  after: Mapping[str, Split],
) -> str:
  """Returns what is said of dropped classes; no split may be left empty."""
  counts = []
  for name, split in before.items():
    if len(split) and not len(after[name]):
      raise UserError(
        f'config.data.drop_classes leaves no example of the {name} split'
      )
    counts.append(f'{len(split) - len(after[name]):,} of {len(split):,} {name}')
  return f'classes dropped: {", ".join(dropped)} ({", ".join(counts)} examples)'
