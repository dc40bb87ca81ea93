"""Gradient descent on the knot values, the paper's way of finding the optimum.

Section 3.1: Adam, learning rate 1e-2, 100 to 500 steps, from ReLU; each step either with
the exact gradient of the mixture or with that of samples drawn from it. Normalising f
(Var f = 1, anchoring the leftmost knot, unit L2 norm) does not change L, only the length
of Adam's steps relative to f.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..constraints import anchored_unit_norm
from .class_statistics import ClassStatistics, sample_moments

INITIAL = {
    "relu": lambda x: np.maximum(x, 0.0),
    "identity": lambda x: x,
    "tanh": np.tanh,
    "swish": lambda x: x / (1.0 + np.exp(-x)),
}


@dataclass(frozen=True, eq=False)
class Training:
    """What gradient descent found.

    Attributes:
        values: Knot values after the last step, gauge f(leftmost knot) = 0, Var f = 1.
        objective: L of the exact statistics at `values`.
        correlations: ρ_k at `values`.
        history: L of the exact statistics before each step and after the last.
    """

    values: np.ndarray
    objective: float
    correlations: np.ndarray
    history: np.ndarray


class Adam:
    """Adam on one NumPy array (Kingma and Ba 2015, Algorithm 1).

    Args:
        shape: Shape of the array.
        learning_rate: Step size.
    """

    def __init__(self, shape: tuple[int, ...], learning_rate: float = 1e-2):
        self.learning_rate = learning_rate
        self.first, self.second, self.time = np.zeros(shape), np.zeros(shape), 0

    def step(self, gradient: np.ndarray) -> np.ndarray:
        """The change to add to the parameters."""
        self.time += 1
        self.first += 0.1 * (gradient - self.first)
        self.second += 0.001 * (gradient**2 - self.second)
        first = self.first / (1 - 0.9**self.time)
        second = self.second / (1 - 0.999**self.time)
        return -self.learning_rate * first / (np.sqrt(second) + 1e-8)


class GradientDescent:
    """Plain gradient descent with the interface of `Adam`."""

    def __init__(self, shape: tuple[int, ...], learning_rate: float = 1e-2):
        del shape
        self.learning_rate = learning_rate

    def step(self, gradient: np.ndarray) -> np.ndarray:
        """The change to add to the parameters."""
        return -self.learning_rate * gradient


METHODS = {"adam": Adam, "sgd": GradientDescent}
DATA = ("analytic", "samples")
PROJECTIONS = {None: None, "anchored_unit_norm": anchored_unit_norm}


def lookup(table: dict, name: object, argument: str) -> Any:
    """`table[name]`, or a `ValueError` that lists the names."""
    if name not in table:
        names = ", ".join(repr(key) for key in table)
        raise ValueError(f"`{argument}` must be one of {names}. Received: {name!r}")
    return table[name]


def train_knots(
    objective: Any,
    *,
    method: str = "adam",
    data: str = "analytic",
    steps: int = 500,
    learning_rate: float = 1e-2,
    initial: Any = "relu",
    batch_size: int = 10_000,
    seed: int = 0,
    projection: str | None = None,
) -> Training:
    """Descend L from an initial function.

    Args:
        objective: A `CorrelationObjective` of three or more classes.
        method: `"adam"` or `"sgd"`.
        data: `"analytic"` or `"samples"`.
        steps: Number of steps; the paper takes 100 to 500.
        learning_rate: Step size; the paper's 1e-2.
        initial: `"relu"`, `"identity"`, `"tanh"`, `"swish"`, a function, or knot values.
        batch_size: Samples per step for `data="samples"`.
        seed: Seed of those samples.
        projection: `"anchored_unit_norm"` after each step, or `None`; see
            `keras_actfn.constraints.anchored_unit_norm`.

    Returns:
        The `Training`.
    """
    knots = objective.knots
    project = lookup(PROJECTIONS, projection, "projection")
    optimizer = lookup(METHODS, method, "method")(knots.size, learning_rate)
    if data not in DATA:
        raise ValueError(f"`data` must be 'analytic' or 'samples'. Received: {data!r}")
    if data == "samples" and objective.mixture is None:
        raise ValueError(
            "data='samples' draws from a mixture, but this objective was made from samples, "
            "whose gradient is exact. Use data='analytic'."
        )
    if isinstance(initial, str):
        initial = lookup(INITIAL, initial, "initial")
    y = np.array(initial(knots) if callable(initial) else initial, dtype=np.float64)
    generator = np.random.default_rng(seed)
    history = [objective.value(y)]
    for _ in range(steps):
        if data == "samples":
            statistics = _drawn_statistics(objective, batch_size, generator)
        else:
            statistics = objective.statistics
        y = y + optimizer.step(statistics.gradient(y))
        if project is not None:
            y = project(y)
        history.append(objective.value(y))
    y = objective.statistics.unit_variance(y)
    return Training(y, objective.value(y), objective.correlations(y), np.array(history))


def _drawn_statistics(objective: Any, size: int, generator: np.random.Generator) -> ClassStatistics:
    """Statistics of `size` fresh samples, split over the classes by their priors."""
    mixture = objective.mixture
    counts = np.maximum(np.round(size * mixture.priors).astype(int), 1)
    labels = np.repeat(np.arange(mixture.classes), counts)
    x = generator.normal(mixture.means[labels], mixture.std[labels])
    moments = sample_moments(x, labels, mixture.classes, objective.knots, objective.extrapolation)
    return ClassStatistics.from_segment_moments(mixture.priors, moments)
