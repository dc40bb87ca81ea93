"""Every layer of the package keeps the contract of `keras_actfn.testing`."""

import inspect

import keras
import pytest
from layer_specs import SPECS

from keras_actfn import activation, layers
from keras_actfn._activation import LAYERS
from keras_actfn.testing import LAYER_CHECKS


@pytest.mark.once
def test_every_layer_is_among_the_specs():
    """A row added to the table, or a class to the package, is tested or fails here."""
    tested = {type(activation(spec)) for spec in SPECS}
    in_package = {
        layer
        for layer in vars(layers).values()
        if inspect.isclass(layer) and issubclass(layer, keras.layers.Layer)
    }
    assert set(LAYERS.values()) <= tested
    assert in_package - {layers.LearnableActivation} == tested
    words = {spec.partition("(")[0] for spec in SPECS if isinstance(spec, str)}
    assert set(LAYERS) <= words


@pytest.mark.parametrize("check", LAYER_CHECKS)
@pytest.mark.parametrize("spec", SPECS)
def test_contract(spec, check):
    LAYER_CHECKS[check](lambda: activation(spec))
