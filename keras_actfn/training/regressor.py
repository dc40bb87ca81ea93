"""A regression on a `Dataset`: how its model is compiled, with errors in the targets' own unit."""

from typing import Any

import keras
import numpy as np

from ..datasets import Dataset


def compile_regressor(
    model: keras.Model, data: Dataset, learning_rate: float = 1e-3
) -> keras.Model:
    """Compile a model for a regression: Adam on the mean squared error.

    `data.y_train` is standardised, and so is what the model predicts; see
    `Dataset.in_target_units`. The loss is the mean squared error of that: 1 is what the mean of the
    training targets gets, 0 is perfect. The metrics `mae` (mean absolute error) and `rmse` (root
    mean squared error) are in the unit in which the targets were given.

    Args:
        model: An uncompiled model with as many linear outputs as `data` has targets.
        data: A regression.
        learning_rate: Adam's.

    Returns:
        `model`.

    Raises:
        ValueError: If the data is a classification, the model is compiled, or its output has
            another shape.

    Example:
    ```python
    from keras_actfn.applications import MLP

    x, y = np.random.default_rng(0).normal(size=(2, 64, 3))
    prices = Dataset(x, y[:, 0], x, y[:, 0], "prices", 0, "made up", "regression", target_std=50.0)
    model = compile_regressor(MLP(input_shape=(3,), outputs=1), prices)
    model.fit(prices.x_train, prices.y_train, verbose=0)
    model.evaluate(prices.x_test, prices.y_test, return_dict=True, verbose=0)  # loss, mae, rmse
    ```
    """
    if data.problem != "regression":
        raise ValueError(
            f"A regressor is for a regression. Received: {data.name}, a {data.problem}."
        )
    if model.compiled:
        raise ValueError(
            f"A regressor is compiled here. Received: the compiled model '{model.name}'. Leave out "
            "compile()."
        )
    if model.output_shape != (None, data.outputs):
        raise ValueError(
            f"A regressor has one output of shape (batch, {data.outputs}). Received: "
            f"{model.output_shape}. End the model in Dense({data.outputs}) without an activation."
        )
    model.compile(
        keras.optimizers.Adam(learning_rate),
        "mean_squared_error",
        metrics=[
            MeanAbsoluteErrorInUnits(data.target_std),
            RootMeanSquaredErrorInUnits(data.target_std),
        ],
    )
    return model


class _InUnits:
    """A metric of standardised targets and predictions after both are multiplied by `std`."""

    std: Any

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        # Both with the axis of outputs, for `std` has it too.
        y_true = keras.ops.reshape(keras.ops.cast(y_true, y_pred.dtype), keras.ops.shape(y_pred))
        std = keras.ops.convert_to_tensor(self.std, y_pred.dtype)
        super().update_state(std * y_true, std * y_pred, sample_weight)  # type: ignore[misc]

    def get_config(self) -> dict[str, Any]:
        """Its arguments."""
        std = np.asarray(self.std).tolist()
        return {**super().get_config(), "std": std}  # type: ignore[misc]


@keras.saving.register_keras_serializable("keras_actfn")
class MeanAbsoluteErrorInUnits(_InUnits, keras.metrics.MeanAbsoluteError):
    """mean |std · (y_true − y_pred)|.

    Args:
        std: Number by which targets and predictions are multiplied, or one for each output.
        name: Name of the metric.
        dtype: As for any metric of Keras.
    """

    def __init__(self, std: Any = 1.0, name: str = "mae", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.std = std


@keras.saving.register_keras_serializable("keras_actfn")
class RootMeanSquaredErrorInUnits(_InUnits, keras.metrics.RootMeanSquaredError):
    """√(mean (std · (y_true − y_pred))²).

    Args:
        std: Number by which targets and predictions are multiplied, or one for each output.
        name: Name of the metric.
        dtype: As for any metric of Keras.
    """

    def __init__(self, std: Any = 1.0, name: str = "rmse", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.std = std
