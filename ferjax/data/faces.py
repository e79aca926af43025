"""The drawing of faces: how traits and action units become pixels.

A face is tones laid over each other, lit by a lamp on a relief, and
photographed. Positions span the picture from -1 to 1, x to the right and y
downwards; tones go from 0 (black) to 1 (white). There are two systems: that
of the head, and that of the features, which slide over it when it turns. The
features are symmetric, so most are drawn once, on |x|.
"""

from types import SimpleNamespace as Face

import numpy as np

from ferjax.data import camera
from ferjax.data.brushes import SIZE, bell, inside, paint, spot, wave

Array = np.ndarray
_EYE_LEVEL = -0.16


def draw(face: Face, grain: Array) -> Array:
  """Draws faces.

  Args:
    face: what `synthetic.TRAITS` and `synthetic.ACTION_UNITS` name, each a
      float32 `[n, 1, 1]`.
    grain: noise of the film, around 0, float32 `[n, SIZE, SIZE]`.

  Returns:
    Pictures, uint8 `[n, SIZE, SIZE]`.
  """
  head_x, head_y, x, y = camera.coordinates(face)
  canvas = _background(face, head_x, head_y)
  _draw_head(canvas, face, head_x, head_y)
  _draw_folds(canvas, face, x, y)
  _draw_nose(canvas, face, x, y)
  _draw_mouth(canvas, face, x, y)
  _draw_eyes(canvas, face, x, y)
  _draw_brows(canvas, face, x, y)
  _draw_hair(canvas, face, head_x, head_y)
  canvas *= _shading(face, head_x, head_y, x, y)
  return camera.photograph(canvas, face, grain)


def _outline(face: Face, x: Array, y: Array, grow: float | Array = 0) -> Array:
  """Signed distance to the outline of the head, grown by some width."""
  below = np.maximum(y, 0)
  width = face.head_width * (1 - face.jaw * below * below) + grow
  height = face.head_height + 0.1 * face.jaw_drop * (y > 0) + grow
  x, y = x / width, y / height
  return (np.sqrt(x * x + y * y) - 1) * width


def _background(face: Face, x: Array, y: Array) -> Array:
  """A wall, the neck and the shoulders: a new canvas."""
  side = np.abs(x)
  canvas = face.background_tone + face.background_slope * (x + y)
  neck = np.maximum(side - 0.64 * face.head_width, 0.5 - y)
  paint(canvas, 0.62 * face.skin_tone, inside(neck))
  shoulders = 0.98 - y + 0.25 * np.minimum(side, 1)
  paint(canvas, face.clothes_tone, inside(shoulders))
  return canvas


def _draw_head(canvas: Array, face: Face, x: Array, y: Array) -> None:
  side, up = 2 * (np.abs(x) - face.head_width), y + 0.08
  ear = inside(np.sqrt(side * side + up * up) - 0.17)
  paint(canvas, 0.8 * face.skin_tone, ear)
  # Behind the head, hair falls straight.
  back = _outline(face, x, np.minimum(y, 0), face.hair_volume + 0.02)
  back = np.maximum(back, y - face.hair_length)
  paint(canvas, 0.7 * face.hair_tone, inside(back))
  skin = inside(_outline(face, x, y))
  paint(canvas, face.skin_tone, skin)
  beard = np.maximum(face.beard, 0) * np.clip(4 * y - 1, 0, 1)
  paint(canvas, face.hair_tone, beard * skin)


def _draw_folds(canvas: Array, face: Face, x: Array, y: Array) -> None:
  """Beside the mouth, between the brows, on the forehead and the bridge."""
  side = np.abs(x)
  lift = face.lip_corner_puller + face.nose_wrinkler
  lift = np.minimum(lift + 0.7 * face.upper_lip_raiser, 1.3)
  along = 3 * (y - 0.18)
  fold = 0.17 + 0.24 * np.sqrt(np.clip(along, 0, 1.2)) + 0.03 * lift
  fade = np.clip(np.minimum(4 * along, 4 - 4.4 * along), 0, 1)
  strength = (0.1 * face.age + 0.32 * lift) * fade
  paint(canvas, 0.35 * face.skin_tone, strength * bell(22 * (side - fold)))

  furrow = spot(side - 0.05, y + 0.38, 0.028, 0.11)
  paint(canvas, 0.3 * face.skin_tone, 0.7 * face.brow_lowerer * furrow)

  raised = face.inner_brow_raiser + face.outer_brow_raiser
  rows = wave(8 * (y + 0.12 * x * x)) * spot(x, y + 0.58, 0.36, 0.1)
  canvas *= 1 + 0.12 * raised * rows
  rows = wave(6.7 * (y - 0.5 * side)) * spot(x, y + 0.12, 0.16, 0.13)
  canvas *= 1 + 0.4 * face.nose_wrinkler * rows


def _draw_nose(canvas: Array, face: Face, x: Array, y: Array) -> None:
  side = np.abs(x)
  tip = y - face.nose_length + 0.06 * face.nose_wrinkler
  wing = face.nose_width * (1 + 0.2 * face.nose_wrinkler)
  nostril = spot(side - 0.55 * wing, tip, 0.05, 0.03)
  paint(canvas, 0.25 * face.skin_tone, 0.9 * nostril)
  edge = spot(side - wing - 0.02, tip + 0.04, 0.025, 0.06)
  paint(canvas, 0.5 * face.skin_tone, 0.6 * edge)
  paint(canvas, 0.55 * face.skin_tone, 0.5 * spot(x, tip - 0.03, wing, 0.03))


def _mouth_pose(face: Face) -> tuple[Array, ...]:
  """How a mouth is held, each `[n, 1, 1]`.

  Returns:
    Half its width, its level, how far its corners hang, and how far it opens
    above and below its line.
  """
  pull, raiser = face.lip_corner_puller, face.upper_lip_raiser
  stretch, drop = face.lip_stretcher, face.jaw_drop * (1 - pull)
  width = face.mouth_width * (
    1 + 0.3 * pull + 0.25 * stretch - 0.28 * drop - 0.12 * face.lip_pressor
  )
  level = face.mouth_height - 0.05 * raiser
  level = level - 0.04 * face.nose_wrinkler - 0.03 * face.chin_raiser
  hang = 0.07 * stretch + 0.04 * raiser + 0.11 * drop - 0.2 * pull - 0.01
  hang = hang + 0.14 * face.lip_corner_depressor + 0.06 * face.chin_raiser
  above = 0.02 * face.lips_part + 0.07 * raiser + 0.06 * stretch + 0.07 * drop
  below = face.lips_part * (0.06 + 0.05 * pull) + 0.26 * face.jaw_drop
  return width, level, hang, above, below


def _draw_mouth(canvas: Array, face: Face, x: Array, y: Array) -> None:
  width, level, hang, above, below = _mouth_pose(face)
  t = x / width
  square = t * t
  lens = 1 - square
  # At ease the opening is a lens; pulled apart it is a box.
  apart = face.lip_stretcher + face.upper_lip_raiser + face.jaw_drop
  box = lens * (1 + apart * square)
  line = level + hang * (square - 0.4)
  top, bottom = line - above * box, line + below * box
  full = face.lip_fullness * (1 - 0.65 * face.lip_pressor)
  lip_top = top - full * lens * (0.75 + square)
  lip_bottom = bottom + 1.3 * full * lens
  # Vertical distances overstate where the edges are steep.
  slope = 3 * (above + below) / width * t
  steep = np.sqrt(1 + slope * slope)

  below_lip = spot(x, y - lip_bottom - 0.05, 0.5 * width, 0.04)
  paint(canvas, 0.6 * face.skin_tone, 0.6 * below_lip)
  lips = inside(np.maximum(lip_top - y, y - lip_bottom) / steep)
  paint(canvas, 0.62 * face.skin_tone, lips)
  within = np.clip(3 * lens, 0, 1)
  seam = within * inside(np.abs(y - line) - 0.01)
  paint(canvas, 0.25 * face.skin_tone, 0.8 * seam)
  opening = within * inside(np.maximum(top - y, y - bottom) / steep)
  paint(canvas, 0.06, opening)
  length = 0.035 + 0.05 * face.lip_corner_puller + 0.03 * face.lip_stretcher
  teeth = inside(y - top - length) * np.clip(1.2 * lens, 0, 1)
  shown = np.clip(30 * (above + below) - 1, 0, 1)
  paint(canvas, 0.85, opening * teeth * shown)
  corner = spot(np.abs(x) - width, y - level - 0.6 * hang, 0.04, 0.035)
  paint(canvas, 0.35 * face.skin_tone, 0.5 * corner)


def _draw_eyes(canvas: Array, face: Face, x: Array, y: Array) -> None:
  side = np.abs(x) - face.eye_distance
  t = side / face.eye_width
  lens = 1 - t * t
  level = y - _EYE_LEVEL + face.eye_tilt * t
  wide, tight = face.upper_lid_raiser, face.lid_tightener
  squeeze = face.cheek_raiser + face.nose_wrinkler
  upper = face.eye_opening * (1 + 0.75 * wide - 0.4 * tight - 0.3 * squeeze)
  lower = face.eye_opening * (0.7 + 0.2 * wide - 0.45 * tight - 0.4 * squeeze)
  over, under = level + upper * lens, level - lower * lens

  eye = inside(np.maximum(-over, under))
  paint(canvas, 0.4 + 0.55 * face.skin_tone, eye)
  right = np.sign(x)  # mirrored eyes still look the same way
  iris_x = side - face.gaze_x * right
  iris_y = level + 0.012 - face.gaze_y
  radius = np.sqrt(iris_x * iris_x + iris_y * iris_y)
  paint(canvas, face.iris_tone, eye * inside(radius - 0.082))
  paint(canvas, 0.02, eye * inside(radius - 0.04))
  glint = spot(iris_x - 0.03 * right, iris_y + 0.035, 0.025, 0.025)
  paint(canvas, 1, eye * glint)

  within = inside((np.abs(t) - 1) * face.eye_width)
  lashes = within * inside(np.abs(over) - 0.016)
  paint(canvas, 0.12 * face.skin_tone, 0.9 * lashes)
  rim = within * inside(np.abs(under) - 0.01)
  paint(canvas, 0.4 * face.skin_tone, 0.5 * rim)
  crease = within * bell(40 * (over + 0.05))
  paint(canvas, 0.5 * face.skin_tone, 0.5 * crease)
  bag = bell(32 * (under - 0.06)) * np.maximum(lens, 0)
  strength = 0.1 * face.age + 0.4 * face.cheek_raiser
  paint(canvas, 0.5 * face.skin_tone, strength * bag)


def _draw_brows(canvas: Array, face: Face, x: Array, y: Array) -> None:
  inner = face.eye_distance - 0.2 - 0.05 * face.brow_lowerer
  t = (np.abs(x) - inner) / (0.42 + 0.04 * face.brow_lowerer)
  rest = 1 - t
  # Where both pull on the inner end, it rises: the brows of grief.
  lower = face.brow_lowerer * (1 - 0.7 * face.inner_brow_raiser)
  height = (
    face.brow_height
    + 4 * face.brow_arch * t * rest
    + face.inner_brow_raiser * (0.13 * rest - 0.02)
    + face.outer_brow_raiser * (0.1 * t + 0.04)
    - lower * (0.1 * rest + 0.03)
    - 0.05 * face.nose_wrinkler
  )
  distance = np.abs(y - _EYE_LEVEL + height)
  distance -= face.brow_thickness * (1.15 - 0.6 * t)
  ends = 0.42 * (np.abs(t - 0.5) - 0.5)
  tone = np.minimum(face.hair_tone, 0.5 * face.skin_tone)
  paint(canvas, tone, 0.9 * inside(np.maximum(distance, ends)))


def _draw_hair(canvas: Array, face: Face, x: Array, y: Array) -> None:
  cap = _outline(face, x, np.minimum(y, 0), face.hair_volume)
  # The forehead shows through an arch that leans away from the parting.
  lean = x + face.parting * (y + 0.2)
  across = lean / (0.94 * face.head_width)
  up = np.minimum(y - 0.25, 0) / (0.25 - face.hairline)
  fringe = face.fringe * wave(2.7 * x + 6.4 * face.parting)
  hair = np.maximum(cap, 0.3 * (1 - across * across - up * up + fringe))
  hair = np.maximum(hair, y - np.minimum(face.hair_length, 0.1))
  strands = 1 + 0.13 * wave(4.8 * lean + 0.48 * wave(1.4 * x - 1.1 * y))
  sheen = 1 + 0.5 * bell(7 * (y + 0.72 - 0.3 * x * x))
  paint(canvas, face.hair_tone * strands * sheen, inside(hair))


def _shading(
  face: Face, head_x: Array, head_y: Array, x: Array, y: Array
) -> Array:
  """Lambert's law, linearised: how a relief's slopes face the lamp."""
  side = np.abs(x)
  wide, high = head_x / face.head_width, head_y / face.head_height
  relief = 0.3 * np.maximum(1.1 - wide * wide - high * high, 0)
  relief += 0.11 * spot(x, y - face.nose_length + 0.06, 0.13, 0.13)
  relief += 0.07 * spot(x, y + 0.1, 0.07, 0.25)
  relief -= 0.06 * spot(side - face.eye_distance, y + 0.19, 0.2, 0.12)
  cheek = 0.05 + 0.05 * face.cheek_raiser
  relief += cheek * spot(side - 0.36, y - 0.15, 0.17, 0.14)
  relief += 0.05 * spot(x, y - 0.78 - 0.1 * face.jaw_drop, 0.2, 0.12)
  down, right = np.gradient(relief, 2 / SIZE, axis=(1, 2))
  shade = 1 + 0.55 * (face.light_x * right + face.light_y * down)
  return np.clip(shade, 0.35, 1.25)
