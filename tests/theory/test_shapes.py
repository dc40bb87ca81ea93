"""Shape fits against golden values and against functions made from the families."""

import json
import pathlib

import numpy as np
import pytest

from keras_actfn.theory import compare_layer_shapes, compare_shapes, fit_shape, fit_swish
from keras_actfn.theory.shapes import FAMILIES

pytestmark = pytest.mark.once

GOLDEN = json.loads(
    (pathlib.Path(__file__).parents[1] / "golden" / "correlation_optima.json").read_text()
)["cases"]
KNOTS = np.linspace(-3, 3, 33)


@pytest.mark.parametrize("case", GOLDEN, ids=[f"{c['K']}-{c['sigma']}-{c['ext']}" for c in GOLDEN])
def test_golden_swish_fits(case):
    fit, expected = fit_swish(KNOTS, case["y"]), case["swish"]
    assert fit.r2 == pytest.approx(expected["R2"], abs=1e-9)
    assert fit.beta == pytest.approx(expected["beta"], abs=1e-6)
    assert fit.x0 == pytest.approx(expected["x0"], abs=1e-6)
    assert fit.scale == pytest.approx(expected["a"], rel=1e-6)
    assert fit.offset == pytest.approx(expected["c"], abs=1e-6)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_recovers_itself(family, mirrored):
    form = FAMILIES[family]
    z = (-KNOTS if mirrored else KNOTS) - (0.4 if form.has_centre else 0.0)
    y = -1.7 * form.function(z, 1.3) + 0.25
    fit = fit_shape(family, KNOTS, y, mirrored=mirrored)
    assert fit.r2 == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(fit(KNOTS), y, atol=1e-6)
    if form.has_steepness:
        assert fit.beta == pytest.approx(1.3, abs=1e-5)
    if form.has_centre and family != "relu":
        assert fit.x0 == pytest.approx(0.4, abs=1e-5)
    best = compare_shapes(KNOTS, y).best
    assert best.r2 == pytest.approx(1, abs=1e-9)


def test_comparison_ranks_by_aic_and_prints_every_rival():
    y = np.array(next(c for c in GOLDEN if c["ext"] == "linear")["y"])
    table = compare_shapes(KNOTS, y, mirrored=False)
    assert [fit.aic for fit in table.fits] == sorted(fit.aic for fit in table.fits)
    assert {fit.family for fit in table.fits} == set(FAMILIES)
    # R² cannot tell GELU from Swish here: both explain more than 99.8 %.
    assert table["swish"].r2 > 0.998 and table["gelu"].r2 > 0.998
    assert all(family in str(table) for family in FAMILIES)
    fit = table["relu"]
    residual = np.sum((fit(KNOTS) - y) ** 2)
    assert fit.aic == pytest.approx(33 * np.log(residual / 33) + 2 * (3 + 1))


class TwoChannels:
    def evaluate(self, x):
        return np.stack([np.tanh(x), np.zeros_like(x), x / (1 + np.exp(-2 * x))], axis=-1)


def test_layer_comparison_has_one_table_per_varying_channel():
    tables = compare_layer_shapes(TwoChannels(), points=61)
    assert [table.best.family for table in tables] == ["sigmoid", "swish"]
    assert tables[1]["swish"].beta == pytest.approx(2, abs=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="must be one of swish"):
        fit_shape("mish", KNOTS, KNOTS)
    with pytest.raises(ValueError, match="not constant"):
        fit_swish(KNOTS, np.zeros(33))
    with pytest.raises(ValueError, match="lengths 33 and 5"):
        fit_swish(KNOTS, np.zeros(5))
