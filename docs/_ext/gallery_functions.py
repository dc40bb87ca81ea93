"""The functions of the gallery: operators, activations of Keras, learned layers, discoveries."""

import dataclasses

import keras
import numpy as np
from function_facts import Function
from function_table import DISCOVERED_ADVICE, KERAS, LEARNED, OPERATORS, Entry

from keras_actfn._keras_activations import KERAS_ACTIVATIONS
from keras_actfn.expressions import DISCOVERED, Operator, parse
from keras_actfn.expressions.names import AMBIGUOUS
from keras_actfn.expressions.operators import BUILT_IN


@dataclasses.dataclass(frozen=True, eq=False)
class GalleryFunction:
    """One function of the gallery.

    Attributes:
        name: Of its page.
        family: "operator", "Keras", "learned" or "discovered".
        entry: Its definition and its use.
        spec: What `keras_actfn.activation` takes; None where a spec cannot name it.
        function: On float64 arrays; None for one that mixes entries.
        operator: Its operator, if it is one.
        keras_names: What Keras calls it.
    """

    name: str
    family: str
    entry: Entry
    spec: str | None = None
    function: Function | None = None
    operator: Operator | None = None
    keras_names: tuple[str, ...] = ()


def functions() -> list[GalleryFunction]:
    """Every operator, activation of Keras, learned layer and discovered function."""
    found = []
    equal = keras_equals()
    for operator in BUILT_IN.values():
        unary = operator.arity == 1
        found.append(
            GalleryFunction(
                operator.name,
                "operator",
                OPERATORS[operator.name],
                _spec_of(operator) if unary else None,
                operator.on_arrays if unary else None,
                operator,
                tuple(name for name, same in equal.items() if same == operator.name),
            )
        )
    for name, entry in KERAS.items():
        row = KERAS_ACTIVATIONS[entry.keras]
        usable = row.elementwise and not row.needs_arguments
        spec = {"hard_sigmoid": "max(min(x/6+0.5,1),0)"}.get(row.name, row.name)
        found.append(
            GalleryFunction(
                name,
                "Keras",
                entry,
                spec if row.function and not row.needs_arguments else None,
                on_arrays(row.function) if usable else None,
                keras_names=(row.name, *row.aliases),
            )
        )
    for spec, entry in LEARNED.items():
        name = spec.partition("(")[0]
        found.append(GalleryFunction(name, "learned", entry, spec, parse(entry.start)))
    for row in DISCOVERED.values():
        advice = DISCOVERED_ADVICE.format(task=row.task)
        entry = Entry(row.expression.latex(), advice)
        found.append(GalleryFunction(row.name, "discovered", entry, row.name, row.expression))
    return found


def _spec_of(operator):
    """The name alone where it means one function."""
    return f"{operator.name}(x)" if operator.name in AMBIGUOUS else operator.name


def on_arrays(function) -> Function:
    """A function of tensors as one of float64 arrays."""
    return lambda x: keras.ops.convert_to_numpy(
        function(keras.ops.convert_to_tensor(x, dtype="float64"))
    )


def keras_equals() -> dict[str, str]:
    """The operator that has the values of an activation of Keras, by the activation's names."""
    x = np.linspace(-7, 7, 1400)  # without 0, where the reciprocal has its pole
    found = {}
    for row in KERAS_ACTIVATIONS.values():
        if not row.elementwise or row.needs_arguments:
            continue
        values = on_arrays(row.function)(x)
        for operator in BUILT_IN.values():
            if operator.arity == 1 and np.allclose(operator.on_arrays(x), values, 1e-6, 1e-6):
                found |= dict.fromkeys((row.name, *row.aliases), operator.name)
    return found
