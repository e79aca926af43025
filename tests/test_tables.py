"""Tables are whole, and their numbers short."""

import io

import pytest
import rich.console

from ferjax import tables
from ferjax.logs import make_console


def test_a_wide_table_is_not_cut(capsys):
  columns = [tables.Column('x' * 90, [tables.Cell('y' * 80, 'z')] * 2)] * 2
  tables.print_table(columns, make_console())
  output = capsys.readouterr().out
  assert output.count('x' * 90) == 2
  assert output.count('y' * 80) == 4
  assert '…' not in output


def print_in(width, *lengths):
  """Prints a row of a text and numbers of these lengths."""
  text, *numbers = (
    tables.Column('t', [tables.Cell('x' * length)], is_number=is_number)
    for is_number, length in enumerate(lengths)
  )
  output = io.StringIO()
  console = rich.console.Console(width=width, file=output)
  tables.print_table([text, *numbers], console)
  assert console.width == width
  return output.getvalue().splitlines()[1:]


def test_columns_stand_closer_where_the_width_ends():
  (wide,) = print_in(16, 9, 5)
  assert wide.rstrip() == 'x' * 9 + '  ' + 'x' * 5
  (narrow,) = print_in(15, 9, 5)
  assert narrow.rstrip() == 'x' * 9 + ' ' + 'x' * 5


def test_text_is_folded_before_a_number_is_cut():
  first, second = print_in(40, 40, 10)
  assert first.rstrip() == 'x' * tables.FOLDED + ' ' + 'x' * 10
  assert second.rstrip() == 'x' * (40 - tables.FOLDED)
  (row,) = print_in(20, 9, 30)
  assert row.rstrip() == 'x' * 9 + ' ' + 'x' * 30


def test_a_list_is_wrapped_below_its_marks():
  output = io.StringIO()
  console = rich.console.Console(width=12, file=output)
  tables.print_list(['one two three', 'four [b]'], console)
  lines = [line.rstrip() for line in output.getvalue().splitlines()]
  assert lines == ['- one two', '  three', '- four [b]']


@pytest.mark.parametrize(
  ('value', 'text'),
  [
    (7, '7'),
    (999, '999'),
    (1000, '1.00 k'),
    (56_951, '57.0 k'),
    (452_007, '452 k'),
    (999_600, '1.00 M'),
    (1_274_599, '1.27 M'),
    (8_178_368_512, '8.18 G'),
    (2e15, '2000 T'),
  ],
)
def test_numbers_are_short(value, text):
  assert tables.si(value) == text
