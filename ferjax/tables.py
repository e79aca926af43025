"""A table, told in the terminal and in Markdown."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

FOLDED = 24  # characters that a column of text has left in a table too wide


class Cell(NamedTuple):
  """A value, and something less important about it or beside it."""

  value: str
  detail: str = ''


class Column(NamedTuple):
  """One column.

  Attributes:
    title: of the values.
    cells: one a row.
    detail_title: of the details, where they are quantities of their own.
    is_number: whether the cells stand at the right.
  """

  title: str
  cells: Sequence[Cell]
  detail_title: str = ''
  is_number: bool = True


def print_table(columns: Sequence[Column], console: Console) -> None:
  """Prints a table, details below their values.

  Where it is too wide, its columns stand closer, then text is folded; numbers
  are never cut.
  """
  unlimited = console.options.update(width=10_000)
  for gap, longest in ((2, None), (1, None), (1, FOLDED)):
    table = _make_table(columns, gap, longest)
    needed = console.measure(table, options=unlimited).maximum
    if needed <= console.width:
      break
  width = console.width
  console.width = max(width, needed)
  console.print(table)
  console.width = width


def _make_table(
  columns: Sequence[Column], gap: int, longest: int | None
) -> RichTable:
  table = RichTable(
    box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style=''
  )
  for column in columns:
    table.add_column(
      _stack(Cell(column.title, column.detail_title), 'bold'),
      justify='right' if column.is_number else 'left',
      no_wrap=column.is_number or longest is None,
      max_width=None if column.is_number else longest,
      overflow='fold',
    )
  for cells in zip(*(column.cells for column in columns), strict=True):
    table.add_row(*(_stack(cell, '') for cell in cells))
  return table


def print_list(lines: Sequence[str], console: Console) -> None:
  """Prints lines as a list, each wrapped to the width."""
  table = RichTable.grid(padding=(0, 1, 0, 0))
  for line in lines:
    table.add_row('-', Text(line))
  console.print(table)


def to_markdown(columns: Sequence[Column]) -> str:
  """Returns a table; details in brackets, or in a column of their own."""
  flat = []
  for column in columns:
    marker = '---:' if column.is_number else '---'
    if column.detail_title:
      values = [cell.value for cell in column.cells]
      details = [cell.detail for cell in column.cells]
      flat.append([column.title, marker, *values])
      flat.append([column.detail_title, marker, *details])
    else:
      joined = [
        f'{cell.value} ({cell.detail})' if cell.detail else cell.value
        for cell in column.cells
      ]
      flat.append([column.title, marker, *joined])
  rows = zip(*flat, strict=True)
  return ''.join(
    f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in row)} |\n'
    for row in rows
  )


def si(value: float) -> str:
  """Returns three digits and a power of 1000, as `1.27 M` or `452 k`."""
  for unit in ('', ' k', ' M', ' G', ' T'):
    if value < 999.5 or unit == ' T':
      break
    value /= 1000
  digits = 0 if value >= 99.95 or not unit else 1 if value >= 9.995 else 2
  return f'{value:.{digits}f}{unit}'


def _stack(cell: Cell, style: str) -> Text:
  text = Text(cell.value, style)
  if cell.detail:
    text.append('\n' + cell.detail, 'not bold dim')
  return text
