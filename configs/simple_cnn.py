"""Three convolutions and a dense layer: the usual first network.

python -m ferjax.main --config=configs/simple_cnn.py
  12 minutes on two CPU cores; 59.1% of FER2013's validation (seed 0)
python -m ferjax.main --config=configs/simple_cnn.py:dataset=synthetic
"""

from ml_collections import config_dict

from ferjax import config as config_lib


def get_config(argument: str = '') -> config_dict.ConfigDict:
  """Returns the config; `argument` takes `dataset=`."""
  given = config_lib.parse_argument(argument, dataset='fer2013')
  config = config_lib.default_config()
  config.data.name = given.dataset
  config.model.name = 'simple_cnn'
  config.model.dropout = 0.2
  config.num_epochs = 15.0 if given.dataset == 'fer2013' else 8.0
  config.optimizer.name = 'adamw'
  config.optimizer.learning_rate = 1e-3
  config.optimizer.weight_decay = 0.01
  config.schedule.warmup_epochs = 0.5
  config.augment.shift = 0.08
  return config
