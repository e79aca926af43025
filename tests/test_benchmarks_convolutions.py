"""Products are found in a trace, counted by hand, and told in tables."""

import importlib
import pathlib

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import models
from ferjax.models import convolution, summary

BENCHMARKS = pathlib.Path(__file__).parent.parent / 'benchmarks'
NHWC = ('NHWC', 'HWIO', 'NHWC')
IMAGES = jax.ShapeDtypeStruct((2, 5, 5, 3), jnp.float32)
WEIGHTS = (
  jax.ShapeDtypeStruct((3, 3, 3, 4), jnp.float32),
  jax.ShapeDtypeStruct((4, 6), jnp.float32),
)


@pytest.fixture
def convolutions(monkeypatch):
  monkeypatch.syspath_prepend(BENCHMARKS)
  return importlib.import_module('convolutions')


@pytest.fixture
def products(convolutions):
  return convolutions.products


@jax.custom_vjp
def double(x):
  return 2 * x


double.defvjp(lambda x: (double(x), None), lambda _, slope: (2 * slope,))


def loss(weights, images):
  """A convolution of stride 2 and one of 1x1, which is a product on CPUs."""
  kernel, last = weights
  x = lax.conv_general_dilated(
    images, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=NHWC
  )
  return jnp.sum((double(jax.nn.relu(x)) @ last) ** 2)


def step(weights, images):
  """Three steps in one call, after a product that is no part of the network."""
  images = images @ jnp.ones((3, 3))

  def one(weights, _):
    grads = jax.jit(jax.grad(loss))(weights, images)
    return jax.tree.map(jnp.subtract, weights, grads), None

  return lax.scan(one, weights, length=3)[0]


def test_all_products_of_two_layers_are_found_forward_and_backward(products):
  found = products.find(jax.make_jaxpr(step)(WEIGHTS, IMAGES))
  assert {(p.kind, p.shapes): n for p, n in found.items()} == {
    ('convolution, forward', '2x5x5x3 * 3x3x3x4 = 2x3x3x4'): 3,
    ('convolution, backward', '2x5x5x3 * 2x3x3x4 = 3x3x3x4'): 3,
    ('product, forward', '2x3x3x4 * 4x6 = 2x3x3x6'): 3,
    ('product, backward', '2x3x3x6 * 2x3x3x4 = 6x4'): 3,
    ('product, backward', '2x3x3x6 * 4x6 = 2x3x3x4'): 3,
  }


def test_equal_products_are_one_kind(products):
  def twice(kernel, x):
    for _ in range(2):
      x = convolution.unfolded_product(x, kernel, 1, 1)
    return jnp.sum(x)

  shapes = jnp.ones((3, 3, 4, 4)), jnp.ones((2, 3, 3, 4))
  found = products.find(jax.make_jaxpr(jax.grad(twice, (0, 1)))(*shapes))
  assert sorted(found.values()) == [2, 2, 2]


def test_flops_are_those_of_a_count_by_hand(products):
  found = products.find(jax.make_jaxpr(step)(WEIGHTS, IMAGES))
  flops = {p.shapes: p.flops for p in found}
  # Along a side of 5, padded, the kernel stands at 3 places: over 2, 3 and 2.
  convolved = 2 * (2 * 3 * 4) * (2 + 3 + 2) ** 2
  assert flops['2x5x5x3 * 3x3x3x4 = 2x3x3x4'] == convolved
  assert flops['2x5x5x3 * 2x3x3x4 = 3x3x3x4'] == convolved
  assert flops['2x3x3x4 * 4x6 = 2x3x3x6'] == 2 * (2 * 9) * 4 * 6
  assert flops['2x3x3x6 * 2x3x3x4 = 6x4'] == 2 * (2 * 9) * 4 * 6


def test_products_alone_have_the_work_that_xla_counts(products):
  def loss(images, kernel):
    return jnp.sum(
      lax.conv_general_dilated(
        images, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=NHWC
      )
      ** 2
    )

  trace = jax.make_jaxpr(jax.grad(loss, (0, 1)))(IMAGES, WEIGHTS[0])
  found = list(products.find(trace))
  assert len(found) == 3
  for product, run in zip(found, products.isolate(found), strict=True):
    compiled = run.func.lower(*run.args).compile()
    assert compiled.cost_analysis()['flops'] == product.flops
    assert run().shape == product.result


def test_a_training_step_is_three_times_the_forward_pass(convolutions):
  config = convolutions.trial.make_config('simple_cnn', 8, 'float32')
  found = convolutions.products.find(convolutions.trial.Trial(config).jaxpr)
  flops = jax.device_count() * sum(n * p.flops for p, n in found.items())
  forward = summary.count(models.create_model('simple_cnn', 7), (48, 48, 1))
  # Less the gradient of the images, and what the padding would cost.
  assert 0.9 < flops / (3 * 8 * forward.flops) < 1.0


def test_the_sum_is_held_against_the_step(convolutions, monkeypatch):
  class Trial:
    jaxpr = jax.make_jaxpr(step)(WEIGHTS, IMAGES)

    def __init__(self, config):
      assert (config.batch_size, config.model.dtype) == (4, 'float32')

    def train(self):
      return np.zeros(())

  def take_turns(works, rounds, seconds):
    assert (rounds, seconds) == (2, 0.5)
    assert all(np.isfinite(work()).all() for work in works.values())
    return {name: 0.02 if name == 'step' else 0.001 for name in works}

  monkeypatch.setattr(convolutions.trial, 'Trial', Trial)
  monkeypatch.setattr(convolutions.clock, 'take_turns', take_turns)
  figure = convolutions.measure('simple_cnn', 4, 'float32', 2, 0.5)
  assert figure['ratio'] == pytest.approx(15 * 0.001 / 0.02)
  row = convolutions.summary_table([figure]).splitlines()[-1]
  assert row == '| simple_cnn | 15 (5) | 0.0 | 15.0 | 0.0 | 20.0 | 0.75 |'
  lines = convolutions.products_table(figure).splitlines()
  assert len(lines) == 2 + 5
  assert all(line.endswith(' 15.0% |') for line in lines[2:])
