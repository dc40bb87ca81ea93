"""Derivatives of every layer in every mode of the backend, against closed forms in float64.

Forward, reverse, mixed, twice, for each example, with and without compilation, each by the tools
that a user of the backend would take.
"""

import importlib

import keras
import numpy as np
import pytest
from differentiation.cases import LAYERS, SINGULAR, SOME_LAYERS, Case
from keras import ops

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.filterwarnings("ignore:(PWL|Spline) starts from")
MODES = importlib.import_module(f"differentiation.{BACKEND}_modes").MODES

#: Without those that differ from another one only in an axis.
EAGER_LAYERS = [spec for spec in LAYERS if "axis" not in spec or "clamp" in spec]

#: JAX compiles each operation of an eager derivative by itself, and differentiates by the same
#: rules as under `jit`, where all modes run. One mode of each kind shows that it works outside, of
#: one layer of each kind.
EAGER_MODES = ("grad", "jvp", "vmap of grad") if BACKEND == "jax" else tuple(MODES)

#: TensorFlow raises for accumulators of accumulators in a graph, whatever the function.
NOT_IN_GRAPHS = ("accumulator of accumulator",)

#: Where JAX traces and compiles most: of one layer of each kind. Other modes differentiate the
#: others in the same ways, once and twice.
LARGE = ("checkpoint", "linearize", "jacfwd")
LARGE += ("vjp of grad", "hessian", "jacrev of jacrev", "jacfwd of jacfwd")

#: What TensorFlow compiles for each function: of one layer of each kind.
SLOW = ("vectorized_map of tape", "jacobian", "hessian", "accumulator of accumulator")

#: What TensorFlow's graphs leave out, but for one layer: what is a graph outside one too, and
#: what other modes do as well of parameters that all channels share, and of splines, whose kernels
#: take longest.
GRAPHS = SLOW[:3]
LONGEST = ("pwl(initial=tanh,low=-3,high=3)", *(s for s in SOME_LAYERS if s.startswith("spline")))
REPEATED = ("recompute_grad", "penalty", "accumulator of tape")


def eager_cases():
    """(specification, mode) of each derivative outside a program."""
    for spec in LAYERS if BACKEND == "torch" else EAGER_LAYERS:
        for mode in EAGER_MODES:
            wanted = BACKEND == "torch" or (BACKEND == "tensorflow" and mode not in SLOW)
            if wanted or spec in SOME_LAYERS:
                yield pytest.param(spec, mode, id=f"{spec}-{mode}")


@pytest.mark.parametrize(("spec", "mode"), list(eager_cases()))
def test_derivatives(spec, mode):
    case = Case(spec)
    expected, compute = MODES[mode]
    check(compute(case), getattr(case, expected), mode)


@pytest.mark.parametrize("mode", [mode for mode in EAGER_MODES if mode not in SLOW])
def test_a_zero_coefficient_takes_its_term_away(mode):
    test_derivatives(SINGULAR, mode)


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch compiles plain operations")
@pytest.mark.parametrize("spec", [*EAGER_LAYERS, SINGULAR] if BACKEND == "jax" else SOME_LAYERS)
def test_compiled_derivatives(spec):
    case = Case(spec)
    left_out = (*NOT_IN_GRAPHS, *(() if spec in SOME_LAYERS else LARGE))
    if BACKEND == "tensorflow" and spec != "crrelu(epsilon=0.3)":
        left_out += (*GRAPHS, *(REPEATED if spec in LONGEST else ()))
    modes = [mode for mode in MODES if mode not in left_out]

    def run(sources):
        case.sources = sources
        return {mode: list(MODES[mode][1](case)) for mode in modes}

    found = compiled(run)(case.sources)  # all in one program, which costs less than each by itself
    assert set(found) == set(modes) and modes
    for mode in modes:
        check(found[mode], getattr(case, MODES[mode][0]), mode)


def compiled(function):
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, autograph=False)


def check(found, expected, mode=""):
    found, expected = list(found), list(expected)
    assert len(found) == len(expected), mode
    for one, exact in zip(found, expected, strict=True):
        one = ops.convert_to_numpy(one)
        assert one.shape == np.shape(exact), mode
        scale = max(1.0, np.abs(exact).max(initial=0))
        np.testing.assert_allclose(one, exact, rtol=1e-5, atol=1e-5 * scale, err_msg=mode)
