"""Random changes to training images, drawn and applied on the device."""

from collections.abc import Callable
import math

import jax
import jax.numpy as jnp
from ml_collections import config_dict

from ferjax.errors import UserError

_LIMITS = {
  'shift': (0, 1, 'a part of the side'),
  'scale': (0, 0.9, 'the most that a side shrinks or grows by'),
  'rotation': (0, 180, 'degrees each way'),
  'crop': (0, 1000, 'pixels each way'),
  'erase': (0, 1, 'a probability'),
  'mixup': (0, 1000, 'the alpha of a Beta distribution'),
  'cutmix': (0, 1000, 'the alpha of a Beta distribution'),
}

_MOVES = ('flip', 'scale', 'rotation', 'shift', 'crop')

# What an example's key draws, always all of it: switching one change on does
# not alter what the others do.
_DRAWS = (
  *('flip', 'scale', 'rotation', 'shift_y', 'shift_x', 'crop_y', 'crop_x'),
  *('erase', 'erase_area', 'erase_aspect', 'erase_y', 'erase_x'),
)

_ERASED_AREA = (0.02, 0.33)  # parts of the image
_ERASED_ASPECT = (0.3, 3.3)  # height over width

_Draws = dict[str, jax.Array]
_Augment = Callable[[jax.Array, jax.Array], jax.Array]
_Mix = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def make_augment(augment_config: config_dict.ConfigDict) -> _Augment:
  """Returns what `config.augment` does to each image by a key of its own.

  Flip, scale, rotation, shift and crop are one map from places of the new
  image to places of the old, which is read there once, bilinearly. Beyond its
  edges the image repeats them: black bars would tell the network the shift.
  The crop is a shift by whole pixels, a random crop of the padded image.

  Random Erasing (arXiv 1708.04896) then covers a box with the image's mean
  colour: normalisation makes it about 0, so that the box carries no signal,
  and hardly changes what it makes of the rest.

  Returns:
    A function of typed keys `[n]` and float32 images `[n, height, width,
    channels]` in [0, 1] that returns images of the same kind. An example's
    result depends on its own key and image only.
  """
  config = augment_config
  moves = any(config[name] for name in _MOVES)

  def augment(keys: jax.Array, images: jax.Array) -> jax.Array:
    draws = _draw(keys)
    if moves:
      images = _move(config, draws, images)
    if config.erase:
      images = _erase(config.erase, draws, images)
    return images

  return augment if moves or config.erase else lambda keys, images: images


def make_mix(augment_config: config_dict.ConfigDict) -> _Mix:
  """Returns how `config.augment` blends each example with its neighbour.

  Mixup (arXiv 1710.09412) blends whole images, CutMix (arXiv 1905.04899)
  pastes a box and shares the target by the box's true area. With both on, each
  example takes either with equal chance. The partner is the example before:
  batches are shuffled already, and nobody but a lone example meets itself.

  Returns:
    A function of one typed key, float32 images `[n, height, width, channels]`
    and float32 targets `[n, classes]` that returns both, mixed.
  """
  mixup, cutmix = augment_config.mixup, augment_config.cutmix

  def mix(
    key: jax.Array, images: jax.Array, targets: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    mixup_key, cutmix_key, choice_key = jax.random.split(key, 3)
    each = (len(images), 1, 1)
    # What each pixel keeps of its own image: [n, height or 1, width or 1].
    if mixup:
      own = blend = jax.random.beta(mixup_key, mixup, mixup, each)
    if cutmix:
      own = paste = _draw_paste(cutmix, cutmix_key, images.shape)
    if mixup and cutmix:
      own = jnp.where(jax.random.bernoulli(choice_key, 0.5, each), blend, paste)
    return (
      _combine(own[..., None], images),
      _combine(own.mean((1, 2))[:, None], targets),
    )

  return mix if mixup or cutmix else lambda key, *examples: examples


def validate(augment_config: config_dict.ConfigDict) -> None:
  """Raises a `UserError` where a setting is out of its range."""
  for name, (low, high, meaning) in _LIMITS.items():
    value = augment_config[name]
    if not low <= value <= high:
      raise UserError(
        f'config.augment.{name} is {value}; it is {meaning}, {low} to {high}'
      )


def _draw(keys: jax.Array) -> _Draws:
  """Returns numbers in [0, 1), one `[n]` for each name of `_DRAWS`."""
  draw = jax.vmap(lambda key: jax.random.uniform(key, (len(_DRAWS),)))
  return dict(zip(_DRAWS, draw(keys).T, strict=True))


def _move(
  config: config_dict.ConfigDict, draws: _Draws, images: jax.Array
) -> jax.Array:
  """Flips, scales, shifts, crops and rotates, by reading the images once."""
  height, width = images.shape[1:3]
  scale = 1.0 + config.scale * _between(-1, 1, draws['scale'])
  flip = jnp.where((draws['flip'] < 0.5) & config.flip, -1.0, 1.0)

  # Places seen from the centre, which flip, scale and rotation leave alone.
  def places(side: int, axis: str) -> jax.Array:
    shift = config.shift * side * _between(-1, 1, draws[f'shift_{axis}'])
    crop = jnp.floor(draws[f'crop_{axis}'] * (2 * config.crop + 1))
    move = shift + crop - config.crop
    centered = jnp.arange(side, dtype=jnp.float32) - (side - 1) / 2
    return (centered[None, :] - move[:, None]) / scale[:, None]

  y = places(height, 'y')
  x = places(width, 'x') * flip[:, None]
  center_y, center_x = (height - 1) / 2, (width - 1) / 2
  if not config.rotation:
    return _read_grid(images, y + center_y, x + center_x)
  angle = math.radians(config.rotation) * _between(-1, 1, draws['rotation'])
  cos, sin = (f(angle)[:, None, None] for f in (jnp.cos, jnp.sin))
  y, x = y[:, :, None], x[:, None, :]
  return _read_points(
    images, cos * y - sin * x + center_y, sin * y + cos * x + center_x
  )


def _read_grid(images: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
  """Reads each image at rows `y` `[n, height]` and columns `x` `[n, width]`.

  As two small matrices, `rows @ image @ columns.T`: matrix products are fast
  on every backend, gathers are not on TPUs.
  """
  rows = _interpolation(y, images.shape[1])
  columns = _interpolation(x, images.shape[2])
  # Accelerators would round the factors to 8 or 11 bits otherwise.
  return jnp.einsum(
    'nih,nhwc,njw->nijc', rows, images, columns, precision='highest'
  )


def _interpolation(places: jax.Array, side: int) -> jax.Array:
  """Returns weights `[n, len, side]` that read a line at `places`."""
  places = jnp.clip(places, 0.0, side - 1.0)[:, :, None]
  pixels = jnp.arange(side, dtype=jnp.float32)[None, None, :]
  return jnp.maximum(0.0, 1.0 - jnp.abs(places - pixels))


def _read_points(images: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
  """Reads each image at points `y`, `x`, both `[n, height, width]`.

  As four gathers out of all pixels in one row. SciPy's `map_coordinates` in
  JAX gives the same, but where a mean follows XLA works it out many times.
  """
  n, height, width, channels = images.shape
  y, x = jnp.clip(y, 0.0, height - 1.0), jnp.clip(x, 0.0, width - 1.0)
  # The last row and column are read as the far ends of those before them.
  top = jnp.minimum(jnp.floor(y), height - 2)
  left = jnp.minimum(jnp.floor(x), width - 2)
  down, right = (y - top)[..., None], (x - left)[..., None]
  image_starts = jnp.arange(n)[:, None, None] * (height * width)
  corner = image_starts + (top * width + left).astype(jnp.int32)
  pixels = images.reshape(-1, channels)

  def read(offset: int) -> jax.Array:
    near = pixels.at[corner + offset].get(mode='promise_in_bounds')
    far = pixels.at[corner + offset + 1].get(mode='promise_in_bounds')
    return (1.0 - right) * near + right * far

  return (1.0 - down) * read(0) + down * read(width)


def _erase(probability: float, draws: _Draws, images: jax.Array) -> jax.Array:
  """Covers a random box of some images with their mean."""
  height, width = images.shape[1:3]
  area = height * width * _between(*_ERASED_AREA, draws['erase_area'])
  # Drawn as a logarithm: as many tall boxes as wide ones.
  logs = map(math.log, _ERASED_ASPECT)
  aspect = jnp.exp(_between(*logs, draws['erase_aspect']))

  def span(length: jax.Array, side: int, axis: str) -> jax.Array:
    length = jnp.clip(jnp.round(length), 1, side)
    start = jnp.floor(draws[f'erase_{axis}'] * (side - length + 1))
    return _span(start, length, side)

  rows = span(jnp.sqrt(area * aspect), height, 'y')
  columns = span(jnp.sqrt(area / aspect), width, 'x')
  is_erased = (draws['erase'] < probability)[:, None, None]
  erased = rows[:, :, None] & columns[:, None, :] & is_erased
  mean = images.mean((1, 2), keepdims=True)
  return jnp.where(erased[..., None], mean, images)


def _draw_paste(
  alpha: float, key: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
  """Returns 0 in CutMix's box and 1 around it, `[n, height, width]`."""
  num_images, height, width, _ = shape
  share_key, y_key, x_key = jax.random.split(key, 3)
  share = jax.random.beta(share_key, alpha, alpha, (num_images,))

  # As the authors' code: half sides of whole pixels about a pixel's corner.
  def span(key: jax.Array, side: int) -> jax.Array:
    half = jnp.floor(side * jnp.sqrt(1.0 - share) / 2)
    center = jnp.floor(side * jax.random.uniform(key, share.shape))
    return _span(center - half, 2 * half, side)

  rows, columns = span(y_key, height), span(x_key, width)
  box = rows[:, :, None] & columns[:, None, :]
  return 1.0 - box.astype(jnp.float32)


def _span(start: jax.Array, length: jax.Array, side: int) -> jax.Array:
  """Returns what of a side is in each of n spans, bool `[n, side]`."""
  pixels = jnp.arange(side, dtype=jnp.float32)[None, :]
  return (start[:, None] <= pixels) & (pixels < (start + length)[:, None])


def _combine(own: jax.Array, values: jax.Array) -> jax.Array:
  """Keeps the share `own` of each value and takes the rest of its partner."""
  return own * values + (1.0 - own) * jnp.roll(values, 1, axis=0)


def _between(low: float, high: float, draw: jax.Array) -> jax.Array:
  """Maps [0, 1) to [low, high)."""
  return low + (high - low) * draw
