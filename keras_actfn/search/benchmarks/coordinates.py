"""Network and data of `image_inr`: a picture as a function of its coordinates."""

import functools
from typing import Any

import keras
import numpy as np

from ..._activation import activation
from ..._optional import require

#: Height and width of the picture.
SIDE = 64


def network(spec: Any) -> keras.Model:
    """Three dense layers of 64 on eight waves of the two coordinates, and one output.

    The waves are sin and cos of π and 4 π times each coordinate in [-1, 1], times √2.
    """
    layers = keras.layers
    model = keras.Sequential([keras.Input((8,))])
    for _ in range(3):
        model.add(layers.Dense(64))
        model.add(activation(spec))
    model.add(layers.Dense(1, name="grey"))
    return model


def picture(recipe: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Waves of the coordinates and grey values in [0, 1] less ½, of pixels drawn for each part.

    The picture is scikit-image's camera man, as means over 8×8 pixels.

    Args:
        recipe: A `BenchRecipe`; its numbers are pixels.
    """
    values = _picture().reshape(-1, 1)
    places = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x = np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1, 2)
    waves = np.concatenate(
        [wave(np.pi * k * x) for k in (1, 4) for wave in (np.sin, np.cos)], axis=1
    )
    order = np.random.default_rng(0).permutation(len(x))
    parts, start = {}, 0
    for part in ("training", "validation", "test"):
        rows = order[start : start + getattr(recipe, part)]
        start += len(rows)
        inputs = np.sqrt(2) * waves[rows]
        parts[part] = inputs.astype("float32"), (values[rows] - 0.5).astype("float32")
    return parts


@functools.lru_cache(maxsize=1)
def _picture():
    image = require("skimage.data", extra="atlas").camera().astype("float64") / 255
    step = len(image) // SIDE
    return image.reshape(SIDE, step, SIDE, step).mean((1, 3))
