"""Any expression in x as a layer: `y = f(x)`, elementwise, without parameters."""

from typing import Any

import keras
import numpy as np

from ..expressions import Expression, resolve
from ..expressions.expression import require_float


@keras.saving.register_keras_serializable(package="keras_actfn")
class ExpressionActivation(keras.layers.Layer):
    """Applies an expression in x elementwise.

    Inputs of 16 bits are computed in float32 and returned in 16 bits, because formulas with
    exponentials leave float16's range and bfloat16's precision within one step. Only the
    input is kept for the gradient. The layer is saved by the expression's text.

    Args:
        expression: Text such as `"max(relu(x),cosh(elu(x)))"`, the name of an operator of one
            argument or of a discovered function, or an `Expression`.
        **kwargs: As in `keras.layers.Layer`.

    Raises:
        SpecError: A `ValueError` that shows the position, if the text cannot be read.
        ValueError: If `expression` names a function that is no expression.
        TypeError: When called on integers or complex numbers.

    Example:
        >>> layer = ExpressionActivation("x * erfc(elu(x))")
        >>> layer.expression
        parse('mul(x,erfc(elu(x)))')
    """

    def __init__(self, expression: str | Expression, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.expression = _expression(expression)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """Return f(inputs), of the shape and dtype of the inputs."""
        require_float(keras.backend.standardize_dtype(inputs.dtype), self.expression)
        return self.expression.recomputed(inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `input_shape`."""
        return input_shape

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the shape of the inputs in the compute dtype."""
        require_float(inputs.dtype, self.expression)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def evaluate(self, x: Any) -> np.ndarray:
        """Return f(x) as NumPy values of the shape of `x`, computed in float64.

        Args:
            x: Numbers of any shape.
        """
        return np.asarray(self.expression(np.asarray(x, "float64")))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, the expression by its text."""
        return {**super().get_config(), "expression": str(self.expression)}


def _expression(spec):
    expression = resolve(spec)
    if not isinstance(expression, Expression):
        raise ValueError(
            f"'{spec}' is no expression in x, but a function of Keras or your own. Use "
            "keras.layers.Activation for it."
        )
    return expression
