"""What a network consists of, counted without compiling or running it.

A floating point operation (FLOP) is a multiplication or an addition: one
multiply-add is two. Counted are convolutions, dense layers and all other
matrix products of one forward pass over one image, which is nearly all of the
work; biases, normalisation, activations and pooling are not, as in the figures
that papers and torchvision publish (where a multiply-add counts as one).
"""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
import functools
import math
import re
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp


class Counts(NamedTuple):
  """The size of a network, and its work for an image."""

  parameters: int
  flops: int


class Layer(NamedTuple):
  """A module's own share of a network, without the modules in it.

  Attributes:
    path: names from the outermost module down, with slashes; '' is that one.
    kind: the name of its class.
    output_shape: for one image, without the batch.
    parameters: how many numbers are trained.
    flops: of one forward pass over one image.
  """

  path: str
  kind: str
  output_shape: tuple[int, ...]
  parameters: int
  flops: int


def count(model: nn.Module, image_shape: tuple[int, int, int]) -> Counts:
  """Returns `total(layers(model, image_shape))`."""
  return total(layers(model, image_shape))


def total(rows: Sequence[Layer]) -> Counts:
  """Returns the sums over layers."""
  return Counts(sum(r.parameters for r in rows), sum(r.flops for r in rows))


def layers(model: nn.Module, image_shape: tuple[int, int, int]) -> list[Layer]:
  """Returns the modules that have parameters or work, as they are called.

  Args:
    model: of this package.
    image_shape: height, width and channels of what the network sees.

  Raises:
    UserError: if the images are too small for the model.
  """
  calls, variables, products = _trace(model, image_shape)
  rows = {}
  for number, (path, kind, shape) in enumerate(calls):
    if number not in products:  # a trial of a lifted transform
      continue
    own = _own(variables.get('params', {}), path)
    row = rows.setdefault(
      path,
      Layer(
        '/'.join(path), kind, shape, sum(x.size for x in own.values()), flops=0
      ),
    )
    kernel = own.get('kernel')
    if kernel is not None and kernel.ndim in (2, 4):
      # By the layer, however it is computed: a depthwise convolution may be
      # written without any product that the trace would show as one.
      flops = 2 * kernel.size * math.prod(shape[:-1])
    else:
      flops = products[number]
    rows[path] = row._replace(flops=row.flops + flops)
  return [row for row in rows.values() if row.parameters or row.flops]


def _trace(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> tuple[list[tuple], Mapping[str, Any], collections.Counter]:
  """Follows one image through the model.

  Returns:
    (path, class name, output shape) of each call of a module, the shapes of
    the variables, and the FLOPs of matrix products and convolutions by the
    number of the innermost call that they are in.
  """
  calls = []

  def note(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
    if context.method_name != '__call__':
      return call(*args, **kwargs)
    number = len(calls)
    calls.append(None)
    with jax.named_scope(f'call_{number}_'):
      output = call(*args, **kwargs)
    module = context.module
    shape = jax.tree.leaves(output)[0].shape[1:]
    calls[number] = module.path, type(module).__name__, shape
    return output

  init = functools.partial(model.init, train=False)
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  with nn.intercept_methods(note):
    trace, variables = jax.make_jaxpr(init, return_shape=True)(
      jax.eval_shape(lambda: jax.random.key(0)), image
    )
  products = collections.Counter()
  for number, flops in _products(trace.jaxpr, number=0, times=1):
    products[number] += flops
  return calls, variables, products


def _own(variables: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
  """Returns the variables of the module at `path` alone, by name."""
  for name in path:
    variables = variables.get(name, {})
  return {
    name: value
    for name, value in variables.items()
    if not isinstance(value, Mapping)
  }


def _products(jaxpr: Any, number: int, times: int) -> Iterator[tuple[int, int]]:
  """Yields (number of the call, FLOPs) of all operations, most of them 0.

  Args:
    jaxpr: the trace.
    number: of the call that it is in.
    times: how often it is run.
  """
  for eqn in jaxpr.eqns:
    scopes = re.findall(r'call_(\d+)_', str(eqn.source_info.name_stack))
    own = int(scopes[-1]) if scopes else number
    each = 0
    if eqn.primitive.name == 'dot_general':
      (contracted, _), _ = eqn.params['dimension_numbers']
      each = math.prod(eqn.invars[0].aval.shape[i] for i in contracted)
    elif eqn.primitive.name == 'conv_general_dilated':
      kernel = eqn.invars[1].aval
      features = eqn.params['dimension_numbers'].rhs_spec[0]
      each = kernel.size // kernel.shape[features]
    yield own, each and 2 * times * each * eqn.outvars[0].aval.size
    repeats = times * eqn.params.get('length', 1)  # of a scan
    for value in eqn.params.values():
      for part in value if isinstance(value, tuple | list) else (value,):
        inner = getattr(part, 'jaxpr', part)
        if hasattr(inner, 'eqns'):
          yield from _products(inner, own, repeats)
