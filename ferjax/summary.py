"""Lists a network's layers: python -m ferjax.summary --config=..."""

from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from ferjax import cli
from ferjax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The config file, FILE or FILE:key=value,...'
)
_IMAGE_SHAPE = flags.DEFINE_list(
  'image_shape', None, "HEIGHT,WIDTH,CHANNELS of images; default: the data's."
)
_CLASSES = flags.DEFINE_integer(
  'num_classes', None, "How many classes; default: the data's.", lower_bound=1
)
flags.mark_flag_as_required('config')


def main(argv: Sequence[str]) -> None:
  """Prints the layers of the config's network, and their sums."""
  del argv
  cli.config_file(_CONFIG)
  cli.stay_on_cpu()  # nothing is computed
  from ferjax import logs, models, preprocess, tables
  from ferjax.models import summary

  config = _CONFIG.value
  preprocess.validate(config)
  models.validate(config.model)
  data_shape, num_classes = _data()
  shape = preprocess.input_shape(config, data_shape)
  rows = summary.layers(models.from_config(config.model, num_classes), shape)
  print(
    f'{config.model.name}, {num_classes} classes, '
    f'images of {"x".join(map(str, shape))}\n'
  )
  totals = summary.total(rows)
  lines = [
    *(
      (
        row.path or '(itself)',
        row.kind,
        'x'.join(map(str, row.output_shape)),
        f'{row.parameters:,}',
        f'{row.flops:,}',
      )
      for row in rows
    ),
    ('total', '', '', f'{totals.parameters:,}', f'{totals.flops:,}'),
  ]
  headings = ('layer', 'kind', 'output', 'parameters', 'FLOPs')
  columns = [
    tables.Column(
      heading,
      list(map(tables.Cell, cells)),
      is_number=heading not in headings[:2],
    )
    for heading, cells in zip(headings, zip(*lines, strict=True), strict=True)
  ]
  tables.print_table(columns, logs.make_console())
  print(
    '\nFLOPs: of one forward pass over one image, a multiply-add counted as '
    'two;\nconvolutions, dense layers and other matrix products only.'
  )


def _data() -> tuple[tuple[int, ...], int]:
  """Returns the shape of the stored images and the number of classes."""
  given = _IMAGE_SHAPE.value
  shape = tuple(int(x) if x.isdecimal() else 0 for x in given or ())
  if given and (len(shape) != 3 or min(shape) < 1 or shape[2] not in (1, 3)):
    raise UserError(
      f'--image_shape={",".join(given)}: give height, width and 1 or 3 '
      'channels, as 48,48,1'
    )
  if given and _CLASSES.value:
    return shape, _CLASSES.value
  from ferjax import data

  try:
    dataset = data.load_dataset(_CONFIG.value.data, ('validation',))
  except UserError as error:
    raise UserError(
      f'{error}\n  or without data: --image_shape=48,48,1 --num_classes=7'
    ) from error
  return shape or dataset.image_shape, _CLASSES.value or dataset.num_classes


if __name__ == '__main__':
  cli.run(main)
