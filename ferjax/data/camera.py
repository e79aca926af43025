"""The camera: the pose it sees a head in, and what it makes of the scene."""

from types import SimpleNamespace

import numpy as np

from ferjax.data.brushes import AXIS


def coordinates(face: SimpleNamespace) -> tuple[np.ndarray, ...]:
  """Returns where each pixel lies, float32 `[n, SIZE, SIZE]` each.

  Returns:
    x and y on the head, then x and y among its features.
  """
  column = AXIS - face.shift_x
  row = AXIS[:, None] - face.shift_y
  tilt = face.tilt * face.tilt
  cos = (1 - tilt) / (1 + tilt) / face.scale
  sin = 2 * face.tilt / (1 + tilt) / face.scale
  head_x = cos * column + sin * row
  head_y = cos * row - sin * column
  # Features lie on a dome: those in its middle slide most.
  dome = 1 - 1.2 * head_x * head_x - 0.9 * head_y * head_y
  return head_x, head_y, head_x - face.yaw * dome, head_y - face.pitch * dome


def photograph(
  scene: np.ndarray, face: SimpleNamespace, grain: np.ndarray
) -> np.ndarray:
  """Adds a cast shadow, exposure, an unsharp lens and the film's grain.

  Args:
    scene: tones, 0 (black) to 1 (white), float32 `[n, SIZE, SIZE]`.
    face: see `faces.draw`.
    grain: noise around 0, float32 `[n, SIZE, SIZE]`.

  Returns:
    Pictures, uint8 `[n, SIZE, SIZE]`.
  """
  across = face.shadow_x * AXIS + face.shadow_y * AXIS[:, None]
  dark = np.maximum(face.shadow, 0) * np.clip(0.5 + 4 * across, 0, 1)
  film = np.pad(scene * (1 - dark), ((0, 0), (1, 1), (1, 1)), 'edge')
  beside, centre = face.blur, 1 - 2 * face.blur
  film = centre * film[:, 1:-1] + beside * (film[:, :-2] + film[:, 2:])
  film = centre * film[..., 1:-1] + beside * (film[..., :-2] + film[..., 2:])
  film = face.exposure * film + face.noise * grain
  return (255 * np.clip(film, 0, 1) + 0.5).astype(np.uint8)
