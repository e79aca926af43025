"""CK+48 with subject-independent folds: the small DenseNet, from scratch.

python -m ferjax.main --config=configs/ckplus.py
  1.3 minutes on two CPU cores; 83.8% of fold 1's 117 images
  (validation) and 89.9% of fold 0's 99 (test, read once)
python -m ferjax.main --config=configs/ckplus.py:fold=3

Fold F is the test split and fold F+1 mod 10 validation; the rest trains.
"""

from ml_collections import config_dict

from ferjax import config as config_lib


def get_config(argument: str = '') -> config_dict.ConfigDict:
  """Returns the config; `argument` takes `fold=` and `dataset=`."""
  given = config_lib.parse_argument(argument, fold=0, dataset='ckplus')
  config = config_lib.default_config()
  config.data.name = given.dataset
  config.data.fold = given.fold
  config.model.name = 'densenet_small'
  config.batch_size = 32
  config.num_epochs = 40.0
  config.eval_every_epochs = 2.0
  config.optimizer.learning_rate = 0.05
  config.optimizer.weight_decay = 5e-4
  config.schedule.warmup_epochs = 2.0
  config.augment.shift = 0.08
  config.augment.scale = 0.1
  config.augment.rotation = 10.0
  config.log_every_steps = 20
  return config
