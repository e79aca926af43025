"""What the training minimises: cross entropy with soft targets and weights.

The loss is the weighted mean `sum(w * ce) / sum(w)`, torch's convention for
hard labels. Where any of several labels will do, there is another in the place
of the cross entropy.
"""

from collections.abc import Callable, Sequence
import math

import jax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np

from ferjax.errors import UserError

Loss = Callable[[jax.Array, jax.Array], jax.Array]

_OTHERS = 0.001  # epsilon of the authors' code


def make_targets(
  labels: jax.Array, num_classes: int, label_smoothing: float
) -> jax.Array:
  """Spreads a part of each label over all classes (arXiv 1512.00567).

  Args:
    labels: int32 `[n]` in [0, num_classes).
    num_classes: k.
    label_smoothing: s in [0, 1).

  Returns:
    float32 `[n, k]`, `(1 - s) * onehot + s / k`.
  """
  one_hot = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
  return smooth(one_hot, label_smoothing)


def smooth(targets: jax.Array, label_smoothing: float) -> jax.Array:
  """Returns targets float32 `[n, k]`, a part of each spread over all classes.

  Args:
    targets: float32 `[n, k]`, rows that sum to 1.
    label_smoothing: s in [0, 1), the part.
  """
  num_classes = targets.shape[-1]
  return (1.0 - label_smoothing) * targets + label_smoothing / num_classes


def draw_labels(keys: jax.Array, targets: jax.Array) -> jax.Array:
  """Draws a label of each target (arXiv 1608.01041, probabilistic drawing).

  Args:
    keys: typed keys `[n]`.
    targets: float32 `[n, k]`, rows that sum to 1.

  Returns:
    int32 `[n]`; a class of which a target holds nothing is never drawn.
  """
  draw = jax.vmap(jax.random.categorical)
  return draw(keys, jnp.log(targets)).astype(jnp.int32)


def make_loss(label_mode: str) -> Loss:
  """Returns the loss of each example by `config.data.label_mode`.

  Returns:
    `loss(logits, targets)`, of `[n, k]` of any float type and float32 `[n, k]`
    with rows that sum to 1, to float32 `[n]` in nats: `any_label` under
    'multi_target', else `cross_entropy`.
  """
  return any_label if label_mode == 'multi_target' else cross_entropy


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """Returns the cross entropy of each example in nats.

  Args:
    logits: `[n, k]`, of any float type; the work is done in float32.
    targets: float32 `[n, k]`, rows that sum to 1.

  Returns:
    float32 `[n]`.
  """
  log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
  return -(targets * log_probabilities).sum(-1)


def any_label(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """Returns how far each example is from any of its labels (1608.01041).

  It is `-log max_k(t_k p_k)`, where t is 1 for every class that the target
  holds anything of and 0.001 for the others.

  Args:
    logits: `[n, k]`, of any float type; the work is done in float32.
    targets: float32 `[n, k]`.

  Returns:
    float32 `[n]`, in nats.
  """
  log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
  log_factors = jnp.where(targets > 0, 0.0, math.log(_OTHERS))
  return -(log_factors + log_probabilities).max(-1)


def example_weights(
  targets: jax.Array, weights: jax.Array, mask: jax.Array
) -> jax.Array:
  """Returns what each example counts for in the loss.

  Args:
    targets: float32 `[n, k]`.
    weights: float32 `[k]`, of the classes. An example weighs what its target
      holds of each class times the weight of that class.
    mask: bool `[n]`, False where an example is padding.

  Returns:
    float32 `[n]`, 0 for padding.
  """
  # No matrix product: accelerators would round its factors.
  return jnp.where(mask, (targets * weights[None, :]).sum(-1), 0.0)


def class_weights(
  setting: str, counts: np.ndarray, class_names: Sequence[str]
) -> np.ndarray:
  """Returns the weight of each class in the loss.

  Args:
    setting: 'none', all 1; 'balanced', `n / (present classes * count)`, as
      scikit-learn's `compute_class_weight`, with weight 0 for a class without
      examples, so that the mean weight of an example is 1; or weights by name,
      'angry=2,fear=1.5', the others 1.
    counts: int `[k]`, training examples of each class.
    class_names: k names.

  Returns:
    float32 `[k]`.

  Raises:
    UserError: where the setting is none of these.
  """
  if setting == 'none':
    return np.ones(len(class_names), np.float32)
  if setting == 'balanced':
    present = counts > 0
    total = np.sum(counts) / np.sum(present)
    return np.where(present, total / np.maximum(counts, 1), 0).astype(
      np.float32
    )
  named = _named_weights(setting, class_names)
  return np.array([named.get(name, 1.0) for name in class_names], np.float32)


def validate(
  loss_config: config_dict.ConfigDict, class_names: Sequence[str]
) -> None:
  """Raises a `UserError` where `config.loss` makes no sense for the classes."""
  smoothing = loss_config.label_smoothing
  if not 0 <= smoothing < 1:
    raise UserError(
      f'config.loss.label_smoothing is {smoothing}; it is the part of a label '
      'that is spread over all classes, at least 0 and below 1'
    )
  class_weights(
    loss_config.class_weights, np.ones(len(class_names)), class_names
  )


def _named_weights(
  setting: str, class_names: Sequence[str]
) -> dict[str, float]:
  """Parses 'angry=2,fear=1.5'."""
  weights = {}
  for item in setting.split(','):
    name, _, text = item.partition('=')
    name, weight = name.strip(), _to_weight(text)
    if name not in class_names or name in weights or weight is None:
      raise UserError(
        f'config.loss.class_weights is {setting!r}, of which {item!r} is not '
        'understood; it is none, balanced or NAME=WEIGHT,NAME=WEIGHT with '
        f'weights above 0 and names out of {", ".join(class_names)}'
      )
    weights[name] = weight
  return weights


def _to_weight(text: str) -> float | None:
  """Returns the number in a text, or None where it is no weight."""
  try:
    weight = float(text)
  except ValueError:
    return None
  return weight if 0 < weight < math.inf else None
