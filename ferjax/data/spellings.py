"""One name for each expression, however a source spells it."""

from collections.abc import Iterable
import re
import unicodedata

from ferjax.data.dataset import CLASS_NAMES

_OTHERS = {
  'angry': ('anger',),
  'disgust': ('disgusted',),
  'fear': ('fearful',),
  'happy': ('happiness',),
  'sad': ('sadness',),
  'surprise': ('surprised',),
  'neutral': ('neutrality',),
  'contempt': ('contemptuous',),
}
_CANONICAL = {
  spelling: name for name in CLASS_NAMES for spelling in (name, *_OTHERS[name])
}


def canonical(name: str) -> str:
  """Returns the name of `CLASS_NAMES` that is meant, or a tidy form of `name`.

  Args:
    name: in any letter case; blanks, underscores and hyphens around the words
      and between them count alike.

  Returns:
    'happy' for 'Happiness', and of a class of the user's own the lower-case
    words with underscores between them: 'very_happy' for ' Very happy'. Where
    nothing but blanks and hyphens is there, ''.
  """
  name = unicodedata.normalize('NFC', name)  # macOS takes accents apart
  tidy = '_'.join(re.findall(r'[^\s_-]+', name.lower()))
  return _CANONICAL.get(tidy, tidy)


def order(names: Iterable[str]) -> tuple[str, ...]:
  """Returns canonical names once each: expressions first, others by alphabet.

  The expressions come in the order of `CLASS_NAMES`.
  """
  names = set(names)
  return (
    *(name for name in CLASS_NAMES if name in names),
    *sorted(names.difference(CLASS_NAMES)),
  )
