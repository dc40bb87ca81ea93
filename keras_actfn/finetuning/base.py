"""What the models of this package share: whose variables are trained, weights, files."""

import inspect
from typing import Any, Self

import keras
import numpy as np
from keras import ops


class TrainsOneModel(keras.Model):
    """Base of models that train one of their models and leave the others as they are.

    The optimiser sees the variables of `trained` only. The others need not be marked as not
    trainable, which would change the caller's models. Files, such as `ModelCheckpoint` writes,
    hold all models, the compilation and the optimiser's state; `BackupAndRestore` works as the
    models are built from the start.

    A subclass keeps each argument of its constructor as an attribute of that name, and is
    registered with Keras.

    Args:
        trained: The model to train.
        frozen: The model that must not change, or None.
        **kwargs: `keras.Model`'s.

    Raises:
        ValueError: If a model is not built, or both share variables.
    """

    def __init__(self, trained: keras.Model, frozen: keras.Model | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        for model in (trained, frozen):
            if model is not None and not model.built:
                raise ValueError(
                    f"{type(self).__name__}: its models are built. Received: '{model.name}', which "
                    "is not. Give it an Input, or call it once on a batch."
                )
        ours = {id(variable) for variable in trained.variables}
        shared = ours & {id(variable) for variable in (frozen.variables if frozen else ())}
        if frozen is not None and shared:
            raise ValueError(
                f"{type(self).__name__}: the model that stays as it is shares no variables with "
                f"the trained one. Received: '{frozen.name}' and '{trained.name}', which share "
                f"{len(shared)}. Copy it with keras.models.clone_model and set_weights."
            )
        self._trained = trained
        self.built = True

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """Those of the trained model."""
        return self._trained.trainable_variables

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """All others."""
        trainable = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in trainable]

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """Those of the trained model."""
        return self._trained.trainable_weights

    @property
    def non_trainable_weights(self) -> list[keras.Variable]:
        """All others."""
        trainable = {id(variable) for variable in self.trainable_weights}
        return [variable for variable in self.weights if id(variable) not in trainable]

    def build(self, input_shape: Any = None) -> None:
        """Nothing: the models are built."""

    def get_build_config(self) -> dict[str, Any]:
        """Nothing: the models are built."""
        return {}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Nothing: the models are built."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, models with their own configurations."""
        parameters = inspect.signature(type(self).__init__).parameters.values()
        names = [p.name for p in parameters if p.name != "self" and p.kind != p.VAR_KEYWORD]
        values = {name: getattr(self, name) for name in names}
        return {
            **super().get_config(),
            **{
                name: keras.saving.serialize_keras_object(value)
                if isinstance(value, keras.Model)
                else value
                for name, value in values.items()
            },
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """The model of a configuration."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
                if isinstance(value, dict)
                else value
                for name, value in config.items()
            }
        )


class TunesLanguageModel(TrainsOneModel):
    """Base of models whose data is a dict of arrays without labels.

    Keras passes `sample_weight` on only beside labels, so that zeros stand in for those here.
    """

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`, with `sample_weight` also where there is no `y`."""
        return super().fit(**_with_labels(super().fit, args, kwargs))

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`, with `sample_weight` also where there is no `y`."""
        return super().evaluate(**_with_labels(super().evaluate, args, kwargs))

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.train_on_batch`, with `sample_weight` also where there is no `y`."""
        return super().train_on_batch(**_with_labels(super().train_on_batch, args, kwargs))

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.test_on_batch`, with `sample_weight` also where there is no `y`."""
        return super().test_on_batch(**_with_labels(super().test_on_batch, args, kwargs))


def _with_labels(method, args, kwargs):
    """The arguments of a method of Keras's by name, with labels wherever there are weights."""
    found = inspect.signature(method).bind(*args, **kwargs).arguments
    found |= found.pop("kwargs", {})
    if found.get("sample_weight") is not None and found.get("y") is None:
        found["y"] = _zeros(found["x"])
    validation = found.get("validation_data")
    if isinstance(validation, tuple) and len(validation) == 3 and validation[1] is None:
        found["validation_data"] = validation[0], _zeros(validation[0]), validation[2]
    return found


def _zeros(x):
    return np.zeros(len(keras.tree.flatten(x)[0]), "float32")


def example_weights(sample_weight: Any, losses: Any) -> Any:
    """Weights `[batch]` of the examples, in the dtype of their losses.

    Args:
        sample_weight: `[batch]` or `[batch, 1]`, or None for weights of one.
        losses: `[batch]`.

    Raises:
        ValueError: If there is not one weight for each example.
    """
    if sample_weight is None:
        return ops.ones_like(losses)
    try:
        shape = tuple(sample_weight.shape)
    except ValueError:  # a graph of TensorFlow's may not know it; then `reshape` raises
        shape = (None,)
    if shape[1:] not in ((), (1,)):
        raise ValueError(
            "sample_weight has one weight per example: shape (batch,) or (batch, 1). Received: "
            f"shape {shape}."
        )
    return ops.cast(ops.reshape(sample_weight, ops.shape(losses)), losses.dtype)
