"""Finds the names that the arrays of a file have for ours."""

from collections.abc import Collection, Iterable, Mapping
import re
from typing import Any

from ferjax.errors import UserError
from ferjax.models import efficientnet, layers, mobilenet
from ferjax.weights import families

# What torch calls our leaves. Others, such as `layer_scale`, have rows of
# their own in the tables of families.
LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}

# What wrappers and transformers put in front of all names.
PREFIX = re.compile(r'^((module|model|resnet|convnext)\.)+')

# A counter of batches that torch's batch norm has and nobody needs.
COUNTER = 'num_batches_tracked'

# Ours that a file need not have. VGG's dense layers are often cut off.
HEADS = (layers.CLASSIFIER, 'hidden1', 'hidden2')


def is_head(path: str) -> bool:
  """Returns whether our array at `path` may be missing in a file."""
  return path.partition('/')[0] in HEADS


def is_classifier(path: str) -> bool:
  """Returns whether our array at `path` is of the last layer."""
  return path.partition('/')[0] == layers.CLASSIFIER


def outermost(name: str) -> str:
  """Returns `layer1` for `layer1.0.conv1.weight`: a part of a network."""
  return re.split('[./]', name)[0]


def shorten(arrays: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the arrays by names without prefixes, and without counters.

  Raises:
    UserError: if two names differ in their prefixes alone.
  """
  long = {}
  for name in arrays:
    if not name.endswith(COUNTER):
      other = long.setdefault(PREFIX.sub('', name), name)
      if other != name:
        raise UserError(
          f'the file has both {other} and {name}, two networks it seems; save '
          'the one that you want alone'
        )
  return {short: arrays[name] for short, name in long.items()}


def refuse_tensorflow(path: str, model_name: str) -> None:
  """Raises a UserError if the file is one of timm's `tf_` networks.

  Only what the file is called tells: the names in it are those of the others.

  Args:
    path: as it was given, in a bucket too.
    model_name: of the network that takes it.
  """
  pads = model_name in efficientnet.SIZES or model_name in mobilenet.SIZES
  if pads and ('tf_' in path.rpartition('/')[2] or 'tf_efficientnet' in path):
    raise UserError(
      f'{path}: the tf_ networks of timm pad as TensorFlow does, where the '
      'stride is 2 by one pixel less above and left than below and right, and '
      f"{model_name} pads all sides alike: take timm's weights without tf_, or "
      "torchvision's"
    )


def _tables(model_name: str) -> list[dict[str, str]]:
  """Returns for each library its names of modules, by ours."""
  for sizes, rows in families.FAMILIES:
    if model_name in sizes:
      ours, *libraries = zip(*rows(sizes[model_name]), strict=True)
      return [dict(zip(ours, theirs, strict=True)) for theirs in libraries]
  known = [name for sizes, _ in families.FAMILIES for name in sizes]
  raise UserError(
    f'config.init_from: nobody publishes weights of {model_name}; take a '
    f'workdir of your own, or one of {known}'
  )


def find(
  model_name: str, paths: Collection[str], file_names: Collection[str]
) -> dict[str, str]:
  """Returns the names that a file should have, by our paths.

  Args:
    model_name: one of the networks of `families`.
    paths: of our arrays, such as `stem_norm/mean`.
    file_names: those of the file, shortened: they tell the library.

  Returns:
    A name for each of our arrays that the published network has.

  Raises:
    UserError: if there are no published weights of this network.
  """
  candidates = []
  for table in _tables(model_name):
    found = {}
    for path in paths:
      module, _, leaf = path.rpartition('/')
      if module in table and leaf in LEAVES:
        found[path] = f'{table[module]}.{LEAVES[leaf]}'
      elif path in table:
        found[path] = table[path]
    candidates.append(found)
  known = set(file_names)
  return max(
    candidates, key=lambda found: len(known.intersection(found.values()))
  )


def looks_like(file_names: Iterable[str]) -> str:
  """Returns which networks have such names, as the end of a message."""
  modules = {
    re.sub(rf'\.({"|".join(LEAVES.values())})$', '', name)
    for name in file_names
  }
  closest = {}
  for sizes, _ in families.FAMILIES:
    for model_name in sizes:
      for table in _tables(model_name):
        theirs = set(table.values())
        likeness = len(modules & theirs) / len(modules | theirs)
        closest[model_name] = max(likeness, closest.get(model_name, 0))
  most = max(closest.values())
  alike = [name for name, likeness in closest.items() if likeness == most]
  if most < 0.9:
    return '; its names are those of no network here'
  return f'; its names are those of {" or ".join(alike)}'
