"""JSON that may hold anything ends in a ValueError, or is what it says."""

import pytest

from ferjax import documents


def test_a_document_is_what_it_says():
  assert documents.parse('{"a": [1, null]}') == {'a': [1, None]}


@pytest.mark.parametrize('text', ['', '{', '[' * 100_000, '1' * 5000])
def test_what_is_no_document_is_a_value_error(text):
  with pytest.raises(ValueError):  # noqa: PT011 - of any words
    documents.parse(text)


@pytest.mark.parametrize(
  ('value', 'expected'),
  [
    ({'step': 5, 'a': 0.5, 'b': None}, True),
    ({'a': 0.5}, False),
    ({'step': 5.0}, False),
    ({'step': True}, False),
    ({'step': 5, 'a': 'x'}, False),
    ({'step': 5, 'a': 10**400}, False),
    ([5], False),
    (None, False),
  ],
)
def test_a_record_has_a_step_and_numbers(value, expected):
  assert documents.is_record(value) == expected
