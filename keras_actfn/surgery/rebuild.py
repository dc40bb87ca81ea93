"""A new model from an old one, some of its operations exchanged."""

import os
import tempfile
import types
import warnings

import keras
import numpy as np

from ..models import activations, graph


def rebuild(model, exchange):
    """A copy of a model in which some operations are others.

    Weights, names, shared layers, nesting, trainable flags, dtype policies and the compile
    configuration are copied; the old model shares nothing with the new one.

    Args:
        model: A Sequential or functional model.
        exchange: Maps the `id` of an operation of the model to a function of (operation,
            name) that makes the layer in its place. Where the operation has a fused
            activation, it stays with a linear one, and the new layer follows it.

    Returns:
        A new model: of the same class where its constructor takes (inputs, outputs), else a
        plain `keras.Model`.

    Raises:
        ValueError: If a layer can't be copied by its configuration.
    """
    builder = _Builder(exchange)
    new = builder.container(model)
    builder.copy_state()
    builder.copy_flags(model)
    _copy_compilation(model, new, builder.output_names(model))
    return new


class _Builder:
    """Copies operations, each once, and remembers which became which."""

    def __init__(self, exchange):
        self._exchange = exchange
        self._copies = {}  # id of an old operation: its copy, or the layer in its place
        self._followers = {}  # id of an old layer with a fused activation: the layer behind it
        self._names = {}  # id of an old operation: name of the follower it would get
        self._olds = []  # every old operation, kept alive so that ids stay its own

    def container(self, old):
        """The copy of a Sequential or functional model."""
        if id(old) not in self._copies:
            self._choose_names(old)
            make = self._sequential if isinstance(old, graph.Sequential) else self._functional
            self._remember(old, make(old))
            self._copies[id(old)].dtype_policy = old.dtype_policy
        return self._copies[id(old)]

    def copy_state(self):
        """Copy weights, random states and whatever else layers save."""
        for old in self._olds:
            new = self._copies[id(old)]
            if not isinstance(old, keras.layers.Layer) or graph.is_container(old):
                continue
            if id(old) in self._followers:
                _copy_layer(old, new)
            elif id(old) not in self._exchange:
                for one, other in _pairs(old, new):
                    _copy_layer(one, other)

    def copy_flags(self, old):
        """Copy the trainable flags of a model and all below it, outermost first."""
        new = self._copies.get(id(old))
        if new is None or not isinstance(old, keras.layers.Layer):
            return
        new.trainable = old.trainable
        follower = self._followers.get(id(old))
        if follower is not None:
            follower.trainable = old.trainable
        if graph.is_container(old):
            for operation in graph.operations(old):
                self.copy_flags(operation)
        elif id(old) not in self._exchange:
            for one, other in _pairs(old, new)[1:]:
                other.trainable = one.trainable
            for one, other in zip(old.variables, new.variables, strict=True):
                if one.trainable != other.trainable:
                    other.trainable = one.trainable

    def output_names(self, old):
        """New name of each output of a model whose name is another one now."""
        if isinstance(old, graph.Sequential):
            return {}
        new = self._copies[id(old)]
        return {a: b for a, b in zip(old.output_names, new.output_names, strict=True) if a != b}

    def _remember(self, old, new):
        self._olds.append(old)
        self._copies[id(old)] = new
        return new

    def _sequential(self, old):
        followed = []
        for layer in old.layers:
            followed += [self._operation(layer), *self._follower(layer)]
        if isinstance(old._layers[0], keras.layers.InputLayer):
            followed.insert(0, self._operation(old._layers[0]))
        plain = type(old).__init__ is graph.Sequential.__init__
        kind = type(old) if plain else graph.Sequential
        return kind(followed, name=old.name)

    def _functional(self, old):
        for tensor in old.inputs:
            self._operation(tensor._keras_history.operation)
        inputs = keras.tree.map_structure(
            lambda tensor: self._copies[id(tensor._keras_history.operation)].output, old.input
        )
        outputs = graph.run(old, inputs, self._call)
        plain = graph.functional_like_constructor(type(old))
        kind = type(old) if plain else graph.Functional
        return kind(inputs, outputs, name=old.name)

    def _call(self, old, *args, **kwargs):
        new = self._operation(old)
        if id(old) in self._exchange and new is not None and not self._followers.get(id(old)):
            return new(_only_tensor(old, args, kwargs))
        outputs = new(*args, **kwargs)
        for follower in self._follower(old):
            outputs = follower(outputs)
        return outputs

    def _operation(self, old):
        """The copy of a layer or operation, or the layer in its place."""
        if id(old) in self._copies:
            return self._copies[id(old)]
        if graph.is_container(old):
            return self.container(old)
        if id(old) not in self._exchange:
            return self._remember(old, _copy(old))
        make = self._exchange[id(old)]
        if activations.fused_name(old) is None:
            return self._remember(old, make(old, old.name))
        self._followers[id(old)] = make(old, self._names[id(old)])
        return self._remember(old, _copy(old, activation="linear", activity_regularizer=None))

    def _follower(self, old):
        follower = self._followers.get(id(old))
        return [] if follower is None else [follower]

    def _choose_names(self, container):
        """Names that no operation of the container has, for layers behind others."""
        taken = {operation.name for operation in graph.operations(container)}
        for operation in graph.operations(container):
            if id(operation) in self._exchange:
                name, number = f"{operation.name}_activation", 1
                while name in taken:
                    name, number = f"{operation.name}_activation_{number}", number + 1
                taken.add(name)
                self._names.setdefault(id(operation), name)


def _copy(operation, **changes):
    """A new operation of the same configuration, but for `changes` of it."""
    try:
        config = {**operation.get_config(), **changes}
        if "activity_regularizer" in changes and changes["activity_regularizer"] is None:
            del config["activity_regularizer"]
        new = type(operation).from_config(config)
    except Exception as error:
        raise ValueError(
            f"The model is copied layer by layer through get_config and from_config, and "
            f"'{operation.name}' of class {type(operation).__name__} does not allow it: {error} "
            "Define get_config in that class."
        ) from error
    new.name = operation.name
    return new


def _pairs(old, new):
    """Pairs of all layers within two of equal configuration."""
    olds, news = graph.nested(old), graph.nested(new)
    if [type(layer) for layer in olds] != [type(layer) for layer in news]:
        raise ValueError(
            f"The layer '{old.name}' of class {type(old).__name__} is copied through get_config "
            "and from_config, but the copy holds other layers: "
            f"{[layer.name for layer in news]} for {[layer.name for layer in olds]}. Make its "
            "get_config describe them."
        )
    return list(zip(olds, news, strict=True))


def _copy_layer(old, new):
    """Copy what a layer holds itself: weights, random states, vocabularies."""
    if old.built and not new.built:
        new.build_from_config(old.get_build_config())
    weights = {}
    old.save_own_variables(weights)
    # NumPy copies: the JAX trainer may donate, and so delete, a buffer that two models share.
    weights = {key: np.array(keras.ops.convert_to_numpy(value)) for key, value in weights.items()}
    if weights:
        try:
            new.load_own_variables(weights)
        except ValueError as error:
            raise ValueError(
                f"The weights of the layer '{old.name}' of class {type(old).__name__} do not fit "
                f"its copy through get_config and from_config: {error}"
            ) from error
    generators = zip(graph.seed_generators(old), graph.seed_generators(new), strict=False)
    for one, other in generators:
        other.state.assign(np.array(keras.ops.convert_to_numpy(one.state)))
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            if os.listdir(folder):
                new.load_assets(folder)


def _only_tensor(operation, args, kwargs):
    """The tensor among the arguments of an activation's call."""
    tensors = [
        value
        for value in keras.tree.flatten((args, kwargs))
        if isinstance(value, keras.KerasTensor)
    ]
    return tensors[0]


def _copy_compilation(old, new, renamed):
    """Compile as the old model is, with an optimizer that starts afresh."""
    if not old.compiled:
        return
    config = old.get_compile_config()
    for key in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        if isinstance(config.get(key), dict) and set(config[key]) & set(renamed):
            config[key] = {renamed.get(name, name): value for name, value in config[key].items()}
    try:
        with keras.saving.custom_object_scope(_own_objects(old)):
            new.compile_from_config(config)
    except Exception as error:
        warnings.warn(
            "The new model is not compiled, because the configuration that the old one was "
            f"compiled with can't be copied: {error} Call compile() on the new model.",
            stacklevel=4,
        )


def _own_objects(model):
    """Functions and classes that a model was compiled with, by name; none need registration."""
    found = {}
    for value in keras.tree.flatten(model._compile_config.config):
        if isinstance(value, (types.FunctionType, type)):
            found[value.__name__] = value
        elif value is not None and not isinstance(value, (bool, int, float, str)):
            found[type(value).__name__] = type(value)
    return found
