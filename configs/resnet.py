"""Residual networks, arXiv 1512.03385, at 48x48, from scratch.

For an accelerator, with --config.model.dtype=bfloat16; not measured yet:

python -m ferjax.main --config=configs/resnet.py:depth=18
"""

from ml_collections import config_dict

from ferjax import config as config_lib


def get_config(argument: str = '') -> config_dict.ConfigDict:
  """Returns the config; `argument` takes `depth=` and `dataset=`."""
  given = config_lib.parse_argument(argument, depth=18, dataset='fer2013')
  config = config_lib.default_config()
  config.data.name = given.dataset
  config.model.name = f'resnet{given.depth}'
  config.batch_size = 128
  config.num_epochs = 60.0 if given.dataset == 'fer2013' else 20.0
  config.optimizer.learning_rate = 0.1
  config.optimizer.weight_decay = 5e-4
  config.schedule.warmup_epochs = 2.0
  config.augment.shift = 0.1
  config.augment.scale = 0.1
  config.augment.erase = 0.5
  config.loss.label_smoothing = 0.1
  return config
