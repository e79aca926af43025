"""Handwritten digits: where to begin, and a check of a new machine.

python -m ferjax.prepare --dataset=mnist --source=FOLDER
python -m ferjax.main --config=configs/mnist.py
python -m ferjax.evaluate --workdir=runs/mnist --split=test
  97% (expected, not measured here)
python -m ferjax.main --config=configs/mnist.py:model=simple_cnn
python -m ferjax.evaluate --workdir=runs/mnist-model=simple_cnn --split=test
  99% (expected, not measured here)

Without the files: --config=configs/mnist.py:dataset=synthetic
"""

from ml_collections import config_dict

from ferjax import config as config_lib


def get_config(argument: str = '') -> config_dict.ConfigDict:
  """Returns the config; `argument` takes `model=` and `dataset=`."""
  given = config_lib.parse_argument(argument, model='mlp', dataset='mnist')
  config = config_lib.default_config()
  config.data.name = given.dataset
  config.model.name = given.model
  config.batch_size = 128
  config.num_epochs = 8.0
  config.optimizer.name = 'adamw'
  config.optimizer.learning_rate = 1e-3
  config.optimizer.weight_decay = 0.01
  config.schedule.warmup_epochs = 0.5
  config.augment.flip = False  # a mirrored digit is none
  config.augment.shift = 0.05
  return config
