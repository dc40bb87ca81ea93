"""Which formula is near a function: the nearest ones of a space of expressions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._files import write_json
from .complexity import count_nodes, node_bounds
from .expression import Expression
from .formula_curve import POINTS, sampled
from .formula_fit import Curve, NearestFormula, best_inner, best_of, forms, project, with_constants
from .screening import LEAST_COVERED, covered_share, screen
from .simplify import is_number, simplify
from .spaces import SearchSpace, four_node
from .store import UniqueFunctions

#: Points of a first fit.
_FEW = 100

#: Slopes and shifts of the first comparison, for inputs of mean 0 and variance 1.
_SLOPES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
_SHIFTS = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)

#: Those from which a fit begins, where functions are evaluated anew.
_WIDE_SLOPES = (0.2, 0.5, 1.0, 2.0, 4.0)
_WIDE_SHIFTS = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)

#: Formulas of each number of nodes that the first comparison leaves, by each of its errors; and
#: those whose b and c are fitted, and of which shorter forms are tried.
_SCREENED, _FITTED, _SHORTENED = 150, 40, 10

#: Equal formulas of a function that are looked at for the shortest.
_EQUALS = 40

#: Mean squared errors below this part of the variance are zero: that of float32.
FLOOR = 1e-10


@dataclass(frozen=True, eq=False)
class NearestFormulas(Sequence):
    """What `nearest` returns: formulas, the best first.

    Attributes:
        rows: The formulas.
        points: Number of points that they were compared on.
        scale: Weighted standard deviation of the function.
    """

    rows: tuple[NearestFormula, ...]
    points: int
    scale: float

    @property
    def best(self) -> NearestFormula:
        """The first one."""
        return self.rows[0]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: Any) -> Any:
        return self.rows[i]

    def __str__(self) -> str:
        """The formulas as a table in Markdown."""
        lines = [
            "| formula | RMS error | R² | nodes | latency |",
            "| --- | ---: | ---: | ---: | --- |",
        ]
        lines += [
            f"| {row.spec} | {row.rms:.2e} | {row.r2:.6f} | {row.nodes} | {row.latency} |"
            for row in self.rows
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict:
        """Return everything for JSON."""
        rows = [row.to_dict() for row in self.rows]
        return {"points": self.points, "scale": self.scale, "formulas": rows}

    def save_json(self, path: Any) -> None:
        """Write the table as JSON."""
        write_json(path, self.to_dict())


def nearest(
    function: Any,
    density: Any = None,
    space: SearchSpace | UniqueFunctions | None = None,
    affine: bool = True,
    count: int = 10,
) -> NearestFormulas:
    r"""Return the formulas of a space that are nearest to a function.

    For a function g of inputs with the density ρ they minimise, over the formulas f of the space,

    $$\int \rho(x)\,\bigl(g(x) - a\,f(b\,x + c) - d\bigr)^2\,dx.$$

    All functions of the space are compared by their stored outputs on a grid of (b, c), with a and
    d in closed form; of the best of each length b and c are then fitted. Formulas whose values
    are not finite on the points never win.

    Two formulas tie if their mean squared errors on the n points differ by less than two standard
    errors, a factor of $1 + 2\sqrt{2/n}$, or if both are below $10^{-10}$ of g's variance. Of
    formulas that tie with the best one, those with fewer nodes come first; then the same for the
    rest. A constant counts as a node unless it is neutral, so that f(x) itself comes before
    a f(b x + c) + d. Of formulas with equal values the shortest is listed.

    Args:
        function: A layer with one function, such as a trained `PWL`; a name or an expression in
            x; a function of NumPy arrays or tensors; or samples, a pair of arrays (x, y).
        density: That of the inputs: a frozen SciPy distribution, a
            `keras_actfn.theory.GaussianMixture`, or an array of samples of them. None: N(0, 1),
            and for samples (x, y) theirs, each counting the same.
        space: A search space, or its unique functions as `SearchSpace.unique` returns them. None:
            `four_node()`. Of a space, the unique functions are found once in a process, in a
            temporary folder: 1.6 GB for the four-node space. `unique(path=…)` keeps them.
        affine: Whether a, b, c and d may differ from 1, 1, 0, 0.
        count: Most formulas to return.

    Returns:
        A `NearestFormulas`, a sequence of at most `count` rows. `print` shows a table,
        `best.spec` is a text for `keras_actfn.activation` and `replace_activations`.

    Raises:
        ValueError: If the function is not finite on the points or constant there, a layer has a
            function for each channel, samples are not two equally long rows of at least five
            numbers, or the space's inputs do not cover the density.
        TypeError: If an argument is of another kind.

    Example:
    ```python
    layer = keras_actfn.activation("pwl(initial=tanh)")  # or one from a trained model
    found = keras_actfn.expressions.nearest(layer, space=keras_actfn.expressions.three_node())
    print(found)
    keras_actfn.activation(found.best.spec)
    ```
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"count is a positive integer. Received: {count!r}.")
    curve = sampled(function, density)
    unique = _unique(space)
    thin = curve.thinned(POINTS)
    pairs = [(1.0, 0.0), *(_pairs(thin, _SLOPES, _SHIFTS) if affine else ())]
    if not affine and covered_share(unique, thin.x, thin.w) < LEAST_COVERED:
        raise ValueError(
            f"The functions of the space are known for inputs from {unique.inputs.min():.3g} to "
            f"{unique.inputs.max():.3g}, where most of the density has to be. Received: inputs "
            f"with the median {np.median(thin.x):.3g}. Allow affine=True, or give the space as "
            "space.unique(inputs=…) with inputs of yours."
        )
    found = _candidates(unique, pairs, thin, affine)
    rows = [row for formula in found for row in _rows(*formula, thin, curve, affine)]
    return NearestFormulas(tuple(_ranked(rows, curve, count)), len(curve.x), curve.variance**0.5)


#: The unique functions of the last space that was given without them, by its hash.
_last: dict[str, UniqueFunctions] = {}


def _unique(space: Any) -> UniqueFunctions:
    if space is None:
        space = four_node()
    if isinstance(space, UniqueFunctions):
        return space
    if not isinstance(space, SearchSpace):
        raise TypeError(
            "space is a SearchSpace, such as four_node(), or its unique functions. Received: "
            f"{space!r}."
        )
    if space.hash not in _last:
        _last.clear()
        _last[space.hash] = space.unique()
    return _last[space.hash]


def _pairs(
    curve: Curve, slopes: Sequence[float], shifts: Sequence[float]
) -> list[tuple[float, float]]:
    """A grid of (b, c), for the curve's inputs brought to mean 0 and variance 1."""
    low, middle, high = np.quantile(curve.x, [0.16, 0.5, 0.84])
    spread = (high - low) / 2 or float(np.std(curve.x))
    grid = [(-1.0, 0.0)]
    for slope in (*slopes, *(-s for s in slopes)):
        grid += [(slope / spread, shift - slope * middle / spread) for shift in shifts]
    return grid


class _Shortest:
    """The shortest formula of each unique function."""

    def __init__(self, unique: UniqueFunctions) -> None:
        self.space = unique.space
        self._bounds = node_bounds(unique.space)
        self._order = np.lexsort((self._bounds, unique.classes))
        self._starts = np.searchsorted(unique.classes[self._order], np.arange(len(unique) + 1))
        #: The least number of nodes of each function, or a few more.
        self.levels = self._bounds[self._order[self._starts[:-1]]]

    def __getitem__(self, i: int) -> Expression:
        """One formula, short already."""
        return simplify(self.space[int(self._order[self._starts[i]])])

    def best(self, i: int, curve: Curve) -> Expression:
        """The shortest of those with the same values on the curve's points."""
        first = self[i]
        with np.errstate(all="ignore"):
            values = first(curve.x)
            members = self._order[self._starts[i] : self._starts[i + 1]]
            members = members[self._bounds[members] == self.levels[i]][:_EQUALS]
            found = {simplify(self.space[int(member)]) for member in members}
            for expression in sorted(found, key=_length):
                if np.allclose(expression(curve.x), values, rtol=1e-6, atol=1e-12):
                    return expression
        return first


def _length(expression: Expression) -> tuple:
    return count_nodes(expression), len(str(expression)), str(expression)


def _candidates(
    unique: UniqueFunctions, pairs: list[tuple[float, float]], curve: Curve, affine: bool
) -> list[tuple[Expression, float, float]]:
    """Formulas that may be among the nearest, each with b and c."""
    screened = screen(unique, pairs, curve.x, curve.y, curve.w)
    shortest = _Shortest(unique)
    errors = [screened.plain, *((screened.unshifted, screened.error) if affine else ())]
    kept = _least(np.stack(errors), shortest.levels, np.arange(len(unique)), _SCREENED)
    if not len(kept):
        raise ValueError(
            f"{unique!r} holds a function that is finite on its inputs and varies. Received: none."
        )
    exact = np.array([_errors(shortest[i], curve, pairs[screened.pair[i]]) for i in kept]).T
    exact = exact if affine else exact[:1]
    kept = _least(exact, shortest.levels[kept], kept, _FITTED)
    fitted, inner = [], []
    few, wide = curve.thinned(_FEW), _pairs(curve, _WIDE_SLOPES, _WIDE_SHIFTS)
    for i in kept:
        expression, (b, c) = shortest[i], pairs[screened.pair[i]]
        if affine:
            (b, c), _ = best_of(expression, few, np.array([(b, c), *wide]))
            b, c, _ = best_inner(expression, few, b, c, (True, True))
        fitted.append(_errors(expression, curve, (b, c))[: 3 if affine else 1])
        inner.append((b, c))
    chosen = _least(np.array(fitted).T, shortest.levels[kept], np.arange(len(kept)), _SHORTENED)
    names = [shortest.best(kept[k], curve) for k in chosen]
    names = [_core(name) for name in names] if affine else names
    return [(name, *inner[k]) for name, k in zip(names, chosen, strict=True)]


def _core(expression: Expression) -> Expression:
    """The formula without an outermost factor or addend, which a and d take over."""
    if expression.head == "negative":
        return _core(expression.arguments[0])
    if expression.head in ("add", "sub", "mul", "div"):
        f, g = expression.arguments
        if is_number(g):
            return _core(f)
        if is_number(f) and expression.head != "div":
            return _core(g)
    return expression


def _least(errors: np.ndarray, levels: np.ndarray, names: np.ndarray, count: int) -> np.ndarray:
    """The names of the least errors, `count` for each level and kind of error."""
    found: list[np.ndarray] = []
    for level in np.unique(levels):
        (rows,) = np.nonzero(levels == level)
        for kind in errors[:, rows]:
            best = np.argsort(kind, kind="stable")[:count]
            found.append(names[rows[best[np.isfinite(kind[best])]]])
    return np.unique(np.concatenate(found))


def _errors(expression: Expression, curve: Curve, pair: tuple[float, float]) -> list[float]:
    """Mean squared errors of f(x), a f(x) + d and a f(b x + c) + d."""
    with np.errstate(all="ignore"):
        values = expression(curve.x)
        plain = float(curve.w @ (values - curve.y) ** 2)
        moved = expression(pair[0] * curve.x + pair[1])
    plain = plain if np.isfinite(plain) else np.inf
    return [plain, *(float(project(each, curve)[2]) for each in (values, moved))]


def _rows(expression, b, c, thin, curve, affine):
    """The formula in all its forms, with its errors on all points."""
    for row in forms(expression, thin, b, c, affine):
        if thin is curve:
            yield row
        elif whole := with_constants(expression, curve, row.a, row.b, row.c, row.d):
            yield whole


def _ranked(rows: Iterable[NearestFormula], curve: Curve, count: int) -> list[NearestFormula]:
    """The first `count` rows, ties to the shorter formula; see `nearest`."""
    factor = 1 + 2 * (2 * float(np.sum(curve.w**2))) ** 0.5
    floor = FLOOR * curve.variance
    rest = sorted(rows, key=lambda row: row.rms)
    listed: list[NearestFormula] = []
    values: list[np.ndarray] = []
    while rest and len(listed) < count:
        limit = max(rest[0].rms ** 2 * factor, floor)
        tied = [row for row in rest if row.rms**2 <= limit]
        rest = rest[len(tied) :]
        for row in sorted(tied, key=lambda row: (row.nodes, row.rms, len(row.spec))):
            if len(listed) == count:
                break
            if any(row.expression == other.expression for other in listed):
                continue
            own = row(curve.x)
            if all(curve.w @ (own - other) ** 2 > floor for other in values):
                listed.append(row)
                values.append(own)
    return listed
