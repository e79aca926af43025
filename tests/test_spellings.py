import pytest

from ferjax.data import spellings
from ferjax.data.dataset import CLASS_NAMES

# Of CK+48, FER+, AffectNet and the folders that go round on Kaggle.
FOUND = {
  'angry': 'angry Anger ANGRY anger_',
  'disgust': 'disgust Disgusted',
  'fear': 'fear Fearful',
  'happy': 'happy Happiness',
  'sad': 'sad Sadness SAD',
  'surprise': 'surprise Surprised',
  'neutral': 'neutral Neutrality',
  'contempt': 'contempt contemptuous',
}


@pytest.mark.parametrize('name', CLASS_NAMES)
def test_spellings_map_to_the_canonical_names(name):
  assert {spellings.canonical(word) for word in FOUND[name].split()} == {name}
  assert spellings.canonical(f' {name}\t') == name


def test_other_names_stay_but_for_case_and_blanks():
  assert spellings.canonical(' Very-happy  face') == 'very_happy_face'
  assert spellings.canonical('fear2') == 'fear2'
  assert spellings.canonical('Müde') == 'müde'
  assert spellings.canonical('Mu\u0308de') == 'müde'  # as macOS has it
  assert spellings.canonical(' _-') == ''


def test_expressions_come_first():
  names = ['zest', 'contempt', 'angry', 'awe', 'neutral', 'angry']
  expected = ('angry', 'neutral', 'contempt', 'awe', 'zest')
  assert spellings.order(names) == expected
