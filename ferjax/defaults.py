"""Every setting with its default."""

from ml_collections import config_dict


def default_config() -> config_dict.ConfigDict:
  """Returns all settings at their defaults, locked against unknown names.

  A duration `NAME` has three fields, `NAME_steps`, `NAME_epochs` and
  `NAME_examples`, of which at most one is not zero; see ferjax/durations.py.
  """
  config = config_dict.ConfigDict()
  config.seed = 0
  config.batch_size = 64  # images a step, over all devices and processes
  config.eval_batch_size = 256
  config.tta = (
    'none'  # views that evaluation averages over; see ferjax/views.py
  )
  config.accumulation_steps = 1  # parts that a device's batch is worked in
  config.num_epochs = 0.0
  config.num_steps = 0
  config.num_examples = 0
  config.ema_decay = 0.0  # moving average of the weights; 0 is none
  config.on_nan = 'stop'  # or 'rollback', see ferjax/recovery.py
  config.max_rollbacks = 3
  config.rollback_factor = 0.5  # of the learning rate, each time
  config.max_loss_factor = 0.0  # 5: five times the usual is no better; 0: none
  config.num_members = 1  # seeds trained at once, an ensemble
  config.member_mode = 'auto'  # 'vmap' or, one after another, 'loop'
  config.sharding = 'pmap'  # or 'shard_map'
  config.steps_per_call = 0  # 0: 16 on accelerators, 1 on CPUs

  config.data = _data()
  config.model = _model()
  config.init_from = ''  # a weight file, or a workdir; see ferjax/origin.py
  config.backbone = _backbone()
  config.image_size = 0  # the side that a network sees, pixels; 0: its own
  config.color = 'data'  # as they come, or 'gray', 'rgb'
  config.normalization = 'per_image'  # see ferjax/preprocess.py
  config.augment = _augment()
  config.loss = config_dict.ConfigDict()  # see ferjax/losses.py
  config.loss.label_smoothing = 0.0
  config.loss.class_weights = 'none'  # or 'balanced', or 'angry=2,fear=1.5'
  config.optimizer = _optimizer()
  config.schedule = _schedule()

  config.log_every_steps = 50
  config.log_every_epochs = 0.0
  config.log_every_examples = 0
  config.eval_every_steps = 0
  config.eval_every_epochs = 1.0
  config.eval_every_examples = 0
  config.checkpoint_every_steps = 0
  config.checkpoint_every_epochs = 1.0
  config.checkpoint_every_examples = 0
  config.keep_checkpoints = 2  # the latest; the best is kept beside them
  return config.lock()


def _data() -> config_dict.ConfigDict:
  section = config_dict.ConfigDict()
  section.name = 'fer2013'  # see ferjax/data/__init__.py
  section.dir = '~/ferjax_data'
  section.placement = 'auto'  # 'host', 'device'; auto: device if it fits
  section.prefetch = 2  # calls placed on the devices ahead of time
  section.seed = 0  # of synthetic faces, and of whatever is drawn
  section.fold = 0  # the test fold, of data sets that come in folds
  section.num_folds = 10  # 0: one for each subject
  section.fold_by = 'subject'  # or 'frame', which leaks; see data/folds.py
  section.label_mode = 'majority'  # of votes; see ferjax/data/voting.py
  section.drop_classes = ()  # ('disgust',); see ferjax/data/selection.py
  section.merge_classes = ()  # ('negative=angry+disgust+fear+sad',)
  section.class_order = ()  # all names that are left, in the order wanted
  section.balance = 'none'  # of the training: 'oversample', 'mirror'
  section.exclude_duplicates = False  # train on no copy of a held-out image
  return section


def _model() -> config_dict.ConfigDict:
  section = config_dict.ConfigDict()
  section.name = 'densenet_small'
  section.dtype = 'float32'  # of the computation, or 'bfloat16'
  section.dropout = config_dict.placeholder(float)
  section.stem = config_dict.placeholder(str)
  section.squeeze_excitation = config_dict.placeholder(bool)
  section.cross_replica_batch_norm = False
  return section


def _backbone() -> config_dict.ConfigDict:  # see ferjax/backbone.py
  section = config_dict.ConfigDict()
  section.freeze = False  # for ever, or until it thaws
  section.thaw_steps = 0
  section.thaw_epochs = 0.0
  section.thaw_examples = 0
  section.learning_rate_factor = 1.0
  return section


def _augment() -> config_dict.ConfigDict:  # see ferjax/augment.py
  section = config_dict.ConfigDict()
  section.flip = True
  section.shift = 0.0  # of the side, each way
  section.scale = 0.0  # 0.2: between 0.8 and 1.2 times
  section.rotation = 0.0  # degrees, each way
  section.crop = 0  # pixels of padding to crop from
  section.erase = 0.0  # probability
  section.mixup = 0.0  # alpha; 0 is none
  section.cutmix = 0.0  # alpha; 0 is none
  return section


def _optimizer() -> config_dict.ConfigDict:
  section = config_dict.ConfigDict()
  section.name = 'sgd'  # see ferjax/optim.py
  section.learning_rate = 0.1
  section.momentum = 0.9
  section.nesterov = True
  section.weight_decay = 1e-4  # on kernels only
  section.clip_norm = 0.0  # of the global gradient; 0 is none
  return section


def _schedule() -> config_dict.ConfigDict:
  section = config_dict.ConfigDict()
  section.name = 'cosine'  # or 'step', 'constant'
  section.warmup_steps = 0
  section.warmup_epochs = 0.0
  section.warmup_examples = 0
  section.decay_at = (0.5, 0.75)  # 'step': parts of the training
  section.decay_factor = 0.1
  section.end_factor = 0.0  # 'cosine': last over first rate
  return section
