"""The roofs, the bytes below them, the gaps, and one run of all that."""

import importlib
import pathlib

import jax
import jax.numpy as jnp
import pytest

BENCHMARKS = pathlib.Path(__file__).parent.parent / 'benchmarks'

# What XLA makes for a GPU looks like this; 8x64 floats are 2 kB.
PROGRAM = """
ENTRY %main (x: f32[8,64], k: f32[64,32]) -> (f32[8,32], f32[]) {
  %x = f32[8,64]{1,0} parameter(0)
  %k = bf16[64,32]{1,0} parameter(1)
  %conv.1 = (f32[8,32]{1,0}, u8[4096]{0}) custom-call(%x, /*index=1*/%k), \
custom_call_target="__cudnn$convForward"
  %y = f32[8,32]{1,0} get-tuple-element(%conv.1), index=0
  %gemm = f32[64,32]{1,0} custom-call(%x, %y), \
custom_call_target="__cublas$lt$matmul"
  %top = f32[8,64]{1,0} custom-call(%x), custom_call_target="TopK"
  ROOT %out = (f32[8,32]{1,0}) tuple(%y)
}
"""

# Times in microseconds: two streams that overlap, then nothing from 4 to 9.
PROFILE = """
planes { name: "/host:CPU" lines { name: "Stream" timestamp_ns: 0
  events { metadata_id: 1 offset_ps: 0 duration_ps: 90000000 } } }
planes { name: "/device:GPU:0"
  lines { name: "Stream #13(Compute)" timestamp_ns: 1000
    events { metadata_id: 1 offset_ps: 0 duration_ps: 2000000 }
    events { metadata_id: 1 offset_ps: 8000000 duration_ps: 2000000 } }
  lines { name: "Stream #14(Memcpy)" timestamp_ns: 2000
    events { metadata_id: 1 offset_ps: 0 duration_ps: 2000000 } }
  lines { name: "XLA Modules" timestamp_ns: 1000
    events { metadata_id: 1 offset_ps: 0 duration_ps: 10000000 } } }
"""


@pytest.fixture
def roofline(monkeypatch):
  monkeypatch.syspath_prepend(BENCHMARKS)
  return importlib.import_module('roofline')


def profile(text):
  data = jax.profiler.ProfileData
  return data.from_serialized_xspace(data.text_proto_to_serialized_xspace(text))


def test_library_calls_move_what_goes_in_and_comes_out(roofline):
  x, k, y = 8 * 64 * 4, 64 * 32 * 2, 8 * 32 * 4
  expected = (x + k + y) + (x + y + 64 * 32 * 4)
  assert roofline.traffic.library_bytes(PROGRAM) == expected


def test_a_pass_over_memory_reads_and_writes_it(roofline):
  ceiling = roofline.ceilings.memory(2**12)
  assert ceiling.amount == 2 * 2**12
  assert ceiling.work().nbytes == 2**12
  compiled = jax.jit(jnp.negative).lower(ceiling.work()).compile()
  assert roofline.traffic.num_bytes(compiled) == ceiling.amount


def test_a_matrix_product_has_as_many_flops_as_xla_counts(roofline):
  (ceiling,) = roofline.ceilings.matrices(jnp.float32, [32])
  x = ceiling.work()
  compiled = jax.jit(jnp.matmul).lower(x, x).compile()
  assert compiled.cost_analysis()['flops'] == ceiling.amount


def test_the_device_waits_where_no_stream_is_busy(roofline):
  # From 1 to 11, busy from 1 to 4 and from 9 to 11.
  assert roofline.gaps.idle_share(profile(PROFILE)) == pytest.approx(0.5)


def test_without_a_device_in_the_trace_nothing_is_said_of_gaps(roofline):
  host = PROFILE[: PROFILE.index('planes { name: "/device')]
  assert roofline.gaps.idle_share(profile(host)) is None


@pytest.mark.parametrize(
  ('num_bytes', 'roof', 'share'),
  [(2e9, 'matrix', 0.5), (1e11, 'memory', 0.8), (None, 'matrix', 0.5)],
)
def test_the_lower_roof_binds(roofline, num_bytes, roof, share):
  case = roofline.Case('some', 64, object(), 10**12, num_bytes)
  row = roofline.place(case, 0.25, matrix_rate=8e12, memory_rate=5e11)
  assert (row['roof'], row['roofline']) == (roof, pytest.approx(share))
  figures = {'flops_per_second': 8e12, 'bytes_per_second': 5e11, 'steps': [row]}
  cells = roofline.table(figures).splitlines()[-1].split(' | ')
  assert cells[2:6] == ['250', '256', '4', '50%']
  assert cells[7] == (
    '-' if num_bytes is None else f'{num_bytes / 1.25e11:.0%}'
  )


def test_a_step_is_counted_timed_and_traced(roofline, tmp_path):
  case = roofline.prepare('logistic', 8, 'float32')
  # The matrix is multiplied forward, and for its gradient.
  assert case.flops == 2 * 2 * (8 // jax.device_count()) * 48 * 48 * 7
  assert case.num_bytes > 8 // jax.device_count() * 48 * 48
  large = roofline.Case('vgg_fer', 10**6)
  figures = roofline.measure(
    [large, case],
    roofline.ceilings.matrices(jnp.float32, [16, 32]),
    roofline.ceilings.memory(2**12),
    rounds=1,
    seconds=0.0,
  )
  skipped, row = figures['steps']
  assert skipped['seconds'] is None
  assert row['roofline'] == max(row['shares'].values()) > 0
  lines = roofline.table(figures).splitlines()
  assert lines[-2].startswith('| vgg_fer | 1000000 | too large | - |')
  assert {line.count('|') for line in lines[2:]} == {11}

  assert roofline.gaps.watch(case.ours.train, tmp_path / 'trace') is None
  assert list((tmp_path / 'trace').rglob('*.xplane.pb'))


def test_a_step_too_large_for_the_device_is_left_out(roofline, monkeypatch):
  def train(self):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory')

  monkeypatch.setattr(roofline.trial.Trial, 'train', train)
  assert roofline.prepare('logistic', 8, 'float32').ours is None
