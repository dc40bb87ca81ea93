"""`import keras_actfn` leaves Keras alone, and saved models still find the package's classes."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from processes import ANY_BACKEND

import keras_actfn
from keras_actfn import _keras_import

pytestmark = pytest.mark.once


def python(code, *arguments):
    """What a new process prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=ANY_BACKEND)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_package_is_imported_without_keras_and_numpy():
    code = (
        "import sys, keras_actfn; keras_actfn.__version__, dir(keras_actfn); "
        "print([name for name in ('keras', 'numpy') if name in sys.modules])"
    )
    assert python(code) == "[]\n"


def test_its_parts_are_attributes():
    assert callable(keras_actfn.activation)
    for name in keras_actfn._PACKAGES:
        assert inspect.ismodule(getattr(keras_actfn, name))
    assert {*keras_actfn.__all__, *keras_actfn._PACKAGES} <= set(dir(keras_actfn))
    with pytest.raises(AttributeError, match="no attribute 'activations'"):
        _ = keras_actfn.activations


def test_every_registered_class_is_deferred():
    """A class registered for saving stands in `CLASSES`, so that files with it load."""
    for module in pkgutil.walk_packages(keras_actfn.__path__, "keras_actfn."):
        if module.name != "keras_actfn.__main__":
            importlib.import_module(module.name)
    registered = {
        name: value
        for name, value in keras.saving.get_custom_objects().items()
        if name.startswith("keras_actfn>")
    }
    waiting = [
        value for value in registered.values() if isinstance(value, _keras_import.DeferredClass)
    ]
    assert not waiting, "no such classes"
    deferred = {
        f"keras_actfn>{name.removeprefix('_')}"
        for names in _keras_import.CLASSES.values()
        for name in names
    }
    for module, names in _keras_import.CLASSES.items():
        for name in names:
            assert callable(_keras_import.DeferredClass(module, name).from_config)
    assert {name for name, value in registered.items() if inspect.isclass(value)} == deferred


LOAD = """
import json, sys
{imports}
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
x = np.linspace(-2, 2, 12, dtype="float32").reshape(3, 4)
print(json.dumps(model.predict(x, verbose=0).tolist()))
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import keras_actfn",
        "import keras, keras_actfn",
        "from keras_actfn.expressions import parse",
        "from keras_actfn import constraints",
    ],
)
def test_a_saved_model_loads_after_any_import_of_the_package(imports, tmp_path):
    from keras_actfn.applications.transformer_common import AddPositions

    inputs = keras.Input((4,))
    x = keras_actfn.activation("conv(identity,relu,tanh)")(inputs)
    x = keras_actfn.activation("pwl(knots=5,axis=-1)")(keras.layers.Reshape((2, 2))(x))
    x = keras_actfn.expressions.parse("x*erf(x)")(AddPositions()(x))
    model = keras.Model(inputs, keras_actfn.activation("crrelu")(x))
    model.save(tmp_path / "model.keras")
    x = np.linspace(-2, 2, 12, dtype="float32").reshape(3, 4)
    found = json.loads(python(LOAD.format(imports=imports), tmp_path / "model.keras"))
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
