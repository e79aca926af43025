"""PyTorch's side of against_torch.py: a process that trains when told to.

It gets what to train as JSON, as its only argument. It says what it has built
in a line of JSON; then, for each line with a number of steps, it makes these
and answers with their seconds. It ends with its input. Of ferjax it has the
setting of the C library's memory, which helps both alike.
"""

from collections.abc import Callable
import contextlib
import json
import sys
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional
import torch_networks

from ferjax import heap

SIDE, CHANNELS = 48, 1
SHIFT = 0.1  # of the side, each way
NUM_CLASSES = 7

_WARM_STEPS = 3  # CUDA graphs run, are recorded, are played
_TRIAL_STEPS = 3  # of which the quickest counts


def augment(images: torch.Tensor) -> torch.Tensor:
  """Flips half of the images and shifts all, reading them bilinearly.

  Args:
    images: float32 `[n, channels, height, width]`. What lies beyond an edge
      is like the edge.
  """
  n, device = len(images), images.device
  maps = torch.zeros(n, 2, 3, device=device)
  maps[:, 0, 0] = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
  maps[:, 1, 1] = 1.0
  # A side is 2 long here.
  maps[:, :, 2] = 2 * SHIFT * (2 * torch.rand(n, 2, device=device) - 1)
  grid = functional.affine_grid(maps, images.shape, align_corners=False)
  return functional.grid_sample(
    images, grid, padding_mode='border', align_corners=False
  )


def standardize(images: torch.Tensor) -> torch.Tensor:
  """Brings each image to zero mean and unit deviation, as `per_image` does."""
  axes = (1, 2, 3)
  centered = images - images.mean(axes, keepdim=True)
  variance = centered.square().mean(axes, keepdim=True)
  return centered / variance.clamp(min=1.0 / images[0].numel()).sqrt()


class Trainer:
  """A network, its optimiser, and one batch that lies on the device."""

  def __init__(
    self, name: str, batch_size: int, device: str, cores: int
  ) -> None:
    """Builds all that, and keeps the quickest setting.

    Args:
      name: one of `torch_networks.NETWORKS`.
      batch_size: images a step.
      device: 'cpu', for float32 in eager mode with as many threads as are
        best; 'cuda', for bfloat16 (autocast) compiled in the best mode.
      cores: the most threads that are tried.
    """
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    torch.backends.cudnn.benchmark = True
    network = torch_networks.NETWORKS[name](NUM_CLASSES, CHANNELS)
    self.num_parameters = torch_networks.num_parameters(network)
    self._network = network.to(device, memory_format=torch.channels_last)
    self._device, self._cores = device, cores
    shape = (batch_size, CHANNELS, SIDE, SIDE)
    self._images = torch.randint(
      256, shape, dtype=torch.uint8, device=device
    ).contiguous(memory_format=torch.channels_last)
    self._labels = torch.randint(NUM_CLASSES, (batch_size,), device=device)
    self._optimizer = _make_optimizer(self._network)
    self._loss = self._loss_of_batch
    choose = self._best_threads if device == 'cpu' else self._best_mode
    self.setting = choose()

  def train(self, num_steps: int) -> float:
    """Makes steps; returns the seconds that they took."""
    began = time.perf_counter()
    for _ in range(num_steps):
      self._optimizer.zero_grad()
      self._loss().backward()
      self._optimizer.step()
    if self._device == 'cuda':
      torch.cuda.synchronize()
    return time.perf_counter() - began

  def _loss_of_batch(self) -> torch.Tensor:
    images = standardize(augment(self._images.float() / 255))
    with self._precision():
      logits = self._network(images)
    return functional.cross_entropy(logits.float(), self._labels)

  def _precision(self) -> contextlib.AbstractContextManager:
    if self._device == 'cpu':
      return contextlib.nullcontext()
    return torch.autocast(self._device, torch.bfloat16)

  def _best_threads(self) -> str:
    """Uses as many threads as make the quickest step; says how many."""
    seconds = {n: self._try_threads(n) for n in range(1, self._cores + 1)}
    best = min(seconds, key=seconds.get)
    torch.set_num_threads(best)
    return f'{best} of {self._cores} threads'

  def _try_threads(self, num_threads: int) -> float:
    torch.set_num_threads(num_threads)
    return self._try()

  def _best_mode(self) -> str:
    """Compiles in the mode that makes the quickest step; names it."""
    compiled = {
      mode: torch.compile(self._loss_of_batch, mode=mode)
      for mode in ('default', 'reduce-overhead')
    }
    seconds = {mode: self._try_loss(loss) for mode, loss in compiled.items()}
    best = min(seconds, key=seconds.get)
    self._loss = compiled[best]
    return f'compile, {best}'

  def _try_loss(self, loss: Callable[[], torch.Tensor]) -> float:
    self._loss = loss
    return self._try()

  def _try(self) -> float:
    """Returns the seconds of the quickest of a few steps."""
    self.train(_WARM_STEPS)
    return min(self.train(1) for _ in range(_TRIAL_STEPS))


def _make_optimizer(network: nn.Module) -> torch.optim.Optimizer:
  """Returns SGD that decays kernels only, all updates in one pass."""
  groups = {True: [], False: []}
  for parameter in network.parameters():
    groups[parameter.ndim > 1].append(parameter)
  return torch.optim.SGD(
    [
      {'params': groups[True], 'weight_decay': 5e-4},
      {'params': groups[False], 'weight_decay': 0.0},
    ],
    lr=0.01,
    momentum=0.9,
    nesterov=True,
    fused=True,
  )


def main() -> None:
  """Builds, answers, and takes its turns."""
  heap.keep_freed_memory()
  answers, sys.stdout = sys.stdout, sys.stderr  # what prints is not an answer

  def answer(**values: Any) -> None:
    print(json.dumps(values), file=answers, flush=True)

  trainer = Trainer(**json.loads(sys.argv[1]))
  answer(parameters=trainer.num_parameters, setting=trainer.setting)
  for line in sys.stdin:
    answer(seconds=trainer.train(int(line)))


if __name__ == '__main__':
  main()
