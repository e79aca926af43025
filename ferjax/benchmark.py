"""Times a training's parts: python -m ferjax.benchmark --config=..."""

from collections.abc import Sequence
import json

from absl import flags
from ml_collections import config_flags

from ferjax import cli
from ferjax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The config file, FILE or FILE:key=value,...'
)
_OUTPUT = flags.DEFINE_string('output', None, 'A JSON file for the figures.')
_CALLS = flags.DEFINE_integer(
  'calls', 30, 'How many calls of the step each figure is measured over.'
)
flags.mark_flag_as_required('config')


def main(argv: Sequence[str]) -> None:
  """Measures, prints and writes the figures."""
  del argv
  cli.config_file(_CONFIG)
  from ferjax import logs, parallel, speed

  parallel.use_compilation_cache()
  if _CALLS.value < 1:
    raise UserError(f'--calls={_CALLS.value}: give 1 or more')
  figures = speed.measure(_CONFIG.value, _CALLS.value)
  rows = {
    name: f'{value:,.4g}' if isinstance(value, float) else str(value)
    for name, value in figures.items()
  }
  logs.print_header('benchmark', rows, logs.make_console())
  if _OUTPUT.value:
    path = cli.path(_OUTPUT.value)
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(json.dumps(figures, indent=2) + '\n')
    except OSError as error:
      raise UserError(
        f'cannot write --output={path} ({error.strerror})'
      ) from error
    print(f'written to {path}')


if __name__ == '__main__':
  cli.run(main)
