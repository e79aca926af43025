"""What a data set can give: its splits as they are, drawn, or in folds."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import typing

from ml_collections import config_dict
import numpy as np

from ferjax.data import ferplus, folds, holdout
from ferjax.data.dataset import SPLITS, Dataset, Split
from ferjax.errors import UserError

if typing.TYPE_CHECKING:
  from ferjax.data import reader

Read = Callable[[Sequence[str]], dict[str, Split]]


@dataclasses.dataclass(frozen=True)
class Source:
  """A data set before any of its splits is read.

  Attributes:
    config: the section `config.data`.
    where: it lies, for people.
    class_names: the meaning of each label.
    source: where its examples came from, for people.
    notes: what every output has to say about it.
    present: the splits that it has.
    missing: why a usual split is not there, by split.
    lacks_validation: whether one may be drawn from train.
    read: some of `present` into memory.
    subjects: reads whom each example of `full` shows, text `[n]`; None where
      nobody tells.
    deals_train: whether its train split, if it has one, is dealt into folds.
  """

  config: config_dict.ConfigDict
  where: str
  class_names: tuple[str, ...]
  source: str
  notes: tuple[str, ...]
  present: tuple[str, ...]
  missing: Mapping[str, str]
  lacks_validation: bool
  read: Read
  subjects: Callable[[], np.ndarray] | None
  deals_train: bool

  @property
  def in_folds(self) -> str | None:
    """The split that is dealt into folds, None where none is."""
    if self.present == (folds.SPLIT,):
      return folds.SPLIT
    return 'train' if self.deals_train and 'train' in self.present else None

  @property
  def split_names(self) -> tuple[str, ...]:
    """The splits that can be loaded."""
    if self.in_folds:
      return SPLITS
    drawn = ('validation',) if self.lacks_validation else ()
    return (*self.present, *drawn)

  def num_folds(self) -> int:
    """Returns how many folds there are.

    Raises:
      UserError: where there are none.
    """
    if self.config.fold_by == 'subject' and (
      self.subjects is None or not self.in_folds
    ):
      raise UserError(folds.no_subjects(self.config.name))
    if not self.in_folds:
      raise UserError(f'{self.where} has no train split to deal into folds')
    return self.config.num_folds or len(np.unique(self.subjects()))

  def load(self, names: Sequence[str]) -> Dataset:
    """Loads splits into memory.

    Raises:
      UserError: for one that is not there, or cannot be read.
    """
    for name in names:
      if name not in self.split_names:
        why = f': {self.missing[name]}' if name in self.missing else ''
        have = ', '.join(self.split_names)
        raise UserError(
          f'{self.where} has no {name!r} split (it has {have}){why}'
        )
    if self.in_folds:
      return self._load_fold(names)
    notes = self.notes
    parts = {'train', 'validation'} if self.lacks_validation else set()
    splits = self.read([name for name in names if name not in parts])
    if parts:
      notes = (*notes, holdout.note(self.config.name, self.config.seed))
    if parts & set(names):
      train = self.read(['train'])['train']
      splits['train'], splits['validation'] = holdout.draw(
        train, self.config.seed, self.source
      )
    return self._dataset(splits, notes, names)

  def _load_fold(self, names: Sequence[str]) -> Dataset:
    whole = self.in_folds
    subjects = None
    if self.subjects and self.config.fold_by == 'subject':
      subjects = self.subjects()
    full = self._dataset(self.read([whole]), self.notes, [whole])
    return folds.deal(self.config, full, subjects, names)

  def _dataset(
    self,
    splits: Mapping[str, Split],
    notes: tuple[str, ...],
    names: Sequence[str],
  ) -> Dataset:
    return Dataset(
      name=self.config.name,
      class_names=self.class_names,
      splits={name: splits[name] for name in names},
      source=self.source,
      notes=notes,
    )


def of_synthetic(config: config_dict.ConfigDict, foreign: bool) -> Source:
  """Returns the faces that are drawn here.

  Args:
    config: the section `config.data`.
    foreign: whether its other settings were made for another data set.

  Raises:
    UserError: if the settings want votes.
  """
  from ferjax.data import synthetic

  if not foreign:
    ferplus.validate(config, has_votes=False)
  empty = synthetic.load((), config.seed)
  return Source(
    config=config,
    where=config.name,
    class_names=empty.class_names,
    source=empty.source,
    notes=empty.notes,
    present=tuple(synthetic.SPLIT_SIZES),
    missing={},
    lacks_validation=False,
    read=lambda names: dict(synthetic.load(names, config.seed).splits),
    subjects=None,
    deals_train=config.fold_by == 'frame' and not foreign,
  )


def of_prepared(
  config: config_dict.ConfigDict, prepared: 'reader.Prepared', foreign: bool
) -> Source:
  """Returns a data set that lies prepared on disk.

  Args:
    config: the section `config.data`.
    prepared: what lies there.
    foreign: whether its other settings were made for another data set.

  Raises:
    UserError: if the settings want votes that are not there.
  """
  has_votes = ferplus.has_votes(prepared)
  if not foreign:
    ferplus.validate(config, has_votes)
    if config.fold_by == 'frame' and config.label_mode != 'majority':
      raise UserError(
        f'config.data.label_mode={config.label_mode} would choose what the'
        " folds are tested on too; with config.data.fold_by='frame', only"
        ' majority can be had'
      )

  def read(names: Sequence[str]) -> dict[str, Split]:
    if has_votes:
      return ferplus.load(prepared, names, config)
    return {name: prepared.read(name)[0] for name in names}

  def subjects() -> np.ndarray:
    return prepared.read(folds.SPLIT, ('subject',))[1]['subject']

  present = tuple(prepared.split_names)
  return Source(
    config=config,
    where=f'{config.name} as prepared in {config.dir}',
    class_names=prepared.class_names,
    source=prepared.source,
    notes=(*prepared.notes, *([ferplus.note(config)] if has_votes else [])),
    present=present,
    missing=prepared.missing,
    # Where `prepare` wrote no validation split, it had a reason.
    lacks_validation=not prepared.is_own
    and 'train' in present
    and 'validation' not in present,
    read=read,
    subjects=subjects if 'subject' in prepared.columns else None,
    deals_train=config.fold_by == 'frame' and not foreign,
  )
