"""Refuses pickles that would end the interpreter instead of being read.

Python hashes a tuple by hashing what is in it, without a limit: a key of a
million nested tuples overflows the stack. So a pickle is first followed as a
list of instructions, none of which is carried out.
"""

import pickletools
from typing import BinaryIO

MOST = 100  # tuples in each other; a state dict has about five


def check(file: BinaryIO) -> None:
  """Follows the pickle at the place of `file`, and goes back there.

  Raises:
    ValueError: if its tuples nest deeper than `MOST`, or its notes are not
      numbered in order: room is made up to the highest number.
  """
  begin = file.tell()
  # How deep each value is; None is a mark. Lists and dicts count as 0: they
  # cannot be hashed.
  stack, notes = [], {}
  for opcode, argument, _ in pickletools.genops(file):
    if opcode.name == 'MARK':
      stack.append(None)
    elif opcode.name == 'DUP':
      stack.append(stack[-1])
    elif opcode.name == 'MEMOIZE' or opcode.name.endswith('PUT'):
      number = len(notes) if argument is None else argument
      if number > len(notes):
        raise ValueError('its notes are not in order')
      notes[number] = stack[-1]
    elif opcode.name.endswith('GET'):
      stack.append(notes[argument])
    else:
      depth = 1 + max(_take(stack, opcode), default=-1)
      if depth > MOST:
        raise ValueError(f'its tuples nest deeper than {MOST}')
      for result in opcode.stack_after:
        is_open = result in (pickletools.pylist, pickletools.pydict)
        stack.append(0 if is_open else depth)
  file.seek(begin)


def _take(
  stack: list[int | None], opcode: pickletools.OpcodeInfo
) -> list[int | None]:
  """Takes from the stack what an instruction uses up."""
  taken, kinds = [], opcode.stack_before
  if pickletools.markobject in kinds:
    while (depth := stack.pop()) is not None:
      taken.append(depth)
    kinds = kinds[: kinds.index(pickletools.markobject)]
  return taken + [stack.pop() for _ in kinds]
