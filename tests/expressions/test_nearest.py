"""The nearest formulas of a space, against least squares of every function of it."""

import json

import keras
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import keras_actfn
from keras_actfn.expressions import (
    LATENCY_CLASSES,
    NearestFormula,
    SearchSpace,
    nearest,
    parse,
    three_node,
)
from keras_actfn.expressions.screening import screen
from keras_actfn.theory import GaussianMixture

ONE_NODE = SearchSpace(["unary(x)"])


@pytest.fixture(scope="module")
def space():
    return three_node().unique()


def plain(row):
    return (row.a, row.b, row.c, row.d) == (1, 1, 0, 0)


@pytest.mark.once
@pytest.mark.parametrize(
    "text", ["swish(x)", "max(tanh(x),x)", "mul(arctan(x),softplus(x))", "sub(erf(x),x)"]
)
def test_a_function_of_the_space_is_found_itself(text, space):
    found = nearest(parse(text), space=space)
    assert str(found.best.expression) == text and plain(found.best)
    assert found.best.rms == 0 and found.best.r2 == 1
    assert len(found) == 10 and len({row.spec for row in found}) == 10


@pytest.mark.once
def test_constants_are_fitted(space):
    found = nearest(lambda x: 0.3 * np.tanh(1.37 * x + 0.41) - 2, space=space).best
    assert found.spec == "0.3*tanh(1.37*x+0.41)-2" and found.nodes == 5
    assert found.latency == LATENCY_CLASSES[1]
    found = nearest(lambda x: 3 * np.maximum(x - 0.5, 0), space=space).best
    assert found.expression == parse("relu(x)") and found.nodes <= 3
    np.testing.assert_allclose(found(np.array([0.0, 2.5])), [0, 6], atol=1e-4)


@pytest.mark.once
def test_errors_are_those_of_least_squares_over_a_b_c_d():
    """Of every function of one operator, from many starts of a general minimiser."""

    def target(x):
        return np.exp(-x) * np.sin(1.5 * x)

    x = scipy.stats.norm.ppf((np.arange(1000) + 0.5) / 1000)
    names = ["swish", "tanh", "exp", "softplus"]
    found = nearest(target, space=SearchSpace(["unary(x)"], unary=names), count=100)
    best = np.inf
    for name in names:
        f = parse(f"{name}(x)")

        def residuals(point, f=f):
            values = f(point[0] * x + point[1])
            if not np.isfinite(values).all() or np.ptp(values) == 0:
                return np.full(len(x), 1e3)
            columns = np.stack([values, np.ones_like(x)], axis=1)
            return target(x) - columns @ np.linalg.lstsq(columns, target(x), rcond=None)[0]

        for b in (-2.0, -0.7, 1.5):
            for c in (-1.0, 0.5):
                error = scipy.optimize.least_squares(residuals, [b, c], max_nfev=40).cost
                best = min(best, 2 * error / len(x))
    assert min(row.rms for row in found) == pytest.approx(best**0.5, rel=1e-3)
    for row in found:
        error = np.mean((row(x) - target(x)) ** 2)
        assert row.rms == pytest.approx(error**0.5, rel=1e-6)
        assert row.r2 == pytest.approx(1 - error / np.var(target(x)), abs=1e-6)


@pytest.mark.once
def test_all_functions_are_compared_as_one_by_one():
    unique = ONE_NODE.unique(inputs=np.linspace(-4, 4, 161))
    x = np.linspace(-1.5, 1.5, 61)
    y, w = np.cos(x), np.linspace(1, 2, 61) / np.linspace(1, 2, 61).sum()
    variance = w @ (y - w @ y) ** 2
    pairs = [(1.0, 0.0), (2.0, 0.5), (-0.5, 1.0)]
    found = screen(unique, pairs, x, y, w)
    for i, f in enumerate(unique.expressions):
        if not unique.valid[i] or f.head in ("zero", "one"):
            assert np.isinf(found.error[i])
            continue
        assert found.plain[i] == pytest.approx(w @ (f(x) - y) ** 2 / variance, rel=2e-3)
        errors = []
        for b, c in pairs:
            columns = np.stack([f(b * x + c), np.ones_like(x)], axis=1)
            root = np.sqrt(w)
            a = np.linalg.lstsq(columns * root[:, None], y * root, rcond=None)[0]
            errors.append(w @ (columns @ a - y) ** 2 / variance)
        assert found.unshifted[i] == pytest.approx(errors[0], rel=0.02, abs=2e-3)
        assert found.error[i] == pytest.approx(min(errors), rel=0.02, abs=2e-3)


@pytest.mark.once
def test_functions_are_recovered_from_noisy_samples(space):
    generator = np.random.default_rng(0)
    valid = np.flatnonzero(space.valid[space.classes])
    for i in generator.permutation(valid)[:8]:
        f, x = space.space[int(i)], generator.normal(size=200)
        exact = f(x)
        noise = 0.01 * np.ptp(exact)
        if not 0 < noise < np.inf:
            continue
        found = nearest((x, exact + noise * generator.normal(size=200)), space=space).best
        assert np.sqrt(np.mean((found(x) - exact) ** 2)) < noise, f"{f}: {found.spec}"


@pytest.mark.once
def test_of_ties_the_shorter_formula_is_first(space):
    generator = np.random.default_rng(1)
    x = generator.normal(size=200)
    found = nearest((x, np.tanh(x) + 0.05 * generator.normal(size=200)), space=space)
    assert found.best.spec == "tanh(x)"
    assert min(row.rms for row in found) < found.best.rms
    limit = min(row.rms for row in found) * (1 + 2 * (2 / 200) ** 0.5) ** 0.5
    tied = [row.nodes for row in found if row.rms <= limit]
    assert tied == sorted(tied) and len(set(tied)) > 1


@pytest.mark.once
def test_what_is_not_finite_never_wins():
    """1/x fits all points but the one at zero."""
    space = SearchSpace(["unary(x)"], unary=["reciprocal", "tanh", "identity"])
    x = np.concatenate([np.linspace(0.3, 2, 50), -np.linspace(0.3, 2, 50), [0.0]])
    y = np.divide(1, x, out=np.zeros_like(x), where=x != 0)
    found = nearest((x, y), space=space)
    assert all(np.isfinite(row(x)).all() for row in found)
    assert not any(row.expression == parse("reciprocal(x)") and plain(row) for row in found)


@pytest.mark.once
def test_the_density_weighs_the_inputs():
    generator = np.random.default_rng(0)
    for density in (
        scipy.stats.norm(6, 1),
        GaussianMixture([6.0], 1.0),
        generator.normal(6, 1, 20_000),
    ):
        assert nearest("relu", density, ONE_NODE).best.spec == "x"
    assert nearest("relu", space=ONE_NODE).best.spec == "relu(x)"
    x = np.linspace(-3, 12, 600)
    curve = x, np.where(x > 4, x, np.tanh(x))
    assert nearest(curve, scipy.stats.norm(0, 0.7), ONE_NODE).best.spec == "tanh(x)"
    assert nearest(curve, scipy.stats.norm(9, 0.7), ONE_NODE).best.spec == "x"


@pytest.mark.once
def test_without_constants(space):
    found = nearest(lambda x: 2 * np.tanh(x), space=space, affine=False)
    assert str(found.best.expression) == "add(tanh(x),tanh(x))"
    assert all(plain(row) for row in found)


@pytest.mark.once
def test_more_samples_than_points():
    generator = np.random.default_rng(0)
    x = generator.normal(size=30_000)
    y = np.maximum(x, 0) + 0.01 * generator.normal(size=30_000)
    found = nearest((x, y), space=ONE_NODE)
    assert found.best.spec == "relu(x)" and found.points == 30_000
    assert found.best.rms == pytest.approx(0.01, rel=0.02)


@pytest.mark.once
def test_functions_equal_up_to_sign(space):
    one_sign = three_node().unique(up_to_sign=True)
    assert len(one_sign) < len(space)
    found = nearest(lambda x: -np.tanh(x) * np.exp(x), space=one_sign)
    x = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(found.best(x), -np.tanh(x) * np.exp(x), rtol=1e-6)


@pytest.mark.once
def test_the_table(tmp_path):
    found = nearest("mish", space=ONE_NODE, count=3)
    lines = str(found).splitlines()
    assert len(lines) == 5 and f"| {found[0].spec} |" in lines[2]
    found.save_json(tmp_path / "found.json")
    report = json.loads((tmp_path / "found.json").read_text())
    assert [row["spec"] for row in report["formulas"]] == [row.spec for row in found]
    assert report["points"] == 1000 and set(report["formulas"][0]) >= {"a", "latency", "nodes"}


@pytest.mark.parametrize(
    ("spec", "constants"),
    [
        ("tanh(x)", (1, 1, 0, 0)),
        ("-tanh(-x+0.5)", (-1, -1, 0.5, 0)),
        ("-2*max(tanh(0.5*x-1),0.5*x-1)+3e-07", (-2, 0.5, -1, 3e-7)),
        ("0.25*(x-1)-2", (0.25, 1, -1, -2)),
        ("x+1.5", (1, 1, 0, 1.5)),
    ],
)
def test_specifications_give_layers_of_the_same_values(spec, constants):
    core = {"x": "x", "max": "max(tanh(x),x)", "tanh": "tanh(x)"}
    name = "max" if "max" in spec else "tanh" if "tanh" in spec else "x"
    row = NearestFormula(parse(core[name]), *map(float, constants), 0.0, 1.0)
    assert row.spec == spec
    x = np.linspace(-3, 3, 25, dtype="float32")
    a, b, c, d = constants
    expected = a * parse(core[name])(b * x.astype("float64") + c) + d
    np.testing.assert_allclose(row(x.astype("float64")), expected, rtol=1e-12, atol=1e-15)
    for given in (row.spec, row):
        layer = keras_actfn.activation(given)
        values = keras.ops.convert_to_numpy(layer(keras.ops.convert_to_tensor(x)))
        np.testing.assert_allclose(values, expected, rtol=2e-5, atol=2e-6)


def test_functions_of_every_kind():
    pwl = keras_actfn.activation("pwl(initial=tanh,knots=129,low=-4,high=4)")
    for function in (
        pwl,
        keras.layers.Activation("tanh"),
        keras.activations.tanh,
        keras.ops.tanh,
        np.tanh,
        "tanh",
        (np.linspace(-3, 3, 99), np.tanh(np.linspace(-3, 3, 99))),
    ):
        best = nearest(function, space=ONE_NODE, count=2).best
        assert best.expression == parse("tanh(x)") and best.b == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        (3.0, {}, TypeError, "A function is given as a layer"),
        ("zero", {}, ValueError, "varies over its inputs. Received: 0 everywhere"),
        (np.log, {}, ValueError, "finite where its inputs are. Received: nan at -"),
        (([1, 2], [1, 2]), {}, ValueError, "at least five. Received: 2 and 2"),
        (([1, 2, 3, 4, 5], [1, 2]), {}, ValueError, "equally many numbers"),
        (([1, 2, 3, 4, np.nan], [1, 2, 3, 4, 5]), {}, ValueError, "Samples of a function are"),
        (([1, 2, 3, 4, 5], [1, 2, 3, 4, 1e300]), {}, ValueError, "finite in float32"),
        (([1, 2, 3, 4, 5], [1, 2, 3, 4, 5j]), {}, ValueError, "real numbers. .* complex128"),
        (([1, 2, 3, 4, 5], list("abcde")), {}, ValueError, "real numbers. Received: .* and <U1"),
        (([1] * 6, range(6)), {}, ValueError, "varies over its inputs"),
        (
            (np.linspace(0, 1, 9), np.linspace(0, 1, 9) ** 2),
            {"density": scipy.stats.uniform(5, 1)},
            ValueError,
            "has probability where the samples are",
        ),
        ("relu", {"density": "normal"}, TypeError, "`density` must be"),
        ("relu", {"space": "three_node"}, TypeError, "space is a SearchSpace"),
        ("relu", {"count": 0}, ValueError, "count is a positive integer"),
        (
            np.tanh,
            {"density": scipy.stats.norm(50, 60), "affine": False},
            ValueError,
            "known for inputs from -3.05 to 2.76",
        ),
        (
            "relu",
            {"space": SearchSpace(["unary(x)"], unary=["one", "zero"])},
            ValueError,
            "finite on its inputs and varies",
        ),
    ],
)
@pytest.mark.once
def test_what_does_not_fit_is_refused(function, options, error, message):
    with pytest.raises(error, match=message):
        nearest(function, **{"space": ONE_NODE, **options})


def test_a_layer_with_many_functions_is_refused():
    layer = keras_actfn.activation("pwl(axis=-1)")
    layer.build((None, 3))
    with pytest.raises(ValueError, match=r"one function of one number. Received: .*\(1000, 3\)"):
        nearest(layer, space=ONE_NODE)
