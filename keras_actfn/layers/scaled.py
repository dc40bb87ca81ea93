"""Any activation with a learned scale of its input and of its output."""

import functools
from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from .. import backend, expressions
from ..expressions.tensor_functions import finite
from .base import LearnableActivation, number_argument, working_dtype
from .expression import ExpressionActivation
from .hull import weighted_term


@keras.saving.register_keras_serializable(package="keras_actfn")
class ScaledActivation(LearnableActivation):
    r"""An activation with learned scales.

    $$g(x) = a\, f(b\, x)$$

    with learned a and b. For a ReLU, b adds nothing to a; for a sine, b is its frequency; for tanh
    it is where the saturation begins. f may be a layer that learns its shape: its parameters are
    then this layer's, beside a and b.

    A coefficient a of exactly 0 gives 0, also where f is infinite, so that a residual branch may
    start closed. Infinite inputs count as the largest finite number.

    Source: the scales are those of adaptive activation functions, Jagtap, Kawaguchi & Karniadakis
    (Journal of Computational Physics 404, 2020), section 2, with n a there as b here.

    Args:
        activation: f: an operator's name, an expression in x, a callable, or a layer derived from
            `LearnableActivation`, of which the configuration is taken, not the weights. Its `axis`
            is None or that of this layer. In a text of `keras_actfn.activation` it may be any
            specification of such a function: `"scaled(pwl(knots=9))"`.
        a: The a to start from.
        b: The b to start from.
        axis: None for one a and b for the layer, or the axis or axes that keep their own.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `a` and `b`, float32, scalars or of the sizes of `axis`; then those of f, by their names.

    Raises:
        ValueError: If `activation` is unknown or no function of one number, is scaled itself, or
            keeps its parameters along other axes; if a or b is no finite number; or if `axis`
            does not fit the input.

    Example:
    ```python
    layer = ScaledActivation("tanh", a=2.0, b=0.5)
    layer(keras.ops.array([[-2.0, 2.0]]))  # [[-1.5231884, 1.5231884]]
    ```
    """

    def __init__(
        self,
        activation: Any = "tanh",
        a: float = 1.0,
        b: float = 1.0,
        axis: int | Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(axis=axis, **kwargs)
        hint = "The function alone has a=1 and b=1."
        given = {"a": a, "b": b}
        self._starts = {
            name: number_argument("ScaledActivation", name, value, hint)
            for name, value in given.items()
        }
        inner = _learned(activation, self.axis)
        # Past the tracking of Keras: its parameters are this layer's.
        object.__setattr__(self, "_inner", inner)
        self._function = _function(activation) if inner is None else inner.activate
        self.create_shared_parameters()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A layer of a configuration, with that of a learned f inside."""
        given = config["activation"]
        if isinstance(given, dict):
            given = keras.saving.deserialize_keras_object(given)
        return super().from_config({**config, "activation": given})

    def build(self, input_shape: Any) -> None:
        """Create `a`, `b` and the parameters of f."""
        super().build(input_shape)
        for name, start in self._starts.items():
            self.add_parameter(name, None, keras.initializers.Constant(start))
        if self._inner is not None:
            object.__setattr__(self._inner, "add_parameter", self._take_over)
            self._inner.build(input_shape)
            if len(self._inner.weights) > len(self._inner._parameter_names):
                raise ValueError(
                    "ScaledActivation takes layers whose weights come from `add_parameter`. "
                    f"Received: {type(self._inner).__name__}, which has others."
                )

    def activate(self, x: Any, a: Any, b: Any, *parameters: Any) -> Any:
        """The formula above."""
        if self._inner is None:
            return backend.elementwise(functools.partial(_value, self._function), x, a, b)
        wide = finite(ops.cast(x, working_dtype(x, a)))
        value = self._function(b * wide, *parameters)
        lost = ops.logical_and(ops.equal(a, 0), ops.equal(ops.absolute(value), float("inf")))
        return ops.cast(a * ops.where(lost, ops.zeros_like(value), value), x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        if self._inner is None:
            saved = expressions.serialize(self._function)
        else:
            saved = keras.saving.serialize_keras_object(self._inner)
            saved["config"].pop("name", None)  # it shows nowhere
        return {**super().get_config(), "activation": saved, **self._starts}

    def _take_over(self, name, rows, initializer, shared=False, **kwargs):
        """A parameter of f, in its place."""
        shared = shared or self._inner.axis is None
        kwargs.setdefault("trainable", self._inner.trainable)
        name = f"inner_{name}" if name in self._starts else name
        self.add_parameter(name, rows, initializer, shared=shared, **kwargs)


def _value(function, x, a, b):
    wide = finite(ops.cast(x, working_dtype(x, a)))
    return ops.cast(weighted_term(function, b * wide, a), x.dtype)


def _learned(activation, axis):
    """A fresh layer like one that learns its shape; None for a function without parameters."""
    if not isinstance(activation, LearnableActivation):
        return None
    if isinstance(activation, ScaledActivation):
        raise ValueError(
            "ScaledActivation scales an activation that is not scaled already, because two "
            f"factors would learn one. Received: {activation.name!r}. Scale its activation."
        )
    if activation.axis is not None and _listed(activation.axis) != _listed(axis):
        raise ValueError(
            "In a ScaledActivation the activation has its parameters for the whole layer or along "
            f"the same axes. Received: axis={axis} and {type(activation).__name__} with "
            f"axis={activation.axis}. Give axis={activation.axis} to both."
        )
    config = activation.get_config()
    config.pop("name", None)
    return type(activation).from_config(config)


def _listed(axis):
    return [axis] if isinstance(axis, int) else list(axis or ())


def _function(activation):
    """The function of one number of anything that is no learned layer."""
    if isinstance(activation, ExpressionActivation):
        return activation.expression
    if isinstance(activation, keras.layers.Activation):
        return expressions.resolve(activation.activation)
    if isinstance(activation, keras.layers.Layer):
        raise ValueError(
            "ScaledActivation scales a function of one number or a layer derived from "
            f"LearnableActivation. Received: a {type(activation).__name__}."
        )
    return expressions.resolve(activation)
