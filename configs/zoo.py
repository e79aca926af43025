r"""Any network by its name, all by one recipe, so that they can be compared.

python -m ferjax.main --config=configs/zoo.py:model=cnn_s3,epochs=4
  3 minutes on two CPU cores; 57.2% of FER2013's validation (seed 0)
python -m ferjax.main --config=configs/zoo.py:model=resnet18,epochs=4 \
    --config.model.stem=imagenet
  11 minutes; 52.3%
python -m ferjax.main --config=configs/zoo.py:model=cnn38,epochs=15
  46 minutes beside other work; 62.7%

`ferjax.models.MODELS` has the names. Begin with published weights:

python -m ferjax.main --config=configs/zoo.py:model=resnet50,stem=imagenet \
  --config.init_from=resnet50.safetensors --config.normalization=imagenet \
  --config.image_size=224 --config.color=rgb
"""

from ml_collections import config_dict

from ferjax import config as config_lib


def get_config(argument: str = '') -> config_dict.ConfigDict:
  """Returns the config; takes `model=`, `stem=`, `epochs=` and `dataset=`."""
  given = config_lib.parse_argument(
    argument, model='simple_cnn', stem='', epochs=8.0, dataset='fer2013'
  )
  config = config_lib.default_config()
  config.data.name = given.dataset
  config.model.name = given.model
  if given.stem:
    config.model.stem = given.stem
  config.num_epochs = given.epochs
  config.optimizer.name = 'adamw'  # SGD would need a rate for each network
  config.optimizer.learning_rate = 1e-3
  config.optimizer.weight_decay = 0.05
  config.optimizer.clip_norm = 1.0
  config.schedule.warmup_epochs = 0.5
  config.augment.flip = given.dataset != 'mnist'  # a mirrored digit is none
  config.augment.shift = 0.08
  config.augment.scale = 0.1
  return config
