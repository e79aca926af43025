"""Goes back to the last good checkpoint after a training went astray."""

import jax
import numpy as np

from ferjax import parallel, recovery
from ferjax.errors import TrainingError
from ferjax.run import build
from ferjax.training.member import Member


def prepare(member: Member) -> str:
  """Prepares a run that failed to go on from its last good checkpoint.

  Later checkpoints are deleted. The learning rate is lower from there on, and
  the data is that which comes after the steps that failed.

  Args:
    member: whose `failure` says where it went astray.

  Returns:
    A line about it.

  Raises:
    TrainingError: its failure, where the config does not want that, or it went
      back too often.
  """
  run, failure = member.run, member.failure
  config = run.config
  if config.on_nan != 'rollback':
    raise failure
  if run.recovery.times >= config.max_rollbacks:
    raise TrainingError(
      f'{failure}. It went back {run.recovery.times} times, as often as'
      ' config.max_rollbacks allows'
    )
  step = _last_good_step(member)
  skip = member.astray[-1] - step  # as many batches as led there
  after = run.recovery.after(config.rollback_factor, skip)
  if parallel.is_main_process():
    recovery.write(member.workdir, after, step, member.why)
  parallel.barrier('rollback')
  dataset = run.dataset
  member.run = build(config, step > 0, dataset, after)
  member.failure = None
  rate = config.optimizer.learning_rate * after.learning_rate_factor
  return (
    f'{member.why} between steps {member.astray[0]} and {member.astray[-1]}:'
    f' back to step {step}, rate {rate:.3g}, {skip} batches left out'
    f' ({after.times} of at most {config.max_rollbacks} times)'
  )


def _last_good_step(member: Member) -> int:
  """Returns the newest step whose state is finite, 0 without one."""
  checkpoints = member.checkpoints
  while True:
    restored = checkpoints.restore_latest(member.run.state)
    if restored is None:
      return 0
    leaves = jax.tree.leaves(parallel.to_host(restored.state))
    if all(np.all(np.isfinite(leaf)) for leaf in leaves):
      return restored.next_index
    checkpoints.forget_after(restored.next_index - 1)
