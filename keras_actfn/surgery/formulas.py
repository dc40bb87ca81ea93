"""Activations of a trained model as formulas, and what the model loses by it."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .._activation import activation as new_activation
from .._files import write_json
from ..expressions import NearestFormula, NearestFormulas, nearest
from .compile import sites_with_functions
from .rebuild import rebuild
from .replace import new_layer
from .seen import checked, evaluate, inputs_of
from .sites import ActivationSite

#: Points of a site's density.
_POINTS = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class ReplacedSite:
    """One activation and the formula in its place.

    Attributes:
        site: Where it is and what it was.
        spec: The formula in its place.
        rms: Root of the mean squared error over the inputs that reach it.
        r2: Share of the old outputs' variance that the formula explains.
        found: The nearest formulas, the one taken first; None where a formula was given.
    """

    site: ActivationSite
    spec: str
    rms: float
    r2: float
    found: NearestFormulas | None

    def to_dict(self) -> dict:
        """Return everything for JSON."""
        return {
            "path": self.site.path,
            "activation": self.site.activation,
            "spec": self.spec,
            "rms": self.rms,
            "r2": self.r2,
            "found": None if self.found is None else self.found.to_dict(),
        }


@dataclasses.dataclass(frozen=True, eq=False)
class ReplacementReport:
    """What `replacement_report` returns.

    Attributes:
        model: The model with formulas.
        sites: A `ReplacedSite` for each activation that was replaced.
        kept: Hidden activations that were left as they are, with the reason.
        before: Loss and metrics of the given model on the data, by name.
        after: The same of `model`.
    """

    model: keras.Model
    sites: tuple[ReplacedSite, ...]
    kept: tuple[tuple[ActivationSite, str], ...]
    before: dict[str, float]
    after: dict[str, float]

    def to_dict(self) -> dict:
        """Return the report for JSON."""
        return {
            "sites": [site.to_dict() for site in self.sites],
            "kept": [{"path": site.path, "reason": reason} for site, reason in self.kept],
            "before": self.before,
            "after": self.after,
        }

    def __str__(self) -> str:
        """The report as two tables in Markdown."""
        lines = ["| site | activation | formula | RMS error | R² |"]
        lines.append("| --- | --- | --- | ---: | ---: |")
        lines += [
            f"| {s.site.path} | {s.site.activation} | {s.spec} | {s.rms:.2e} | {s.r2:.6f} |"
            for s in self.sites
        ]
        lines += ["", "| | before | after | change |", "| --- | ---: | ---: | ---: |"]
        lines += [
            f"| {name} | {old:.4f} | {self.after[name]:.4f} | {self.after[name] - old:+.4f} |"
            for name, old in self.before.items()
        ]
        return "\n".join(lines)

    def save_json(self, path: str | Path) -> None:
        """Write the report as JSON."""
        write_json(Path(path), self.to_dict())


def replacement_report(
    model: keras.Model,
    x: Any,
    y: Any,
    formula: Any = None,
    *,
    sites: Any = None,
    match: Any = None,
    space: Any = None,
    affine: bool = True,
    batch_size: int = 128,
) -> ReplacementReport:
    """Replace activations by formulas, and compare the model before and after on data.

    Without `formula` each activation becomes the nearest formula under the density of the inputs
    that reach it on `x` (see `keras_actfn.expressions.nearest`). How near it is says little about
    the model, whose loss and metrics are therefore computed with the old activations and with the
    formulas. Nothing is trained.

    Args:
        model: A built and compiled Sequential or functional model; it is not changed.
        x: Inputs as `evaluate` takes them: a NumPy array, or a dictionary or list of arrays.
        y: Targets, as `evaluate` takes them.
        formula: One formula for all sites: a `NearestFormula`, or a specification of one
            function that `keras_actfn.activation` takes. None: the nearest for each.
        sites: Which activations; as in `replace_activations`.
        match: Names of those to replace; as in `replace_activations`.
        space: Where formulas are looked for; as in `nearest`.
        affine: Whether a, b, c, d of a · f(b x + c) + d are fitted; as in `nearest`.
        batch_size: Samples in a forward pass.

    Returns:
        A `ReplacementReport`: the new model, the formulas, loss and metrics before and after.

    Raises:
        ValueError: If the model is not compiled, no data reaches a site, its inputs are not
            finite or constant, its function is not finite there or constant, or there are no
            sites. Nothing is changed.

    Example:
    ```python
    from keras_actfn.expressions import three_node

    report = replacement_report(model, x, y, space=three_node())
    print(report)
    ```
    """
    if not getattr(model, "compiled", False):
        raise ValueError(
            "The model is compiled, so that it has a loss to compare. Received: a model that is "
            "not. Call model.compile(loss=…, metrics=…)."
        )
    arrays = checked(x, batch_size, model)
    pairs, functions, kept = sites_with_functions(model, sites, match)
    seen = inputs_of(model, pairs, functions, arrays, batch_size)
    replaced = tuple(
        _replaced(site, functions[site.path], seen[site.path], formula, space, affine)
        for site, _ in pairs
    )
    makers = {
        id(owner): _maker(each.spec if formula is None else _plain(formula))
        for (_, owner), each in zip(pairs, replaced, strict=True)
    }
    new = rebuild(model, makers)
    before, after = (
        {name: float(value) for name, value in found.items()}
        for found in (
            each.evaluate(arrays, y, batch_size=batch_size, verbose=0, return_dict=True)
            for each in (model, new)
        )
    )
    return ReplacementReport(new, replaced, kept, before, after)


def _plain(formula: Any) -> Any:
    """A specification that `activation` takes."""
    return formula.spec if isinstance(formula, NearestFormula) else formula


def _maker(spec):
    return lambda old, name: new_layer(spec, old, name)


def _replaced(site, function, inputs, formula, space, affine):
    """The formula of one site and its errors."""
    points = np.quantile(inputs, (np.arange(_POINTS) + 0.5) / _POINTS)
    old = evaluate(function, points)
    if formula is None:
        try:
            found = nearest((points, old), None, space, affine)
        except ValueError as error:
            raise ValueError(f"At '{site.path}' ({site.activation}): {error}") from error
        return ReplacedSite(site, found.best.spec, found.best.rms, found.best.r2, found)
    spec = _plain(formula)
    square = float(np.mean((evaluate(new_activation(spec), points) - old) ** 2))
    variance = float(np.var(old))
    r2 = 1 - square / variance if variance else float("nan")
    return ReplacedSite(site, str(spec), square**0.5, r2, None)
