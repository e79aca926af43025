r"""How the cost of a training step grows along four settings.

python benchmarks/scaling.py --output=runs/scaling.json
python benchmarks/scaling.py --config=configs/resnet.py:depth=50 \
    --config.model.dtype=bfloat16 --batch_sizes=128,512,2048

One step a call, on a batch that lies on the devices. Steps of one setting take
turns, also those on virtual devices, whose processes are all started first.
Virtual devices share the cores: what is shown there is what splitting costs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import functools
from typing import Any

from absl import flags
import clock
from ml_collections import config_dict, config_flags
from trial import Trial
from virtual import VirtualTrial

from ferjax import cli, models, parallel
from ferjax.errors import UserError
from ferjax.models import baselines, densenet, resnet, simple_cnn
from ferjax.plots.scaling import (
  Growth,
  format_bytes,
  format_seconds,
  plot_scaling,
)

# The fields that make a network wider, by its class.
WIDTHS = {
  baselines.MLP: ('widths',),
  simple_cnn.SimpleCNN: ('widths', 'hidden'),
  densenet.DenseNet: ('width', 'growths'),
  resnet.ResNet: ('width',),
}

# The flags that list values, with those that they have by default.
SIZES = {
  'batch_sizes': ('8,16,32,64,128,256,512', 'Images a step'),
  'image_sizes': ('48,96,224', 'Sides in pixels'),
  'widths': ('0.5,1,2,4', "Times the network's own channels"),
  'devices': ('1,2,4,8', 'Virtual devices of the CPU'),
}

TakeTurns = Callable[[Mapping[str, Callable[[], Any]]], dict[str, float]]


def main(argv: Sequence[str]) -> None:
  """Measures, prints a table for each setting, and draws them all."""
  del argv
  given = flags.FLAGS
  cli.config_file(given['config'])
  sizes = {flag: _sizes(flag, given[flag].value) for flag in SIZES}
  if not any(sizes.values()):
    raise UserError(f'nothing to measure; give --{" or --".join(SIZES)}')
  parallel.use_compilation_cache()
  take_turns = functools.partial(
    clock.take_turns, rounds=given.rounds, seconds=given.seconds
  )
  model = given.config.model
  print(f'{model.name}, {model.dtype}: a training step as it grows')
  print(f'{clock.machine()}\n')
  growths = []
  for growth in grow(given.config, sizes, given.image_batch, take_turns):
    print(f'{growth.title}\n\n{table(growth)}\n')
    growths.append(growth)
  if given.output:
    figures = {
      'network': model.name,
      'dtype': model.dtype,
      'machine': clock.machine(),
      'growths': [growth._asdict() for growth in growths],
    }
    clock.write(given.output, figures)
    title = f'What a training step of {model.name} costs'
    plot_scaling(growths, cli.path(given.output).with_suffix('.png'), title)


def grow(
  config: config_dict.ConfigDict,
  sizes: Mapping[str, Sequence[float]],
  image_batch: int,
  take_turns: TakeTurns,
) -> Iterator[Growth]:
  """Yields the growth along each setting of which `sizes` has values.

  Args:
    config: of the training; its data is not read.
    sizes: by `batch_sizes`, `image_sizes`, `widths` and `devices`.
    image_batch: images a step along `image_sizes`.
    take_turns: times the trials.
  """
  config = _changed(config, steps_per_call=1)
  held = f'{config.batch_size} images a step'
  if values := sizes['batch_sizes']:
    trials = [Trial(_changed(config, batch_size=n)) for n in values]
    yield _measure('Batch size', 'images a step', values, trials, take_turns)
  if values := sizes['image_sizes']:
    small = functools.partial(_changed, config, batch_size=image_batch)
    trials = [Trial(small(image_size=side)) for side in values]
    title = f'Image size, {image_batch} images a step'
    yield _measure(title, 'pixels of a side', values, trials, take_turns)
  if values := sizes['widths']:
    trials = [Trial(widened(config, factor)) for factor in values]
    unit = f'times the channels of {config.model.name}'
    yield _measure(f'Width, {held}', unit, values, trials, take_turns)
  if values := sizes['devices']:
    with contextlib.ExitStack() as stack:
      trials = [stack.enter_context(VirtualTrial(config, n)) for n in values]
      title = f'Virtual devices on the same cores, {held}'
      yield _measure(title, 'devices', values, trials, take_turns)


def widened(
  config: config_dict.ConfigDict, factor: float
) -> config_dict.ConfigDict:
  """Returns the config of a network with `factor` times the channels.

  It is entered into `models.MODELS` under a name of its own.

  Raises:
    UserError: when it is not known how this network grows wider.
  """
  name = config.model.name
  network = models.from_config(config.model, num_classes=1)
  fields = WIDTHS.get(type(network), ())
  channels = {f: _scaled(getattr(network, f), factor) for f in fields}
  if not any(channels.values()):
    kinds = ', '.join(kind.__name__ for kind in WIDTHS)
    raise UserError(
      f'{name} has no known width; have those of {kinds}, or give --widths='
    )
  wide = f'{name}_x{factor:g}'
  models.MODELS[wide] = functools.partial(models.MODELS[name], **channels)
  config = _changed(config)
  config.model.name = wide
  return config


def table(growth: Growth) -> str:
  """Returns the Markdown table of a growth.

  The last two columns are what each multiply-add costs; the first row is 1.
  """
  rows = []
  for value, images, work, seconds, memory in zip(*growth[2:], strict=True):
    more = work / growth.work[0]
    rows.append(
      (
        f'{value:g}',
        f'{work / images / 1e6:,.3g} million',
        format_seconds(seconds),
        f'{images / seconds:,.0f}',
        format_bytes(memory),
        f'{seconds / growth.seconds[0] / more:.2f}',
        f'{memory / growth.memory[0] / more:.2f}',
      )
    )
  header = (
    growth.unit,
    'multiply-adds an image',
    'a step',
    'images/s',
    'memory',
    'time by work',
    'memory by work',
  )
  return clock.markdown(header, rows)


def _sizes(flag: str, given: Sequence[str]) -> list[float]:
  if not given:
    return []
  if flag == 'widths':
    return clock.numbers(flag, given, float, lowest=0.01)
  return clock.numbers(flag, given)


def _changed(
  config: config_dict.ConfigDict, **fields: Any
) -> config_dict.ConfigDict:
  config = config.copy_and_resolve_references()
  config.update(fields)
  return config


def _scaled(channels: int | Sequence[int], factor: float) -> Any:
  if isinstance(channels, int):
    return max(1, round(factor * channels))
  return tuple(_scaled(c, factor) for c in channels)


def _measure(
  title: str,
  unit: str,
  values: Sequence[float],
  trials: Sequence[Trial | VirtualTrial],
  take_turns: TakeTurns,
) -> Growth:
  works = {str(n): t.train for n, t in zip(values, trials, strict=True)}
  seconds = take_turns(works)
  costs = [trial.costs for trial in trials]
  return Growth(
    title,
    unit,
    list(values),
    [cost.images for cost in costs],
    [cost.work for cost in costs],
    list(seconds.values()),
    [cost.memory for cost in costs],
  )


def _define_flags() -> None:
  """Not at import: tests import several scripts, whose flags would clash."""
  config_flags.DEFINE_config_file(
    'config',
    'configs/densenet.py',
    'FILE[:key=value,...]; its data is not read.',
  )
  for flag, (values, words) in SIZES.items():
    flags.DEFINE_list(flag, values, f'{words}; empty: left out.')
  flags.DEFINE_integer(
    'image_batch', 16, 'Images a step while their size grows.', lower_bound=1
  )
  flags.DEFINE_integer('rounds', 5, 'Turns of each step.', lower_bound=1)
  flags.DEFINE_float('seconds', 1.0, 'Of a turn; one call at least.')
  flags.DEFINE_string(
    'output', None, 'A JSON file for the figures; the plot is a PNG beside it.'
  )


if __name__ == '__main__':
  _define_flags()
  cli.run(main)
