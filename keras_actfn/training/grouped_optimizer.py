"""An optimiser of several groups of variables that files keep, whatever they call the variables.

`keras.optimizers.MultiOptimizer` finds a variable's optimiser by the variable's path. Paths
change when a model is loaded: `outer/pwl/values` of a nested model becomes `pwl/values`. Here a
variable is known by itself, and in files by its place among the variables that are trained.
"""

from collections.abc import Iterable
from typing import Any, Self

import keras

#: What is recorded of a variable, in the order of the records.
_FIELDS = ("path", "shape", "group")


@keras.saving.register_keras_serializable(package="keras_actfn")
class VariableGroups(keras.optimizers.OptimizerMap):
    """Optimisers by the name of their group, and the group of each variable.

    Args:
        default_optimizer: Optimiser of the variables that are in no named group.
        optimizer_map: Optimisers of the others, by the name of their group.
        records: What `get_config` recorded of each variable.
    """

    #: Name of the group of `default_optimizer`.
    DEFAULT = "weights"

    def __init__(self, default_optimizer: Any, optimizer_map: Any = None, records: Any = None):
        super().__init__(default_optimizer, optimizer_map)
        self._records: Any = None if records is None else [tuple(record) for record in records]
        self._members: dict[int, tuple] = {}  # id of a variable: the variable, its group

    def add(self, variables: Iterable, group: str = DEFAULT) -> None:
        """Put variables into a group; the last group that a variable is put into counts."""
        for variable in variables:
            self._members[id(variable)] = variable, group

    def bind(self, variables: Iterable) -> None:
        """Learn which variables are trained, in order.

        Raises:
            ValueError: If they are not the variables that the groups were made for.
        """
        if self._records is not None and not self._members:
            self._recognise(variables)
        unknown = [v.path for v in variables if id(v) not in self._members]
        if unknown:
            raise ValueError(
                "parameter_groups puts the variables of one model into groups; the optimizer is "
                f"for that model as it was. Received a variable that was not trained then: "
                f"'{unknown[0]}' ({len(unknown)} in all). Call parameter_groups again, after the "
                "last change of the model, and compile with what it returns."
            )
        self._records = [self._record(*self._members[id(v)]) for v in variables]

    def _recognise(self, variables):
        """Groups of the variables of a loaded model: by their places, else by their paths."""
        given = [(v.path.rpartition("/")[2], list(v.shape)) for v in variables]
        if given == [(path.rpartition("/")[2], list(shape)) for path, shape, _ in self._records]:
            groups = [group for _, _, group in self._records]
        else:
            by_path: dict[str, set] = {}
            for path, _, group in self._records:
                by_path.setdefault(path, set()).add(group)
            found = [by_path.get(v.path, ()) for v in variables]
            groups = [next(iter(each)) if len(each) == 1 else None for each in found]
        for variable, group in zip(variables, groups, strict=True):
            if group is not None:
                self.add([variable], group)

    @staticmethod
    def _record(variable, group):
        return variable.path, list(variable.shape), group

    def __call__(self, variable: Any) -> Any:
        """The optimiser of a variable."""
        return self[self._members[id(variable)][1]]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        records = self._records
        if records is None:
            records = [self._record(v, g) for v, g in self._members.values() if v.trainable]
        return {
            "default_optimizer": _serialized(self.default_optimizer),
            "optimizer_map": {group: _serialized(self[group]) for group in self},
            "records": [dict(zip(_FIELDS, record, strict=True)) for record in records],
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """The groups of a configuration."""
        default, *others = (
            keras.optimizers.deserialize(each, custom_objects)
            for each in (config["default_optimizer"], *config["optimizer_map"].values())
        )
        records = [[record[field] for field in _FIELDS] for record in config["records"]]
        return cls(default, dict(zip(config["optimizer_map"], others, strict=True)), records)


def _serialized(optimizer):
    """An optimiser's configuration for any backend; on PyTorch Keras names a class of PyTorch's."""
    config = keras.optimizers.serialize(optimizer)
    if config["module"].startswith("keras."):
        config |= {"module": "keras.optimizers", "registered_name": None}
    return config


@keras.saving.register_keras_serializable(package="keras_actfn")
class GroupedOptimizer(keras.optimizers.MultiOptimizer):
    """A `keras.optimizers.MultiOptimizer` that files keep with every variable's rate and state.

    `keras_actfn.training.parameter_groups` makes it.

    Args:
        optimizer_map: `VariableGroups`.
        loss_scale_factor: As in `keras.optimizers.MultiOptimizer`.
        name: Name of the optimiser.

    Raises:
        ValueError: In `build`, if the variables are not those that the groups were made for.
    """

    def __init__(
        self, optimizer_map: Any, loss_scale_factor: float | None = None, name: str | None = None
    ):
        super().__init__(optimizer_map, loss_scale_factor=loss_scale_factor, name=name)
        self._groups = optimizer_map

    def build(self, variables: Any) -> None:
        """Give every optimiser its variables."""
        if not self.built:
            self._groups.bind(variables)
        super().build(variables)
