"""Every layer of the package keeps the contract of `keras_actfn.testing`."""

import inspect

import keras
import pytest
from layer_specs import SPECS

from keras_actfn import activation, layers
from keras_actfn._activation import LAYERS
from keras_actfn.testing import LAYER_CHECKS

#: Trained by PyTorch alone, which compiles nothing: others of their kind are trained everywhere.
TRAINED_ONCE = (
    "aff(identity,relu,tanh)",
    "pwl",
    "spline(knots=80,initial=tanh,extrapolation=clamp)",
    "crrelu",
    "scaled(gelu,b=1.5)",
    "segmented",
)


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


def cases():
    """Every layer by every check."""
    for spec in SPECS:
        name = getattr(spec, "__name__", spec)
        for check in LAYER_CHECKS:
            once = check == "training" and name in TRAINED_ONCE
            marks = [pytest.mark.once] if once else []
            yield pytest.param(spec, check, id=f"{name}-{check}", marks=marks)


@pytest.mark.parametrize(("spec", "check"), list(cases()))
def test_contract(spec, check):
    LAYER_CHECKS[check](lambda: activation(spec))
