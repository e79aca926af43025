"""How many bytes a compiled step reads and writes, as XLA estimates it.

XLA knows nothing of what it hands to a library such as cuDNN. The arrays that
go into such a call and come out of it are added, from the program's text.
"""

from collections.abc import Iterator
import math
import re

import jax

# `%name = f32[8,64]{1,0} custom-call(%x, %y), custom_call_target="__cu..."`,
# where a tuple of results stands in brackets.
_INSTRUCTION = re.compile(
  r'^\s*(?:ROOT )?%?([\w.-]+) = (\(.*?\)|\S+) ([\w-]+)\((.*?)\)', re.MULTILINE
)
_LIBRARY = re.compile(r'custom_call_target="__cu(?:blas|dnn)')
_ARRAY = re.compile(r'\b[a-z]+(\d+)[a-z\d]*\[([\d,]*)\]')
_NAME = re.compile(r'%?([\w.-]+)$')


def num_bytes(compiled: jax.stages.Compiled) -> float | None:
  """Returns the bytes that one device moves; None where XLA does not tell."""
  told = (compiled.cost_analysis() or {}).get('bytes accessed')
  if told is None:
    return None
  return max(told, 0) + library_bytes(compiled.as_text() or '')


def library_bytes(program: str) -> int:
  """Returns the bytes that go in and out of library calls.

  Args:
    program: in XLA's own text form, optimised.
  """
  results = {}
  total = 0
  for line in program.splitlines():
    found = _INSTRUCTION.match(line)
    if not found:
      continue
    name, result, _, operands = found.groups()
    # Of a tuple, what follows the first is scratch memory.
    results[name] = next(_sizes(result), 0)
    if _LIBRARY.search(line):
      total += results[name] + sum(
        results.get(_NAME.search(operand.strip())[1], 0)
        for operand in operands.split(', ')
      )
  return total


def _sizes(shape: str) -> Iterator[int]:
  """Yields the bytes of each array in a shape such as `(f32[8,64], u8[0])`."""
  for bits, sides in _ARRAY.findall(shape):
    yield int(bits) * math.prod(map(int, filter(None, sides.split(',')))) // 8
