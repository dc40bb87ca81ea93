"""The best piecewise-linear function of few segments, against all choices of breakpoints."""

import itertools

import numpy as np
import pytest

from keras_actfn.theory.segments import Segments, fit_segments, powers_of_two

pytestmark = pytest.mark.once


def draw(seed, points=60):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=points)
    y = np.sin(2 * x) + 0.1 * generator.normal(size=points)
    w = generator.random(points)
    grid = np.concatenate([[x.min(), x.max()], generator.uniform(x.min(), x.max(), 8)])
    return x, y, w / w.sum(), np.sort(grid)


def cost(function, x, y, w):
    return float(w @ (y - function(x)) ** 2)


def least_cost(x, y, w, grid, segments, basis=lambda hats: hats):
    """The smallest cost over all choices of breakpoints, each by least squares of hat functions."""
    best = np.inf
    for count in range(1, segments + 1):
        for inner in itertools.combinations(range(1, len(grid) - 1), count - 1):
            knots = grid[[0, *inner, len(grid) - 1]]
            hats = np.stack([np.interp(x, knots, row) for row in np.eye(len(knots))], axis=1)
            columns = basis(hats)
            root = np.sqrt(w)[:, None]
            values = np.linalg.lstsq(columns * root, y * root[:, 0], rcond=None)[0]
            best = min(best, float(w @ (y - columns @ values) ** 2))
    return best


def flat_ends(hats):
    """Hat functions of which the first two and the last two have one value each."""
    joined = np.concatenate([hats[:, :1] + hats[:, 1:2], hats[:, 2:]], axis=1)
    return np.concatenate([joined[:, :-2], joined[:, -2:].sum(axis=1, keepdims=True)], axis=1)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_it_is_the_best_of_all_choices(segments, seed):
    x, y, w, grid = draw(seed)
    found = fit_segments(x, y, w, segments, candidates=grid)
    assert found.optimal and len(found) <= segments
    assert cost(found, x, y, w) == pytest.approx(least_cost(x, y, w, grid, segments), rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_flat_ends_are_the_best_of_all_choices(seed):
    x, y, w, grid = draw(seed)
    found = fit_segments(x, y, w, 4, candidates=grid, left="flat", right="flat")
    assert found.slopes[0] == found.slopes[-1] == 0
    # With three or fewer breakpoints inside, flat_ends needs four hats: three segments at least.
    best = min(least_cost_of(x, y, w, grid, count) for count in (3, 4))
    assert cost(found, x, y, w) == pytest.approx(best, rel=1e-3)


def least_cost_of(x, y, w, grid, count):
    best = np.inf
    for inner in itertools.combinations(range(1, len(grid) - 1), count - 1):
        knots = grid[[0, *inner, len(grid) - 1]]
        hats = flat_ends(np.stack([np.interp(x, knots, r) for r in np.eye(len(knots))], axis=1))
        root = np.sqrt(w)[:, None]
        values = np.linalg.lstsq(hats * root, y * root[:, 0], rcond=None)[0]
        best = min(best, float(w @ (y - hats @ values) ** 2))
    return best


@pytest.mark.parametrize("seed", range(3))
def test_given_slopes_are_the_best_of_all_choices(seed):
    x, y, w, grid = draw(seed, points=30)
    grid = grid[[0, 3, 5, 7, 9]]
    slopes = [-2.0, -0.5, 0.0, 1.0]
    best = np.inf
    for inner in itertools.combinations(range(1, 4), 2):
        knots = grid[[0, *inner, 4]]
        for chosen in itertools.product(slopes, repeat=3):
            shape = np.interp(x, knots, np.concatenate([[0], np.cumsum(chosen * np.diff(knots))]))
            best = min(best, float(w @ (y - shape - w @ (y - shape)) ** 2))
    found = fit_segments(x, y, w, 3, candidates=grid, slopes=slopes)
    assert set(np.round(found.slopes, 9)) <= set(slopes)
    assert cost(found, x, y, w) == pytest.approx(best, rel=1e-3)


def test_the_segments_are_continuous_and_go_on_outside():
    x, y, w, grid = draw(0)
    found = fit_segments(x, y, w, 5, candidates=grid)
    before = found.slopes[:-1] * found.breakpoints + found.intercepts[:-1]
    after = found.slopes[1:] * found.breakpoints + found.intercepts[1:]
    np.testing.assert_allclose(before, after, atol=1e-12)
    np.testing.assert_allclose(found(found.high + 3) - found(found.high), 3 * found.slopes[-1])
    np.testing.assert_allclose(found(found.low) - found(found.low - 3), 3 * found.slopes[0])


def test_a_piecewise_linear_function_is_found_itself():
    x = np.linspace(-3, 5, 2000)
    found = fit_segments(x, np.clip(x, 0, 4), None, 16)
    np.testing.assert_allclose(found.breakpoints, [0, 4], atol=1e-6)
    np.testing.assert_allclose(found.slopes, [0, 1, 0], atol=1e-6)


def test_even_functions_are_the_best_ones_of_the_half():
    x = np.linspace(-2, 3, 501)
    found = fit_segments(x, np.cosh(x), None, 9, symmetry="even")
    half = fit_segments(np.abs(x), np.cosh(x), None, 4)
    np.testing.assert_allclose(found(x), half(np.abs(x)), atol=1e-9)
    assert len(found) == 8


def test_odd_functions_go_through_zero():
    x = np.linspace(-2, 3, 500)
    found = fit_segments(x, np.tanh(x), None, 9, symmetry="odd")
    points = np.linspace(0, 4, 50)
    np.testing.assert_allclose(found(-points), -found(points), atol=1e-12)
    assert len(found) == 9 and np.abs(found(x) - np.tanh(x)).max() < 0.01
    grid = np.linspace(0, 3, 9)
    through_zero = least_cost(
        np.abs(x), np.abs(np.tanh(x)), np.full(500, 1 / 500), grid, 3, lambda hats: hats[:, 1:]
    )
    found = fit_segments(x, np.tanh(x), None, 5, symmetry="odd", candidates=grid)
    assert cost(found, x, np.tanh(x), np.full(500, 1 / 500)) == pytest.approx(
        through_zero, rel=1e-3
    )


def test_a_bound_on_the_largest_error_is_kept():
    x = np.linspace(-6, 6, 1000)
    y, w = np.tanh(x), np.exp(-x * x / 2)
    free = fit_segments(x, y, w, 8)
    kept = fit_segments(x, y, w, 8, max_error=0.03)
    assert np.abs(free(x) - y).max() > 0.03 >= np.abs(kept(x) - y).max()
    assert cost(kept, x, y, w) > cost(free, x, y, w)
    with pytest.raises(ValueError, match=r"smallest error found is 0\.0"):
        fit_segments(x, y, w, 8, max_error=0.001)


def test_powers_of_two():
    assert powers_of_two(-1, 1) == [-2, -1, -0.5, 0, 0.5, 1, 2]


def test_called_like_a_function():
    relu6 = Segments(np.array([0.0, 6.0]), np.array([0.0, 1, 0]), np.array([0.0, 0, 6]), -1, 7)
    np.testing.assert_array_equal(relu6([-1, 0, 3, 6, 9]), [0, 0, 3, 6, 6])
    assert relu6.to_dict()["breakpoints"] == [0.0, 6.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segments": 0}, "segments is a positive integer"),
        ({"segments": 10**9}, "at most 1024"),
        ({"segments": 99}, "as many distinct inputs as segments"),
        ({"x": [0.0, np.nan] * 10}, "x holds finite numbers"),
        ({"y": [0.0, np.inf] * 10}, "y holds finite numbers"),
        ({"weights": [-1.0] * 20}, "weights are not negative"),
        ({"weights": [0.0] * 20}, "not all zero"),
        ({"x": [2.0] * 20, "segments": 1}, "inputs cover a range"),
        ({"x": [], "y": []}, "at least one"),
        ({"y": [1.0]}, "one entry for each point"),
        ({"left": "up"}, "left is one of"),
        ({"symmetry": "both"}, "symmetry is one of"),
        ({"candidates": 0}, "candidates is a positive integer"),
        ({"candidates": True}, "candidates is a positive integer"),
        ({"slopes": []}, "slopes is a list of finite numbers"),
        ({"slopes": [0.0, np.nan]}, "slopes is a list of finite numbers"),
        ({"max_error": 0}, "max_error is a positive"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {"x": np.arange(20.0), "y": np.arange(20.0) ** 2, "segments": 4, **change}
    with pytest.raises(ValueError, match=message):
        fit_segments(**arguments)
