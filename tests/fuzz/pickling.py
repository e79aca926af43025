"""Writes pickles by hand: what Python never writes, too."""

import io
import pickle
import struct
from typing import Any, NamedTuple
import zipfile


class Name(NamedTuple):
  """Something of a module."""

  module: str
  name: str


class Call(NamedTuple):
  """What a call of something gives."""

  function: Any
  arguments: Any


class Stored(NamedTuple):
  """What the file names by these words, such as a row of numbers."""

  words: Any


class Built(NamedTuple):
  """A thing whose state is set."""

  thing: Any
  state: Any


def instructions(value):
  """Returns the instructions, of protocol 2, that leave a value behind."""
  match value:
    case Name(module, name):
      return b'c' + f'{module}\n{name}\n'.encode('utf-8', 'surrogatepass')
    case Call(function, arguments):
      return instructions(function) + instructions(arguments) + b'R'
    case Stored(words):
      return instructions(words) + b'Q'
    case Built(thing, state):
      return instructions(thing) + instructions(state) + b'b'
    case str():
      text = value.encode('utf-8', 'surrogatepass')
      return b'X' + struct.pack('<I', len(text)) + text
    case tuple():
      return b'(' + b''.join(map(instructions, value)) + b't'
    case list():
      return b'](' + b''.join(map(instructions, value)) + b'e'
    case dict():
      pairs = (instructions(x) for pair in value.items() for x in pair)
      return b'}(' + b''.join(pairs) + b'u'
  return pickle.dumps(value, 2)[2:-1]  # a plain value, without its frame


def dump(value):
  return b'\x80\x02' + instructions(value) + b'.'


def archive(saved, numbers, root='archive', compression=zipfile.ZIP_STORED):
  """Returns a file of `torch.save`, as it is since 1.6.

  Args:
    saved: the bytes of its pickle.
    numbers: bytes by key.
    root: the folder in it.
    compression: of its records; torch uses none.
  """
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w', compression) as file:
    file.writestr(f'{root}/data.pkl', saved)
    file.writestr(f'{root}/byteorder', 'little')
    for key, data in numbers.items():
      file.writestr(f'{root}/data/{key}', data)
  return buffer.getvalue()


def stream(saved, numbers):
  """Returns a file of `torch.save`, as it was until 1.6."""
  head = (0x1950A86A20F9469CFC6C, 1001, {'little_endian': True})
  parts = [*(pickle.dumps(x, 2) for x in head), saved, dump(list(numbers))]
  for data in numbers.values():
    parts.append(struct.pack('<q', len(data) // 4) + data)
  return b''.join(parts)
