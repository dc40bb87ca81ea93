"""Every activation of a trained model as few linear segments, best for what it really sees."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from .._files import write_json
from ..layers import LearnableActivation, SegmentedLinear
from ..models.layer_inputs import LayerInputs
from ..theory.segments import Segments, fit_segments
from .rebuild import rebuild
from .replace import select
from .sites import ActivationSite, survey

#: Bins of a site's density.
_BINS = 1024

#: Inputs of a site that are looked at for each sample; a fixed random part of more.
_POSITIONS = 512


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
            activation is not finite there, it has a function for each channel, or there are no
            sites. Nothing is changed.

    Example:
    ```python
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, activation="gelu"), keras.layers.Dense(2)]
    )
    compiled = compile_activations(model, np.random.normal(size=(256, 4)), segments=8)
    print(compiled)
    ```
    """
    arrays = _checked(x, batch_size)
    chosen = {site.path for site in select(model, sites, match)}
    pairs = [(site, owner) for site, owner in survey(model) if site.path in chosen]
    functions, kept = {}, []
    for site, owner in pairs:
        function, reason = _function_of(owner)
        if reason is None:
            functions[site.path] = function
        elif sites is None:
            kept.append((site, reason))
            warnings.warn(f"'{site.path}' stays as it is: {reason}.", stacklevel=2)
        else:
            raise ValueError(f"'{site.path}' can't become segments: {reason}. Leave it out.")
    pairs = [(site, owner) for site, owner in pairs if site.path in functions]
    if not pairs:
        raise ValueError(
            "compile_activations needs an activation with one function for the layer. Received: "
            + "; ".join(f"'{site.path}', which stays because {reason}" for site, reason in kept)
        )
    seen = _inputs_of(model, pairs, functions, arrays, batch_size)
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
        kept=tuple(kept),
        output_rms=float(np.sqrt(np.mean(change**2))),
        output_largest=float(np.abs(change).max()),
        output_scale=float(np.sqrt(np.mean((old_outputs - old_outputs.mean(axis=0)) ** 2))),
    )


class _Watched(keras.layers.Layer):
    """The old function as a layer of its own, whose inputs can be read."""

    axis = None

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self._function = function

    def call(self, inputs):
        return self._function(inputs)


def _checked(x, batch_size):
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is a positive integer. Received: {batch_size!r}.")
    arrays = keras.tree.map_structure(np.asarray, x)
    sizes = {len(array) for array in keras.tree.flatten(arrays) if array.ndim}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            "x holds arrays of one number of samples, at least one. Received: "
            f"{sorted(sizes) or 'no array'}."
        )
    return arrays


def _function_of(owner):
    """The activation of a site as a function of tensors, and the reason why there is none."""
    if isinstance(owner, LearnableActivation):
        if owner.axis is not None:
            return None, "it has a function for each channel"
        return owner, None
    if isinstance(owner, keras.layers.PReLU):
        alpha = ops.convert_to_numpy(owner.alpha)
        if alpha.size > 1:
            return None, "it has a slope for each channel"
        slope = float(alpha.reshape(-1)[0])
        return (lambda x: ops.where(x > 0, x, slope * x)), None
    fused = getattr(owner, "activation", None)
    if isinstance(owner, keras.layers.Activation) or not isinstance(owner, keras.layers.Layer):
        return (fused or owner), None
    if fused is not None and not isinstance(fused, keras.layers.Layer):
        return fused, None
    if isinstance(fused, LearnableActivation):
        return _function_of(fused)
    return owner, None


def _maker(compiled, layers):
    def make(old, name):
        policy = getattr(old, "dtype_policy", None)
        layer = SegmentedLinear.of(compiled.segments, name=name, dtype=policy)
        layers[compiled.site.path] = layer
        return layer

    return make


def _batches(arrays, batch_size):
    count = len(keras.tree.flatten(arrays)[0])
    for start in range(0, count, batch_size):
        yield keras.tree.map_structure(lambda a, s=start: a[s : s + batch_size], arrays)


def _inputs_of(model, pairs, functions, arrays, batch_size):
    """What reaches each site on the data, by path."""
    watched = {}

    def maker(path):
        def make(old, name):
            policy = getattr(old, "dtype_policy", None)
            watched[path] = _Watched(functions[path], name=name, dtype=policy)
            return watched[path]

        return make

    probe = rebuild(model, {id(owner): maker(site.path) for site, owner in pairs})
    layers = [watched[site.path] for site, _ in pairs]
    read = LayerInputs(probe, layers, lambda _, x: ops.reshape(x, (-1,)), _POSITIONS, False)
    seen: dict[str, list] = {site.path: [] for site, _ in pairs}
    for batch in _batches(arrays, batch_size):
        for (site, _), values in zip(pairs, read(batch), strict=True):
            seen[site.path].append(values)
    return {path: np.concatenate(parts).astype(np.float64) for path, parts in seen.items()}


def _compiled_site(site, function, inputs, segments, options):
    """Fit one site."""
    if not np.isfinite(inputs).all():
        bad = inputs[~np.isfinite(inputs)]
        raise ValueError(
            f"What reaches an activation is finite. Received: {bad[0]} and {len(bad) - 1} more "
            f"among {len(inputs)} inputs of '{site.path}'. Look at the weights and the data."
        )
    if inputs.min() == inputs.max():
        raise ValueError(
            f"What reaches an activation varies. Received: {inputs[0]:g} for every input of "
            f"'{site.path}'. Give data that reaches it, or leave the site out with `sites`."
        )
    counts, edges = np.histogram(inputs, bins=_BINS)
    points = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])
    values = _evaluate(function, points)
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
    even = np.abs(np.interp(points, knots, _evaluate(function, knots)) - values)
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


def _evaluate(function, points):
    values = function(ops.convert_to_tensor(points[None], "float32"))
    return ops.convert_to_numpy(values)[0].astype(np.float64)


def _outputs(model, arrays, batch_size):
    """All outputs of a model, flattened to one row a sample."""
    rows = []
    for batch in _batches(arrays, batch_size):
        outputs = model(keras.tree.map_structure(ops.convert_to_tensor, batch), training=False)
        flat = [ops.convert_to_numpy(each) for each in keras.tree.flatten(outputs)]
        rows.append(np.concatenate([each.reshape(len(each), -1) for each in flat], axis=1))
    return np.concatenate(rows).astype(np.float64)
