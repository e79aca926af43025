"""What a training step reads and writes: arrays only, no functions."""

from typing import Any

import flax.struct
import jax
import numpy as np
import optax


@flax.struct.dataclass
class TrainState:
  """The whole state of a training.

  Attributes:
    step: int32 scalar, the number of steps made.
    params: float32 parameters of the network.
    model_state: its other variables, such as batch statistics.
    opt_state: of the optimiser, its step count included.
    ema: moving averages, `{'params': ..., 'model_state': ...}`, or None.
  """

  step: Any
  params: Any
  model_state: Any
  opt_state: Any
  ema: Any = None

  @property
  def variables(self) -> dict[str, Any]:
    """The weights that count: the moving average where there is one."""
    if self.ema is not None:
      return self.ema
    return {'params': self.params, 'model_state': self.model_state}

  def split(self) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns `variables`, and everything else, as a checkpoint holds them."""
    rest = {'step': self.step, 'opt_state': self.opt_state}
    if self.ema is not None:
      rest |= {'params': self.params, 'model_state': self.model_state}
    return self.variables, rest

  def join(
    self, variables: dict[str, Any], rest: dict[str, Any]
  ) -> 'TrainState':
    """Returns the state of this form that `split` took apart."""
    weights = variables if self.ema is None else {'ema': variables}
    return self.replace(**rest, **weights)


def create(
  variables: dict[str, Any],
  optimizer: optax.GradientTransformation,
  use_ema: bool,
) -> TrainState:
  """Returns the state before the first step.

  Args:
    variables: of the network, `params` and whatever else it keeps.
    optimizer: whose state is made for the parameters.
    use_ema: whether a moving average of the weights is kept.
  """
  variables = dict(variables)
  params = variables.pop('params')
  return TrainState(
    step=np.zeros((), np.int32),
    params=params,
    model_state=variables,
    # As one program: one for each shape takes longer to compile.
    opt_state=jax.jit(optimizer.init)(params),
    ema={'params': params, 'model_state': variables} if use_ema else None,
  )
