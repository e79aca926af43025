"""Starts a network from weights that another training found.

They come from a file of torchvision, timm or Hugging Face's transformers
(`load`), or from a training of this project (`load_own`). Every array is
matched by name and held against ours by shape: another network is an error.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from ferjax.errors import UserError
from ferjax.models import vgg
from ferjax.weights import files, layout, names

SHOWN = 4  # names of a list that a person gets to see


class Report(NamedTuple):
  """What became of every array; ours by paths such as `stem_conv/kernel`.

  Attributes:
    loaded: those that were taken, adapted or not.
    adapted: what was done to some of them, by path.
    kept: those that begin afresh, such as the classifier.
    unused: names of the source that nothing took, such as `fc.weight`.
  """

  loaded: tuple[str, ...]
  adapted: dict[str, str]
  kept: tuple[str, ...]
  unused: tuple[str, ...]

  def lines(self, source: str) -> list[str]:
    """Returns what a person is told, given where the weights are from."""
    total = len(self.loaded) + len(self.kept)
    adapted = [f'{path} ({what})' for path, what in self.adapted.items()]
    return [f'loaded {len(self.loaded)} of {total} arrays from {source}'] + [
      f'{title}: {_some(texts)}'
      for title, texts in (
        ('adapted', adapted),
        ('begins afresh', self.kept),
        ('not used', self.unused),
      )
      if texts
    ]


def load(
  path: pathlib.Path,
  model_name: str,
  variables: dict[str, Any],
  image_shape: tuple[int, int, int] | None = None,
  with_classifier: bool = True,
) -> tuple[dict[str, Any], Report]:
  """Puts the weights of a file in the places of ours.

  The first convolution is adapted to the channels of our images, VGG's first
  dense layer to the size of our maps. What has no counterpart begins afresh:
  the classifier where the number of classes differs, the first convolution
  where its size does, squeeze-excitation.

  Args:
    path: `.safetensors`, or what `torch.save` wrote; see `files.read`.
    model_name: one of `ferjax.models.MODELS`.
    variables: as `ferjax.models.init` returns them.
    image_shape: height, width and channels that it was given; VGG needs them
      where the images are not square.
    with_classifier: whether the last layer of the file is taken, if it fits.

  Returns:
    The same tree, with the same shapes and types, and what became of it.

  Raises:
    UserError: if the file cannot be read or is not of this network.
  """
  theirs = names.shorten(files.read(path))
  table = names.find(model_name, _flatten(variables), theirs)
  looks = names.looks_like(theirs)
  _check_same(f'{path} is not of {model_name}', table, theirs, looks)
  sides = None
  if image_shape and model_name in vgg.SIZES:
    sides = vgg.map_sides(model_name, image_shape)
  convert = functools.partial(layout.from_torch, sides=sides)
  if not with_classifier:
    table = _without_classifier(table)
  return _merge(variables, table, theirs, convert, str(path))


def load_own(
  source: dict[str, Any], variables: dict[str, Any], same_classes: bool
) -> tuple[dict[str, Any], Report]:
  """Puts the weights of a training of this project in the places of ours.

  Args:
    source: the variables that it ended with, of the same network.
    variables: as `ferjax.models.init` returns them.
    same_classes: whether both tell the same classes apart, in the same order;
      otherwise the classifier begins afresh.

  Returns:
    The same tree as `variables`, and what became of it; see `load`.

  Raises:
    UserError: if the weights are not of this network.
  """
  theirs = _flatten(source)
  table = {path: path for path in _flatten(variables)}
  _check_same('the run is of another network', table, theirs)
  if not same_classes:
    table = _without_classifier(table)
  return _merge(variables, table, theirs, lambda array, *_: array, 'the run')


def check_name(given: str, model_name: str) -> None:
  """Raises UserError if what the file is called tells that it cannot fit.

  Args:
    given: the path as the user gave it; a fetched file has another.
    model_name: one of `ferjax.models.MODELS`.
  """
  names.refuse_tensorflow(given, model_name)


def is_classifier(path: str) -> bool:
  """Returns whether our array at `path` is of the last layer."""
  return names.is_classifier(path)


def _without_classifier(table: Mapping[str, str]) -> dict[str, str]:
  return {
    path: name for path, name in table.items() if not names.is_classifier(path)
  }


def _flatten(variables: dict[str, Any]) -> dict[str, np.ndarray]:
  """Returns all arrays by paths such as `stem_norm/mean`."""
  return {
    _join(path): np.asarray(leaf)
    for path, leaf in jax.tree.leaves_with_path(variables)
  }


def _join(path: tuple[Any, ...]) -> str:
  return '/'.join(entry.key for entry in path[1:])  # without the collection


def _some(texts: Sequence[str]) -> str:
  more = len(texts) - SHOWN
  return ', '.join(texts[:SHOWN]) + (f' and {more:,} more' if more > 0 else '')


def _check_same(
  claim: str,
  table: Mapping[str, str],
  theirs: Mapping[str, np.ndarray],
  looks: str = '',
) -> None:
  """Raises UserError unless all of both backbones have counterparts.

  Args:
    claim: how the error begins.
    table: the names that their arrays should have, by our paths.
    theirs: their arrays by name.
    looks: how the error ends.
  """
  needed = [name for path, name in table.items() if not names.is_head(path)]
  missing = [name for name in needed if name not in theirs]
  parts = {names.outermost(name) for name in needed}
  excess = [
    name
    for name in set(theirs).difference(table.values())
    if names.outermost(name) in parts
  ]
  faults = [
    f'{verb} {_some(sorted(found))}'
    for verb, found in (('lacks', missing), ('has', excess))
    if found
  ]
  if faults:
    raise UserError(f'{claim}: it {", and ".join(faults)}{looks}')


def _check_values(array: np.ndarray, name: str, source: str) -> None:
  """Raises UserError unless there are numbers, and all of them finite."""
  fault = ''
  if not array.size:
    fault = f'is empty {array.shape}'
  elif not np.isfinite(array).all():
    fault = 'has values that are not finite'
  if fault:
    raise UserError(f'{source}: {name} {fault}; take other weights')


def _merge(
  variables: dict[str, Any],
  table: Mapping[str, str],
  theirs: Mapping[str, np.ndarray],
  convert: Callable[..., np.ndarray],
  source: str,
) -> tuple[dict[str, Any], Report]:
  """Puts arrays in place of ours, adapted where that is possible.

  Args:
    variables: ours.
    table: their names by our paths.
    theirs: their arrays by name.
    convert: given an array, our path and our shape, puts its axes in our order.
    source: where they are from, for errors.
  """
  ours = _flatten(variables)
  taken, adapted = {}, {}
  for path, name in table.items():
    if name not in theirs:
      continue
    _check_values(theirs[name], name, source)
    shape = ours[path].shape
    array = convert(theirs[name], path, shape)
    array = layout.adapt_colors(array, path, shape)
    if array.shape == shape:
      taken[path] = array.astype(ours[path].dtype, order='C')
      if array.size != theirs[name].size:
        adapted[path] = layout.adaptation(path, theirs[name].size, array.size)
    elif not layout.may_begin_afresh(path, array.shape, shape):
      raise UserError(
        f'{source}: {name} {theirs[name].shape} does not fit our {path} '
        f'{shape}; take the network and image size that it was trained with'
      )
  used = {table[path] for path in taken}
  report = Report(
    loaded=tuple(path for path in ours if path in taken),
    adapted=adapted,
    kept=tuple(path for path in ours if path not in taken),
    unused=tuple(name for name in theirs if name not in used),
  )
  merged = jax.tree.map_with_path(
    lambda path, leaf: taken.get(_join(path), leaf), variables
  )
  return merged, report
