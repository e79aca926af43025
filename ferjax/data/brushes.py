"""Brushes for drawing on blocks of small pictures, the same on every machine.

Only operations that IEEE 754 rounds correctly are used (plus, minus, times,
divide, square root). Exponentials and sines differ between machines in their
last bit, and with them would the pictures.
"""

import numpy as np

SIZE = 48  # pixels each way

# The centres of the pixels along a picture, which spans -1 to 1.
AXIS = (np.arange(SIZE, dtype=np.float32) + 0.5) * (2 / SIZE) - 1

# What is drawn with: `[n, SIZE, SIZE]`, or `[n, 1, 1]`, or a number.
Value = np.ndarray | float


def paint(canvas: np.ndarray, tone: Value, coverage: np.ndarray) -> None:
  """Lays a tone over a canvas, in place, where its coverage is not 0."""
  canvas += coverage * (tone - canvas)


def inside(distance: np.ndarray) -> np.ndarray:
  """Returns the part of each pixel inside an edge.

  Args:
    distance: to the edge, negative inside.
  """
  return np.clip(0.5 - distance * (SIZE / 2), 0, 1)


def bell(distance: np.ndarray) -> np.ndarray:
  """Returns nearly exp(-distance^2), which ends at a distance of 2."""
  return _fall_off(distance * distance)


def spot(
  x: np.ndarray, y: np.ndarray, width: Value, height: Value
) -> np.ndarray:
  """Returns a soft ellipse of height 1 around the origin."""
  x, y = x / width, y / height
  return _fall_off(x * x + y * y)


def wave(phase: np.ndarray) -> np.ndarray:
  """Returns nearly sin(2 pi phase), made of parabolas."""
  part = phase - np.rint(phase)
  return 8 * part * (1 - 2 * np.abs(part))


def _fall_off(square: np.ndarray) -> np.ndarray:
  falling = np.maximum(1 - 0.25 * square, 0)
  falling *= falling
  return falling * falling
