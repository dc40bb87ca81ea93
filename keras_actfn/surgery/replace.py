"""Another activation in an existing model: `replace_activations`."""

import fnmatch
import warnings
from collections.abc import Iterable
from typing import Any

import keras

from .._activation import activation as new_activation
from .._keras_activations import keras_activation
from .._names import nearest
from ..models import activations, graph
from .freeze import set_trainable
from .ranges import site_ranges, with_range
from .rebuild import rebuild
from .sites import ActivationSite, survey

#: Sites out of reach that an error lists by name.
_REASONS = 8


def replace_activations(
    model: keras.Model,
    activation: Any,
    sites: Any = None,
    *,
    match: str | Iterable[str] | None = None,
    data: Any = None,
    trainable: bool | None = None,
) -> keras.Model:
    """A new model with another activation, and the same weights.

    By default every hidden elementwise activation is replaced, whatever it is. These stay,
    unless `sites` names them: the function that gives the outputs their range (softmax,
    sigmoid, tanh, … at the end of the model), gates (a sigmoid or other bounded function
    whose output multiplies another tensor, as in squeeze-and-excitation), softmax anywhere,
    and the identity. `find_activations` shows which is which.

    Each site gets a new layer of its own; a shared layer's is shared in the same places. An
    activation layer or a bare operation keeps its name; `activation=` of a dense or
    convolutional layer becomes a layer of its own behind it, called `"<name>_activation"`,
    and the layer itself goes on without. Any other layer with an `activation` argument, such
    as a transformer block of Keras Hub, is made again with the new layer as that argument.
    Weights (copied, not shared), layer names, shared layers, nesting, trainable flags, dtype
    policies and the compile configuration stay; functions of your own stay the same objects.
    The optimizer starts afresh: its state belongs to the old weights. `model` is not changed.

    A subclass keeps its class and its attributes if its constructor takes (inputs, outputs), or
    if it changes how it is trained, as by a `train_step` or `compute_loss` of its own. In the
    second case a file could not bring it back, so that it refuses to be saved as a whole.

    Args:
        model: A Sequential or functional `keras.Model`, built or not, with any nesting.
        activation: Any specification that `keras_actfn.activation` takes.
        sites: None for the default above; or one or a list of sites, paths or patterns of
            paths (`"block1_*"`); or a function from an `ActivationSite` to a boolean.
        match: Names of the activations to replace, such as `"relu"` or `("relu", "relu6")`;
            the others stay. Arguments may be left out: `"gelu"` is all kinds of gelu.
        data: Inputs of the model, an array or a structure of arrays. The first and last knot
            of each new `PWL` or `Spline` are then put where the inputs of its site have their
            quantiles 0.001 and 0.999, as the model has them before the replacement; 256 evenly
            spaced examples are looked at.
        trainable: Whether the new activations learn. None: as the layer that each replaces,
            so that in a frozen network they start frozen, with a warning. True: they do in
            any case, and the layers around them stay as they are.

    Returns:
        A new model: of the same class where that can be kept, else a plain `keras.Model`.

    Raises:
        ValueError: If a named site does not exist or can't be replaced, if nothing is left to
            replace, if `activation` is malformed, if a layer, an attribute or a tie can't be
            copied, or if `data` is given and no new activation has knots to place.
        TypeError: If `model` is not a Keras model or `sites` is none of the above.

    Example:
    ```python
    model = keras.applications.MobileNetV2(weights="imagenet")
    model = replace_activations(model, "aff(identity,relu6,tanh)", match="relu6")
    ```
    """
    found = survey(model)
    chosen = {site.path for site in _chosen([site for site, _ in found], sites, match)}
    owners = {site.path: owner for site, owner in found if site.path in chosen}
    ranges = {} if data is None else site_ranges(model, owners, data)
    made: dict[str, keras.layers.Layer] = {}  # path: the new layer

    def maker(path):
        def make(old, name):
            layer = new_layer(activation, old, name)
            for other, given in made.items():
                if given is layer:
                    raise ValueError(
                        "A factory gives every site a new layer. It returned the same layer "
                        f"{layer.name!r} for '{other}' and for '{path}'."
                    )
            if path in ranges:
                layer = with_range(layer, *ranges[path])
            made[path] = layer
            return layer

        return make

    new = rebuild(model, {id(owner): maker(path) for path, owner in owners.items()})
    _set_learning(new, made, trainable)
    return new


def _set_learning(model, made, trainable):
    """Let the new layers learn or not, and warn where they don't without having been told."""
    learned = {path: layer for path, layer in made.items() if activations.is_learned(layer)}
    if trainable is not None:
        set_trainable(model, list(learned.values()), trainable)
        return
    open_ = {id(variable) for variable in model.trainable_variables}
    frozen = [
        path
        for path, layer in learned.items()
        if layer.weights and not any(id(weight) in open_ for weight in layer.weights)
    ]
    if frozen:
        listed = ", ".join(f"'{path}'" for path in frozen[:3])
        more = f" and {len(frozen) - 3} more" if len(frozen) > 3 else ""
        warnings.warn(
            f"The new activations at {listed}{more} start frozen, as the layers that they replace "
            "are. trainable=True lets them learn, and nothing else; trainable=False keeps them "
            "frozen without this warning.",
            stacklevel=3,
        )


def select(
    model: keras.Model, sites: Any = None, match: str | Iterable[str] | None = None
) -> list[ActivationSite]:
    """The sites that `replace_activations` replaces with these arguments."""
    return _chosen([site for site, _ in survey(model)], sites, match)


def new_layer(spec: Any, old: keras.Operation, name: str) -> keras.layers.Layer:
    """The layer for the place of `old`, with its dtype policy."""
    if not isinstance(old, keras.layers.Layer):
        return new_activation(spec, name=name, dtype=graph.tensor_policy(old.output))
    return new_activation(spec, name=name, dtype=graph.plain_policy(old))


def _chosen(found, sites, match):
    """The sites of `found` that the arguments select, in the order of the data."""
    if sites is None:
        chosen = [site for site in found if site.replaced_by_default]
    elif callable(sites):
        chosen = [site for site in found if site.replaceable and sites(site)]
    else:
        paths = {path for given in _listed(sites) for path in _paths(given, found)}
        chosen = [site for site in found if site.path in paths]
    if match is not None:
        names = _names(match)
        chosen = [
            site
            for site in chosen
            if site.activation in names or activations.base_name(site.activation) in names
        ]
    if not chosen:
        raise ValueError(f"No activation is left to replace. {_overview(found)}")
    return chosen


def _listed(sites):
    if isinstance(sites, (str, ActivationSite)):
        return [sites]
    if isinstance(sites, (list, tuple, set, frozenset)) and all(
        isinstance(given, (str, ActivationSite)) for given in sites
    ):
        return list(sites)
    raise TypeError(
        "sites is None, a function of a site, or one or a list of sites, paths or patterns of "
        f"paths. Received: {sites!r}."
    )


def _paths(given, found):
    """The paths that one element of `sites` means."""
    path = given.path if isinstance(given, ActivationSite) else given
    known = {site.path: site for site in found}
    if path not in known and any(sign in path for sign in "*?["):
        matching = [
            site.path for site in found if site.replaceable and fnmatch.fnmatchcase(site.path, path)
        ]
        if matching:
            return matching
    if path not in known:
        hint = f" {nearest(path, known)}".rstrip()
        raise ValueError(
            f"The model has no activation at '{path}'.{hint} find_activations(model) lists all."
        )
    if not known[path].replaceable:
        raise ValueError(f"The activation at '{path}' can't be replaced: {known[path].reason}.")
    return [path]


def _names(match):
    given = [match] if isinstance(match, str) else list(match)
    rows = {name: keras_activation(name) for name in given}
    return {name if row is None else row.name for name, row in rows.items()}


def _overview(found):
    """What the model has, for the error of an empty selection."""
    if not found:
        return "The model has no activations."
    counts: dict[str, int] = {}
    for site in found:
        what = site.role if site.replaceable else "out of reach"
        key = f"{site.activation} ({what})"
        counts[key] = counts.get(key, 0) + 1
    listed = ", ".join(f"{count} × {key}" for key, count in counts.items())
    missed = sorted((site for site in found if site.reason), key=_is_vague)
    reasons = [f"'{site.path}' ({site.activation}): {site.reason}" for site in missed]
    if not reasons:
        return f"The model has: {listed}."
    more = f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
    return f"The model has: {listed}. Out of reach: {'; '.join(reasons[:_REASONS])}{more}."


def _is_vague(site):
    """Whether a site says little about why nothing can be replaced; those come last."""
    mixing = activations.is_elementwise(activations.base_name(site.activation)) is False
    return site.activation == "unknown" or mixing
