"""The tasks of the atlas: eager training against Keras's own, and losses in closed form."""

import dataclasses
import gzip
import json

import keras
import numpy as np
import pytest
from documentation import ROOT

from keras_actfn.initialization import autoinit
from keras_actfn.search.benchmarks import physics
from keras_actfn.search.benchmarks.build import atlas_functions, train_again
from keras_actfn.search.benchmarks.measures import METRICS
from keras_actfn.search.benchmarks.task import PARTS, BenchTask
from keras_actfn.search.benchmarks.tasks import TASKS, task_of, train_function
from keras_actfn.training import compare

EAGER = [name for name, task in TASKS.items() if task.train is None]


def made_up(task, count=24):
    """Random data of the shapes of a task's."""
    rng = np.random.default_rng(1)
    model = task.network("relu")
    shape = (count, *(model.input_shape[1:] if None not in model.input_shape[1:] else (12,)))
    if model.inputs[0].dtype == "int32":
        x = rng.integers(0, model.output_shape[-1], shape).astype("int32")
    else:
        x = rng.normal(size=shape).astype("float32")
    if task.loss == "softmax_crossentropy":
        places = shape[1:] if model.inputs[0].dtype == "int32" else ()
        return x, rng.integers(0, model.output_shape[-1], (count, *places))
    return np.tanh(x), rng.normal(size=(count, 1)).astype("float32")


def tiny(name, **changes):
    """A task on made-up data that trains two steps."""
    task = TASKS[name]
    recipe = dataclasses.replace(
        task.recipe, training=24, validation=24, test=24, epochs=1, batch_size=12, spectrum=4
    )
    data = dict.fromkeys(PARTS, made_up(task))
    recipe = dataclasses.replace(recipe, **changes)
    return dataclasses.replace(task, data=lambda recipe: data, recipe=recipe)


@pytest.mark.once
@pytest.mark.parametrize("name", EAGER)
def test_eager_training_is_that_of_keras(name):
    import torch

    from keras_actfn.search.benchmarks.eager import EagerModel, Optimizer
    from keras_actfn.search.benchmarks.tasks import batch_loss, measure

    task = tiny(name)
    model = task.compiled("swish")
    other = task.compiled("swish")
    other.set_weights(model.get_weights())
    (x, y), recipe = task.data(task.recipe)["training"], task.recipe
    eager = EagerModel(model)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    np.testing.assert_allclose(
        eager(inputs).detach(), other.predict(x, verbose=0), rtol=1e-4, atol=1e-5
    )
    # Two steps, so that momentum and schedule count; batch normalisation trains as well.
    optimizer = Optimizer(eager.parameters, recipe)
    eager.training = True
    for part in (slice(0, 12), slice(12, 24)):
        loss = batch_loss(task, eager, inputs[part], targets[part])
        expected = other.train_on_batch(x[part], y[part], return_dict=True)["loss"]
        assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4) or part.start
        optimizer.step(loss)
    eager.training = False
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=recipe.learning_rate * 1e-2)
    # Metrics are Keras's.
    value, *_ = measure(task, eager, inputs, targets)
    model.reset_metrics()
    expected = model.evaluate(x, y, verbose=0, return_dict=True)[task.metric]
    assert value == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.once
def test_a_line_is_made_again():
    task = tiny("digits_mlp", epochs=2)
    first, second = (train_function(task, "tanh", 3) for _ in range(2))
    times = ("seconds", "spectrum_seconds")
    assert {k: v for k, v in first.items() if k not in times} == {
        k: v for k, v in second.items() if k not in times
    }
    assert first["valid"] and not first["diverged"] and first["steps"] == 4
    assert len(first["curve_metric"]) == len(first["curve_loss"]) == 2
    assert first["curve_metric"][-1] == pytest.approx(first["validation_crossentropy"], rel=1e-4)
    assert first["validation_crossentropy"] == first["validation_loss"]
    assert set(task.measures) <= set(first)
    # Layers of the spectrum are those that the packed file weighs.
    assert len(first["cdf"]) == sum(n // 100 for n in task.layers())
    # Another seed is another training.
    assert train_function(task, "tanh", 4)["validation_loss"] != first["validation_loss"]


@pytest.mark.once
def test_a_committed_line_is_made_again():
    name = "digits_mlp"
    with gzip.open(ROOT / "benchmarks" / "atlas" / f"{name}.jsonl.gz", "rt") as lines:
        line = next(found for found in map(json.loads, lines) if found["seed"] == 0)
    assert line["function"] == atlas_functions()[0]
    found = train_again(name, line["function"], 0)
    assert {*found, "checksum"} == set(line)
    # Other processors round otherwise, and 200 steps enlarge that a little.
    for measure in ("validation_crossentropy", "test_loss", "training_loss"):
        assert found[measure] == pytest.approx(line[measure], rel=0.05)
    np.testing.assert_allclose(found["curve_metric"], line["curve_metric"], rtol=0.05)
    np.testing.assert_allclose(found["cdf"], line["cdf"], atol=2)


@pytest.mark.once
def test_a_diverged_training_has_the_value_of_chance():
    found = train_function(tiny("diamonds_mlp"), "exp(exp(exp(x)))", 0)
    assert found["diverged"] and found["validation_rmse"] == TASKS["diamonds_mlp"].chance
    assert found["validation_loss"] is None and found["steps"] == 1


@pytest.mark.once
def test_tasks_are_found_by_name():
    assert task_of("heat_pinn").mode == "min" and not task_of("heat_pinn").has_spectrum
    with pytest.raises(ValueError, match="Received: 'heat'"):
        task_of("heat")
    for name, task in TASKS.items():
        assert task.name == name and isinstance(task, BenchTask)
        assert f"validation_{task.metric}" in task.measures


@pytest.mark.once
def test_the_schedule_warms_up_and_decays():
    recipe = dataclasses.replace(TASKS["digits_mlp"].recipe, training=40, batch_size=4, epochs=1)
    rates = [recipe.rate(step) / recipe.learning_rate for step in range(recipe.steps)]
    np.testing.assert_allclose(rates, [0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    from keras_actfn.search.benchmarks.task import WarmUpAndDecay

    schedule = WarmUpAndDecay(1.0, recipe.steps, recipe.warm_up_steps)
    np.testing.assert_allclose([float(schedule(step)) for step in range(10)], rates, rtol=1e-6)
    assert WarmUpAndDecay.from_config(schedule.get_config()).steps == 10


def test_the_residual_is_that_of_the_equation():
    # u = ξ³ τ² + ξ: u_τ = 2 ξ³ τ, u_ξξ = 6 ξ τ²; x = (ξ + 1) / 2, t = (τ + 1) / 2.
    points = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    xi, tau = points.T
    kappa = physics.KAPPA
    inside = 2 * 2 * xi**3 * tau - 4 * kappa * 6 * xi * tau**2
    start = xi**3 + xi - np.sin(np.pi * (xi + 1) / 2) - 0.5 * np.sin(3 * np.pi * (xi + 1) / 2)
    left, right = -(tau**2) - 1, tau**2 + 1
    rim = sum(np.mean(np.square(each)) for each in (start, left, right))
    expected = np.mean(inside**2) + 10 * rim

    def u(inputs):
        xi, tau = inputs[:, :1], inputs[:, 1:]
        return xi**3 * tau**2 + xi

    found = physics.residual(u, points.astype("float32"))
    assert float(keras.ops.convert_to_numpy(found)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.once
def test_the_exact_solution_has_no_residual():
    import torch

    def u(inputs):
        x, t = ((inputs + 1) / 2).double().T
        first = torch.exp(-physics.KAPPA * np.pi**2 * t) * torch.sin(np.pi * x)
        third = torch.exp(-9 * physics.KAPPA * np.pi**2 * t) * torch.sin(3 * np.pi * x)
        return (first + 0.5 * third)[:, None]

    points = np.random.default_rng(0).uniform(-1, 1, (50, 2)).astype("float32")
    assert float(physics.residual(u, points).detach()) < 1e-9
    np.testing.assert_allclose(u(torch.from_numpy(points)), physics.exact(points), atol=1e-5)


def test_the_equation_is_trained_by_fit():
    task = tiny("heat_pinn", learning_rate=0.03)
    x, y = task.data(task.recipe)["training"]
    model = task.compiled("tanh")
    before = model.get_weights()
    history = model.fit(x, y, batch_size=12, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"][0]) and np.isfinite(history["log10_error"][0])
    first = zip(before[:-1], model.get_weights(), strict=False)
    assert all((old != new).any() for old, new in first)


@pytest.mark.once
def test_a_task_is_compared_and_starts_by_autoinit():
    task = tiny("digits_mlp")
    found = compare(task.training_task(), ["relu", "tanh"], seeds=1)
    assert (found.criterion.metric, found.criterion.mode) == ("crossentropy", "min")
    assert [row.activation for row in found.rows()] == ["relu", "tanh"]
    # `fit` starts from weights that AutoInit has scaled for the activation.
    model = task.compiled("square")
    (callback,) = task.training_task().callbacks()
    callback.set_model(model)
    before = model.get_weights()
    callback.on_train_begin()
    other = task.compiled("square")
    other.set_weights(before)
    autoinit(other)
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.once
def test_metrics_of_known_values():
    y = np.array([[0.0], [1.0], [-1.0]])
    z = np.array([[0.3], [1.4], [-1.0]])
    loss = float(np.mean((y - z) ** 2))
    expected = {
        "rmse": 0.28868,  # √(0.25 / 3)
        "psnr": 10.7918,  # 10 log₁₀ 12
        "log10_error": -0.45154,  # log₁₀ √(0.25 / 2)
    }
    for name, value in expected.items():
        assert METRICS[name].value(loss, z, y) == pytest.approx(value, abs=1e-4)
        metric = METRICS[name].of_keras()
        metric.update_state(y, z)
        assert float(metric.result()) == pytest.approx(value, abs=1e-4)
    logits = np.log([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    bits = METRICS["bits"].of_keras()
    bits.update_state(np.array([0, 2]), logits)
    assert float(bits.result()) == pytest.approx(1.5)  # (1 + 2) / 2
    assert METRICS["bits"].value(1.5 * np.log(2), logits, None) == pytest.approx(1.5)
    assert METRICS["accuracy"].value(0.0, logits, np.array([0, 2])) == 0.5
