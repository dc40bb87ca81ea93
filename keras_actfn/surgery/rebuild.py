"""A new model from an old one, some of its operations exchanged."""

from collections.abc import Callable
from typing import Any

import keras

from ..models import _keras, activations, graph
from ..models.learned import build_learned
from .attributes import Attributes
from .compiling import copy_compilation
from .copying import copy_operation
from .state import copy_layer, variable_pairs

#: Makes the layer for the place of an operation: a function of (operation, name).
Maker = Callable[[keras.Operation, str], keras.layers.Layer]


def rebuild(model: keras.Model, exchange: dict[int, Maker], compile: bool = True) -> keras.Model:
    """A copy of a model in which some operations are others.

    Weights, names, shared layers, nesting, trainable flags, dtype policies and the compile
    configuration are copied; the old model shares nothing with the new one but functions.

    Args:
        model: A Sequential or functional model.
        exchange: Maps the `id` of an operation of the model to a function of (operation,
            name) that makes the layer in its place. Where a dense or convolutional layer has a
            fused activation, it stays with a linear one, and the new layer follows it. Where
            another layer has an `activation` argument, or holds such a dense layer, the new
            layer is given as that argument.
        compile: Whether to compile it as the old model is.

    Returns:
        A new model. A subclass keeps its class and attributes if its constructor takes
        (inputs, outputs) or if it changes how it is trained; else it is a plain `keras.Model`.

    Raises:
        ValueError: If a layer or an attribute can't be copied.
    """
    builder = _Builder(exchange, graph.containers(model))
    new = builder.container(model)
    builder.finish()
    build_learned(new)
    builder.copy_state()
    builder.copy_flags(model)
    builder.check_sharing()
    variables = builder.variables()
    builder.attributes.copy_exclusions(variables)
    if compile and model.compiled:
        copy_compilation(model, new, builder.output_names(model), variables)
    return new


class _Builder:
    """Copies operations, each once, and remembers which became which."""

    def __init__(self, exchange, containers):
        self._exchange = exchange
        self._copies: dict[int, Any] = {}  # id of an old operation: what is in its place
        self._followers = {}  # id of an old layer with a fused activation: the layer behind it
        self._given = {}  # id of an old layer: the layer that its copy has as its activation
        self._names = {}  # id of an old operation: name of the layer that follows it
        self._olds = []  # every old operation, kept alive so that ids stay its own
        self._tensors: dict[int, Any] = {}  # id of an old symbolic tensor: the new one in its place
        self._kept = []  # pairs of old and new containers whose class is the user's
        operations = [o for container, _ in containers for o in graph.operations(container)]
        self._in_graph = {id(operation) for operation in operations}
        leaves = [o for o in operations if isinstance(o, keras.layers.Layer)]
        self._held = {
            id(part)
            for leaf in leaves
            if not graph.is_container(leaf)
            for part in graph.nested(leaf)[1:]
        }
        self._left_out: tuple[set, set] = set(), set()
        self.attributes = Attributes(self._copies, self._tensors, self._operation)
        self._keep_all = any(_keras.decides_training(container) for container, _ in containers)

    def container(self, old):
        """The copy of a Sequential or functional model."""
        if id(old) not in self._copies:
            self._choose_names(old)
            make = self._of_layers if isinstance(old, graph.Sequential) else self._of_graph
            self._remember(old, make(old))
            self._copies[id(old)].dtype_policy = old.dtype_policy
        return self._copies[id(old)]

    def finish(self):
        """Give containers of a class of the user's the attributes of the old ones."""
        for old, new in self._kept:
            self.attributes.copy(old, new)
        self._left_out = self._exchanged()

    def copy_state(self):
        """Copy weights, random states and whatever else layers save."""
        for old, new in self._leaves():
            for one, other in self._pairs(old, new):
                copy_layer(one, other)

    def copy_flags(self, old):
        """Copy the trainable flags of a model and all below it, outermost first."""
        new = self._copies.get(id(old))
        if new is None or not isinstance(old, keras.layers.Layer):
            return
        new.trainable = old.trainable
        for beside in (self._followers.get(id(old)), self._given.get(id(old))):
            if beside is not None:
                beside.trainable = old.trainable
        if graph.is_container(old):
            for operation in graph.operations(old):
                self.copy_flags(operation)
        elif self._is_copied(old):
            for one, other in self._pairs(old, new)[1:]:
                other.trainable = one.trainable
            for one, other in self._variables(old, new):
                if one.trainable != other.trainable:
                    other.trainable = one.trainable

    def check_sharing(self):
        """Refuse a copy in which a variable has become two, or two have become one.

        Raises:
            ValueError: With the names of the layer and the variable.
        """
        copies: dict[int, Any] = {}
        originals: dict[int, Any] = {}
        for old, new in self._leaves():
            for one, other in self._variables(old, new):
                if (
                    copies.setdefault(id(one), other) is not other
                    or originals.setdefault(id(other), one) is not one
                ):
                    raise ValueError(
                        f"The layer '{old.name}' of class {type(old).__name__} shares the variable "
                        f"'{one.path}' with another layer, and the copy through get_config and "
                        "from_config does not. Let it hold the other layer as an attribute, or "
                        "describe that layer in its get_config."
                    )

    def variables(self):
        """Pairs of the variables of all layers that are copied."""
        return [pair for old, new in self._leaves() for pair in self._variables(old, new)]

    def output_names(self, old):
        """New name of each output of a model whose name is another one now."""
        if isinstance(old, graph.Sequential):
            return {}
        new = self._copies[id(old)]
        return {a: b for a, b in zip(old.output_names, new.output_names, strict=True) if a != b}

    def _is_copied(self, old):
        """Whether what has become of an operation is its copy, and not a layer in its place."""
        number = id(old)
        return number not in self._exchange or number in self._followers or number in self._given

    def _leaves(self):
        """Pairs of an old leaf and its copy."""
        for old in self._olds:
            is_leaf = isinstance(old, keras.layers.Layer) and not graph.is_container(old)
            if is_leaf and self._is_copied(old):
                yield old, self._copies[id(old)]

    def _pairs(self, old, new):
        """Pairs of all layers within two of equal configuration, exchanged ones left out."""
        before, after = self._left_out
        if id(old) in self._followers:
            before = before | _ids(old.activation)
        olds = [layer for layer in graph.nested(old) if id(layer) not in before]
        news = [layer for layer in graph.nested(new) if id(layer) not in after]
        if [type(layer) for layer in olds] != [type(layer) for layer in news]:
            raise ValueError(
                f"The layer '{old.name}' of class {type(old).__name__} is copied through "
                "get_config and from_config, but the copy holds other layers: "
                f"{[layer.name for layer in news]} for {[layer.name for layer in olds]}. Make its "
                "get_config describe them."
            )
        return list(zip(olds, news, strict=True))

    def _variables(self, old, new):
        """Pairs of the variables of two layers, those of exchanged ones left out."""
        for one, other in self._pairs(old, new):
            yield from variable_pairs(one, other)
            states = zip(graph.seed_generators(one), graph.seed_generators(other), strict=False)
            yield from ((a.state, b.state) for a, b in states)

    def _exchanged(self):
        """The `id` of each old activation layer that is exchanged, and of each that came for it."""
        before, after = set(), set()
        for old in self._olds:
            if id(old) in self._given:
                before |= _ids(getattr(old, "activation", None))
                after |= _ids(self._given[id(old)])
            elif id(old) in self._exchange and id(old) not in self._followers:
                before |= _ids(old)
                after |= _ids(self._copies[id(old)])
        return before, after

    def _remember(self, old, new):
        self._olds.append(old)
        self._copies[id(old)] = new
        return new

    def _of_layers(self, old):
        followed = []
        for layer in old.layers:
            followed += [self._operation(layer), *self._follower(layer)]
        first = graph.sublayers(old)[:1]
        if first and isinstance(first[0], keras.layers.InputLayer):
            followed.insert(0, self._operation(first[0]))
        return self._of_class(old, keras.Sequential, followed)

    def _of_graph(self, old):
        for tensor in old.inputs:
            self._operation(graph.operation_of(tensor))
        inputs = keras.tree.map_structure(
            lambda tensor: self._copies[id(graph.operation_of(tensor))].output, old.input
        )
        self._tensors.update(zip(map(id, old.inputs), keras.tree.flatten(inputs), strict=True))
        order = iter(graph.nodes(old))

        def call(operation, *args, **kwargs):
            outputs = self._call(operation, *args, **kwargs)
            node = next(node for node in order if node.operation is operation)
            self._tensors.update(
                zip(map(id, node.outputs), keras.tree.flatten(outputs), strict=True)
            )
            return outputs

        outputs = graph.run(old, inputs, call)
        return self._of_class(old, _keras.Functional, inputs, outputs)

    def _of_class(self, old, base, *arguments):
        """A container, of the old one's class where that is kept, made by Keras's constructor."""
        kind: Any = type(old)
        if not _keras.own_classes(old):
            return kind(*arguments, name=old.name)
        if not (_keras.takes_the_arguments_of(kind, base) or self._keep_all):
            return base(*arguments, name=old.name)
        new = kind.__new__(kind)
        base.__init__(new, *arguments, name=old.name)
        self._kept.append((old, new))
        if not _keras.takes_the_arguments_of(kind, base):
            _refuse_to_be_saved(new)
        return new

    def _call(self, old, *args, **kwargs):
        new = self._operation(old)
        replaced = id(old) in self._exchange and id(old) not in self._given
        if replaced and new is not None and not self._followers.get(id(old)):
            return new(_only_tensor(old, args, kwargs))
        try:
            outputs = new(*args, **kwargs)
        except Exception as error:
            raise ValueError(
                f"'{old.name}' of class {type(old).__name__} is copied through get_config and "
                f"from_config, and the copy can't be called as the layer is: {error} Make its "
                "get_config describe all that it holds."
            ) from error
        for follower in self._follower(old):
            outputs = follower(outputs)
        return outputs

    def _operation(self, old):
        """The copy of a layer or operation, or the layer in its place."""
        if id(old) in self._copies:
            return self._copies[id(old)]
        if graph.is_container(old):
            return self.container(old)
        if isinstance(old, keras.layers.Layer):
            for part in graph.nested(old)[1:]:
                if id(part) in self._in_graph:
                    self._operation(part)
        if id(old) not in self._exchange:
            return self._copy(old)
        make = self._exchange[id(old)]
        if not activations.takes_activation(old):
            return self._remember(old, _regularized(make(old, old.name), old))
        name = self._names.get(id(old), f"{old.name}_activation")
        if activations.splits(old) and id(old) not in self._held:
            self._followers[id(old)] = _regularized(make(old, name), old)
            return self._copy(old, activation="linear", activity_regularizer=None)
        # The layer itself keeps its own activity regularizer.
        given = self._given[id(old)] = _regularized(make(old, name), old.activation)
        new = self._copy(old, activation=given)
        if new.activation is not given:
            raise ValueError(
                f"'{old.name}' of class {type(old).__name__} takes an `activation`, but does not "
                f"hold the one that it is given: {new.activation!r} for {given!r}. Leave it out "
                "with `sites`."
            )
        return new

    def _copy(self, old, **changes):
        new, held = copy_operation(old, self._copies, **changes)
        for number, part in held.items():
            self._copies.setdefault(number, part)
        return self._remember(old, new)

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


def _ids(layer):
    return {id(part) for part in graph.nested(layer)} if isinstance(layer, keras.Layer) else set()


def _regularized(new, old):
    """The layer in the place of an activation, with the activity regularizer that was there."""
    while True:
        found = getattr(old, "activity_regularizer", None)
        old = getattr(old, "activation", None)
        if found is not None:
            break
        if not isinstance(old, keras.layers.Layer):
            return new
    if getattr(old, "activity_regularizer", None) is not None:
        raise ValueError(
            "One activity regularizer goes with an activation. Received: "
            f"{found!r} of a layer and {old.activity_regularizer!r} of the activation that it "
            "holds. Set one of them that is the sum of both."
        )
    plain = not isinstance(found, keras.regularizers.Regularizer)
    new.activity_regularizer = found if plain else type(found).from_config(found.get_config())
    return new


def _refuse_to_be_saved(model):
    """Let a model whose constructor would build another network say so when it is saved."""
    name = type(model).__name__

    def get_config():
        raise NotImplementedError(
            f"'{model.name}' keeps the class {name}, whose constructor builds the network with "
            "the activations that it had, so that a file of it would come back with those. Save "
            "its weights with save_weights, or save keras.Model(model.inputs, model.outputs), a "
            "plain model of the same layers."
        )

    object.__setattr__(model, "get_config", get_config)


def _only_tensor(operation, args, kwargs):
    """The tensor among the arguments of an activation's call."""
    tensors = [
        value
        for value in keras.tree.flatten((args, kwargs))
        if isinstance(value, keras.KerasTensor)
    ]
    return tensors[0]
