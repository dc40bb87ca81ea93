"""LocalCorrelation against the sample objective, and what it must not touch."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn.callbacks import LocalCorrelation
from keras_actfn.callbacks.local_correlation import freeze
from keras_actfn.layers import PWL, Spline
from keras_actfn.theory import CorrelationObjective

CLASSES = 4


def make_data(samples=96, seed=0):
    generator = np.random.default_rng(seed)
    y = np.arange(samples) % CLASSES
    x = generator.normal(size=(samples, 6)) + 0.8 * np.eye(6)[y]
    return x.astype("float32"), y.astype("int32")


def make_model(learning_rate=0.05, **pwl):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(5),
            keras.layers.BatchNormalization(),
            PWL(knots=9, name="shared", **pwl),
            keras.layers.Dense(3),
            PWL(knots=7, axis=-1, extrapolation="clamp", name="each"),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def values(model):
    return [ops.convert_to_numpy(model.get_layer(n).values).copy() for n in ("shared", "each")]


def others(model):
    return [ops.convert_to_numpy(w).copy() for w in model.weights if not w.path.endswith("values")]


def layer_inputs(model, x, index):
    """Inputs of layer `index` with batch statistics, in NumPy."""
    kernel, bias = (ops.convert_to_numpy(w) for w in model.layers[0].weights)
    h = x @ kernel + bias
    norm = model.layers[1]
    gamma, beta = ops.convert_to_numpy(norm.gamma), ops.convert_to_numpy(norm.beta)
    h = gamma * (h - h.mean(0)) / np.sqrt(h.var(0) + norm.epsilon) + beta
    if index == 0:
        return h
    h = np.asarray(model.get_layer("shared").evaluate(h))
    kernel, bias = (ops.convert_to_numpy(w) for w in model.layers[3].weights)
    return h @ kernel + bias


@pytest.fixture(scope="module")
def updated():
    """A model, before and after a single update on all data with a still backbone."""
    x, y = make_data()
    model = make_model(learning_rate=0.0)
    inputs = [layer_inputs(model, x, i) for i in (0, 1)]
    before = values(model)
    callback = LocalCorrelation(x, y, batch_size=len(x), learning_rate=0.02)
    model.fit(x, y, batch_size=len(x), epochs=1, verbose=0, callbacks=[callback])
    return model, callback, inputs, before, y


def objectives(model, inputs, labels):
    """Sample objectives per function: one for the shared layer, one a channel for the other."""
    shared, each = model.get_layer("shared"), model.get_layer("each")
    first = CorrelationObjective.from_samples(
        inputs[0].ravel(), np.repeat(labels, 5), shared.knot_positions, "linear"
    )
    rest = [
        CorrelationObjective.from_samples(column, labels, each.knot_positions, "clamp")
        for column in inputs[1].T
    ]
    return [first], rest


def test_statistics_are_those_of_the_samples(updated):
    model, callback, inputs, _, labels = updated
    for index, expected in enumerate(objectives(model, inputs, labels)):
        statistics = callback.statistics(index)
        for unit, objective in enumerate(expected):
            got = statistics.unit(unit)
            np.testing.assert_allclose(got.priors, objective.statistics.priors, atol=1e-6)
            np.testing.assert_allclose(got.means, objective.statistics.means, atol=2e-4)
            np.testing.assert_allclose(got.second, objective.statistics.second, atol=2e-3)


def test_the_first_update_is_one_adam_step_down_the_exact_gradient(updated):
    model, _, inputs, before, labels = updated
    shared, each = objectives(model, inputs, labels)
    after = values(model)
    columns = [(shared[0], before[0], after[0])]
    columns += [(o, before[1][:, c], after[1][:, c]) for c, o in enumerate(each)]
    for objective, old, new in columns:
        gradient = objective.gradient(old)
        clear = np.abs(gradient) > 1e-3
        assert clear.sum() >= 3
        # Adam's first step is the learning rate against the sign of the gradient.
        np.testing.assert_allclose((new - old)[clear], -0.02 * np.sign(gradient[clear]), rtol=1e-3)
        assert objective.value(new) < objective.value(old)


def test_the_objective_reaches_no_weight_of_the_backbone():
    """With a still loss optimiser, nothing but the knots and batch statistics may change."""
    x, y = make_data()
    plain, local = make_model(learning_rate=0.0), make_model(learning_rate=0.0)
    plain.fit(x, y, batch_size=32, epochs=2, verbose=0, shuffle=False)
    callbacks = [LocalCorrelation(x, y, renew=0)]
    local.fit(x, y, batch_size=32, epochs=2, verbose=0, shuffle=False, callbacks=callbacks)
    for a, b in zip(others(plain), others(local), strict=True):
        np.testing.assert_array_equal(a, b)
    moved = [np.abs(a - b).max() for a, b in zip(values(plain), values(local), strict=True)]
    assert min(moved) > 1e-3


def test_the_loss_reaches_no_knot_and_still_trains_the_backbone():
    x, y = make_data()
    model = make_model(learning_rate=0.1)
    start, backbone = values(model), others(model)
    callback = LocalCorrelation(x, y, learning_rate=0.0)
    history = model.fit(x, y, batch_size=32, epochs=3, verbose=0, callbacks=[callback])
    for a, b in zip(start, values(model), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.abs(a - b).max() > 0 for a, b in zip(backbone, others(model), strict=True))
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert len(history.history["shared_correlation"]) == 3


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param(
            {"solve": True, "learning_rate": 1.0, "projection": "unit_variance"},
            marks=pytest.mark.once,
        ),
    ],
)
def test_training_lowers_the_objective_beside_a_stateful_optimizer(options):
    x, y = make_data()
    model = make_model()
    model.compile("adam", model.loss)
    callback = LocalCorrelation(x, y, batch_size=48, every=2, momentum=0.8, **options)
    history = model.fit(
        x, y, batch_size=16, epochs=4, verbose=0, validation_split=0.25, callbacks=[callback]
    ).history
    relu = make_model()
    for name, column in (("shared", 0), ("each", 1)):
        statistics = callback.statistics(column)
        layer = relu.get_layer(name)
        start = ops.convert_to_numpy(layer.values).astype(np.float64)
        start = start.reshape(layer.knots, -1).T
        assert statistics.value(callback._values(callback.layers[column])).mean() < (
            statistics.value(start).mean()
        )
        last = callback.objectives()[column].mean()
        assert history[f"{name}_correlation"][-1] == pytest.approx(last)
    if "projection" in options:
        for i, layer in enumerate(callback.layers):
            y_now = callback._values(layer)
            np.testing.assert_allclose(callback.statistics(i).variance(y_now), 1, rtol=1e-3)
            np.testing.assert_allclose(y_now[:, 0], 0, atol=1e-6)


@pytest.mark.once
@pytest.mark.parametrize("projection", ["anchored_unit_norm", "unit_variance"])
def test_every_projection_makes_a_constant_zero(projection):
    x, y = make_data()
    model = make_model()
    for name in ("shared", "each"):
        layer = model.get_layer(name)
        layer.values.assign(0.7 * ops.ones_like(layer.values))
    callback = LocalCorrelation(x, y, projection=projection)
    callback.set_model(model)
    callback.update()
    for now in values(model):
        np.testing.assert_array_equal(now, 0)


@pytest.mark.once
@pytest.mark.parametrize("share", [1.0, 0.25])
def test_solve_keeps_mean_and_variance_and_moves_to_the_optimum(share):
    x, y = make_data()
    model = make_model(learning_rate=0.0)
    callback = LocalCorrelation(x, y, batch_size=len(x), solve=True, learning_rate=share)
    before = values(model)[0].astype(np.float64)
    model.fit(x, y, batch_size=len(x), verbose=0, callbacks=[callback])
    statistics = callback.statistics(0).unit(0)
    now = values(model)[0].astype(np.float64)
    mean = statistics.priors @ statistics.means
    assert mean @ now == pytest.approx(mean @ before, abs=1e-4)
    assert statistics.variance(now) == pytest.approx(statistics.variance(before), rel=1e-3)
    from keras_actfn.theory.sign_patterns import solve

    def standard(values):
        return (values - mean @ values) / np.sqrt(statistics.variance(values))

    best = solve(statistics)
    if share == 1.0:
        assert statistics.value(now) == pytest.approx(best.objective, abs=1e-5)
    mixed = standard(share * standard(best.values) + (1 - share) * standard(before))
    np.testing.assert_allclose(standard(now), mixed, rtol=1e-3, atol=1e-3)


class Batched(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, keras.utils.to_categorical(y, CLASSES)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * index + 32)
        return self.x[rows], self.y[rows]


class Nested(keras.Model):
    """A subclassed model with a PWL layer inside a functional one, used twice."""

    def __init__(self):
        super().__init__()
        inner = keras.Input((5,))
        self.block = keras.Model(inner, PWL(knots=5, name="inner")(inner))
        self.first, self.second = keras.layers.Dense(5), keras.layers.Dense(5)
        self.drop, self.head = keras.layers.Dropout(0.3), keras.layers.Dense(CLASSES)

    def call(self, x, training=False):
        x = self.block(self.first(x))
        return self.head(self.drop(self.block(self.second(x)), training=training))


def test_subclassed_nested_models_and_batch_iterables():
    x, y = make_data()
    keras.utils.set_random_seed(0)
    model = Nested()
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    data = Batched(x, y)
    callback = LocalCorrelation(data, classes=CLASSES)
    history = model.fit(data, epochs=2, verbose=0, callbacks=[callback]).history
    assert history["inner_correlation"][-1] < 0
    # Both uses of the layer count: 2 calls × 5 features × 32 samples in each batch.
    assert callback._counts[0].sum() == pytest.approx(320 * (1 - 0.9**6), rel=1e-5)


def test_mixed_precision_and_a_chosen_layer():
    x, y = make_data()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_model()
    finally:
        keras.config.set_dtype_policy(policy)
    before = values(model)
    callback = LocalCorrelation(x, y, layers=["each"])
    model.fit(x, y, batch_size=48, verbose=0, callbacks=[callback])
    assert [layer.name for layer in callback.layers] == ["each"]
    after = values(model)
    assert np.abs(after[1] - before[1]).max() > 1e-3
    assert model.get_layer("shared").values.trainable
    assert not model.get_layer("each").values.trainable


class Plain(keras.Model):
    """A subclassed model whose `call` takes nothing but its inputs."""

    def __init__(self):
        super().__init__()
        self.hidden, self.act, self.head = (
            keras.layers.Dense(3),
            PWL(knots=5),
            keras.layers.Dense(4),
        )

    def call(self, x):
        return self.head(self.act(self.hidden(x)))


@pytest.mark.once
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_loss_scaling_and_models_without_a_training_argument(policy):
    x, y = make_data()
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = Plain()
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    finally:
        keras.config.set_dtype_policy(previous)
    model.fit(x, y, batch_size=48, verbose=0, callbacks=[LocalCorrelation(x, y)])
    assert not model.act.values.trainable
    assert np.isfinite(ops.convert_to_numpy(model.act.values)).all()
    assert int(model.optimizer.iterations) == 2


def test_what_the_optimizer_excludes_from_weight_decay_stays_excluded():
    for by in ("names", "variables"):
        pwl = PWL(name="pwl")
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="a"), pwl])
        dense = model.get_layer("a")
        optimizer = keras.optimizers.AdamW(weight_decay=0.1)
        if by == "names":
            optimizer.exclude_from_weight_decay(var_names=["bias"])
        else:
            optimizer.exclude_from_weight_decay(var_list=[dense.bias])
        model.compile(optimizer, "mse")
        optimizer.build(model.trainable_variables)
        freeze(model, pwl.trainable_variables)
        assert model.optimizer is not optimizer
        assert not model.optimizer._use_weight_decay(dense.bias)
        assert model.optimizer._use_weight_decay(dense.kernel)


def test_an_optimizer_that_has_trained_the_knots_is_refused():
    x, y = make_data()
    model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(4), PWL(knots=3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match="already trained them"):
        model.fit(x, y, verbose=0, callbacks=[LocalCorrelation(x, y)])
    model.compile("sgd", model.loss)
    model.fit(x, y, verbose=0, callbacks=[LocalCorrelation(x, y)])


@pytest.mark.once
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x, y: LocalCorrelation(x, y % 2), "at least three classes"),
        (lambda x, y: LocalCorrelation(x, y[:5]), "96 inputs and 5 labels"),
        (lambda x, y: LocalCorrelation(Batched(x, y)), "`classes` is needed"),
        (lambda x, y: LocalCorrelation(x, y, projection="l2"), "must be one of"),
        (lambda x, y: LocalCorrelation(x, y, momentum=1.0), r"in \[0, 1\)"),
        (lambda x, y: LocalCorrelation(x, y, every=0), "at least 1"),
        (lambda x, y: LocalCorrelation(x, y, renew=-1), "`renew` must not be negative"),
        (lambda x, y: LocalCorrelation(x, y, solve=True, learning_rate=2.0), r"in \[0, 1\]"),
        (lambda x, y: LocalCorrelation(x, y + 0.5), "one class index per sample"),
        (lambda x, y: LocalCorrelation(x, y, layers=["no"]).set_model(make_model()), "Unknown"),
        (
            lambda x, y: LocalCorrelation(x, y).set_model(
                keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(2), Spline()])
            ),
            "has no PWL layer",
        ),
    ],
)
def test_errors_say_the_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call(*make_data())
