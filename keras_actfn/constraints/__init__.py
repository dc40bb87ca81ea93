"""Constraints that hold the parameters of learned activations in place."""

import inspect
from typing import Any

import keras

from .._names import unknown_name
from .constraints import AnchoredUnitNorm, Simplex, UnitSum
from .projections import anchored_unit_norm, project_simplex, project_unit_sum

__all__ = [
    "AnchoredUnitNorm",
    "Simplex",
    "UnitSum",
    "anchored_unit_norm",
    "deserialize",
    "get",
    "project_simplex",
    "project_unit_sum",
    "serialize",
]

#: Every constraint of this package by its short name.
CONSTRAINTS = {
    "simplex": Simplex,
    "unit_sum": UnitSum,
    "anchored_unit_norm": AnchoredUnitNorm,
}


def get(identifier: Any) -> keras.constraints.Constraint | None:
    """The constraint that `identifier` names.

    Args:
        identifier: None, a name (`"simplex"`, `"unit_sum"`, `"anchored_unit_norm"`, or any
            of Keras's own such as `"non_neg"`), a configuration from `serialize`, a
            constraint, a constraint class or any callable from a tensor to a tensor.

    Returns:
        A callable, or None.

    Raises:
        ValueError: If a name is unknown or the identifier is nothing of the above.

    Example:
    ```python
    keras_actfn.constraints.get("simplex").get_config()  # {'axis': 0}
    ```
    """
    if isinstance(identifier, str):
        if identifier in CONSTRAINTS:
            return CONSTRAINTS[identifier]()
        by_class_name = {cls.__name__: cls for cls in CONSTRAINTS.values()}
        if identifier in by_class_name:
            return by_class_name[identifier]()
        try:
            return keras.constraints.get(identifier)
        except ValueError:
            raise unknown_name(
                "A constraint's name is one of keras.constraints, or", identifier, CONSTRAINTS
            ) from None
    if inspect.isclass(identifier):
        return identifier()
    return keras.constraints.get(identifier)


def serialize(constraint: Any) -> dict[str, Any] | None:
    """The configuration of `constraint`, as `keras.constraints.serialize` gives it."""
    return None if constraint is None else keras.constraints.serialize(constraint)


def deserialize(
    config: dict[str, Any] | None, custom_objects: dict[str, Any] | None = None
) -> keras.constraints.Constraint | None:
    """The constraint that `serialize` described."""
    if config is None:
        return None
    return keras.constraints.deserialize(config, custom_objects=custom_objects)
