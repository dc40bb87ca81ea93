"""`backend.compiled`: functions without gradients, such as a callback's look at a layer."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn import backend
from keras_actfn.layers import PWL


@pytest.fixture(scope="module")
def relu():
    layer = PWL()
    layer.build((None, 4))
    return backend.compiled(layer)


def test_it_computes_what_the_function_computes(relu):
    x = np.linspace(-4, 4, 12, dtype="float32").reshape(3, 4)
    np.testing.assert_allclose(
        ops.convert_to_numpy(relu(ops.convert_to_tensor(x))), np.maximum(x, 0), atol=1e-6
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a graph of TensorFlow's")
def test_on_tensorflow_an_activation_in_it_is_one_kernel(relu):
    """As in training; in plain operations a look at PWL layers took longer than a training step."""
    graph = relu.get_concrete_function(ops.zeros((3, 4))).graph.as_graph_def()
    assert any(function.attr["_XlaMustCompile"].b for function in graph.library.function)
