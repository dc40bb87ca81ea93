"""What lies in memory is not lost: functions of one's own, tied layers, classes of one's own."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_actfn.surgery import find_activations, replace_activations

FACTOR = 3.0


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def out(model, x):
    return ops.convert_to_numpy(model(x, training=False))


def own(x):
    return FACTOR * ops.tanh(x)


def relu(x):
    """Called like Keras's, and another function."""
    return x - FACTOR


class Gated(layers.Layer):
    """Reads its configuration itself."""

    def __init__(self, function, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.function = function
        self.inner = inner

    def call(self, x):
        return self.function(x if self.inner is None else self.inner(x))

    def get_config(self):
        return {
            **super().get_config(),
            "function": keras.saving.serialize_keras_object(self.function),
            "inner": keras.saving.serialize_keras_object(self.inner),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("function", "inner"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


class NoConfig(layers.Layer):
    """Has an argument that Keras can't describe, and keeps it under its name."""

    def __init__(self, function, factor):
        super().__init__()
        self.function, self.factor = function, factor

    def call(self, x):
        return self.factor * self.function(x)


class Forgets(layers.Layer):
    """Leaves an argument out of its configuration."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return super().get_config()


class Turns(Forgets):
    """The attribute of the argument's name is another number."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(1 - factor, **kwargs)


BYSTANDERS = [
    lambda: NoConfig(own, FACTOR),
    lambda: Forgets(FACTOR),
    lambda: layers.Lambda(lambda x: FACTOR * x, name="by"),
    lambda: layers.Lambda(own, name="by"),
    lambda: layers.Lambda(lambda x, shift: x + shift, arguments={"shift": 2.0}, name="by"),
    lambda: layers.Dense(4, activation=own, name="by"),
    lambda: layers.Dense(4, activation=relu, name="by"),
    lambda: layers.Dense(4, activation=lambda x: FACTOR * x, name="by"),
    lambda: layers.Dense(4, activation=functools.partial(keras.activations.elu, alpha=FACTOR)),
    lambda: layers.Dense(4, activation=keras.ops.gelu, name="by"),  # approximate, Keras's is not
    lambda: layers.Dense(4, activation=layers.PReLU(alpha_initializer="ones"), name="by"),
    lambda: layers.Dense(4, kernel_initializer=lambda shape, dtype: ops.ones(shape, dtype)),
    lambda: layers.Activation(relu, name="by"),
    lambda: Gated(own, name="by"),
    lambda: Gated(lambda x: FACTOR * x, name="by"),
    lambda: Gated(relu, layers.Dense(4, activation=own), name="by"),
]


@pytest.mark.parametrize("index", range(len(BYSTANDERS)))
def test_a_layer_that_is_not_chosen_keeps_its_functions(index):
    inputs = keras.Input((4,))
    x = layers.Dense(4, activation="relu", name="chosen")(inputs)
    model = keras.Model(inputs, BYSTANDERS[index]()(x))
    new = replace_activations(model, "relu", sites="chosen")
    x = numbers(5, 4)
    np.testing.assert_array_equal(out(new, x), out(model, x))
    before, after = ([v.path.split("/", 1)[-1] for v in m.weights] for m in (model, new))
    assert len(before) == len(after)
    assert not {id(v) for v in model.weights} & {id(v) for v in new.weights}


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="modules are PyTorch's")
@pytest.mark.parametrize("place", ["fused", "activation", "layer", "shared", "wrapped"])
def test_modules_of_torch_are_copied(place):
    import torch

    wrapper = keras.layers.TorchModuleWrapper(torch.nn.Linear(4, 4))
    before = {
        "fused": lambda: [layers.Dense(4, activation=torch.nn.PReLU())],
        "activation": lambda: [layers.Activation(torch.nn.PReLU())],
        "layer": lambda: [layers.TorchModuleWrapper(torch.nn.BatchNorm1d(4))],
        "shared": lambda: [Gated(ops.tanh, wrapper), wrapper],
        "wrapped": lambda: [
            layers.Reshape((2, 2)),
            layers.TimeDistributed(layers.TorchModuleWrapper(torch.nn.Linear(2, 2))),
            layers.Flatten(),
        ],
    }[place]()
    chosen = layers.Dense(4, activation="relu", name="chosen")
    model = keras.Sequential([keras.Input((4,)), *before, chosen])
    x = numbers(6, 4)
    expected = out(model, x)
    new = replace_activations(model, "relu", sites="chosen")
    assert not {id(v) for v in model.variables} & {id(v) for v in new.variables}
    for variable in model.variables:
        variable.assign(ops.zeros(variable.shape))
    assert len(new.variables) == len(model.variables) > 2
    np.testing.assert_allclose(out(new, x), expected, rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="modules are PyTorch's")
def test_a_module_of_torch_is_put_at_every_site():
    import torch

    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, "relu") for _ in range(2))])
    new = replace_activations(model, torch.nn.PReLU(), sites=lambda site: True)
    assert len(new.trainable_variables) == 4 + 2  # each with a slope of its own


def test_an_argument_that_is_lost_is_refused_by_name():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Turns(FACTOR, name="turns")(ops.relu(inputs)))
    with pytest.raises(ValueError, match=r"'turns' of class Turns.*does not keep factor"):
        replace_activations(model, "tanh")


def test_wrapped_layers_keep_their_functions():
    inputs = keras.Input((3, 4))
    wrapped = layers.TimeDistributed(layers.Dense(4, activation=lambda x: FACTOR * x))
    recurrent = layers.SimpleRNN(2, activation=own)
    model = keras.Model(inputs, recurrent(wrapped(layers.ReLU(name="chosen")(inputs))))
    new = replace_activations(model, "relu", sites="chosen")
    np.testing.assert_array_equal(out(new, numbers(5, 3, 4)), out(model, numbers(5, 3, 4)))


@keras.saving.register_keras_serializable("tests")
class Untied(layers.Layer):
    """The decoder of a tied autoencoder: the transpose of the kernel of a layer that it holds."""

    def __init__(self, dense, **kwargs):
        super().__init__(**kwargs)
        self.dense = dense

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.dense.kernel))

    def get_config(self):
        return {**super().get_config(), "dense": keras.saving.serialize_keras_object(self.dense)}

    @classmethod
    def from_config(cls, config):
        dense = keras.saving.deserialize_keras_object(config["dense"])
        return cls(**{**config, "dense": dense})


class SetLater(layers.Layer):
    """Holds a layer that its constructor does not know."""

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.dense.kernel))


class OwnKernel(layers.Layer):
    """Holds the other layer's variable, not the layer."""

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.kernel))


def autoencoder(decoder=None, activation=None):
    dense = layers.Dense(3, activation=activation, name="encoder")
    inputs = keras.Input((4,))
    code = layers.ReLU(name="act")(dense(inputs))
    if decoder is SetLater:
        holder = SetLater(name="decoder")
        holder.dense = dense
    elif decoder is OwnKernel:
        holder = OwnKernel(name="decoder")
        holder.kernel = dense.kernel
    else:
        holder = Untied(dense, name="decoder")
    return keras.Model(inputs, holder(code))


@pytest.mark.parametrize("decoder", [Untied, SetLater])
def test_tied_layers_stay_tied(decoder):
    model = autoencoder(decoder)
    new = replace_activations(model, "relu")
    assert len(model.variables) == len(new.variables) == 2
    assert new.get_layer("decoder").dense is new.get_layer("encoder")
    x = numbers(6, 4)
    np.testing.assert_array_equal(out(new, x), out(model, x))
    new.get_layer("encoder").kernel.assign(numbers(4, 3, seed=2))
    w, b = map(ops.convert_to_numpy, new.get_layer("encoder").weights)
    np.testing.assert_allclose(out(new, x), np.maximum(x @ w + b, 0) @ w.T, rtol=1e-4, atol=1e-5)


def test_a_tied_layer_whose_own_activation_is_replaced_stays_whole():
    model = autoencoder(activation="tanh")
    new = replace_activations(model, "pwl(initial=tanh,low=-8,high=8,knots=2001)", sites="encoder")
    assert new.get_layer("decoder").dense is new.get_layer("encoder")
    assert len(new.variables) == 3  # kernel, bias, knots
    np.testing.assert_allclose(out(new, numbers(6, 4)), out(model, numbers(6, 4)), atol=1e-4)


def test_a_variable_that_would_come_apart_is_refused_by_name():
    with pytest.raises(ValueError, match=r"(?s)'decoder' of class OwnKernel.*get_config"):
        replace_activations(autoencoder(OwnKernel), "relu")


def test_two_holders_of_a_layer_outside_the_graph_stay_tied():
    inner = layers.Dense(4, name="inner")
    inputs = keras.Input((4,))
    x = layers.ReLU()(Gated(own, inner, name="a")(inputs))
    model = keras.Model(inputs, Gated(own, inner, name="b")(x))
    new = replace_activations(model, "relu")
    assert new.get_layer("a").inner is new.get_layer("b").inner
    assert len(new.variables) == len(model.variables) == 2
    np.testing.assert_array_equal(out(new, numbers(6, 4)), out(model, numbers(6, 4)))


class Weighted(keras.Model):
    """A functional subclass with its own loss, step, metric, layer, variable and sub-model."""

    def __init__(self, *args, factor=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.factor = factor

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = self.factor * ops.mean(ops.square(y - self.scale * y_pred))
        return loss + ops.mean(ops.square(self.projector(y_pred)))


class Constructed(Weighted):
    """The same, and its constructor builds the network."""

    def __init__(self, width):
        inputs = keras.Input((4,))
        hidden = layers.Dense(width, activation="relu", name="hidden")(inputs)
        super().__init__(inputs, layers.Dense(2, name="out")(hidden), factor=2.0)
        self.width = width


class Stack(keras.Sequential):
    """A Sequential model with a loss of its own."""

    factor = 5.0

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self.factor * ops.mean(ops.square(y - y_pred))


def weighted(kind):
    if kind is Constructed:
        model = Constructed(3)
    else:
        inputs = keras.Input((4,))
        hidden = layers.Dense(3, activation="relu", name="hidden")(inputs)
        model = Weighted(inputs, layers.Dense(2, name="out")(hidden), factor=2.0)
    model.scale = model.add_weight(shape=(), initializer=lambda *_, **__: 1.5, name="scale")
    model.projector = layers.Dense(1, name="projector")
    model.projector.build((None, 2))
    model.encoder = keras.Model(model.inputs, model.get_layer("hidden").output)
    model.table = {"names": ["a", "b"], "layer": model.get_layer("out")}
    model.compile("sgd")
    return model


@pytest.mark.parametrize("kind", [Weighted, Constructed])
def test_a_subclass_with_its_own_loss_keeps_class_loss_and_attributes(kind):
    model, x, y = weighted(kind), numbers(6, 4), numbers(6, 2, seed=1)
    new = replace_activations(model, "relu")
    assert type(new) is kind and new.factor == 2.0
    assert len(new.variables) == len(model.variables)
    assert not {id(v) for v in new.variables} & {id(v) for v in model.variables}
    p = out(model, x)
    w, b = map(ops.convert_to_numpy, model.projector.weights)
    expected = 2 * np.mean((y - 1.5 * p) ** 2) + np.mean((p @ w + b) ** 2)
    for each in (model, new):
        np.testing.assert_allclose(float(each.evaluate(x, y, verbose=0)), expected, rtol=1e-4)
    assert new.table["names"] == ["a", "b"] and new.table["layer"] is new.get_layer("out")
    assert new.encoder.layers[1] is new.get_layer("hidden")
    new.fit(x, y, verbose=0)
    assert float(new.scale.value) != 1.5 and float(model.scale.value) == 1.5
    np.testing.assert_array_equal(out(model, x), p)


def test_a_sequential_subclass_with_its_own_loss_is_kept():
    model = Stack([keras.Input((4,)), layers.Dense(2, activation="relu", name="d")])
    model.compile("sgd")
    model.extra = "kept"
    new = replace_activations(model, "relu")
    x, y = numbers(6, 4), numbers(6, 2, seed=1)
    assert type(new) is Stack and new.extra == "kept"
    expected = 5 * np.mean((y - out(model, x)) ** 2)
    np.testing.assert_allclose(float(new.evaluate(x, y, verbose=0)), expected, rtol=1e-5)


def test_a_kept_class_that_no_file_can_bring_back_refuses_to_be_saved(tmp_path):
    new = replace_activations(weighted(Constructed), "tanh")
    with pytest.raises(NotImplementedError, match=r"keeps the class Constructed.*save_weights"):
        new.save(tmp_path / "new.keras")
    new.save_weights(tmp_path / "new.weights.h5")
    plain = keras.Model(new.inputs, new.outputs)
    plain.save(tmp_path / "plain.keras")
    loaded = keras.models.load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(out(loaded, numbers(3, 4)), out(new, numbers(3, 4)))


class OwnCompile(Weighted):
    def compile(self, rate):
        super().compile(keras.optimizers.SGD(rate))


def test_a_compile_of_its_own_is_told():
    inputs = keras.Input((4,))
    model = OwnCompile(inputs, layers.Dense(2, activation="relu")(inputs))
    model.compile(0.5)
    with pytest.warns(UserWarning, match=r"OwnCompile has a compile\(\) of its own.*Call compile"):
        new = replace_activations(model, "tanh", sites=lambda site: True)
    assert not new.compiled and type(new) is OwnCompile


def test_symbolic_tensors_are_those_of_the_new_graph():
    model = weighted(Weighted)
    model.code = {"hidden": model.get_layer("hidden").output}
    new = replace_activations(model, "tanh")
    x = numbers(3, 4)
    w, b = map(ops.convert_to_numpy, new.get_layer("hidden").weights)
    features = keras.Model(new.inputs, new.code["hidden"])
    np.testing.assert_allclose(out(features, x), np.tanh(x @ w + b), rtol=1e-5, atol=1e-6)


def test_an_attribute_that_cannot_be_copied_is_named():
    model = weighted(Weighted)
    model.code = layers.Dense(2)(keras.Input((4,)))
    with pytest.raises(ValueError, match=r"attribute 'code' can't be copied.*output of 'dense"):
        replace_activations(model, "tanh")


class ByBuild(layers.Layer):
    """Its kernel is the other layer's in the model, and one of its own in a copy."""

    source = None

    def build(self, input_shape):
        own = self.source is None
        self.kernel = self.add_weight(shape=(4, 3)) if own else self.source().kernel

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.kernel))


def test_a_variable_that_would_become_two_is_refused_by_name():
    dense = layers.Dense(3, name="encoder")
    inputs = keras.Input((4,))
    code = layers.ReLU()(dense(inputs))
    holder = ByBuild(name="decoder")
    object.__setattr__(holder, "source", lambda: dense)
    model = keras.Model(inputs, holder(code))
    assert len(model.variables) == 2
    with pytest.raises(ValueError, match=r"'decoder' of class ByBuild shares .*kernel"):
        replace_activations(model, "tanh")


def test_a_subclass_that_only_builds_becomes_a_plain_model():
    class Builder(keras.Model):
        def __init__(self, width):
            inputs = keras.Input((4,))
            super().__init__(inputs, layers.Dense(width, activation="relu", name="d")(inputs))

    model = Builder(3)
    new = replace_activations(model, "tanh")
    assert isinstance(new, keras.Model) and not isinstance(new, Builder)
    assert [s.activation for s in find_activations(new)] == ["tanh"]
