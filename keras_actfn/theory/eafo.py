"""Entropy-based activation function optimisation: one exact step (EAFO, Eq. 7).

With f monotone, p the input density and R = p / |f′|, the paper's direction in the inverse
function is η(f(u)) = −R′(u). A step of size s therefore moves the point u to

    T(u) = u − s w(u) R′(u),        f_new = f ∘ T⁻¹,

so no inverse of f is ever needed, and

    f_new is monotone   iff   s < 1 / max (w R′)′
    H_new = h(X) + E log |f_new′(X)|
    dH/ds at 0 = −∫ w R′² |f′| du  ≤  0.

On the whole line w = 1. The paper requires η to vanish at the boundaries, which R′ does at
±∞ but not at a finite end of a region; there w rises smoothly from zero at the end to one
within `margin`, which keeps the boundary fixed and the direction one of descent.

Signs. For f = identity and X ~ N(0, 1), η = +C x e^{−x²/2}, so the step gives
f ≈ x − ε x e^{−x²/2}. The paper drops the sign, and CRReLU with ε > 0 raises the entropy.
To first order the step on normal inputs is a rescaling: H − log std is reported beside H.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._optional import require
from ..densities import Density, as_density, smooth_density
from .grid import Grid, input_entropy, make_grid
from .monotone import Monotone, raise_not_monotone, refuse_flat, smooth_activation


@dataclass(frozen=True, eq=False)
class _Field:
    """Everything about (activation, density) that does not depend on the step size."""

    f: Monotone
    density: Any
    known: Density
    grid: Grid
    log_slope: np.ndarray
    displacement: np.ndarray  # w R'
    stretch: np.ndarray  # (w R')'
    slope: float  # dH/ds at 0
    max_step: float
    reason: str | None


@dataclass(frozen=True, eq=False)
class EafoStep:
    """An activation after one entropy step. Call it on NumPy arrays.

    Attributes:
        step: Step size s.
        max_step: Largest s that keeps the function monotone.
        entropy_before: H(f(X)) in nats.
        entropy_after: H(f_new(X)) in nats.
        normalised_before: H − log std before.
        normalised_after: H − log std after.
        slope: dH/ds at s = 0.
        region: Interval on which the step acts; f is unchanged outside.
        sample_change: For samples, the mean of log f_new′ − log f′ over the samples
            themselves, a check that does not rest on the kernel estimate; else `None`.
    """

    step: float
    max_step: float
    entropy_before: float
    entropy_after: float
    normalised_before: float
    normalised_after: float
    slope: float
    region: tuple[float, float]
    sample_change: float | None
    _field: _Field

    def inverse(self, x: ArrayLike) -> np.ndarray:
        """T⁻¹(x): where the value of f_new at x comes from."""
        x = np.asarray(x, dtype=np.float64)
        grid = self._field.grid
        moved = grid.u - self.step * self._field.displacement
        u = np.interp(x, moved, grid.u)
        inside = (x > moved[0]) & (x < moved[-1])
        interpolate = require("scipy.interpolate", extra="theory")
        spline = interpolate.make_interp_spline(grid.v, self._field.displacement, k=5)
        v = np.interp(x, moved, grid.v)
        for _ in range(3):
            position = grid.position(v)
            error = position - self.step * spline(v) - x
            rate = grid.speed(v) - self.step * spline(v, 1)
            v = np.clip(v - np.where(inside & (rate > 0), error / rate, 0.0), grid.v[0], grid.v[-1])
        return np.where(inside, grid.position(v), x + (u - np.clip(x, moved[0], moved[-1])))

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """f_new(x)."""
        return self._field.f(self.inverse(x))

    def table(self, knots: ArrayLike) -> np.ndarray:
        """Values at `knots`, ready for the `values` of a `PWL` layer."""
        return self(np.asarray(knots, dtype=np.float64))


def _taper(u: np.ndarray, known: Density, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Return w and w′: quintic rise from zero at every finite end of the region."""
    weight, rate = np.ones_like(u), np.zeros_like(u)
    for end, sign in ((known.low, 1.0), (known.high, -1.0)):
        if np.isfinite(end):
            t = np.clip(sign * (u - end) / margin, 0.0, 1.0)
            rise = t**3 * (10 - 15 * t + 6 * t * t)
            slope = sign * 30 * t * t * (1 - t) ** 2 / margin
            weight, rate = weight * rise, rate * rise + weight * slope
    return weight, rate


def _peak(values: np.ndarray) -> float:
    """Maximum of a tabulated function, by the parabola through the three highest points."""
    index = int(np.clip(np.argmax(values), 1, values.size - 2))
    left, middle, right = values[index - 1 : index + 2]
    bend = left - 2 * middle + right
    if not bend < 0 or middle < max(left, right):
        return float(values.max())
    return float(middle - (right - left) ** 2 / (8 * bend))


def _kink(grid: Grid, ratio: np.ndarray) -> tuple[int, float] | None:
    """Index and size of the sharpest isolated jump of R′, if there is one.

    Between neighbouring points the slope of a smooth function changes gradually; a kink
    puts the whole change between two of them.
    """
    jump = np.abs(np.diff(ratio, 2)) / (grid.v[1] - grid.v[0])
    pair = jump[:-1] + jump[1:]
    padded = np.pad(jump, 6, mode="edge")
    index = np.arange(pair.size) + 6
    near = np.maximum.reduce([padded[index + k] for k in (-5, -4, -3, 4, 5, 6)])
    scale = np.abs(np.diff(ratio)).max() / (grid.v[1] - grid.v[0])
    seen = ratio[1:-2] > 1e-6 * np.abs(ratio).max()
    isolated = seen & (pair > 10 * near) & (pair > 2e-2 * max(scale, 1e-12 * np.abs(ratio).max()))
    if not isolated.any():
        return None
    found = int(np.flatnonzero(isolated)[np.argmax(pair[isolated])])
    second = np.diff(ratio, 2)
    return found + 1, float((second[found] + second[found + 1]) / (grid.v[1] - grid.v[0]))


def _numeric_log_slope(f: Monotone, known: Density, grid: Grid) -> np.ndarray:
    values = f(grid.u)
    rise = np.diff(values)
    mass = np.diff(known.cdf(grid.u)) / known.mass
    direction = np.sign(mass @ rise)
    if mass[direction * rise < -1e-15 * np.abs(values).max()].sum() > 1e-9:
        raise_not_monotone(f, grid.u)
    refuse_flat(f, grid.u[:-1], direction * rise <= 0, mass)
    slope = direction * grid.derivatives(values, order=7)[0]
    floor = np.finfo(np.float64).eps * np.abs(values).max() / (grid.du * (grid.v[1] - grid.v[0]))
    return np.log(np.maximum(slope, floor))


def _field(
    activation: Any,
    density: Any,
    region: tuple[float, float] | None,
    smooth: float | None,
    bandwidth: float | None,
    derivative: Callable | None,
    margin: float | None,
) -> _Field:
    if smooth is not None:
        if derivative is not None:
            raise ValueError("Pass either `derivative` or `smooth`; smoothing changes f′.")
        density = smooth_density(density, smooth) if not _samples(density) else density
        known = as_density(density, region, bandwidth)
        reach = as_density(density, None, bandwidth).reach
        activation = smooth_activation(activation, smooth, *reach)
    else:
        known = as_density(density, region, bandwidth)
    f = Monotone(activation, derivative)
    grid = make_grid(known)
    log_slope = f.log_slope(grid.u) if f.exact else _numeric_log_slope(f, known, grid)
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = np.exp(known.logpdf(grid.u) - log_slope)
    if np.isneginf(log_slope).any() or not np.isfinite(ratio).all():
        p = np.exp(known.logpdf(grid.u)) * grid.weights
        refuse_flat(f, grid.u, ~np.isfinite(ratio), np.where(np.isfinite(p), p, 1.0))
        ratio = np.where(np.isfinite(ratio), ratio, 0.0)
    # A constant R (f is the distribution function) leaves only rounding in its derivatives.
    still = np.ptp(ratio) < 1e-9 * np.abs(ratio).max()
    if still:
        ratio = np.full_like(ratio, ratio.mean())
    reason = None if still else _why_not(known, grid, ratio)
    first, second = (0.0 * ratio, 0.0 * ratio) if still else grid.derivatives(ratio)
    size = np.abs(first).max(initial=0.0)
    ends = [i for i, end in ((0, known.low), (-1, known.high)) if np.isfinite(end)]
    displacement, stretch = first, second
    weight = np.ones_like(first)
    if any(abs(first[i]) > 1e-6 * size for i in ends):
        if margin is None:
            p = grid.weights * np.exp(known.logpdf(grid.u))
            spread = np.sqrt(max(p @ grid.u**2 - (p @ grid.u) ** 2, 0.0))
            margin = 0.5 * spread
        weight, rate = _taper(grid.u, known, margin)
        displacement, stretch = weight * first, weight * second + rate * first
    top = _peak(stretch)
    if not f.exact and reason is None:
        _refuse_noise(f, grid, log_slope, ratio, stretch)
    slope = -float(grid.weights @ (weight * first**2 * np.exp(log_slope)))
    limit = 0.0 if reason else (float("inf") if top <= 0 else float(1.0 / top))
    return _Field(f, density, known, grid, log_slope, displacement, stretch, slope, limit, reason)


def _refuse_noise(
    f: Monotone, grid: Grid, log_slope: np.ndarray, ratio: np.ndarray, stretch: np.ndarray
) -> None:
    """Raise if the sharpest point of the field is rounding error of a numerical f′."""
    index = int(np.argmax(stretch))
    spacing = grid.du[index] * (grid.v[1] - grid.v[0])
    rounding = np.finfo(np.float64).eps * np.abs(f(grid.u)).max() / spacing
    relative = rounding / np.exp(log_slope[index])
    if ratio[index] * relative / spacing**2 > 1e-3 * stretch[index] > 0:
        raise ValueError(
            f"The slope of this activation cannot be resolved numerically near x = "
            f"{grid.u[index]:.3g}: it saturates where inputs still fall. Pass its derivative as "
            "derivative=function, or a narrower region=(low, high)."
        )


def _samples(density: Any) -> bool:
    return not (hasattr(density, "logpdf"))


def _why_not(known: Density, grid: Grid, ratio: np.ndarray) -> str | None:
    """Why no positive step is valid, or `None`."""
    for index, end, inner, name in (
        (0, known.low, slice(1, 40), "-infinity"),
        (-1, known.high, slice(-40, -1), "infinity"),
    ):
        if not np.isfinite(end) and ratio[index] >= ratio[inner].max() > 0:
            return (
                f"p/f' grows without bound towards {name}: the activation saturates faster "
                "than the density decays, so every positive step folds the function there. "
                "Pass region=(low, high) to act on a bounded part"
            )
    found = _kink(grid, ratio)
    if found is None:
        return None
    index, jump = found
    kind = (
        "upwards, so every positive step folds the function there"
        if jump > 0
        else "downwards, so every positive step leaves a flat piece of entropy minus infinity"
    )
    return (
        f"(p/f')' jumps {kind} (a kink of the density or the activation at "
        f"x = {grid.u[index]:.4g}). Pass smooth=bandwidth to average both over a Gaussian "
        "window first"
    )


def max_step(
    activation: Any,
    density: Any,
    *,
    region: tuple[float, float] | None = None,
    smooth: float | None = None,
    bandwidth: float | None = None,
    derivative: Callable | None = None,
    margin: float | None = None,
) -> float:
    """Largest step that keeps the activation monotone: 1 / max (w R′)′, zero if none does.

    Infinite where R is constant: f is then the distribution function, whose entropy is
    already stationary. The arguments are those of `eafo_step`.
    """
    return _field(activation, density, region, smooth, bandwidth, derivative, margin).max_step


def eafo_step(
    activation: Any,
    density: Any,
    step: float,
    *,
    region: tuple[float, float] | None = None,
    smooth: float | None = None,
    bandwidth: float | None = None,
    derivative: Callable | None = None,
    margin: float | None = None,
    relative: bool = False,
) -> EafoStep:
    """Take one step of size `step` down the entropy of the output.

    Args:
        activation: A name, an expression in `x`, or a function on NumPy arrays.
        density: A frozen SciPy distribution, a `GaussianMixture`, or samples of the input.
        step: s > 0; with `relative`, a share in (0, 1) of the largest valid step.
        region: `(low, high)` for an activation that is monotone only there, such as
            `(0, np.inf)` for ReLU. Density and entropies are then conditional on it.
        smooth: Average f and p over a Gaussian window of this standard deviation first:
            needed where either has a kink. (A kernel estimate is smooth already.)
        bandwidth: For samples, the kernel's standard deviation.
        derivative: f′ on NumPy arrays, when known; spares numerical differentiation.
        margin: Width over which the step fades out at a finite end of the region; half a
            standard deviation of the input when `None`. Unused where R′ vanishes there.
        relative: Measure the step in units of the largest valid one.

    Returns:
        The `EafoStep`.

    Raises:
        ValueError: If f is not strictly monotone where inputs fall, or the step is not
            below the largest valid one; the message gives that.

    Example:
        >>> from scipy.stats import norm
        >>> after = eafo_step("tanh", norm(0, 1), step=1.0)
        >>> round(after.entropy_after - after.entropy_before, 6)
        -0.177127
    """
    if not step > 0:
        raise ValueError(f"`step` must be positive. Received: {step!r}")
    field = _field(activation, density, region, smooth, bandwidth, derivative, margin)
    if field.reason:
        raise ValueError(
            f"No entropy step is valid; the largest valid step is 0, because {field.reason}."
        )
    if relative:
        if not step < 1 or not np.isfinite(field.max_step):
            raise ValueError(
                "A relative `step` must lie between 0 and 1, of a largest step that is finite. "
                f"Received: step={step!r} of {field.max_step!r}"
            )
        step = step * field.max_step
    if step >= field.max_step:
        raise ValueError(
            f"`step` must be below {field.max_step:.6g}, the largest step that keeps this "
            f"activation monotone for this density. Received: {step!r}"
        )
    grid, known = field.grid, field.known
    log_p = known.logpdf(grid.u)
    p = grid.weights * np.where(np.isfinite(log_p), np.exp(log_p), 0.0)
    values = field.f(grid.u)
    source = input_entropy(field.density, known, grid)
    kept = p > 0
    before = source + float(p[kept] @ field.log_slope[kept])
    rate = 1.0 - step * field.stretch
    moved = grid.u - step * field.displacement
    log_moved = known.logpdf(moved)
    q = grid.weights * rate * np.where(np.isfinite(log_moved), np.exp(log_moved), 0.0)
    kept = q > 0
    after = source + float(q[kept] @ (field.log_slope - np.log(rate))[kept])
    result = EafoStep(
        step=float(step),
        max_step=field.max_step,
        entropy_before=before,
        entropy_after=after,
        normalised_before=before - _log_std(p, values),
        normalised_after=after - _log_std(q, values),
        slope=field.slope,
        region=(known.low, known.high),
        sample_change=None,
        _field=field,
    )
    if known.samples is not None and known.samples.size:
        change = _sample_change(result, known.samples)
        object.__setattr__(result, "sample_change", change)
    return result


def _log_std(weights: np.ndarray, values: np.ndarray) -> float:
    total = weights.sum()
    mean = weights @ values / total
    return 0.5 * float(np.log(weights @ (values - mean) ** 2 / total))


def _sample_change(result: EafoStep, samples: np.ndarray) -> float:
    """Mean of log f_new′ − log f′ over the samples."""
    field = result._field
    source = result.inverse(samples)
    stretch = np.interp(source, field.grid.u, field.stretch)
    new = np.interp(source, field.grid.u, field.log_slope) - np.log1p(-result.step * stretch)
    old = np.interp(samples, field.grid.u, field.log_slope)
    return float(np.mean(new - old))
