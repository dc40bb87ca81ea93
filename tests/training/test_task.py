"""Compiled models on whatever `fit` takes: what is trained, measured, paired and refused."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_actfn import activation
from keras_actfn.models.seeds import seeds_drawn_from
from keras_actfn.training import Task, compare
from keras_actfn.training.trainer import Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 4)).astype("float32")
Z = RNG.normal(size=(48, 2)).astype("float32")
Y = (X[:, 0] + Z[:, 1] > 0).astype("float32")
W = RNG.uniform(0.2, 1, size=48).astype("float32")
#: Two activations with one meaning: conv(relu) has a weight that changes nothing.
EQUAL = ["relu", "conv(relu)"]


def regression(spec, **options):
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(8),
            activation(spec),
            layers.Dropout(0.1),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], **options)
    return model


@pytest.fixture(scope="module")
def diabetes():
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    x, y = (x / x.std(0)).astype("float32"), ((y - y.mean()) / y.std()).astype("float32")
    return {
        "train": (x[:200], y[:200]),
        "validation": (x[200:300], y[200:300]),
        "test": (x[300:], y[300:]),
    }


def stopping():
    return [keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)]


def test_regression_with_early_stopping(diabetes, tmp_path):
    task = Task(regression, **diabetes, epochs=8, batch_size=50, callbacks=stopping)
    result = compare(task, [*EQUAL, "tanh"], seeds=2, output=tmp_path)
    assert (result.criterion.metric, result.criterion.mode, result.part) == ("mae", "min", "test")
    for seed in (0, 1):
        relu, same, tanh = (result.runs_of(label)[seed] for label in result.activations)
        np.testing.assert_allclose(relu.arrays["loss"], same.arrays["loss"], rtol=1e-5)
        assert relu.test == pytest.approx(same.test, rel=1e-5)
        assert set(relu.test) == set(relu.validation) == {"loss", "mae"}
        # The weights are those of the best epoch.
        assert tanh.validation["loss"] == pytest.approx(
            tanh.arrays["validation_loss"].min(), rel=1e-5
        )
    row, other = result.rows()[0], result.rows()[2]
    gains = np.subtract(result.values_of("relu"), result.values_of("tanh"))
    assert other.difference == pytest.approx(gains.mean())  # less error is better
    assert row.validation is not None and 0 < row.value < 1.5
    text = result.markdown()
    assert "test mae" in text and "(+ is better, 95 % interval)" in text and "%)" not in text
    again = compare(task, ["relu"], seeds=2, output=tmp_path, plots=False)
    assert again.reused == 2 and again.rows()[0].value == pytest.approx(row.value)
    stored = json.loads((tmp_path / "results.json").read_text())
    assert (stored["metric"], stored["mode"]) == ("mae", "min")


def test_a_run_is_what_fit_gives(diabetes):
    x, y = diabetes["train"]
    options = {"epochs": 2, "batch_size": 30}
    plain = {"shuffle": False, "class_weight": None}

    def build(spec):
        model = keras.Sequential([keras.Input((10,)), layers.Dense(8), activation(spec)])
        model.add(layers.Dense(1))
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    task = Task(build, (x, y), diabetes["validation"], fit=plain, **options)
    trainer = Trainer(task)
    trainer.train_once("relu", 1)  # what it leaves must not matter
    found = trainer.train_once("relu", 3)
    with seeds_drawn_from(3):
        model = build("relu")
    history = model.fit(
        x, y, shuffle=False, verbose=0, validation_data=diabetes["validation"], **options
    ).history
    for name, values in history.items():
        np.testing.assert_allclose(
            found.arrays[name.replace("val_", "validation_")], values, rtol=1e-4
        )
    assert found.validation["mae"] == pytest.approx(history["val_mae"][-1], rel=1e-4)
    assert found.steps == 2 * 7


def two_inputs(spec):
    wide, deep = keras.Input((4,), name="wide"), keras.Input((2,), name="deep")
    x = layers.Concatenate()([activation(spec)(layers.Dense(6)(wide)), deep])
    model = keras.Model({"wide": wide, "deep": deep}, layers.Dense(1, "sigmoid")(x))
    model.compile(
        "adam", "binary_crossentropy", metrics=["accuracy"], weighted_metrics=[keras.metrics.AUC()]
    )
    return model


class Pairs(keras.utils.PyDataset):
    """Batches of two inputs, targets and weights, shuffled by NumPy's generator."""

    def __init__(self):
        super().__init__()
        self.order = np.random.permutation(len(X))  # noqa: NPY002

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = self.order[index * 16 : (index + 1) * 16]
        return {"wide": X[rows], "deep": Z[rows]}, Y[rows, None], W[rows]


def tf_dataset():
    import tensorflow as tf

    parts = {"wide": X, "deep": Z}, Y[:, None], W
    return tf.data.Dataset.from_tensor_slices(parts).shuffle(48).batch(16)


def loader():
    import torch

    class Examples(torch.utils.data.Dataset):
        def __len__(self):
            return len(X)

        def __getitem__(self, i):
            return {"wide": X[i], "deep": Z[i]}, Y[i : i + 1], W[i]

    return torch.utils.data.DataLoader(Examples(), batch_size=16, shuffle=True)


# PyTorch's loader under its own backend, as importing PyTorch takes seconds.
@pytest.mark.parametrize(
    "source", [Pairs, tf_dataset, pytest.param(loader, marks=pytest.mark.once)]
)
def test_two_inputs_with_weights_from_a_source(source):
    task = Task(two_inputs, source, source, metric="auc", epochs=2)
    result = compare(task, EQUAL, seeds=1)
    relu, same = result.runs
    assert (result.criterion.mode, result.part) == ("max", "validation")
    # One order for one seed, though the function draws it for each run.
    np.testing.assert_allclose(relu.arrays["loss"], same.arrays["loss"], rtol=1e-5)
    assert relu.steps == 6 and set(relu.validation) == {"accuracy", "auc", "loss"}
    assert 0 <= relu.validation["auc"] <= 1


def test_a_train_step_of_ones_own_in_half_precision():
    class Twice(keras.Model):
        """Trains on targets and on its own, and holds what can't be set back."""

        runs = 0

        def train_step(self, *arguments):
            type(self).runs += 1
            return super().train_step(*arguments)

    def build(spec):
        inputs = keras.Input((4,))
        x = activation(spec)(layers.Dense(6)(inputs))
        model = Twice(inputs, layers.Dense(1, dtype="float32")(x))
        many = {} if keras.backend.backend() == "torch" else {"steps_per_execution": 2}
        model.compile("adam", "mse", **many)
        return model

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        task = Task(build, (X, Y), validation=0.25, batch_size=8, epochs=2)
        result = compare(task, ["relu", "tanh"], seeds=[5, 6])
    finally:
        keras.config.set_dtype_policy(before)
    assert Twice.runs >= 4  # traced or run for each of the four models
    assert result.criterion.metric == "loss" and result.criterion.mode == "min"
    assert len({run.validation["loss"] for run in result.runs}) == 4
    assert not any(run.diverged for run in result.runs)


def test_several_outputs_have_one_name_in_every_model():
    def build(spec):
        inputs = keras.Input((4,))
        x = activation(spec)(layers.Dense(6)(inputs))
        model = keras.Model(inputs, [layers.Dense(1)(x), layers.Dense(2)(x)])
        model.compile("sgd", ["mse", "mae"], metrics=[["mae"], ["mse"]])
        return model

    task = Task(build, (X, [Y, Z]), metric="dense_1_mse", batch_size=16)
    result = compare(task, ["relu", "tanh"], seeds=1)
    names = {"loss", "dense_loss", "dense_1_loss", "dense_mae", "dense_1_mse"}
    assert all(set(run.validation) == names for run in result.runs)
    assert result.criterion.mode == "min"


def tiny(spec, metrics=("mae",)):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3), activation(spec), layers.Dense(1)]
    )
    model.compile("sgd", "mse", metrics=list(metrics))
    return model


def nan_for_negatives(y_true, y_pred):
    return ops.mean(ops.log(ops.min(y_pred) + 0 * y_true))


@pytest.mark.once
def test_a_metric_that_is_nan_never_wins():
    def build(spec):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3), activation(spec)])
        model.add(layers.Dense(1, use_bias=False, kernel_initializer="ones", trainable=False))
        model.compile("sgd", "mse", metrics=[nan_for_negatives])
        return model

    result = compare(Task(build, (X, Y), mode="min"), ["sigmoid", "negative(sigmoid(x))"], seeds=2)
    good, bad = result.rows()
    assert np.isfinite(good.value) and bad.value == np.inf and bad.diverged == 2
    assert bad.difference is None and "2 of 2 diverged" in result.markdown()
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.once
@pytest.mark.parametrize(
    ("metrics", "options", "match"),
    [
        (["mae"], {"metric": "auc"}, r"reports: loss, mae\. Received: 'auc'"),
        ([keras.metrics.MeanAbsoluteError(name="error")], {"metric": "eror"}, "mean 'error'"),
        ([lambda y, p: ops.mean(p)], {}, r"less or more of '<?lambda>?' is better.*mode='min'"),
    ],
)
def test_what_leads_is_known_before_anything_is_trained(metrics, options, match, monkeypatch):
    monkeypatch.setattr(Trainer, "train_once", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ValueError, match=match):
        compare(Task(lambda s: tiny(s, metrics), (X, Y), **options), ["relu"], seeds=1)


def batches(count):
    def generate():
        for _ in range(count):
            yield X[:8], Y[:8]

    return generate


def test_a_generator_that_ends_early():
    def run(train, validation=0, **options):
        task = Task(tiny, train, validation, test=(X, Y), **options)
        return compare(task, ["relu"], seeds=1)

    with pytest.warns(UserWarning, match="ran out of data"):
        assert run(batches(3)).runs[0].steps == 3  # one epoch of unknown length
        with pytest.raises(ValueError, match=r"[02] batches of train in an epoch, where 3 were"):
            run(batches(3), epochs=2)
        with pytest.raises(ValueError, match=r"[12] batches of train in an epoch, where [23] were"):
            run(batches(3), epochs=2, fit={"steps_per_epoch": 2})
    forever = {"steps_per_epoch": 2, "validation_steps": 2}
    assert run(batches(9), batches(9), epochs=2, fit=forever).runs[0].steps == 4


@pytest.mark.once
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"train": None}, "train data or an objective"),
        (
            {"train": batches(3)()},
            "a generator, which the first run uses up.*train=batches instead",
        ),
        ({"train": [X, Y]}, "Received: list of 2"),
        ({"train": (X, Y, W, W)}, "Received: tuple of 4"),
        ({"train": (X, Y[:5])}, "Received: 48, 5 examples"),
        ({"train": (X[:0], Y[:0])}, "Received: 0, 0 examples"),
        ({"train": "digits"}, "Received: str"),
        ({"test": (X[:, :, None], Y)}, r"one structure.*\[\(4,\)\] in train and \[\(4, 1\)\] be"),
        ({"validation": 1.5}, "whole. Received: 1.5"),
        ({"validation": -1}, "share below 1. Received: validation=-1"),
        ({"validation": 48}, "from 1 to 47"),
        ({"train": batches(3), "validation": 5}, "held out of arrays"),
        ({"train": batches(3), "subset": 5}, "subset thins arrays"),
        ({"mode": "auto"}, "mode is 'min'.*Received: 'auto'"),
        ({"metric": 3}, "Received: 3"),
        ({"callbacks": stopping()}, "callback keeps what it saw.*lambda"),
        ({"fit": {"epochs": 2}}, "Use epochs instead"),
        ({"fit": {"verbos": 2}}, "Received: 'verbos'"),
        ({"objective": len}, "ordered by mode. Received: mode=None"),
        ({"objective": len, "mode": "min", "epochs": 2}, "epochs set how data is trained on"),
        ({"build_model": "lenet5"}, "build_model is a function of an activation"),
    ],
)
def test_bad_tasks(options, match):
    with pytest.raises(ValueError, match=match):
        Task(**{"build_model": tiny, "train": (X, Y), **options})


@pytest.mark.once
def test_what_cannot_be_compared():
    shared = keras.optimizers.SGD()

    def sharing(spec):
        model = tiny(spec)
        model.compile(shared, "mse")
        return model

    for task, match in (
        (Task(tiny, (X, Y), recipe="adam"), "compiled model and the recipe 'adam'"),
        (Task(sharing, (X, Y)), "with the optimizer of another model"),
        (Task(tiny, (X, Y), validation=0), "a task with neither"),
        (Task(tiny, (X, Y), test=(X[:, :3], Y)), "3|incompatible|shape"),
        (Task(tiny, objective=len, mode="max"), "a task with an objective trains by itself"),
        (tiny, r"compare takes a keras_actfn.training.Task. Received: function"),
        (Task(tiny, (X, Y), callbacks=lambda: [3]), r"list of Keras callbacks. Received: \[3\]"),
    ):
        with pytest.raises(ValueError, match=f"(?i){match}"):
            compare(task, ["relu", "tanh"], seeds=1)


@pytest.mark.once
def test_parts_of_the_data():
    labels = np.repeat([0, 1], [36, 12])
    data = Task(
        tiny, (X, labels), validation=12, test=(Z @ np.ones((2, 4)), labels), subset=12
    ).data
    assert data.sizes() == {"train": 12, "validation": 12, "test": 48}
    assert data.train.y.mean() == data.validation.y.mean() == 0.25  # the shares of the classes
    rows = {row.tobytes() for part in (data.train, data.validation) for row in part.x}
    assert len(rows) == 24
    assert Task(tiny, (X, Y)).data.sizes() == {"train": 44, "validation": 4, "test": 0}
    assert Task(tiny, (X, Y), 0.25).data.sizes()["validation"] == 12
    assert Task(tiny, batches(2)).data.sizes() == {"train": None, "validation": 0, "test": 0}
    nested = Task(tiny, ({"a": X, "b": [Z, Z]}, [0] * 48), 0.5).data
    assert nested.train.x["b"][1].shape == (24, 2) and nested.train.y.shape == (24,)
    assert Task(tiny, (X, Y), test=(X, Y)).without_test().data.test is None


@pytest.mark.once
def test_keys_cover_what_decides_a_result():
    def key(build=tiny, train=(X, Y), **options):
        trainer = Trainer(Task(build, train, **options))
        return json.dumps(trainer.settings(trainer.build("relu", 0)), sort_keys=True)

    def with_loss(loss, rate=0.01):
        def build(spec):
            model = tiny(spec)
            model.compile(keras.optimizers.SGD(rate), loss, metrics=[keras.metrics.AUC()])
            return model

        return build

    changes = [
        {},
        {"epochs": 2},
        {"batch_size": 8},
        {"train": (X, 2 * Y)},
        {"train": (X, Y, W)},
        {"validation": 9},
        {"fit": {"class_weight": {0: 1.0, 1: 2.0}}},
        {"callbacks": stopping},
        {"callbacks": lambda: [keras.callbacks.EarlyStopping(patience=2)]},
        {"callbacks": lambda: [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)]},
        {"callbacks": lambda: [keras.callbacks.LearningRateScheduler(lambda epoch: 0.2)]},
        {"build": with_loss("mae")},
        {"build": with_loss(keras.losses.Huber(0.5))},
        {"build": with_loss(keras.losses.Huber(0.7))},
        {"build": with_loss(lambda y, p: ops.mean(ops.abs(y - p)))},
        {"build": with_loss(lambda y, p: ops.mean(ops.square(y - p)))},
        {"build": with_loss("mae", rate=0.02)},
        {"train": batches(2)},
        {"train": batches(3)},
        {"train": Pairs},
    ]
    keys = [key(**change) for change in changes]
    assert len(set(keys)) == len(keys)
    assert keys == [key(**change) for change in changes]


def two_outputs(spec, **options):
    inputs = keras.Input((4,))
    x = activation(spec)(layers.Dense(6)(inputs))
    model = keras.Model(inputs, [layers.Dense(1, name="z")(x), layers.Dense(1, name="a")(x)])
    model.compile("sgd", "mse", **options)
    return model


def test_the_first_metric_given_to_compile_leads():
    def leads(build, y):
        return Trainer(Task(build, (X, y), validation=8)).criterion().metric

    lists, names = [["mae"], ["mae"]], {"a": ["mae"]}
    assert leads(lambda spec: two_outputs(spec, metrics=lists), (Y, Y)) == "z_mae"
    assert leads(lambda spec: two_outputs(spec, metrics=names), (Y, Y)) == "a_mae"

    def recalls(spec):
        model = keras.Sequential([keras.Input((4,)), activation(spec), layers.Dense(1, "sigmoid")])
        metrics = [keras.metrics.Recall(name="recall"), keras.metrics.Recall(0.9, name="a_recall")]
        model.compile("sgd", "binary_crossentropy", metrics=metrics)
        return model

    assert leads(recalls, Y) == "recall"


def test_a_metric_of_several_numbers_is_left_out_and_never_leads():
    def build(spec, first):
        model = keras.Sequential([keras.Input((4,)), activation(spec), layers.Dense(3, "softmax")])
        metrics = [keras.metrics.F1Score(name="f1"), "accuracy"]
        model.compile("sgd", "categorical_crossentropy", metrics=metrics[:: 1 if first else -1])
        return model

    y = np.eye(3, dtype="float32")[np.arange(48) % 3]
    found = compare(Task(lambda spec: build(spec, False), (X, y)), ["relu"], seeds=1)
    assert found.criterion.metric == "accuracy" and set(found.runs[0].validation) == {
        "loss",
        "accuracy",
    }
    with pytest.raises(ValueError, match=r"metric of one number.*'f1'.*accuracy, loss"):
        compare(Task(lambda spec: build(spec, True), (X, y)), ["relu"], seeds=1)


def test_a_metric_that_is_an_array_of_one_number_is_that_number():
    def build(spec):
        model = keras.Sequential([keras.Input((4,)), activation(spec), layers.Dense(1, "sigmoid")])
        f1 = keras.metrics.F1Score(threshold=0.5, name="f1")  # of shape (1,)
        model.compile("sgd", "binary_crossentropy", metrics=[f1])
        return model

    found = compare(Task(build, (X, Y[:, None])), ["relu"], seeds=1)
    assert found.criterion.metric == "f1" and 0 <= found.runs[0].validation["f1"] <= 1


def test_validation_steps_hold_whoever_measures():
    values = []
    for callbacks in (None, lambda: [keras.callbacks.TerminateOnNaN()]):
        task = Task(
            regression,
            (RNG.normal(size=(40, 10)).astype("float32") * 0 + 1, np.arange(40.0)),
            validation=(np.ones((20, 10), "float32"), np.arange(20.0)),
            batch_size=5,
            fit={"validation_steps": 1},
            callbacks=callbacks,
        )
        values.append(compare(task, ["relu"], seeds=1).runs[0].validation["loss"])
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_the_validation_part_has_the_shares_of_the_classes():
    y = np.random.default_rng(1).permutation(np.repeat([0, 1], [950, 50]))
    task = Task(regression, (np.zeros((1000, 10)), y))
    np.testing.assert_array_equal(np.bincount(task.data.train.y), [855, 45])
    np.testing.assert_array_equal(np.bincount(task.data.validation.y), [95, 5])
