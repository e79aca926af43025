"""Several classifiers that answer as one: the mean of their probabilities.

The mean of the members' probabilities is a "deep ensemble" (Lakshminarayanan
et al. 2017, arXiv:1612.01474).
"""

from collections.abc import Sequence
import dataclasses

from ml_collections import config_dict
import numpy as np

from ferjax import inference
from ferjax import workdir as workdir_lib
from ferjax.data.dataset import Split
from ferjax.errors import UserError
from ferjax.inference import Classifier, Evaluation
from ferjax.storage import Path

# The workdir of a seed of `config.num_members`, followed by its number.
MEMBER = 'member_'

_LEAST = np.finfo(np.float32).tiny  # whose logarithm is finite


@dataclasses.dataclass(frozen=True)
class Ensemble:
  """Members with the same classes, each with the same weight.

  A `Classifier`. The order of the classes is the first member's; those of the
  others are matched by name. Members may be of different networks, and of
  different image sizes as long as each takes the images.

  Attributes:
    members: at least two.
    names: of the members, all different.
    temperature: as a `Predictor`'s, of the mean.
  """

  members: tuple[Classifier, ...]
  names: tuple[str, ...]
  temperature: float | None = None

  def __post_init__(self) -> None:
    first = self.members[0]
    for name, member in zip(self.names, self.members, strict=True):
      if set(member.class_names) != set(first.class_names):
        raise UserError(
          f'no ensemble of different classes: {self.names[0]} knows '
          f'{", ".join(first.class_names)}; {name} knows '
          f'{", ".join(member.class_names)}'
        )

  @property
  def config(self) -> config_dict.ConfigDict:
    """The first member's config, which names the data."""
    return self.members[0].config

  @property
  def configs(self) -> tuple[config_dict.ConfigDict, ...]:
    """Of every run in it."""
    return tuple(c for member in self.members for c in member.configs)

  @property
  def class_names(self) -> tuple[str, ...]:
    """The meaning of each column of `probabilities`."""
    return self.members[0].class_names

  @property
  def title(self) -> str:
    """How many members there are, and of which networks."""
    networks = dict.fromkeys(member.title for member in self.members)
    return f'ensemble of {len(self.members)} ({", ".join(networks)})'

  @property
  def step(self) -> int:
    """The latest of the members' checkpoints."""
    return max(member.step for member in self.members)

  @property
  def tta(self) -> str:
    """The name of the views that each member averages over."""
    return self.members[0].tta

  def evaluate(self, split: Split) -> Evaluation:
    """Asks every member about every example of `split`.

    Args:
      split: its labels, and the columns of its targets, are positions in
        `class_names`.

    Returns:
      What the mean of the probabilities says, with every member's own
      evaluation. All members together make `images_per_second`.

    Raises:
      UserError: when a member does not take the images.
    """
    alone = [self._ask(member, split) for member in self.members]
    mean = np.mean(
      [each.probabilities for each in alone], axis=0, dtype=np.float64
    ).astype(np.float32)
    speeds = [each.images_per_second for each in alone]
    return Evaluation(
      sums=sums(mean, split.labels),
      probabilities=mean,
      images_per_second=1 / sum(1 / x for x in speeds) if all(speeds) else None,
      members=tuple(zip(self.names, alone, strict=True)),
    )

  def probabilities(self, images: np.ndarray) -> np.ndarray:
    """Returns float32 `[n, classes]` for uint8 `[n, height, width, channels]`.

    Raises:
      UserError: when a member does not take the images.
    """
    answers = [
      member.probabilities(images)[:, self._places(member)]
      for member in self.members
    ]
    return np.mean(answers, axis=0, dtype=np.float64).astype(np.float32)

  def _places(self, member: Classifier) -> list[int]:
    """Returns where the member has each class of the ensemble."""
    return [member.class_names.index(name) for name in self.class_names]

  def _ask(self, member: Classifier, split: Split) -> Evaluation:
    """Evaluates a member; what it says is brought to the ensemble's order."""
    places = self._places(member)
    order = np.argsort(places)  # where the ensemble has the member's classes
    targets = split.targets
    evaluation = member.evaluate(
      dataclasses.replace(
        split,
        labels=np.array(places, np.int32)[split.labels],
        targets=None if targets is None else targets[:, order],
      )
    )
    confusion = evaluation.sums['confusion'][np.ix_(places, places)]
    return evaluation._replace(
      sums=evaluation.sums | {'confusion': confusion},
      probabilities=evaluation.probabilities[:, places],
    )


def sums(
  probabilities: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns what the evaluation step sums up, of probabilities on the host.

  Args:
    probabilities: float `[n, classes]`.
    labels: int `[n]`.

  Returns:
    `loss`, the cross-entropy, `correct`, `count` and `confusion`
    `[classes, classes]`, in float64.
  """
  num_classes = probabilities.shape[1]
  guesses = probabilities.argmax(axis=1)
  confusion = np.zeros((num_classes, num_classes))
  np.add.at(confusion, (labels, guesses), 1)
  own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
  return {
    'loss': -np.log(np.maximum(own, _LEAST)).sum(),
    'correct': np.trace(confusion),
    'count': np.float64(len(labels)),
    'confusion': confusion,
  }


def load(
  workdirs: Sequence[Path],
  checkpoint: str = 'best',
  tta: str | None = None,
) -> inference.Predictor | Ensemble:
  """Loads the network of a workdir, or all those of several as an ensemble.

  A workdir of `config.num_members` seeds holds a workdir for each, and is an
  ensemble itself; among several workdirs it counts as one member.

  Args:
    workdirs: at least one; of the same classes in any order.
    checkpoint: `best`, `latest` or a step, of each.
    tta: the views of each, see `inference.load`.

  Raises:
    UserError: when one cannot be loaded, is given twice, or has other classes.
  """
  if len({workdir.resolve() for workdir in workdirs}) < len(workdirs):
    raise UserError(
      'a workdir is given twice: ' + ', '.join(map(str, workdirs))
    )
  members = []
  for workdir in workdirs:
    within = member_workdirs(workdir)
    if within:
      alone = tuple(inference.load(p, checkpoint, tta) for p in within)
      members.append(Ensemble(alone, tuple(p.name for p in within)))
    else:
      members.append(inference.load(workdir, checkpoint, tta))
  if len(members) == 1:
    return members[0]
  return Ensemble(tuple(members), tuple(map(str, workdirs)))


def member_workdirs(workdir: Path) -> list[Path]:
  """Returns the workdirs of the seeds in this one; none of a single run."""
  if (workdir / workdir_lib.CONFIG).exists():
    return []
  numbers = {
    path: path.name.removeprefix(MEMBER) for path in workdir.glob(f'{MEMBER}*')
  }
  members = [path for path, number in numbers.items() if number.isdecimal()]
  return sorted(members, key=lambda path: int(numbers[path]))
