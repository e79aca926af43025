"""How processes, and what parts them, read in a message."""

from collections.abc import Mapping, Sequence

from ferjax.peers.line import Message


def name(hello: Message) -> str:
  """Returns `process 2 (host-b, pid 77)` for one that said hello."""
  return f'process {hello["process"]} ({hello["host"]}, pid {hello["pid"]})'


def processes(indices: Sequence[int]) -> str:
  """Returns `processes 1, 3`, the first eight of them."""
  shown = ', '.join(map(str, indices[:8]))
  more = f' and {len(indices) - 8} more' if len(indices) > 8 else ''
  return f'process{"es" if len(indices) > 1 else ""} {shown}{more}'


def difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
  """Returns `name: theirs, not ours` for what differs, '' where nothing."""
  parts = [
    f'{name} {theirs.get(name, "missing")}, not {ours.get(name, "missing")}'
    for name in sorted(ours | theirs)
    if ours.get(name) != theirs.get(name)
  ]
  more = [f'{len(parts) - 3} more'] if len(parts) > 3 else []
  return '; '.join(parts[:3] + more)
