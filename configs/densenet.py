"""Densely connected networks, arXiv 1608.06993, at 48x48, from scratch.

Without `depth=`, the small one for two CPU cores:

python -m ferjax.main --config=configs/densenet.py:dataset=synthetic
  1.1 minutes; 95.8% of validation (seed 0)
python -m ferjax.main --config=configs/densenet.py
  14 minutes; 63.9% and 64.2% of FER2013's validation (seeds 0 and 1)

For an accelerator, with --config.model.dtype=bfloat16; not measured yet:

python -m ferjax.main --config=configs/densenet.py:depth=121
"""

from ml_collections import config_dict

from ferjax import config as config_lib


def get_config(argument: str = '') -> config_dict.ConfigDict:
  """Returns the config; `argument` takes `depth=` and `dataset=`."""
  given = config_lib.parse_argument(argument, depth=0, dataset='fer2013')
  config = config_lib.default_config()
  config.data.name = given.dataset
  config.augment.shift = 0.1
  config.augment.scale = 0.1
  if given.depth:
    config.model.name = f'densenet{given.depth}'
    config.batch_size = 128
    config.num_epochs = 60.0 if given.dataset == 'fer2013' else 20.0
    config.optimizer.weight_decay = 5e-4
    config.schedule.warmup_epochs = 2.0
    config.augment.erase = 0.5
    config.loss.label_smoothing = 0.1
  else:
    config.model.name = 'densenet_small'
    config.optimizer.weight_decay = 5e-4
    config.num_epochs = 15.0 if given.dataset == 'fer2013' else 8.0
    config.schedule.warmup_epochs = 0.5
  return config
