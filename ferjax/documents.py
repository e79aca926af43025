"""Parses JSON that may hold anything, as a file has it that somebody broke."""

import json
from typing import Any


def parse(text: str) -> Any:
  """Returns what a JSON text says.

  Raises:
    ValueError: if it is none, and nothing else: not if it nests so deep that
      Python gives up.
  """
  try:
    return json.loads(text)
  except RecursionError as error:
    raise ValueError(str(error)) from None


def is_number(value: Any) -> bool:
  """Returns whether a value is a number that NumPy and TensorBoard take."""
  if isinstance(value, int):
    return -(1 << 63) <= value < 1 << 63
  return isinstance(value, float)


def is_record(value: Any) -> bool:
  """Returns whether a value holds a step and numbers, or null, by name."""
  return (
    isinstance(value, dict)
    and type(value.get('step')) is int
    and all(v is None or is_number(v) for v in value.values())
  )
