"""What surgery keeps: weights, flags, policies, regularizers, compile state, random states."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_actfn
from keras_actfn.surgery import (
    compile_activations,
    find_activations,
    freeze_activations,
    replace_activations,
)
from keras_actfn.surgery.int8 import with_dense_segments


def numbers(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def arrays(variables):
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def small(**dense):
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="relu", name="dense", **dense),
            layers.Dropout(0.5, name="drop"),
            layers.ReLU(name="relu"),
            layers.Dense(2, name="out"),
        ]
    )


class Table(layers.Layer):
    """Holds a number that is no weight, as lookups hold their vocabulary."""

    factor = 1.0

    def call(self, x):
        return self.factor * x

    def save_assets(self, folder):
        (Path(folder) / "factor.txt").write_text(str(self.factor))

    def load_assets(self, folder):
        self.factor = float((Path(folder) / "factor.txt").read_text())


def own_loss(y, prediction):
    return ops.mean(ops.abs(y - prediction), axis=-1)


def test_weights_are_copied_not_shared():
    model = small()
    model.compile("sgd", "mse")
    new = replace_activations(model, "crrelu")
    before = arrays(model.weights)
    names = {weight.path.split("/", 1)[-1]: weight for weight in new.weights}
    for weight in model.weights:
        np.testing.assert_array_equal(weight.numpy(), names[weight.path.split("/", 1)[-1]].numpy())
    new.fit(numbers((32, 4)), numbers((32, 2)), epochs=2, verbose=0)
    for old, now in zip(before, arrays(model.weights), strict=True):
        np.testing.assert_array_equal(old, now)
    assert not np.array_equal(before[0], new.get_layer("dense").kernel.numpy())
    model.fit(numbers((32, 4)), numbers((32, 2)), verbose=0)  # its buffers are its own


def test_batch_statistics_and_adapted_normalization_are_copied():
    norm = layers.Normalization(name="norm")
    norm.adapt(numbers((64, 4)) * 3 + 5)
    model = keras.Sequential(
        [keras.Input((4,)), norm, layers.Dense(3, "relu"), layers.BatchNormalization(name="batch")]
    )
    model.compile("sgd", "mse")
    model.fit(3 * numbers((32, 4)) + 5, numbers((32, 3)), verbose=0)
    new = replace_activations(model, "relu")
    x = 3 * numbers((3, 4), 1) + 5
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x)) for m in (model, new)))
    assert not np.allclose(new.get_layer("batch").moving_mean.numpy(), 0)


def test_random_states_are_copied():
    model = small()
    state = model.get_layer("drop").seed_generator.state
    state.assign(ops.convert_to_tensor([5, 9], state.dtype))
    new = replace_activations(model, "relu").get_layer("drop").seed_generator.state
    assert new is not state
    assert ops.convert_to_numpy(new).tolist() == [5, 9]


def test_assets_are_copied():
    layer = Table(name="table")
    layer.factor = 3.0
    inputs = keras.Input((2,))
    new = replace_activations(keras.Model(inputs, ops.relu(layer(inputs))), "relu")
    assert new.get_layer("table").factor == 3.0


def test_trainable_flags():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, "relu", name="a"), layers.ReLU(name="b")], name="inner"
    )
    wrapped = layers.Bidirectional(layers.LSTM(2), name="both")
    inputs = keras.Input((4,))
    x = layers.Reshape((1, 4))(layers.Dense(4, activation="relu", name="head")(inner(inputs)))
    model = keras.Model(inputs, wrapped(x))
    inner.trainable = False
    inner.get_layer("b").trainable = True
    wrapped.backward_layer.trainable = False
    new = replace_activations(model, "crrelu")
    core = new.get_layer("inner")
    assert not core.trainable and not core.get_layer("a").trainable
    assert not core.get_layer("a_activation").trainable and core.get_layer("b").trainable
    assert new.get_layer("head_activation").trainable
    assert not new.get_layer("both").backward_layer.trainable
    assert new.get_layer("both").forward_layer.trainable
    expected = len(model.trainable_variables) + 2  # of head_activation and b alone
    assert len(new.trainable_variables) == expected


def test_trainable_flags_of_variables_where_the_activation_is_split_off():
    model = small()
    model.get_layer("dense").kernel.trainable = False
    dense = replace_activations(model, "gelu").get_layer("dense")
    assert not dense.kernel.trainable and dense.bias.trainable


def adapted(quantized=False):
    """Every layer that Keras has adapters for, alone and in a block, the adapters not at zero."""
    ids = keras.Input((6,), dtype="int32")
    table = layers.Embedding(20, 8, name="table")
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    einsum = layers.EinsumDense("abc,cd->abd", (None, 8), activation="relu", name="einsum")
    dense = layers.Dense(5, activation="relu", name="dense")
    conv = layers.Conv1D(4, 2, activation="relu", name="conv")
    x = table(ids)
    model = keras.Model(ids, conv(dense(einsum(x if quantized else attention(x, x)))))
    layers_ = [table, einsum, dense, *([] if quantized else [conv, attention.query_dense])]
    for layer in layers_[:2]:
        layer.enable_lora(2, lora_alpha=7)
    if quantized:
        for layer in layers_:
            layer.quantize("int8")
    for layer in layers_[2:]:
        layer.enable_lora(3)
    for variable in model.variables:
        if "lora" in variable.name:
            variable.assign(numbers(variable.shape, len(variable.shape)))
    return model


@pytest.mark.parametrize("quantized", [False, True])
def test_low_rank_adapters_are_copied(quantized):
    model = adapted(quantized)
    new = replace_activations(model, "relu")
    assert len(new.variables) == len(model.variables)
    compared = 0
    for name in ("table", "attention", "einsum", "dense", "conv"):
        if quantized and name == "attention":
            continue
        old, now = model.get_layer(name), new.get_layer(name)
        assert getattr(now, "lora_alpha", None) == getattr(old, "lora_alpha", None)
        by_name = {variable.path.split(name, 1)[1]: variable for variable in now.variables}
        for variable in old.variables:
            copy = by_name[variable.path.split(name, 1)[1]]
            assert copy.trainable == variable.trainable and copy.dtype == variable.dtype
            np.testing.assert_array_equal(*arrays([variable, copy]))
            compared += "lora" in variable.name and bool(np.any(arrays([copy])[0]))
    assert compared == (6 if quantized else 10)
    x = np.random.default_rng(0).integers(0, 20, (3, 6))
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x)) for m in (model, new)))


def test_adapters_learn_in_the_copy():
    model = small()
    model.get_layer("dense").enable_lora(2)
    model.compile("sgd", "mse")
    new = replace_activations(model, "gelu")
    dense = new.get_layer("dense")
    before = arrays([dense.lora_kernel_b, dense._kernel])
    new.fit(numbers((8, 4)), numbers((8, 2)), verbose=0)
    after = arrays([dense.lora_kernel_b, dense._kernel])
    assert np.any(before[0] != after[0])  # its gradient is lora_kernel_a's, which is not zero
    np.testing.assert_array_equal(before[1], after[1])


def test_rematerialization_stays():
    with keras.RematScope("full"):
        model = small()
    copy = replace_activations(model, "tanh", sites="relu")
    assert [layer._remat_mode.mode for layer in copy.layers[:2]] == ["full", "full"]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64", "bfloat16"])
def test_dtype_policies(policy):
    inputs = keras.Input((4,))
    x = layers.Dense(3, activation="relu", dtype=policy, name="dense")(inputs)
    model = keras.Model(inputs, layers.Dense(1, dtype="float32", name="out")(ops.relu(x)))
    new = replace_activations(model, "pwl")
    learned = [layer for layer in new.layers if isinstance(layer, keras_actfn.layers.PWL)]
    compute = policy.removeprefix("mixed_")
    assert [layer.compute_dtype for layer in learned] == [compute, compute]
    assert new.get_layer("dense").dtype_policy.name == policy
    assert new.get_layer("out").dtype_policy.name == "float32"
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model(numbers((3, 4)))),
        ops.convert_to_numpy(replace_activations(model, "relu")(numbers((3, 4)))),
    )


def test_activity_regularizer_follows_the_activation():
    model = small(activity_regularizer=keras.regularizers.L2(0.5))
    new = replace_activations(model, "relu")
    assert new.get_layer("dense").activity_regularizer is None
    x = numbers((6, 4))
    for each in (model, new):
        each(x)
    np.testing.assert_allclose(*(float(each.losses[0]) for each in (model, new)), rtol=1e-6)
    again = keras.models.Sequential.from_config(new.get_config())
    assert again.get_layer("dense_activation").activity_regularizer.l2 == 0.5


@pytest.mark.parametrize("place", ["fused", "layer", "inside", "activation"])
def test_every_copy_keeps_activity_regularizers(place):
    spec = {"activation": keras_actfn.activation("crrelu"), "activity_regularizer": "l2"}
    if place == "activation":
        given = keras_actfn.layers.CRReLU(activity_regularizer="l2")
        first = [layers.Dense(4, activation=given, name="a")]
    elif place == "fused":
        first = [layers.Dense(4, name="a", **spec)]
    elif place == "layer":
        first = [layers.Dense(4), keras_actfn.layers.CRReLU(activity_regularizer="l2", name="a")]
    else:
        first = [layers.Dense(4), layers.Activation(name="a", **spec)]
    model = keras.Sequential([keras.Input((4,)), *first, layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = numbers((32, 4)), numbers((32, 1))
    z = ops.convert_to_numpy(keras.Model(model.inputs, model.layers[-2].output)(x))
    expected = np.mean((ops.convert_to_numpy(model(x)) - y) ** 2) + 0.01 * np.sum(z**2) / 32
    assert model.evaluate(x, y, batch_size=32, verbose=0) == pytest.approx(expected, rel=1e-4)
    compiled = compile_activations(model, x, 64)
    compiled.model.compile("sgd", "mse")
    dense = with_dense_segments(compiled)
    dense.compile("sgd", "mse")
    for new, rel in (
        (replace_activations(model, "crrelu"), 1e-5),
        (freeze_activations(model), 1e-5),
        (compiled.model, 1e-2),
        (dense, 1e-2),
    ):
        again = new.evaluate(x, y, batch_size=32, verbose=0)
        assert again == pytest.approx(expected, rel=rel)


def test_two_activity_regularizers_of_one_activation_are_refused():
    given = keras_actfn.layers.CRReLU(activity_regularizer="l2")
    dense = layers.Dense(3, activation=given, activity_regularizer="l1")
    model = keras.Sequential([keras.Input((4,)), dense])
    with pytest.raises(ValueError, match="One activity regularizer goes with an activation"):
        freeze_activations(model)


@pytest.mark.parametrize("wrapped", [False, True])
def test_what_the_optimizer_excludes_from_weight_decay(wrapped):
    for excluded in ({"var_names": ["bias"]}, "variables"):
        model = small()
        if excluded == "variables":
            excluded = {"var_list": [model.get_layer(n).bias for n in ("dense", "out")]}
        optimizer = keras.optimizers.AdamW(weight_decay=0.1)
        optimizer.exclude_from_weight_decay(**excluded)
        if wrapped:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        model.compile(optimizer, "mse")
        new = replace_activations(model, "pwl")
        copy = new.optimizer.inner_optimizer if wrapped else new.optimizer
        assert copy is not optimizer
        for name in ("dense", "out"):
            assert not copy._use_weight_decay(new.get_layer(name).bias)
            assert copy._use_weight_decay(new.get_layer(name).kernel)


def test_optimizers_among_the_attributes_exclude_the_same():
    class Own(keras.Model):
        pass

    inputs = keras.Input((2,))
    dense = layers.Dense(3, activation="relu", name="dense")
    model = Own(inputs, dense(inputs))
    model.second = keras.optimizers.AdamW(weight_decay=0.1)
    model.second.exclude_from_weight_decay(var_list=[dense.bias])
    new = replace_activations(model, "gelu")
    assert new.second is not model.second
    assert not new.second._use_weight_decay(new.get_layer("dense").bias)
    assert new.second._use_weight_decay(new.get_layer("dense").kernel)


def test_constraints_regularizers_and_initializers_of_the_layer_stay():
    model = small(kernel_regularizer="l1", bias_constraint="non_neg", use_bias=True)
    dense = replace_activations(model, "tanh").get_layer("dense")
    assert isinstance(dense.kernel_regularizer, keras.regularizers.L1)
    assert isinstance(dense.bias_constraint, keras.constraints.NonNeg)


def test_compile_state():
    model = small()
    model.compile(
        keras.optimizers.SGD(0.25, momentum=0.5), own_loss, metrics=["mae"], run_eagerly=True
    )
    model.optimizer.learning_rate.assign(0.125)
    new = replace_activations(model, "crrelu")
    assert new.compiled and new.optimizer is not model.optimizer
    assert isinstance(new.optimizer, keras.optimizers.SGD)
    assert float(new.optimizer.learning_rate.value) == 0.125
    assert new.optimizer.momentum == 0.5 and new.run_eagerly
    x, y = numbers((8, 4)), numbers((8, 2))
    expected = replace_activations(model, "relu").evaluate(x, y, verbose=0)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected, rtol=1e-6)
    new.fit(x, y, batch_size=4, verbose=0)
    assert int(new.optimizer.iterations.value) == 2


def test_a_model_that_is_not_compiled_stays_so():
    assert not replace_activations(small(), "tanh").compiled


def test_losses_by_output_name_follow_a_split_output():
    inputs = keras.Input((3,))
    one = layers.Dense(1, activation="sigmoid", name="one")(inputs)
    two = layers.Dense(1, name="two")(inputs)
    model = keras.Model(inputs, [one, two])
    model.compile("sgd", {"one": "mse", "two": "mae"}, loss_weights={"one": 2.0, "two": 1.0})
    new = replace_activations(model, "tanh", sites="one")
    assert new.output_names == ["one_activation", "two"]
    new.fit(numbers((4, 3)), [numbers((4, 1)), numbers((4, 1))], verbose=0)


def test_functions_of_the_compile_state_are_the_same_objects():
    model = small()
    model.compile("sgd", lambda y, z: ops.mean(3 * (y - z)), metrics=[lambda y, z: ops.mean(y + z)])
    new = replace_activations(model, "relu")
    x, y = numbers((8, 4)), numbers((8, 2))
    z = ops.convert_to_numpy(model(x))
    expected = [np.mean(3 * (y - z)), np.mean(y + z)]
    np.testing.assert_allclose(new.evaluate(x, y, verbose=0), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("spec", ["aff(identity,relu,tanh)", "pwl(axis=-1)", "max(relu(x),x/3)"])
def test_the_new_model_is_saved_and_trained(spec, tmp_path):
    model = small()
    model.compile("adam", "mse")
    new = replace_activations(model, spec)
    new.fit(numbers((16, 4)), numbers((16, 2)), epochs=2, verbose=0)
    new.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    x = numbers((5, 4), 3)
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(x)), ops.convert_to_numpy(new(x)), rtol=1e-6, atol=1e-7
    )
    assert find_activations(loaded) == find_activations(new)
    if spec != "max(relu(x),x/3)":
        start = replace_activations(model, spec).get_layer("relu").trainable_variables[0]
        assert not np.array_equal(new.get_layer("relu").trainable_variables[0], start)


def test_subclasses_of_functional_models_keep_their_class():
    class Own(keras.Model):
        pass

    inputs = keras.Input((2,))
    model = Own(inputs, layers.Dense(1)(ops.relu(inputs)))
    assert type(replace_activations(model, "tanh")) is Own


def test_a_model_without_input_can_be_changed_before_it_is_built():
    model = keras.Sequential([layers.Dense(3, activation="relu", name="a"), layers.Dense(1)])
    new = replace_activations(model, "crrelu")
    assert [layer.name for layer in new.layers][:2] == ["a", "a_activation"]
    assert new(numbers((2, 4))).shape == (2, 1)


def test_optional_and_sparse_inputs_stay():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), optional=True, name="b")
    model = keras.Model([a, b], ops.relu(a))
    new = replace_activations(model, "relu")
    assert [op.optional for op in new._operations if isinstance(op, layers.InputLayer)] == [
        False,
        True,
    ]
