"""The projections as Keras constraints, applied by the optimizer after every step."""

from typing import Any

import keras

from .projections import anchored_unit_norm, project_simplex, project_unit_sum


@keras.saving.register_keras_serializable(package="keras_actfn")
class Simplex(keras.constraints.Constraint):
    r"""Keeps $w_i \ge 0$ and $\sum_i w_i = 1$ along an axis, by Euclidean projection.

    Clipping and dividing by the sum would fail where all entries are negative; the
    projection is defined everywhere.

    Source: the convex hull of Manessi & Rozza, Learning Combinations of Activation
    Functions, section III.

    Args:
        axis: The axis that sums to one.

    Example:
    ```python
    keras.ops.convert_to_numpy(Simplex()(keras.ops.array([2.0, 1.5, -1.0])))
    # array([0.75, 0.25, 0.  ], dtype=float32)
    ```
    """

    def __init__(self, axis: int = 0):
        self.axis = _integer_axis(axis)

    def __call__(self, w: Any) -> Any:
        """Project `w`, a float tensor or variable."""
        return project_simplex(keras.ops.convert_to_tensor(w), self.axis)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"axis": self.axis}


@keras.saving.register_keras_serializable(package="keras_actfn")
class UnitSum(keras.constraints.Constraint):
    r"""Keeps $\sum_i w_i = 1$ along an axis, by orthogonal projection.

    Source: the affine hull of Manessi & Rozza, Learning Combinations of Activation
    Functions, section III.

    Args:
        axis: The axis that sums to one.

    Example:
    ```python
    keras.ops.convert_to_numpy(UnitSum()(keras.ops.array([2.0, 1.0, 1.0])))
    # array([1., 0., 0.], dtype=float32)
    ```
    """

    def __init__(self, axis: int = 0):
        self.axis = _integer_axis(axis)

    def __call__(self, w: Any) -> Any:
        """Project `w`, a float tensor or variable."""
        return project_unit_sum(keras.ops.convert_to_tensor(w), self.axis)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"axis": self.axis}


@keras.saving.register_keras_serializable(package="keras_actfn")
class AnchoredUnitNorm(keras.constraints.Constraint):
    """Keeps the leftmost knot at zero and the L2 norm of the knot values at one.

    For `PWL(constraint="anchored_unit_norm")`; with parameters per channel each channel's
    knots are normalised on their own.

    Source: Learning Activation Functions via Correlation Objectives, section 3.2.

    Example:
    ```python
    keras.ops.convert_to_numpy(AnchoredUnitNorm()(keras.ops.array([1.0, 4.0, 5.0])))
    # array([0. , 0.6, 0.8], dtype=float32)
    ```
    """

    def __call__(self, w: Any) -> Any:
        """Project `w`, a float tensor or variable of shape (knots, …)."""
        return anchored_unit_norm(keras.ops.convert_to_tensor(w))


def _integer_axis(axis):
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ValueError(
            f"The axis of a constraint is one integer. Received: axis={axis!r}. Give the axis "
            "of the coefficients that sums to one; it is 0 for the layers of keras_actfn."
        )
    return axis
