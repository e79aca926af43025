"""Refuses pickles that would end the interpreter instead of being read.

Python hashes a tuple by hashing what is in it, each time and without a limit: a
key of a million nested tuples overflows the stack, one of forty, each holding
the one before twice, takes for ever. Numbers can be chosen so that all have one
hash, and a dict of them as many comparisons as their square. So a pickle is
first followed as a list of instructions, none of which is carried out.
"""

import pickletools
from typing import BinaryIO

MOST = 1000  # values in a tuple, at any depth; a tensor has about thirty
MOST_INSTRUCTIONS = 2_000_000  # ten times those of a large training
_LARGE = 1 << 60  # numbers from here on have hashes that others have too
_MOST_LARGE = 1000


def check(file: BinaryIO) -> None:
  """Follows the pickle at the place of `file`, and goes back there.

  Raises:
    ValueError: if a tuple holds more than `MOST` values, if there are too many
      instructions or large numbers, or if its notes are not numbered in
      order: room is made up to the highest number.
  """
  begin = file.tell()
  # How many values each value holds; None is a mark. Lists and dicts count as
  # 0: they cannot be hashed.
  stack, notes, num_large = [], [], 0
  for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
    num_large += isinstance(argument, int) and abs(argument) >= _LARGE
    if number > MOST_INSTRUCTIONS or num_large > _MOST_LARGE:
      raise ValueError('it has far more in it than weights')
    if opcode.name == 'MARK':
      stack.append(None)
    elif opcode.name == 'DUP':
      stack.append(stack[-1])
    elif opcode.name == 'MEMOIZE' or opcode.name.endswith('PUT'):
      place = len(notes) if argument is None else argument
      if place > len(notes):
        raise ValueError('its notes are not in order')
      notes[place : place + 1] = [stack[-1]]
    elif opcode.name.endswith('GET'):
      stack.append(notes[argument])
    else:
      size = 1 + sum(_take(stack, opcode))
      for result in opcode.stack_after:
        is_open = result in (pickletools.pylist, pickletools.pydict)
        if size > MOST and not is_open:
          raise ValueError(f'it has a tuple of more than {MOST} values')
        stack.append(0 if is_open else size)
  file.seek(begin)


def _take(
  stack: list[int | None], opcode: pickletools.OpcodeInfo
) -> list[int | None]:
  """Takes from the stack what an instruction uses up."""
  taken, kinds = [], opcode.stack_before
  if pickletools.markobject in kinds:
    while (size := stack.pop()) is not None:
      taken.append(size)
    kinds = kinds[: kinds.index(pickletools.markobject)]
  return taken + [stack.pop() for _ in kinds]
