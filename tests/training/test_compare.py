"""`compare` on a small network: what its runs share, and how it resumes."""

import dataclasses
import json

import keras
import numpy as np
import pytest

import keras_actfn
from keras_actfn import datasets
from keras_actfn.models.seeds import batch_order, seeds_drawn_from
from keras_actfn.training import RECIPES, Recipe, Task, compare

BATCH = 16


@pytest.fixture(scope="module")
def data():
    digits = datasets.digits().subset(5 * BATCH + 3)
    return (digits.x_train, digits.y_train), (digits.x_test[:50], digits.y_test[:50])


def build(activation, seed=None):
    """A network with a random layer and without fixed layer names."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(12),
            keras_actfn.activation(activation),
            keras.layers.Dropout(0.4, seed=seed),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def poison(x):
    """An activation that diverges."""
    return x * float("nan")


#: Arguments of `compare`; all others are of `Task`.
OF_COMPARE = ("seeds", "output", "plots", "progress")


def small(data, activations, build=build, **options):
    of_compare = {name: options.pop(name) for name in OF_COMPARE if name in options}
    train, test = data
    options = {"batch_size": BATCH, "validation": 0, **options}
    return compare(
        Task(build, train, test=test, **options), activations, **{"seeds": 1, **of_compare}
    )


def mixed_alone(seed):
    """Mixed batches without RandAugment, whose every operation JAX and TensorFlow compile."""
    return [[keras.layers.MixUp(0.5, seed=seed, data_format="channels_last")]]


def curves(result, index=0):
    return result.runs[index].arrays["loss"]


# The others of 160 pixels differ from aquasurf_160 in rates, and AutoInit is in aquasurf_cifar;
# AlexNet's is tested on images larger than the model's.
LEFT_OUT = {"aquasurf_160_resnet50", "aquasurf_160_coatnet", "hull_alexnet"}
# They differ from aquasurf_cifar in how far images are shifted, and in rates.
SIMILAR = {"aquasurf_cifar_resnet", "correlation", "crrelu_vision"}


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(name, marks=[pytest.mark.once] if name in SIMILAR else [])
        for name in RECIPES
        if name not in LEFT_OUT
    ],
)
def test_equal_activations_give_equal_runs(data, recipe):
    # The simplex of one base function is a point: conv(relu) is ReLU with a weight of its own.
    # Equal curves need equal weights, batches, dropout masks, flips and shifts.
    # Mixing draws and changes every batch by itself, so two steps of one run are enough of it.
    recipe = RECIPES[recipe]
    mixing = recipe.batch_augmentation is not None
    if mixing and keras.backend.backend() != "torch":
        recipe = dataclasses.replace(recipe, batch_augmentation=mixed_alone)
    length = {"epochs": 1, "batch_size": 40} if mixing else {"epochs": 2}
    seeds = [3] if mixing else [3, 4]
    result = small(data, ["relu", "conv(relu)"], seeds=seeds, recipe=recipe, **length)
    relu, hull = np.split(np.stack([curves(result, run) for run in range(2 * len(seeds))]), 2)
    np.testing.assert_allclose(relu, hull, rtol=1e-5)
    assert mixing or abs(relu[0] - relu[1]).max() > 0.01
    assert [row.parameters for row in result.rows()] == [910, 911]
    assert result.rows()[1].difference == pytest.approx(0, abs=1e-6)


def test_a_run_is_what_one_fit_on_the_same_batches_gives(data):
    # A seed for dropout: PyTorch's own generator, used without one, also serves its data loader.
    def with_seed(activation):
        return build(activation, seed=7)

    (x, y), (x_test, y_test) = data
    seed, epochs, steps = 5, 3, len(x) // BATCH

    def batches():
        for epoch in range(epochs):
            order = batch_order(seed, epoch, len(x))
            for step in range(steps):
                rows = order[step * BATCH : (step + 1) * BATCH]
                yield x[rows], y[rows]

    with seeds_drawn_from(seed):
        model = with_seed("relu")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(batches(), steps_per_epoch=steps, epochs=epochs, verbose=0)
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)

    # The other seed comes first: what it leaves in the network must not matter.
    result = small(data, ["relu"], with_seed, epochs=epochs, seeds=[9, seed])
    run = result.runs[1]
    assert run.steps == epochs * steps
    assert run.test["loss"] == pytest.approx(loss, rel=1e-4)
    assert run.test["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    means = [np.mean(part) for part in np.split(run.arrays["loss"], epochs)]
    np.testing.assert_allclose(means, model.history.history["loss"], rtol=1e-4)


@pytest.mark.once
def test_resume_and_files(data, tmp_path, capsys):
    first = small(data, ["relu"], output=tmp_path, validation=20, epochs=2, plots=False)
    assert first.reused == 0 and len(first.runs[0].arrays["validation_accuracy"]) == 2
    again = small(data, ["relu", "tanh"], output=tmp_path, validation=20, epochs=2, progress=True)
    assert again.reused == 1
    assert "1 of 2 runs were finished before" in capsys.readouterr().err
    assert again.runs[0].summary() == first.runs[0].summary()
    assert {"learned_curves.png", "training_curves.png", "results.json", "results.csv"} <= {
        path.name for path in tmp_path.iterdir()
    }
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["table"][1]["value"] == again.runs[1].test["accuracy"]
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.once
@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 2},
        {"seeds": [1]},
        {"batch_size": BATCH + 1},
        {"subset": 40},
        {"recipe": Recipe("adam", lambda: keras.optimizers.Adam(2e-3))},
        {"activations": ["conv(relu,tanh)"]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_setting_is_another_run(data, tmp_path, monkeypatch, change):
    keys = []

    class Planned(Exception):
        pass

    def load(self, key, label):
        keys.append(key)
        raise Planned

    monkeypatch.setattr("keras_actfn.training.run_store.RunStore.load", load)
    for options in ({}, {}, change):
        with pytest.raises(Planned):
            small(data, **{"activations": ["conv(identity,relu)"], **options})
    assert keys[0] == keys[1] != keys[2]


def test_a_diverged_run_is_a_result(data, tmp_path):
    result = small(data, ["relu", poison], epochs=2, output=tmp_path, plots=True)
    relu, poisoned = result.runs
    assert poisoned.diverged and poisoned.steps == 1 and poisoned.activation == "poison"
    assert poisoned.test == {"accuracy": 0.0, "loss": np.inf}
    assert not relu.diverged and relu.steps == 10
    assert json.loads((tmp_path / "results.json").read_text())["runs"][1]["test"]["loss"] is None
    assert small(data, [poison], epochs=2, output=tmp_path, plots=False).reused == 1


def test_learned_curves_are_those_of_the_layers(data):
    result = small(data, ["relu", "aff(identity,relu)", "pwl(axis=-1)"], epochs=2)
    relu, hull, channels = (run.arrays for run in result.runs)
    np.testing.assert_allclose(relu["site_1"], np.maximum(relu["x"], 0), rtol=1e-6)
    # Any point of aff(identity, relu) is x for x >= 0 and c·x below.
    x, y = hull["x"], hull["site_1"]
    np.testing.assert_allclose(y[x >= 0], x[x >= 0], atol=1e-5)
    np.testing.assert_allclose(y[x < 0], y[0] / x[0] * x[x < 0], atol=1e-5)
    assert channels["site_1"].shape == (len(x), 12)


@pytest.mark.once
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"activations": "relu"}, "list of at least one"),
        ({"activations": []}, "list of at least one"),
        ({"activations": ["relu", " relu"]}, "compared once. Received twice: 'relu'"),
        ({"epochs": 0}, "epochs is a positive integer. Received: 0"),
        ({"seeds": 0}, "number of seeds is a positive integer"),
        ({"seeds": [1, 1]}, "different non-negative integers"),
        ({"seeds": [-1]}, "different non-negative integers"),
        ({"seeds": "012"}, "different non-negative integers"),
        ({"batch_size": 84}, "at most the 83 training examples. Received: batch_size=84"),
        ({"batch_size": 0}, "batch_size is a positive integer"),
        ({"subset": 84}, "from 1 to the 83 there are. Received: 84"),
        ({"validation": 83}, "validation examples is from 1 to 82"),
        ({"recipe": "hulll"}, "Did you mean 'hull'"),
        ({"data": ("digits", None)}, "train is what fit takes: .* Received: str"),
        ({"data": ((np.ones((3, 8, 8, 1)), np.ones(3)),) * 2}, "integer labels"),
        ({"data": ((np.ones((3, 8, 8, 1)), np.ones(2, int)),) * 2}, "Received: 3, 2 examples"),
        ({"data": ((np.ones((3, 8, 8, 1)), -np.ones(3, int)),) * 2}, "from 0. Received: -1"),
    ],
)
def test_bad_arguments(data, options, match):
    arguments = {"data": data, "activations": ["relu"], **options}
    with pytest.raises(ValueError, match=match):
        small(**arguments)


def test_a_builder_that_changes_more(data):
    def wide(activation):
        width = 12 if activation == "relu" else 13
        layers = [keras.layers.Flatten(), keras.layers.Dense(width, activation=activation)]
        return keras.Sequential(
            [keras.Input((8, 8, 1)), *layers, keras.layers.Dense(10, "softmax")]
        )

    with pytest.raises(ValueError, match="changes nothing but the activation"):
        small(data, ["relu", "tanh"], wide)
