"""Tables are whole, and their numbers short."""

import pytest

from ferjax import tables
from ferjax.logs import make_console


def test_a_wide_table_is_not_cut(capsys):
  columns = [tables.Column('x' * 90, [tables.Cell('y' * 80, 'z')] * 2)] * 2
  tables.print_table(columns, make_console())
  output = capsys.readouterr().out
  assert output.count('x' * 90) == 2
  assert output.count('y' * 80) == 4
  assert '…' not in output


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
