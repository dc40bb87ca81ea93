"""AlexNet's recipe of the hull paper: rates, decay, steps and images against NumPy."""

import keras
import numpy as np
import pytest

import keras_actfn
from keras_actfn import datasets
from keras_actfn.training import RECIPES, CoupledSGD, Task, bias_variables, compare
from keras_actfn.training.setup import Setup

RECIPE = RECIPES["hull_alexnet"]
DECAY = 5e-4


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def caffe_step(weight, velocity, gradient, rate, decay, momentum=0.9):
    """Caffe's `SGDSolver`: regularisation into the gradient, then momentum."""
    velocity = momentum * velocity + rate * (gradient + decay * weight)
    return weight - velocity, velocity


def network():
    inner = keras.Sequential([keras.Input((5, 5, 2)), keras.layers.Conv2D(3, 3, name="conv")])
    return keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            inner,
            keras_actfn.activation("crrelu"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation=keras_actfn.activation("crrelu")),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(2, use_bias=False),
        ]
    )


@pytest.mark.once
def test_the_rates_of_450_000_updates():
    found = {}
    for group, optimizer in zip(
        ("weights", "activations", "biases"), RECIPE.optimizers(5000, 90), strict=True
    ):
        optimizer.build([keras.Variable(1.0)])
        found[group] = []
        for step in (0, 99_999, 100_000, 200_000, 300_000, 400_000, 449_999):
            optimizer.iterations.assign(step)
            found[group].append(float(numbers(optimizer.learning_rate)))
        assert optimizer.momentum == 0.9
        assert optimizer.l2 == (DECAY if group == "weights" else 0)
    expected = np.array([1e-2, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-6])
    np.testing.assert_allclose(found["weights"], expected, rtol=1e-4)
    np.testing.assert_allclose(found["activations"], expected, rtol=1e-4)
    np.testing.assert_allclose(found["biases"], 2 * expected, rtol=1e-4)


def test_every_variable_moves_as_in_caffe():
    # Nine steps in all: the rate falls after the second, fourth, sixth and eighth.
    model = network()
    biases = {v.path for v in bias_variables(model)}
    assert sorted(path.split("/")[-2:] for path in biases) == [["conv", "bias"], ["dense", "bias"]]
    optimizer = RECIPE.optimizer_for(model, 3, 3)
    variables = model.trainable_variables
    assert {v.name for v in variables} == {"kernel", "bias", "epsilon", "gamma", "beta"}
    optimizer.build(variables)
    rng = np.random.default_rng(0)
    expected = [numbers(v).astype("float64") for v in variables]
    velocities = [np.zeros_like(w) for w in expected]
    for step in range(5):
        gradients = [rng.normal(size=w.shape).astype("float32") for w in expected]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
        rate = 0.01 * 0.1 ** (step // 2)
        for index, variable in enumerate(variables):
            settings = {"rate": rate, "decay": DECAY}
            if variable.path in biases:
                settings = {"rate": 2 * rate, "decay": 0}
            elif variable.name == "epsilon":
                settings = {"rate": rate, "decay": 0}
            expected[index], velocities[index] = caffe_step(
                expected[index], velocities[index], gradients[index], **settings
            )
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(numbers(variable), value, rtol=1e-5, atol=1e-6)


def test_a_step_of_softmax_regression_is_the_closed_form():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)).astype("float32"), np.arange(6) % 3
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    kernel, bias = (numbers(v).astype("float64") for v in model.trainable_variables)
    bias = bias + 0.3
    model.set_weights([kernel, bias])
    model.compile(RECIPE.optimizer_for(model, 2, 1), "sparse_categorical_crossentropy")
    scores = np.exp(x @ kernel + bias)
    errors = (scores / scores.sum(1, keepdims=True) - np.eye(3)[y]) / len(x)
    kernel, _ = caffe_step(kernel, 0, x.T @ errors, 0.01, DECAY)
    bias, _ = caffe_step(bias, 0, errors.sum(0), 0.02, 0)
    loss = model.train_on_batch(x, y)
    assert loss == pytest.approx(-np.log(scores / scores.sum(1, keepdims=True))[range(6), y].mean())
    for found, value in zip(model.trainable_variables, (kernel, bias), strict=True):
        np.testing.assert_allclose(numbers(found), value, rtol=1e-5, atol=1e-7)


@pytest.mark.once
def test_decay_is_part_of_the_velocity_and_kept_in_files():
    weight = keras.Variable([2.0])
    optimizer = CoupledSGD.from_config(CoupledSGD(0.5, momentum=0.5, l2=0.1).get_config())
    for _ in range(2):
        optimizer.apply([keras.ops.zeros(1)], [weight])
    # Keras's weight_decay would leave 2 · 0.95² = 1.805 without a gradient.
    np.testing.assert_allclose(numbers(weight), [2 - 0.1 - (0.05 + 0.095)], rtol=1e-6)
    with pytest.raises(ValueError, match="l2 is at least 0"):
        CoupledSGD(l2=-1.0)


@pytest.mark.once
def test_images_are_cropped_and_centred_on_the_scale_of_bytes():
    digits = datasets.digits()
    x = digits.x_test[:40]
    setup = Setup.of(Task(lambda _: None, digits, validation=0, recipe=RECIPE))
    mean = digits.x_train.mean()
    assert RECIPE.model_shape((256, 256, 3)) == (227, 227, 3)
    shape = RECIPE.model_shape((8, 8, 1))
    assert shape == (7, 7, 1)
    model = keras.Sequential([keras.Input(shape), keras.layers.Identity()])
    seen = setup.with_input_layers(model)
    still = numbers(seen(x, training=False))
    np.testing.assert_allclose(still, 255 * (x[:, :7, :7] - mean), rtol=1e-4, atol=1e-3)
    moved = numbers(seen(x, training=True)) / 255 + mean
    found = set()
    for image, part in zip(x, moved, strict=True):
        for i, j, flip in np.ndindex(2, 2, 2):
            cut = image[i : i + 7, j : j + 7]
            if np.allclose(cut[:, ::-1] if flip else cut, part, atol=1e-4):
                found.add((i, j, flip))
                break
        else:
            raise AssertionError("a crop that is no part of its image")
    assert len(found) == 8


@pytest.mark.once
def test_a_comparison_by_the_recipe():
    digits = datasets.digits().subset(64)

    def build(activation):
        return keras.Sequential(
            [
                keras.Input(RECIPE.model_shape(digits.input_shape)),
                keras.layers.Flatten(),
                keras.layers.Dense(8, kernel_initializer=keras.initializers.RandomNormal(0, 0.001)),
                keras_actfn.activation(activation),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )

    task = Task(build, digits, validation=0, batch_size=32, recipe="hull_alexnet")
    result = compare(task, ["relu", "conv(relu)"], seeds=1)
    relu, hull = (run.arrays["loss"] for run in result.runs)
    assert len(relu) == 2 and np.isfinite(relu).all()
    np.testing.assert_allclose(hull, relu, rtol=1e-5)
