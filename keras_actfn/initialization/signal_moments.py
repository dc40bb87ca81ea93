"""Distributions between two layers, for a network that is not trained yet.

A `Signal` says how the value of one channel is distributed, at each position of the image
or for all of them alike. Positions differ because the border of padded images meets fewer
weights. Behind a layer with weights a value is Gaussian, because each output sums many
inputs; behind functions of one value it has the distribution of the function's values, kept
as values at the points of a grid with their probabilities. The grid has 2,001 points on ±10
standard deviations; sums over it are the trapezoidal rule, which for Gaussian densities is
exact to rounding for smooth functions and to about 1e-5 for functions with a kink.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

_GRID = np.linspace(-10, 10, 2001)
_PROBABILITIES = np.exp(-0.5 * _GRID**2)
_PROBABILITIES /= _PROBABILITIES.sum()

#: Positions whose moments agree to this part of the largest share one distribution.
_RESOLUTION = 2e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Signal:
    """One distribution for each kind of position, and which position is of which kind.

    Attributes:
        values: float64, `(kinds, n)`.
        probabilities: float64, `(kinds, n)`, each row with sum one.
        kinds: For each position of the image the row that holds there; a single number in
            an array without axes where all positions are alike.
    """

    values: np.ndarray
    probabilities: np.ndarray
    kinds: np.ndarray

    @classmethod
    def gaussian(cls, mean: ArrayLike = 0.0, variance: ArrayLike = 1.0) -> "Signal":
        """Gaussian values.

        Args:
            mean: A number, or one for each position.
            variance: As `mean`.
        """
        mean, variance = np.broadcast_arrays(np.asarray(mean, "float64"), variance)
        moments = np.stack([mean.ravel(), np.maximum(variance, 0).ravel()], axis=1)
        unit = _RESOLUTION * np.abs(moments).max(axis=0)
        rounded = np.round(moments / np.where(unit > 0, unit, 1))
        _, first, kinds = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
        means, variances = moments[first].T
        values = means[:, None] + np.sqrt(variances)[:, None] * _GRID
        probabilities = np.broadcast_to(_PROBABILITIES, values.shape)
        return cls(values, probabilities, kinds.reshape(mean.shape))

    @property
    def means(self) -> np.ndarray:
        """The mean at each position."""
        return (self.values * self.probabilities).sum(axis=1)[self.kinds]

    @property
    def second_moments(self) -> np.ndarray:
        """The mean square at each position."""
        return (self.values**2 * self.probabilities).sum(axis=1)[self.kinds]

    @property
    def variances(self) -> np.ndarray:
        """The variance at each position."""
        centred = self.values - (self.values * self.probabilities).sum(axis=1, keepdims=True)
        return (centred**2 * self.probabilities).sum(axis=1)[self.kinds]

    @property
    def mean(self) -> float:
        """Mean of the value at any position."""
        return float(self.means.mean())

    @property
    def variance(self) -> float:
        """Variance of the value at any position."""
        return float(self.variances.mean() + self.means.var())

    @property
    def finite(self) -> bool:
        """Whether mean and variance are finite numbers."""
        with np.errstate(all="ignore"):
            return bool(np.isfinite(self.mean) and np.isfinite(self.variance))

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "Signal":
        """The distribution of a function of the value.

        Args:
            function: From an array to one of the same shape, or with further axes for the
                channels that have their own function, each of which then counts alike.
        """
        values = np.asarray(function(self.values), "float64")
        copies = values.size // self.values.size
        probabilities = np.repeat(self.probabilities / copies, copies, axis=1)
        return Signal(values.reshape(probabilities.shape), probabilities, self.kinds)

    def dropped(self, rate: float) -> "Signal":
        """The distribution in training behind dropout: zero with probability `rate`."""
        zero = np.zeros((len(self.values), 1))
        return Signal(
            np.hstack([self.values / (1 - rate), zero]),
            np.hstack([self.probabilities * (1 - rate), zero + rate]),
            self.kinds,
        )

    def largest_of(self, n: int) -> "Signal":
        """The distribution of the largest of `n` independent values of one position."""
        order = np.argsort(self.values, axis=1, kind="stable")
        below = np.take_along_axis(self.probabilities, order, axis=1).cumsum(axis=1)
        power = np.minimum(below / below[:, -1:], 1) ** n
        return Signal(
            np.take_along_axis(self.values, order, axis=1),
            np.diff(power, axis=1, prepend=0.0),
            self.kinds,
        )

    def at(self, kinds: ArrayLike) -> "Signal":
        """The same distributions at other positions."""
        return Signal(self.values, self.probabilities, np.asarray(kinds))

    def anywhere(self) -> "Signal":
        """Gaussian with the moments of the value at any position, for all positions alike."""
        return Signal.gaussian(self.mean, self.variance)


def sum_of(signals: Sequence[Signal]) -> Signal:
    """Gaussian with the moments of the sum of independent values."""
    return Signal.gaussian(sum(s.means for s in signals), sum(s.variances for s in signals))


def product_of(signals: Sequence[Signal]) -> Signal:
    """Gaussian with the moments of the product of independent values."""
    mean: np.ndarray | float = 1.0
    square: np.ndarray | float = 1.0
    for signal in signals:
        mean, square = mean * signal.means, square * signal.second_moments
    return Signal.gaussian(mean, square - mean**2)


def mixture_of(signals: Sequence[Signal], weights: Sequence[float]) -> Signal:
    """Gaussian with the moments of a value of one of the signals, by given weights."""
    shares = np.asarray(weights, "float64") / np.sum(weights)
    mean = sum(w * s.means for w, s in zip(shares, signals, strict=True))
    square = sum(w * s.second_moments for w, s in zip(shares, signals, strict=True))
    return Signal.gaussian(mean, square - mean**2)
