"""The convolutions and matrix products of a training step, from its trace.

Both are meant by `product`: on CPUs our convolutions of 1x1 and those on tiny
maps are matrix products (`ferjax/models/convolution.py`). Depthwise ones are
sums of shifted images there, and are not found.
"""

import collections
from collections.abc import Callable, Iterable, Iterator
import functools
import itertools
import math
from typing import Any, NamedTuple

import jax
from jax.extend import core
import numpy as np

_KINDS = {'conv_general_dilated': 'convolution', 'dot_general': 'product'}


class Product(NamedTuple):
  """One operation; equal ones have the same shapes, types and parameters.

  Attributes:
    primitive: that of the trace.
    operands: their shapes and types.
    result: its shape.
    params: (name, value) of all parameters of the primitive.
    is_backward: whether it belongs to the gradients.
  """

  primitive: core.Primitive
  operands: tuple[jax.ShapeDtypeStruct, ...]
  result: tuple[int, ...]
  params: tuple[tuple[str, Any], ...]
  is_backward: bool

  @property
  def kind(self) -> str:
    """For people, such as `convolution, backward`."""
    way = 'backward' if self.is_backward else 'forward'
    return f'{_KINDS[self.primitive.name]}, {way}'

  @property
  def shapes(self) -> str:
    """For people, such as `8x48x48x1 * 3x3x1x32 = 8x48x48x32`."""
    left, right = (_sides(x.shape) for x in self.operands)
    return f'{left} * {right} = {_sides(self.result)}'

  @property
  def flops(self) -> int:
    """Multiplications and additions of numbers that are really there.

    Those with the padding, or with the zeros that a stride puts between the
    gradients, are not counted: forward and both gradients have equally many.
    """
    params = dict(self.params)
    if self.primitive.name == 'dot_general':
      (contracted, _), _ = params['dimension_numbers']
      each = math.prod(self.operands[0].shape[axis] for axis in contracted)
      return 2 * each * math.prod(self.result)
    left, right = (x.shape for x in self.operands)
    dims = params['dimension_numbers']
    images = left[dims.lhs_spec[0]] // params['batch_group_count']
    features, channels = (right[axis] for axis in dims.rhs_spec[:2])
    meetings = map(
      _meetings,
      (left[axis] for axis in dims.lhs_spec[2:]),
      (right[axis] for axis in dims.rhs_spec[2:]),
      params['window_strides'],
      params['padding'],
      params['lhs_dilation'],
      params['rhs_dilation'],
    )
    return 2 * images * features * channels * math.prod(meetings)


def find(jaxpr: core.ClosedJaxpr) -> collections.Counter[Product]:
  """Returns how often each product stands in the network, both ways.

  Those of the augmentation are left out. On several devices, shapes and counts
  are those of one of them.

  Args:
    jaxpr: of a training step.
  """
  found = collections.Counter()
  for product, times in _walk(jaxpr.jaxpr, way='', times=1):
    found[product] += times
  return found


def isolate(found: Iterable[Product]) -> list[Callable[[], jax.Array]]:
  """Returns each product as a program of its own, on noise.

  Operands of the same shape and type are one array, so that all products of a
  network fit into memory.
  """
  rng = np.random.default_rng(0)
  shapes = {operand for product in found for operand in product.operands}
  arrays = {
    x: jax.device_put(rng.random(x.shape, np.float32).astype(x.dtype))
    for x in shapes
  }
  return [
    functools.partial(_compile(product), *(arrays[x] for x in product.operands))
    for product in found
  ]


def _compile(product: Product) -> Callable[..., jax.Array]:
  bind = functools.partial(product.primitive.bind, **dict(product.params))
  return jax.jit(bind)


def _walk(jaxpr: Any, way: str, times: int) -> Iterator[tuple[Product, int]]:
  """Yields every product that has a gradient or is one, and how often.

  Args:
    jaxpr: any part of the trace.
    way: the transformations that its caller stands under.
    times: that it is run.
  """
  for eqn in jaxpr.eqns:
    own = f'{way}/{eqn.source_info.name_stack}'
    if eqn.primitive.name in _KINDS and 'jvp(' in own:
      operands, results = (
        tuple(jax.ShapeDtypeStruct(x.aval.shape, x.aval.dtype) for x in side)
        for side in (eqn.invars, eqn.outvars)
      )
      yield (
        Product(
          eqn.primitive,
          operands,
          results[0].shape,
          tuple(eqn.params.items()),
          is_backward='transpose(' in own,
        ),
        times,
      )
    repeats = times * eqn.params.get('length', 1)  # of a scan
    for value in eqn.params.values():
      for part in value if isinstance(value, tuple | list) else (value,):
        inner = getattr(part, 'jaxpr', part)
        if hasattr(inner, 'eqns'):
          yield from _walk(inner, own, repeats)


def _meetings(
  side: int,
  kernel_side: int,
  stride: int,
  padding: tuple[int, int],
  spread: int,
  kernel_spread: int,
) -> int:
  """Counts how often a place of the kernel meets a pixel, along one axis.

  Args:
    side: pixels.
    kernel_side: places.
    stride: of the kernel.
    padding: before and after.
    spread: from one pixel to the next, by zeros between them.
    kernel_spread: from one place to the next.
  """
  last = (side - 1) * spread
  reach = (kernel_side - 1) * kernel_spread
  starts = range(-padding[0], last + padding[1] - reach + 1, stride)
  steps = range(0, reach + 1, kernel_spread)
  met = map(sum, itertools.product(starts, steps))
  return sum(0 <= place <= last and place % spread == 0 for place in met)


def _sides(shape: tuple[int, ...]) -> str:
  return 'x'.join(map(str, shape)) or '1'
