"""The shortest way to 64.02% of FER2013's validation, by a fixed schedule.

That is what the system that first reported this figure needed half an hour of a
GPU for. Two recipes, the first chosen on validation alone:

python -m ferjax.main --config=configs/speedrun.py
  for two CPU cores; docs/benchmarks.md has its seeds and times
python -m ferjax.main --config=configs/speedrun.py:device=gpu
  the same network in bfloat16, batches of 512; no GPU was at hand: in float32
  on a CPU it ends at 63.8% (seed 0), and wants tuning where it is to run

benchmarks/time_to_accuracy.py runs a recipe with several seeds, as a referee.
"""

from ml_collections import config_dict

from ferjax import config as config_lib
from ferjax.errors import UserError

EPOCHS = 8.0


def get_config(argument: str = '') -> config_dict.ConfigDict:
  """Returns the config; `argument` takes `device=` and `dataset=`."""
  given = config_lib.parse_argument(argument, device='cpu', dataset='fer2013')
  if given.device not in ('cpu', 'gpu'):
    raise UserError(f'device={given.device} is unknown; have cpu, gpu')
  config = config_lib.default_config()
  config.data.name = given.dataset
  config.model.name = 'fast_resnet'
  config.num_epochs = EPOCHS
  config.batch_size = 128
  config.optimizer.name = 'muon'
  config.optimizer.learning_rate = 0.05
  config.optimizer.momentum = 0.95
  config.optimizer.weight_decay = 0.05
  config.schedule.warmup_epochs = 0.05 * EPOCHS
  config.augment.shift = 0.1
  config.augment.scale = 0.1
  config.loss.label_smoothing = 0.1
  # Ten views an image: worth it once, at the end.
  config.tta = 'shift'
  config.eval_every_epochs = EPOCHS
  config.checkpoint_every_epochs = EPOCHS / 2
  if given.device == 'gpu':
    config.model.dtype = 'bfloat16'
    config.batch_size = 512
    config.optimizer.learning_rate = 0.08
  return config
