"""Which checkpoints stay: the latest ones, and the best."""

from collections.abc import Mapping

from orbax.checkpoint import checkpoint_manager
from orbax.checkpoint.checkpoint_managers import preservation_policy

BEST_METRIC = 'val/accuracy'


def options(
  keep: int, read_only: bool
) -> checkpoint_manager.CheckpointManagerOptions:
  """Returns Orbax's options.

  Args:
    keep: how many of the latest stay; the best stays beside them.
    read_only: whether nothing is to be saved or removed.
  """
  policy = preservation_policy.AnyPreservationPolicy(
    [
      preservation_policy.LatestN(keep),
      preservation_policy.BestN(
        get_metric_fn=_rank, n=1, keep_checkpoints_without_metrics=False
      ),
    ]
  )
  return checkpoint_manager.CheckpointManagerOptions(
    preservation_policy=policy, best_fn=_rank, read_only=read_only
  )


def is_step(name: str) -> bool:
  """Returns whether a checkpoint of ours has this name: 010 is not 10."""
  return name.isdecimal() and name == str(int(name))


def _rank(metrics: Mapping[str, float]) -> tuple[float, float]:
  return metrics[BEST_METRIC], -metrics['step']  # of equals, the first
