"""Network, data and loss of `heat_pinn`: the heat equation, solved by a network."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ... import backend
from ..._activation import activation

#: Diffusivity κ.
KAPPA = 0.05


def network(spec: Any) -> keras.Model:
    """Two dense layers of 32 on place and time, both in [-1, 1], and one output."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((2,))])
    for _ in range(2):
        model.add(layers.Dense(32))
        model.add(activation(spec))
    model.add(layers.Dense(1, name="temperature"))
    return model


def points(recipe: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Points (ξ, τ) in [-1, 1]² and the exact temperatures at them.

    Training points are drawn at random; their temperatures are not trained on. Validation and
    test points are other ones.

    Args:
        recipe: A `BenchRecipe`; its numbers are points.
    """
    rng = np.random.default_rng(0)
    parts = {}
    for part in ("training", "validation", "test"):
        x = rng.uniform(-1, 1, (getattr(recipe, part), 2))
        parts[part] = x.astype("float32"), exact(x).astype("float32")
    return parts


def exact(points: np.ndarray) -> np.ndarray:
    """The solution, (points, 1): u = e^(-κ π² t) sin π x + ½ e^(-9 κ π² t) sin 3π x."""
    x, t = ((points + 1) / 2).T
    u = np.exp(-KAPPA * np.pi**2 * t) * np.sin(np.pi * x)
    u += 0.5 * np.exp(-9 * KAPPA * np.pi**2 * t) * np.sin(3 * np.pi * x)
    return u[:, None]


def residual(model: Callable[[Any], Any], inputs: Any) -> Any:
    """Mean squares of the equation's residual and of the deviations at the rim.

    With x = (ξ + 1) / 2 and t = (τ + 1) / 2 in [0, 1],

        (u_t − κ u_xx)²  +  10 (u(x, 0) − sin π x − ½ sin 3π x)²  +  10 (u(0, t)² + u(1, t)²),

    where the rim's points are those of the batch moved to it. Source: Raissi, Perdikaris and
    Karniadakis, Physics-informed neural networks (2019), section 3.1.

    Args:
        model: Function of points, (points, 2), to u, (points, 1).
        inputs: A batch of points (ξ, τ).
    """
    inputs = ops.convert_to_tensor(inputs)
    if keras.backend.backend() == "torch":  # Only then are slopes differentiated further.
        inputs = inputs.detach().requires_grad_()
    xi, tau = inputs[:, :1], inputs[:, 1:]

    def u(xi, tau):
        return model(ops.concatenate([xi, tau], axis=1))

    def slope(xi):
        _, (u_xi, _) = backend.value_and_slopes(u, xi, tau)
        return u_xi

    _, (_, u_tau) = backend.value_and_slopes(u, xi, tau)
    _, (u_xi_xi,) = backend.value_and_slopes(slope, xi)
    inside = 2 * u_tau - 4 * KAPPA * u_xi_xi  # d/dx = 2 d/dξ
    one = ops.ones_like(xi)
    rim = model(
        ops.concatenate(
            [
                ops.concatenate([xi, -one], axis=1),
                ops.concatenate([-one, tau], axis=1),
                ops.concatenate([one, tau], axis=1),
            ],
            axis=0,
        )
    )
    x = np.pi * (xi + 1) / 2
    start = ops.sin(x) + 0.5 * ops.sin(3 * x)
    deviation = rim - ops.concatenate([start, 0 * one, 0 * one], axis=0)
    return ops.mean(ops.square(inside)) + 30 * ops.mean(ops.square(deviation))
