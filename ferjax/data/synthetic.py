"""The data set `synthetic`: who is drawn, and with what expression.

It is embedded: nothing is downloaded, and nobody is shown. Expressions are
combinations of action units, as in the prototypes of EMFACS (Friesen and
Ekman, 1983); people, poses and light are random.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from ferjax.data import faces
from ferjax.data.dataset import CLASS_NAMES, SPLITS, Dataset, Split

SPLIT_SIZES = {'train': 5000, 'validation': 1000, 'test': 1000}

# What an expression moves, from 0 (at rest) to 1, by its number in the Facial
# Action Coding System (Ekman and Friesen, 1978).
ACTION_UNITS = {
  1: 'inner_brow_raiser',
  2: 'outer_brow_raiser',
  4: 'brow_lowerer',
  5: 'upper_lid_raiser',
  6: 'cheek_raiser',
  7: 'lid_tightener',
  9: 'nose_wrinkler',
  10: 'upper_lip_raiser',
  12: 'lip_corner_puller',
  15: 'lip_corner_depressor',
  17: 'chin_raiser',
  20: 'lip_stretcher',
  24: 'lip_pressor',
  25: 'lips_part',
  26: 'jaw_drop',
}

# The ways to show each class: strengths of action units.
EXPRESSIONS = {
  'angry': (
    {4: 1.0, 5: 0.5, 7: 0.6, 24: 1.0},
    {4: 1.0, 5: 0.7, 7: 0.5, 10: 0.6, 20: 0.3, 25: 0.9},
  ),
  'disgust': (
    {4: 0.4, 6: 0.4, 9: 1.0, 10: 1.0, 25: 0.6},
    {4: 0.4, 9: 1.0, 10: 0.5, 15: 0.5, 17: 0.7},
  ),
  'fear': (
    {1: 1.0, 2: 0.6, 4: 0.6, 5: 1.0, 20: 1.0, 25: 0.9},
    {1: 1.0, 2: 0.6, 4: 0.6, 5: 1.0, 20: 0.8, 25: 0.8, 26: 0.35},
  ),
  'happy': (
    {6: 0.7, 12: 1.0},
    {6: 0.9, 12: 1.0, 25: 1.0},
    {6: 1.0, 12: 1.0, 25: 1.0, 26: 0.35},
  ),
  'sad': (
    {1: 1.0, 4: 0.7, 15: 1.0},
    {1: 1.0, 4: 0.7, 15: 0.9, 17: 0.8},
  ),
  'surprise': ({1: 1.0, 2: 1.0, 5: 0.9, 25: 0.6, 26: 1.0},),
  'neutral': ({},),
}

# What differs between people and between pictures: lowest and highest value,
# in the units of `faces`.
TRAITS = {
  'head_width': (0.62, 0.72),
  'head_height': (0.84, 0.94),
  'jaw': (0.14, 0.34),  # how much narrower the face gets downwards
  'eye_distance': (0.29, 0.34),
  'eye_width': (0.17, 0.205),
  'eye_opening': (0.07, 0.092),
  'eye_tilt': (-0.02, 0.03),
  'brow_height': (0.17, 0.23),
  'brow_thickness': (0.022, 0.05),
  'brow_arch': (0.01, 0.05),
  'nose_length': (0.14, 0.22),
  'nose_width': (0.1, 0.15),
  'mouth_width': (0.23, 0.3),
  'mouth_height': (0.44, 0.5),
  'lip_fullness': (0.035, 0.07),
  'skin_tone': (0.4, 0.8),
  'hair_tone': (0.05, 0.45),
  'iris_tone': (0.08, 0.35),
  'hairline': (-0.8, -0.58),
  'hair_length': (-0.4, 1.1),
  'hair_volume': (0.02, 0.14),
  'parting': (-0.35, 0.35),
  'fringe': (0.0, 0.12),
  'beard': (-1.5, 0.4),  # none below 0
  'age': (0.0, 1.0),
  'clothes_tone': (0.05, 0.9),
  'background_tone': (0.05, 0.95),
  'background_slope': (-0.25, 0.25),
  'gaze_x': (-0.045, 0.045),
  'gaze_y': (-0.015, 0.02),
  'tilt': (-0.11, 0.11),  # tangent of half the angle
  'scale': (0.95, 1.2),
  'shift_x': (-0.1, 0.1),
  'shift_y': (-0.08, 0.08),
  'yaw': (-0.19, 0.19),
  'pitch': (-0.1, 0.1),
  'light_x': (-0.9, 0.9),
  'light_y': (-1.0, 0.3),
  'exposure': (0.85, 1.15),
  'shadow': (-0.5, 0.4),  # none below 0
  'shadow_x': (-1.0, 1.0),
  'shadow_y': (-1.0, 1.0),
  'blur': (0.0, 0.2),  # weight of each neighbour
  'noise': (0.0, 0.06),
}

_BLOCK = 16  # faces drawn at once: few enough for the processor's cache


def draw_faces(labels: np.ndarray, seed: int) -> np.ndarray:
  """Draws one face for each label.

  Face i is a function of `(labels[i], seed, i)` alone.

  Args:
    labels: int `[n]`, positions in `EXPRESSIONS`.
    seed: not negative.

  Returns:
    Images, uint8 `[n, 48, 48, 1]`.
  """
  # Once a large block is freed, glibc keeps the many small ones that follow,
  # rather than give each back to the system: two to four times as fast.
  np.empty(2**24, np.uint8)
  images = np.empty((len(labels), faces.SIZE, faces.SIZE, 1), np.uint8)
  for start in range(0, len(labels), _BLOCK):
    block = slice(start, start + _BLOCK)
    sitters = [
      _sitter(label, np.random.default_rng((seed, start + i)))
      for i, label in enumerate(labels[block])
    ]
    values, grain = (np.stack(part) for part in zip(*sitters, strict=True))
    names = (*ACTION_UNITS.values(), *TRAITS)
    columns = values.T[:, :, None, None]
    face = SimpleNamespace(**dict(zip(names, columns, strict=True)))
    images[block, ..., 0] = faces.draw(face, grain)
  return images


def _sitter(
  label: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Returns action units and traits, float32, and the grain of the film."""
  ways = list(EXPRESSIONS.values())[label]
  way = ways[rng.integers(len(ways))]
  strength = np.array([way.get(number, 0.0) for number in ACTION_UNITS])
  uneven = 0.75 + 0.5 * rng.random(len(strength))
  idle = rng.random(len(strength))
  units = strength * uneven * (0.4 + 0.7 * rng.random()) + 0.15 * idle * idle
  low, high = np.array(list(TRAITS.values())).T
  traits = low + (high - low) * rng.random(len(low))
  # Two uniform draws make a triangle: `normal` would call the C library's
  # logarithm, which differs between machines.
  first, second = rng.random((2, faces.SIZE, faces.SIZE), np.float32)
  return np.concatenate([units, traits]).astype(np.float32), first - second


def load(split_names: Sequence[str], seed: int) -> Dataset:
  """Draws some splits, each the same whether or not others are drawn.

  Args:
    split_names: some of `SPLIT_SIZES`.
    seed: not negative.

  Returns:
    The seven classes of FER2013 in its order, about equally frequent.
  """
  splits = {}
  for name in split_names:
    rng = np.random.default_rng((seed, SPLITS.index(name)))
    size = SPLIT_SIZES[name]
    labels = rng.integers(len(EXPRESSIONS), size=size).astype(np.int32)
    images = draw_faces(labels, int(rng.integers(2**32)))
    splits[name] = Split(images, labels, np.arange(size))
  return Dataset(
    name='synthetic',
    class_names=CLASS_NAMES[: len(EXPRESSIONS)],
    splits=splits,
    source=f'faces drawn by ferjax.data.synthetic, seed {seed}',
  )
