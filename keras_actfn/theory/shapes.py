"""Which familiar shape a learned or derived function has: Swish and its rivals.

Every family is scale · g(z) + offset with z = x − x0 and a steepness β:

    swish     z σ(βz)              (correlation objectives, Eq. 6, with scale and offset)
    gelu      z Φ(βz)
    softplus  log(1 + e^{βz}) / β
    sigmoid   σ(βz)
    relu      max(z, 0)
    linear    z

Scale and offset are solved exactly for each (x0, β); those two are found on a grid and
refined by least squares. R² alone does not tell these shapes apart: a fit is worth
reporting only beside its rivals, which `compare_shapes` does, with Akaike's criterion

    AIC = n log(RSS / n) + 2 (parameters + 1).
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import ArrayLike

from .._optional import require

# β is bounded by this many transitions across the range of x; beyond it every smooth
# family is a step or a hinge to within the spacing of any sensible set of points.
STEEPEST = 300.0


def _sigmoid(z):
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def _swish(z, beta):
    return z * _sigmoid(beta * z)


def _gelu(z, beta):
    return z * require("scipy.special", extra="theory").ndtr(beta * z)


def _softplus(z, beta):
    return np.logaddexp(0.0, beta * z) / beta


@dataclass(frozen=True)
class Family:
    """One shape: its function of z = x − x0 and β, and which of the two it has."""

    function: Callable[..., np.ndarray]
    formula: str
    has_steepness: bool = True
    has_centre: bool = True

    @property
    def parameters(self) -> int:
        """Number of fitted numbers, scale and offset included."""
        return 2 + self.has_steepness + self.has_centre


FAMILIES = {
    "swish": Family(_swish, "z sigmoid(beta z)"),
    "gelu": Family(_gelu, "z Phi(beta z)"),
    "softplus": Family(_softplus, "log(1 + exp(beta z)) / beta"),
    "sigmoid": Family(lambda z, beta: _sigmoid(beta * z), "sigmoid(beta z)"),
    "relu": Family(lambda z, beta: np.maximum(z, 0.0), "max(z, 0)", has_steepness=False),
    "linear": Family(lambda z, beta: z, "z", has_steepness=False, has_centre=False),
}


@dataclass(frozen=True, eq=False)
class ShapeFit:
    """A least-squares fit of one family.

    Attributes:
        family: Name in `FAMILIES`.
        scale: Factor of the shape.
        offset: Constant added to it.
        x0: Centre; zero for a family without one.
        beta: Steepness; NaN for a family without one.
        r2: Share of the variance of y explained.
        aic: Akaike's criterion; smaller is better, differences below 2 mean nothing.
        mirrored: Whether the shape was fitted in −x.
    """

    family: str
    scale: float
    offset: float
    x0: float
    beta: float
    r2: float
    aic: float
    mirrored: bool = False

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """The fitted function."""
        x = np.asarray(x, dtype=np.float64)
        z = (-x if self.mirrored else x) - self.x0
        return self.scale * FAMILIES[self.family].function(z, self.beta) + self.offset


def _project(shapes: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Best scale and offset for each row of `shapes`, and the residual sum of squares."""
    centred = shapes - shapes.mean(axis=-1, keepdims=True)
    target = y - y.mean()
    power = np.sum(centred * centred, axis=-1)
    flat = power <= 1e-28 * np.maximum(np.sum(shapes * shapes, axis=-1), 1e-300)
    scale = np.where(flat, 0.0, centred @ target / np.where(flat, 1.0, power))
    offset = y.mean() - scale * shapes.mean(axis=-1)
    residual = target - scale[..., None] * centred
    return scale, offset, np.sum(residual * residual, axis=-1)


def fit_shape(family: str, x: ArrayLike, y: ArrayLike, *, mirrored: bool = False) -> ShapeFit:
    """Fit one family by least squares.

    Args:
        family: A name in `FAMILIES`.
        x: Positions, shape (n,), not all equal.
        y: Function values, shape (n,).
        mirrored: Fit the shape in −x; the optimum of a symmetric mixture and its mirror
            image are equally good, so a learned function may point either way.

    Returns:
        The `ShapeFit`; x0 lies within the range of x and 0 < β ≤ 300 / range, the ends of
        these intervals included.

    Raises:
        ValueError: For an unknown family, too few points, a constant y or non-finite numbers.
    """
    if family not in FAMILIES:
        raise ValueError(f"`family` must be one of {', '.join(FAMILIES)}. Received: {family!r}")
    form = FAMILIES[family]
    x = np.asarray(x, dtype=np.float64).reshape(-1)
    y = np.asarray(y, dtype=np.float64).reshape(-1)
    if x.shape != y.shape or x.size <= form.parameters:
        raise ValueError(
            f"Fitting {family} needs `x` and `y` of one length above {form.parameters}. "
            f"Received lengths {x.size} and {y.size}."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError("Fitting a shape needs finite `x` and `y` that are not constant.")
    u = -x if mirrored else x
    low, high, width = u.min(), u.max(), np.ptp(u)
    centres = np.linspace(low, high, 49) if form.has_centre else np.zeros(1)
    steepest = np.log(STEEPEST / width)
    steeps = np.linspace(np.log(0.3 / width), steepest, 40) if form.has_steepness else np.zeros(1)
    grid_c, grid_b = (g.ravel() for g in np.meshgrid(centres, steeps, indexing="ij"))
    shapes = form.function(u - grid_c[:, None], np.exp(grid_b)[:, None])
    rss = _project(shapes, y)[2]

    free = np.array([form.has_centre, form.has_steepness])
    lower = np.array([low, steeps[0] - 3.0])
    upper = np.array([high, steepest])

    def parameters(point):
        full = np.array([0.0, 0.0])
        full[free] = point
        return full

    def residuals(point):
        centre, log_beta = parameters(point)
        shape = form.function(u - centre, np.exp(log_beta))
        scale, offset, _ = _project(shape, y)
        return scale * shape + offset - y

    best = parameters(np.array([grid_c, grid_b])[free][:, np.argmin(rss)])
    best_rss = rss.min()
    if free.any():
        optimize = require("scipy.optimize", extra="theory")
        for index in np.argsort(rss)[[0, 1, 5, 20]]:
            start = np.array([grid_c[index], grid_b[index]])[free]
            inside = np.clip(start, lower[free] + 1e-9, upper[free] - 1e-9)
            found = optimize.least_squares(
                residuals,
                inside,
                bounds=(lower[free], upper[free]),
                xtol=1e-15,
                ftol=1e-15,
                gtol=1e-15,
                x_scale="jac",
            )
            if 2 * found.cost < best_rss:
                best, best_rss = parameters(found.x), 2 * found.cost
    centre, beta = best[0], np.exp(best[1])
    shape = form.function(u - centre, beta)
    scale, offset, rss = _project(shape, y)
    total = np.sum((y - y.mean()) ** 2)
    floor = max(float(rss), np.finfo(np.float64).eps ** 2 * total)
    return ShapeFit(
        family=family,
        scale=float(scale),
        offset=float(offset),
        x0=float(centre),
        beta=float(beta) if form.has_steepness else float("nan"),
        r2=float(1.0 - rss / total),
        aic=float(x.size * np.log(floor / x.size) + 2 * (form.parameters + 1)),
        mirrored=mirrored,
    )


def fit_swish(x: ArrayLike, y: ArrayLike, *, mirrored: bool = False) -> ShapeFit:
    """Fit scale · z σ(βz) + offset, z = x − x0 (Eq. 6).

    Example:
        >>> x = np.linspace(-3, 3, 33)
        >>> fit = fit_swish(x, 2 * x / (1 + np.exp(-1.5 * x)))
        >>> round(fit.beta, 6), round(fit.r2, 6)
        (1.5, 1.0)
    """
    return fit_shape("swish", x, y, mirrored=mirrored)


def fit_gelu(x: ArrayLike, y: ArrayLike, *, mirrored: bool = False) -> ShapeFit:
    """Fit scale · z Φ(βz) + offset, z = x − x0."""
    return fit_shape("gelu", x, y, mirrored=mirrored)


def fit_softplus(x: ArrayLike, y: ArrayLike, *, mirrored: bool = False) -> ShapeFit:
    """Fit scale · log(1 + e^{βz})/β + offset, z = x − x0."""
    return fit_shape("softplus", x, y, mirrored=mirrored)


def fit_relu(x: ArrayLike, y: ArrayLike, *, mirrored: bool = False) -> ShapeFit:
    """Fit scale · max(x − x0, 0) + offset."""
    return fit_shape("relu", x, y, mirrored=mirrored)


def fit_sigmoid(x: ArrayLike, y: ArrayLike, *, mirrored: bool = False) -> ShapeFit:
    """Fit scale · σ(β(x − x0)) + offset."""
    return fit_shape("sigmoid", x, y, mirrored=mirrored)


@dataclass(frozen=True, eq=False)
class ShapeComparison:
    """Fits of every family to one function, best AIC first."""

    fits: tuple[ShapeFit, ...]

    @property
    def best(self) -> ShapeFit:
        """The fit with the smallest AIC."""
        return self.fits[0]

    def __getitem__(self, family: str) -> ShapeFit:
        """The fit of one family."""
        for fit in self.fits:
            if fit.family == family:
                return fit
        raise KeyError(family)

    def __str__(self) -> str:
        lines = [f"{'family':<10}{'beta':>9}{'x0':>9}{'scale':>11}{'R2':>9}{'AIC':>10}  note"]
        for fit in self.fits:
            lines.append(
                f"{fit.family:<10}{fit.beta:>9.3f}{fit.x0:>9.3f}{fit.scale:>11.4g}"
                f"{fit.r2:>9.4f}{fit.aic:>10.1f}  {'mirrored' if fit.mirrored else ''}".rstrip()
            )
        return "\n".join(lines)


def compare_shapes(x: ArrayLike, y: ArrayLike, *, mirrored: bool | None = None) -> ShapeComparison:
    """Fit all families to one function.

    Args:
        x: Positions, shape (n,).
        y: Function values, shape (n,).
        mirrored: Whether to fit in −x; `None` takes the better of both, per family.
    """
    fits = []
    for family in FAMILIES:
        sides = (False, True) if mirrored is None else (mirrored,)
        tried = [fit_shape(family, x, y, mirrored=side) for side in sides]
        fits.append(min(tried, key=lambda fit: (round(fit.aic, 6), fit.mirrored)))
    return ShapeComparison(tuple(sorted(fits, key=lambda fit: fit.aic)))


def compare_layer_shapes(
    layer: keras.Layer, low: float = -3.0, high: float = 3.0, points: int = 121
) -> list[ShapeComparison]:
    """Fit all families to the present function of a learnable activation layer.

    Args:
        layer: Any layer with `evaluate(x)`, such as `PWL` or `ConvexHullActivation`.
        low: Left end of the fitted range.
        high: Right end of the fitted range.
        points: Number of positions.

    Returns:
        One comparison per function: one for a layer with shared parameters, one a channel
        where `axis` is set. Functions that are constant on the range are left out.
    """
    x = np.linspace(low, high, points)
    curves = np.asarray(layer.evaluate(x), dtype=np.float64).reshape(points, -1)
    return [compare_shapes(x, curve) for curve in curves.T if np.ptp(curve) > 0]
