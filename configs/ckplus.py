"""CK+48 with subject-independent folds: the small DenseNet.

python -m ferjax.main --config=configs/ckplus.py
  1.3 minutes on two CPU cores; 83.8% of fold 1's 117 images
  (validation) and 89.9% of fold 0's 99 (test, read once)
python -m ferjax.main --config=configs/ckplus.py:fold=3
python -m ferjax.crossval --config=configs/ckplus.py
  14 minutes; 85.6 +- 5.1% over ten folds, each tested once
python -m ferjax.crossval --config=configs/ckplus.py:start=runs/densenet
  11 minutes; 95.2 +- 2.7%, from a network that knows FER2013 (64.2% there)

Fold F is the test split and fold F+1 mod 10 validation; the rest trains.
"""

from ml_collections import config_dict

from ferjax import config as config_lib


def get_config(argument: str = '') -> config_dict.ConfigDict:
  """Returns the config; takes `fold=`, `start=` and `dataset=`."""
  given = config_lib.parse_argument(
    argument, fold=0, start='', dataset='ckplus'
  )
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
  if given.start:  # a workdir of densenet_small: gentler, and less sure
    config.init_from = given.start
    config.optimizer.learning_rate = 0.02
    config.loss.label_smoothing = 0.1
    config.ema_decay = 0.99
    config.augment.mixup = 0.2
    config.augment.scale = 0.15
    config.augment.rotation = 15.0
  return config
