"""Every activation of a trained model as few linear segments, best for what it really sees."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from .._files import write_json
from ..layers import SegmentedLinear
from ..layers.segmented_linear import MOST_SEGMENTS
from ..models.graph import plain_policy
from ..theory.segments import Segments, fit_segments
from .rebuild import rebuild
from .replace import select
from .seen import batches, checked, evaluate, function_of, inputs_of
from .sites import ActivationSite, survey

#: Bins of a site's density.
_BINS = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class CompiledSite:
    """One activation and the segments in its place.

    Attributes:
        site: Where it is and what it was.
        segments: The function in its place.
        edges: Edges of the bins of the inputs that reach it, (bins + 1,).
        density: Share of the inputs in each bin, (bins,).
        values: The old function at the middle of each bin, (bins,).
        rms: Root of the mean squared error over the inputs.
        largest: Largest error between the smallest and the largest input.
        rms_even: `rms` for as many segments with evenly spaced breakpoints, for comparison.
        largest_even: `largest` for these.
    """

    site: ActivationSite
    segments: Segments
    edges: np.ndarray
    density: np.ndarray
    values: np.ndarray
    rms: float
    largest: float
    rms_even: float
    largest_even: float

    @property
    def middles(self) -> np.ndarray:
        """The middle of each bin."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    def to_dict(self) -> dict:
        """Return everything but the density, for JSON."""
        return {
            "path": self.site.path,
            "activation": self.site.activation,
            **self.segments.to_dict(),
            "rms": self.rms,
            "largest": self.largest,
            "rms_even": self.rms_even,
            "largest_even": self.largest_even,
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Compiled:
    """What `compile_activations` returns.

    Attributes:
        model: The new model.
        layers: Its `SegmentedLinear` layers, one for each of `sites`.
        sites: A `CompiledSite` for each activation that was replaced, in the order of the data.
        kept: Hidden activations that were left as they are, with the reason.
        output_rms: Root mean square of the change of the model's outputs on the data.
        output_largest: Largest change.
        output_scale: Root mean square of the old outputs about their mean.
    """

    model: keras.Model
    layers: tuple[SegmentedLinear, ...]
    sites: tuple[CompiledSite, ...]
    kept: tuple[tuple[ActivationSite, str], ...]
    output_rms: float
    output_largest: float
    output_scale: float

    def to_dict(self) -> dict:
        """Return the report for JSON."""
        return {
            "sites": [site.to_dict() for site in self.sites],
            "kept": [{"path": site.path, "reason": reason} for site, reason in self.kept],
            "output_rms": self.output_rms,
            "output_largest": self.output_largest,
            "output_scale": self.output_scale,
        }

    def __str__(self) -> str:
        """The report as a table in Markdown."""
        rows = [
            [
                site.site.path,
                site.site.activation,
                f"[{site.segments.low:.3g}, {site.segments.high:.3g}]",
                str(len(site.segments)),
                f"{site.rms:.2e}",
                f"{site.largest:.2e}",
                f"{site.rms_even:.2e}",
                f"{site.largest_even:.2e}",
            ]
            for site in self.sites
        ]
        headings = ["site", "activation", "inputs", "segments", "RMS error", "largest"]
        headings += ["RMS, even", "largest, even"]
        lines = [headings, ["---"] * len(headings), *rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return (
            f"{table}\n\nChange of the outputs: RMS {self.output_rms:.2e}, largest "
            f"{self.output_largest:.2e}; the outputs themselves vary by {self.output_scale:.2e}.\n"
            '"even": as many segments with evenly spaced breakpoints.'
        )

    def save_json(self, path: str | Path) -> None:
        """Write breakpoints, slopes, intercepts and errors as JSON."""
        write_json(Path(path), self.to_dict())


def compile_activations(
    model: keras.Model,
    x: Any,
    segments: int = 16,
    *,
    sites: Any = None,
    match: Any = None,
    batch_size: int = 128,
    **options: Any,
) -> Compiled:
    r"""Replace activations by continuous piecewise-linear functions of few segments.

    For a site with the activation f whose inputs on `x` have the density ρ, the new function p
    minimises $\int \rho\,(f - p)^2$ over all continuous piecewise-linear functions with that many
    segments and breakpoints on a grid (see `keras_actfn.theory.segments`). The inputs are those
    of the given model, so that errors of earlier sites are not corrected by later ones.

    Args:
        model: A built Sequential or functional model; it is not changed.
        x: Inputs as `predict` takes them: a NumPy array, or a dictionary or list of arrays.
            Positions that the model masks, such as padding, do not count for the functions.
        segments: Largest number of segments for each site.
        sites: Which activations; as in `replace_activations`.
        match: Names of those to replace; as in `replace_activations`.
        batch_size: Samples in a forward pass.
        **options: `fit_segments`': `left`, `right`, `symmetry`, `slopes`, `max_error`,
            `candidates`.

    Returns:
        A `Compiled`: the new model and a report.

    Raises:
        ValueError: If no data reaches a site, its inputs are not finite or constant, its
            activation is not finite there, it has a function for each channel, it sees fewer
            distinct inputs than segments, or there are no sites. Nothing is changed.

    Example:
    ```python
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, activation="gelu"), keras.layers.Dense(2)]
    )
    compiled = compile_activations(model, np.random.normal(size=(256, 4)), segments=8)
    print(compiled)
    ```
    """
    arrays = checked(x, batch_size, model)
    pairs, functions, kept = sites_with_functions(model, sites, match)
    seen = inputs_of(model, pairs, functions, arrays, batch_size)
    compiled = tuple(
        _compiled_site(site, functions[site.path], seen[site.path], segments, options)
        for site, _ in pairs
    )
    layers: dict[str, SegmentedLinear] = {}
    new = rebuild(
        model,
        {id(owner): _maker(each, layers) for (_, owner), each in zip(pairs, compiled, strict=True)},
    )
    for layer in layers.values():
        layer.trainable = False
    old_outputs, new_outputs = (_outputs(each, arrays, batch_size) for each in (model, new))
    change = new_outputs - old_outputs
    return Compiled(
        model=new,
        layers=tuple(layers[each.site.path] for each in compiled),
        sites=compiled,
        kept=kept,
        output_rms=float(np.sqrt(np.mean(change**2))),
        output_largest=float(np.abs(change).max()),
        output_scale=float(np.sqrt(np.mean((old_outputs - old_outputs.mean(axis=0)) ** 2))),
    )


def sites_with_functions(
    model: keras.Model, sites: Any, match: Any
) -> tuple[list, dict[str, Any], tuple[tuple[ActivationSite, str], ...]]:
    """The chosen sites that have one function each.

    Returns:
        Pairs of site and owner; the functions by path; and pairs of the other sites and the
        reason why they have none, which is warned of, or an error if `sites` names them.
    """
    chosen = {site.path for site in select(model, sites, match)}
    pairs = [(site, owner) for site, owner in survey(model) if site.path in chosen]
    functions, kept = {}, []
    for site, owner in pairs:
        function, reason = function_of(owner)
        if reason is None:
            functions[site.path] = function
        elif sites is None:
            kept.append((site, reason))
            warnings.warn(f"'{site.path}' stays as it is: {reason}.", stacklevel=3)
        else:
            raise ValueError(
                f"An activation has one function for the layer. Received: '{site.path}', where "
                f"{reason}. Leave it out."
            )
    if not functions:
        raise ValueError(
            "The model has an activation with one function for the layer. Received: "
            + "; ".join(f"'{site.path}', which stays because {reason}" for site, reason in kept)
        )
    pairs = [(site, owner) for site, owner in pairs if site.path in functions]
    return pairs, functions, tuple(kept)


def _maker(compiled, layers):
    def make(old, name):
        policy = plain_policy(old)
        layer = SegmentedLinear.of(compiled.segments, name=name, dtype=policy)
        layers[compiled.site.path] = layer
        return layer

    return make


def _compiled_site(site, function, inputs, segments, options):
    """Fit one site."""
    distinct = len(np.unique(inputs))
    if isinstance(segments, int) and distinct < segments <= MOST_SEGMENTS:
        raise ValueError(
            "A function needs at least as many distinct inputs as segments. Received: "
            f"{distinct} distinct inputs of '{site.path}' for {segments} segments. Ask for fewer "
            "segments or give more data."
        )
    counts, edges = np.histogram(inputs, bins=_BINS)
    points = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])
    values = evaluate(function, points)
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values))[0]
        raise ValueError(
            f"An activation is finite where it is used. Received: {site.activation} at "
            f"'{site.path}', which is {values[bad]} at {points[bad]:g}."
        )
    weights = np.concatenate([[0.0], counts / counts.sum(), [0.0]])
    found = fit_segments(points, values, weights, segments, **options)
    error = np.abs(found(points) - values)
    knots = np.linspace(edges[0], edges[-1], segments + 1)
    even = np.abs(np.interp(points, knots, evaluate(function, knots)) - values)
    return CompiledSite(
        site=site,
        segments=found,
        edges=edges,
        density=weights[1:-1],
        values=values[1:-1],
        rms=float(np.sqrt(weights @ error**2)),
        largest=float(error.max()),
        rms_even=float(np.sqrt(weights @ even**2)),
        largest_even=float(even.max()),
    )


def _outputs(model, arrays, batch_size):
    """All outputs of a model, flattened to one row a sample."""
    rows = []
    for batch in batches(arrays, batch_size):
        outputs = model(keras.tree.map_structure(ops.convert_to_tensor, batch), training=False)
        flat = [ops.convert_to_numpy(each) for each in keras.tree.flatten(outputs)]
        rows.append(np.concatenate([each.reshape(len(each), -1) for each in flat], axis=1))
    return np.concatenate(rows).astype(np.float64)
