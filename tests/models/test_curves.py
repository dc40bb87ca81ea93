"""The activations inside a model, as curves."""

import keras
import numpy as np
from keras import layers, ops

from keras_actfn import activation
from keras_actfn.models.curves import GRID, activation_curves
from keras_actfn.models.learned import build_learned


def test_curves_of_every_kind_in_the_order_of_the_model():
    inner = keras.Sequential([keras.Input((3,)), activation("crrelu(epsilon=0.5)")])
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Activation("tanh"),
            layers.Activation("linear"),
            activation("x*x"),
            inner,
            layers.Activation("softmax"),
        ]
    )
    tanh, square, crrelu = activation_curves(model)
    np.testing.assert_allclose(tanh, np.tanh(GRID), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(square, GRID**2, rtol=1e-6)
    expected = np.maximum(GRID, 0) + 0.5 * GRID * np.exp(-0.5 * GRID**2)
    np.testing.assert_allclose(crrelu, expected, rtol=1e-5, atol=1e-6)


def test_an_activation_inside_a_layer_is_there_before_the_first_batch():
    dense = layers.Dense(3, activation=activation("pwl(axis=-1)"))
    model = keras.Sequential([keras.Input((2,)), dense])
    (curve,) = activation_curves(model)
    assert curve.shape == (401, 3)
    inside = np.abs(GRID) <= 3
    expected = np.broadcast_to(np.maximum(GRID, 0)[:, None], (401, 3))
    np.testing.assert_allclose(curve[inside], expected[inside], atol=0.03)


def test_what_waits_for_a_batch_all_the_same_is_listed():
    pwl = activation("pwl(axis=-1)")
    model = keras.Sequential([layers.Dense(3, activation=pwl)])
    assert build_learned(model) == [pwl]
    model(ops.ones((1, 2)))
    assert build_learned(model) == []
