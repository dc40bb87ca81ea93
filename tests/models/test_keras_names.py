"""What this package relies on in Keras beyond its public interface, name by name."""

import random
import re
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_actfn
from keras_actfn.models import _keras, graph

ROOT = Path(keras_actfn.__file__).parent
PRIVATE = re.compile(
    r"keras\.src|\.(_nodes|_inbound_nodes|_outbound_nodes|_nodes_by_depth|_flatten_layers|_functional"
    r"|_run_through_graph|_layers|_seed_generators|_trainable|_tracker|_compile_config"
    r"|_keras_history|_operations|_trainable_variables|_non_trainable_variables)\b|python_random"
)


@pytest.mark.once
def test_private_names_stay_in_one_room():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] != "models"
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if PRIVATE.search(line)
    ]
    assert not found, "\n".join(found)


def nest():
    """A Sequential in a functional model, and a wrapper."""
    inner = keras.Sequential([keras.Input((3, 4)), layers.ReLU(name="act")], name="inner")
    inputs = keras.Input((3, 4), name="in")
    each = layers.TimeDistributed(layers.Dense(4, name="dense"), name="each")
    return keras.Model(inputs, ops.tanh(each(inner(inputs))), name="outer")


@pytest.mark.once
def test_nodes_and_operations_come_in_the_order_of_the_data():
    model = nest()
    names = [operation.name for operation in graph.operations(model)]
    assert names[:3] == ["in", "inner", "each"] and names[3].startswith("tanh")
    assert [node.operation.name for node in graph.nodes(model)] == names
    assert [node.is_input for node in graph.nodes(model)] == [True, False, False, False]
    assert [(c.name, prefix) for c, prefix in graph.containers(model)] == [
        ("outer", ""),
        ("inner", "inner/"),
    ]
    assert graph.functional_graph(keras.Sequential([layers.Dense(2)])) is None


@pytest.mark.once
def test_layers_held_by_a_layer():
    each = nest().get_layer("each")
    assert [layer.name for layer in graph.sublayers(each)] == ["dense"]
    names = [layer.name for layer in graph.nested(nest())]
    assert names[0] == "outer" and {"inner", "act", "each", "dense"} < set(names)
    assert len(set(names)) == len(names)
    assert len(graph.seed_generators(layers.Dropout(0.5))) == 1
    dense = layers.Dense(3, activation=layers.PReLU())
    dense(np.zeros((1, 2), "float32"))
    dense.kernel.trainable = False
    assert [variable.name for variable in graph.own_variables(dense)] == ["kernel", "bias"]
    assert len(dense.variables) == 3


@pytest.mark.once
def test_the_operation_and_the_calls_behind_a_tensor():
    model = nest()
    last = graph.operation_of(model.output)
    assert last.name.startswith("tanh")
    assert [node.outputs[0] is model.output for node in graph.calls_of(last)] == [True]


def test_masks_reach_the_tensor():
    x = ops.convert_to_tensor(np.array([[[1.0], [0.0]]], "float32"))
    mask = _keras.mask_of(layers.Masking()(x))
    np.testing.assert_array_equal(ops.convert_to_numpy(mask), [[True, False]])
    assert _keras.mask_of(x) is None


def test_a_graph_runs_again_on_new_tensors():
    model = nest()
    again = keras.Input((3, 4))
    seen = []

    def call(operation, *args, **kwargs):
        seen.append(operation.name.partition("_")[0])
        return operation(*args, **kwargs)

    outputs = graph.run(model, again, call)
    assert seen[:2] == ["inner", "each"] and outputs.shape == (None, 3, 4)


@pytest.mark.once
def test_one_layer_is_opened_without_what_it_holds():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2)])
    model.trainable = False
    graph.open_alone(model)
    assert model.trainable and not model.layers[0].trainable


@pytest.mark.once
def test_serialization_tells_which_dictionary_stands_for_which_object():
    each = layers.TimeDistributed(layers.Dense(3, name="dense"))
    with _keras.serializing() as configs:
        config = each.get_config()
    assert configs[id(each.layer)] is config["layer"]
    config["layer"]["shared_object_id"] = 7
    other = layers.Dense(3)
    with _keras.deserializing({7: other}) as objects:
        copy = layers.TimeDistributed.from_config(config)
    assert copy.layer is other and objects[7] is other


@pytest.mark.once
def test_arguments_of_a_lambda_layer():
    def double(x):
        return 2 * x

    layer = layers.Lambda(double, output_shape=(3,), arguments={})
    given = _keras.lambda_arguments(layer)
    assert given["function"] is double and tuple(given["output_shape"]) == (3,)
    assert set(given) == {"function", "output_shape", "mask", "arguments"}


@pytest.mark.once
def test_which_classes_read_their_own_configuration():
    assert not _keras.has_own_from_config(layers.ReLU)
    assert _keras.has_own_from_config(layers.LSTM) and _keras.has_own_from_config(layers.Lambda)


class Own(keras.Model):
    def __init__(self, width):
        inputs = keras.Input((2,))
        super().__init__(inputs, layers.Dense(width)(inputs))
        self._secret = width
        self.layer = layers.Dense(3)

    @property
    def number(self):
        return self._number

    @number.setter
    def number(self, value):
        self._number = value

    def train_step(self, *args):
        return {}


def test_classes_and_attributes_of_the_user():
    model = Own(4)
    model.number, model.later = 5, 6
    model.compile("sgd", "mse")
    assert _keras.own_classes(model) == [Own]
    assert _keras.decides_training(model) == ["train_step"]
    fresh = keras.Model(model.inputs, model.outputs)
    found = _keras.own_attributes(model, fresh)
    assert found.pop("layer") is model.layer
    assert found == {"_secret": 4, "_number": 5, "later": 6}
    assert not _keras.takes_the_arguments_of(Own, _keras.Functional)
    assert _keras.own_classes(fresh) == [] == _keras.decides_training(fresh)


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_model_of_keras_has_no_attributes_of_the_user(kind):
    inputs = keras.Input((2,))
    if kind == "functional":
        model, fresh = (keras.Model(inputs, layers.Dense(2)(inputs)) for _ in range(2))
    else:
        model, fresh = (keras.Sequential([inputs, layers.Dense(2)]) for _ in range(2))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.zeros((4, 2)), np.zeros((4, 2)), validation_split=0.5, verbose=0)
    model.predict(np.zeros((4, 2)), verbose=0)
    assert _keras.own_attributes(model, fresh) == {}


def test_a_held_layer_is_replaced_and_its_weights_are_gone():
    holder = layers.TimeDistributed(layers.Dense(2))
    new = layers.Dense(3)
    _keras.replace_held(holder, "layer", new)
    holder.build((None, 4, 5))
    assert graph.sublayers(holder) == [new]
    assert [tuple(v.shape) for v in holder.variables] == [(5, 3), (3,)]


def test_late_activations_are_built_without_a_batch():
    dense = layers.Dense(3, activation=keras_actfn.activation("pwl(axis=-1)"))
    model = keras.Sequential([keras.Input((2,)), dense])
    assert not dense.activation.built
    _keras.build_late(model)
    assert dense.activation.built and dense.activation.values.shape == (33, 3)
    x = np.array([[1.0, -2.0]], "float32")
    w, b = map(ops.convert_to_numpy, (dense.kernel, dense.bias))
    np.testing.assert_allclose(
        ops.convert_to_numpy(model(x)), np.maximum(x @ w + b, 0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.once
def test_arguments_of_compile():
    loss = keras.losses.MeanSquaredError()
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile("sgd", loss, metrics=["mae"], run_eagerly=True)
    given = _keras.compile_arguments(model)
    assert given["loss"] is loss and given["metrics"] == ["mae"] and given["run_eagerly"] is True
    again = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    again.compile(**given)
    assert again.compiled


def seed_of(layer):
    return int(ops.convert_to_numpy(layer.seed_generator.state)[0])


@pytest.mark.once
def test_default_seeds_come_from_a_generator_and_the_module_is_put_back():
    module = __import__("keras.src.random.seed_generator", fromlist=["seed_generator"])
    before = module.python_random
    expected = random.Random(3).randint(1, int(1e9))
    inside, outside = threading.Event(), threading.Event()
    elsewhere = []

    def other_thread():
        with _keras.default_seeds_from(random.Random(4)):
            elsewhere.append(seed_of(layers.Dropout(0.5)))
            inside.set()
            outside.wait(10)

    with _keras.default_seeds_from(random.Random(3)):
        thread = threading.Thread(target=other_thread)
        thread.start()
        inside.wait(10)
        assert seed_of(layers.Dropout(0.5)) == expected
        assert module.python_random is not before
    random.seed(8)
    drawn = seed_of(layers.Dropout(0.5))  # another thread is inside still
    random.seed(8)
    assert drawn == random.randint(1, int(1e9))
    outside.set()
    thread.join()
    assert elsewhere == [random.Random(4).randint(1, int(1e9))]
    assert module.python_random is before


def mean_prediction(y_true, y_pred):
    return ops.mean(y_pred)


@pytest.mark.once
def test_metrics_have_one_name_in_every_model_and_a_direction():
    x, y = np.ones((4, 2), "float32"), np.arange(4) % 2
    found = []
    for _ in range(2):
        inputs = keras.Input((2,))
        outputs = [layers.Dense(1, "sigmoid", name=name)(inputs) for name in "ab"]
        model = keras.Model(inputs, outputs)
        given = [["mae", keras.metrics.AUC(), keras.metrics.AUC(curve="PR")], [mean_prediction]]
        model.compile("sgd", ["mse", "mse"], metrics=given)
        _keras.number_metrics_anew(model)
        assert _keras.reported_metrics(model, compiled=True) == []  # until the first step
        model.evaluate(x, [y, y], verbose=0)
        compiled = [metric.name for metric in _keras.reported_metrics(model, compiled=True)]
        everything = [metric.name for metric in _keras.reported_metrics(model)]
        found.append((compiled, everything))
    assert found[0] == found[1]
    compiled, everything = found[0]
    assert compiled[:3] == ["mae", "auc", "auc_1"] and len(compiled) == 4
    assert everything == ["loss", *compiled, "a_loss", "b_loss"]
    directions = {"loss": "min", "a_loss": "min", "a_mae": "min", "a_auc_1": "max"}
    directions["b_mean_prediction"] = None
    assert {name: _keras.metric_direction(model, name) for name in directions} == directions


@pytest.mark.once
def test_keras_says_the_same_of_a_direction():
    """`EarlyStopping` finds its direction by the rule that `metric_direction` follows."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, "sigmoid")])
    model.compile("sgd", "mse", metrics=["mae", "accuracy", keras.metrics.AUC(name="auc")])
    x, y = np.ones((4, 2), "float32"), np.arange(4) % 2
    for name in ("loss", "mae", "accuracy", "auc"):
        stop = keras.callbacks.EarlyStopping(f"val_{name}")
        model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[stop])
        mode = "max" if stop.monitor_op is ops.greater else "min"
        assert _keras.metric_direction(model, name) == mode


@pytest.mark.once
def test_exclusions_from_weight_decay():
    one, other, third = (keras.Variable([1.0], name=name) for name in ("a", "b", "bias"))
    old, new = (keras.optimizers.AdamW(weight_decay=0.1) for _ in range(2))
    old.exclude_from_weight_decay([one], ["bias"])
    _keras.copy_exclusions(old, new, [(one, other)])
    new.build([one, other, third])
    assert [new._use_weight_decay(v) for v in (one, other, third)] == [True, False, False]
