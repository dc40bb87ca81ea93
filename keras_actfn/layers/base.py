"""What the learnable activation layers share: axes, parameters, evaluation."""

import contextvars
import warnings
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from ..expressions.expression import shown
from ..expressions.tensor_functions import LARGEST

#: Whether a layer is made from its configuration, whose start has been judged before.
_AGAIN = contextvars.ContextVar("again", default=False)


class LearnableActivation(keras.layers.Layer):
    """Base of activation layers whose parameters are shared over all axes but some.

    A subclass adds weights in `build` through `add_parameter`, which makes them attributes of
    the given name, and implements
    `activate(x, *parameters)`, a function that is elementwise in x. Each parameter has the
    shape (rows, d₁, d₂, …) with one d for each axis in `axis`; `activate` receives it as
    (rows, …) with trailing axes that broadcast against those of x. A parameter that is `shared`
    is one for the layer whatever `axis` is: (rows,).

    Parameters stay float32 under every dtype policy (float64 under float64), outputs follow the
    compute dtype. Under float64 the layers compute in float64, but some operations of Keras that
    base functions and expressions may be made of give float32 there (`keras.ops.tanh` on JAX).

    Args:
        axis: None for one set of parameters for the layer, or the axis or axes of the input
            that keep their own, as in `keras.layers.BatchNormalization`; −1 gives one set for
            each channel. Negative axes count from the end for inputs of every rank.
        **kwargs: `keras.layers.Layer`'s, such as `name` and `dtype`.

    Raises:
        ValueError: If an axis is no integer, is given twice, is the batch's, is out of range,
            or has no static size.
        TypeError: If the inputs are not floating-point numbers.
    """

    def __init__(self, axis: int | Sequence[int] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = _axis_argument(axis)
        self.supports_masking = True
        self._own_sizes: tuple[int, ...] = ()
        self._parameter_names: list[str] = []
        self._shared_names: set[str] = set()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A layer of a configuration, without a warning about its start."""
        token = _AGAIN.set(True)
        try:
            return super().from_config(config)
        finally:
            _AGAIN.reset(token)

    def create_shared_parameters(self) -> None:
        """Build at once where no parameter's shape depends on the input.

        Every subclass calls it at the end of its constructor. Layers such as Dense do not call
        their `activation=` while a model is built, so that its weights would be missing from
        `model.weights` and from `load_weights` until the first batch.
        """
        if self.axis is None:
            self.build(None)

    def build(self, input_shape: Any) -> None:
        """Fix the sizes of the axes with their own parameters; subclasses add the weights."""
        if self.axis is None:
            return
        axes = self._normalized_axes(len(input_shape))
        self._own_sizes = tuple(input_shape[axis] for axis in axes)
        for axis, size in zip(axes, self._own_sizes, strict=True):
            if size is None:
                raise ValueError(
                    f"{self._title()}: an axis with its own parameters needs a static size. "
                    f"Axis {axis} of the input shape {tuple(input_shape)} is None. Set that "
                    "size in keras.Input, or leave the axis out of `axis`."
                )
        given = [self.axis] if isinstance(self.axis, int) else self.axis
        self.input_spec = keras.layers.InputSpec(
            min_ndim=len(input_shape) if max(given) >= 0 else max(2, -min(given)),
            axes={axis: input_shape[axis] for axis in given},
        )

    def add_parameter(
        self, name: str, rows: int | None, initializer: Any, shared: bool = False, **kwargs: Any
    ) -> None:
        """Add a weight of shape (rows, d₁, …), or (d₁, …) where `rows` is None, if not there.

        One that is `shared` has the shape (rows,), or ().
        """
        if name in self._parameter_names:
            return
        sizes = () if shared else self._own_sizes
        shape = sizes if rows is None else (rows, *sizes)
        parameter = self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            dtype="float64" if self.variable_dtype == "float64" else "float32",
            autocast=False,
            **kwargs,
        )
        setattr(self, name, parameter)
        self._parameter_names.append(name)
        if shared:
            self._shared_names.add(name)

    def activate(self, x: Any, *parameters: Any) -> Any:
        """The activation function; see the class."""
        raise NotImplementedError(f"{type(self).__name__} must implement `activate`.")

    def call(self, inputs: Any) -> Any:
        """Apply the present function to every entry of `inputs`."""
        if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(inputs.dtype)):
            raise TypeError(
                f"{self._title()} takes floating-point inputs. Received inputs of dtype "
                f"{keras.backend.standardize_dtype(inputs.dtype)}. Cast them first, for "
                'example with keras.ops.cast(x, "float32").'
            )
        shape = self._broadcast_shape(len(inputs.shape))
        return self.activate(inputs, *self._aligned_parameters(shape))

    def evaluate(self, x: Any) -> np.ndarray:
        """Values of the present function, as the layer computes them.

        Args:
            x: Numbers of any shape.

        Returns:
            Float NumPy array of the shape of `x`, followed by one axis for each axis in
            `axis`, so that `evaluate(x)[..., 3]` is the curve of channel 3.
        """
        if not self.built:
            raise ValueError(
                f"{self._title()} has no parameters before it is built. Call it once, or call "
                "build(input_shape), before evaluate."
            )
        x = np.asarray(x)
        dtype = "float64" if self.variable_dtype == "float64" else "float32"
        points = np.broadcast_to(
            x.reshape(-1, *(1 for _ in self._own_sizes)), (x.size, *self._own_sizes)
        )
        parameters = self._aligned_parameters(self._own_sizes)
        values = self.activate(ops.convert_to_tensor(points, dtype), *parameters)
        return ops.convert_to_numpy(values).reshape(x.shape + self._own_sizes)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> Any:
        """A tensor of the input's shape in the compute dtype."""
        if not isinstance(inputs, keras.KerasTensor):
            return super().compute_output_spec(inputs, **kwargs)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "axis": self.axis}

    def save_own_variables(self, store: Any) -> None:
        """Save the parameters, with a warning about those that do not meet their constraint."""
        super().save_own_variables(store)
        for name in self._parameter_names:
            parameter = getattr(self, name)
            if parameter.constraint is not None and _moves(parameter.constraint, parameter):
                warnings.warn(
                    f"{self._title()} is saved with {name} whose value does not meet its "
                    "constraint. An optimizer with use_ema=True writes averages that no "
                    "constraint was applied to: add keras_actfn.callbacks.ProjectConstraints() "
                    "to `fit`, or assign the projection of the value.",
                    stacklevel=2,
                )

    def _aligned_parameters(self, shape):
        """The weights as tensors whose trailing axes are `shape`."""
        aligned = []
        for name in self._parameter_names:
            parameter = getattr(self, name)
            sizes = parameter.shape
            if name not in self._shared_names:
                sizes = sizes[: len(sizes) - len(self._own_sizes)] + shape
            aligned.append(ops.reshape(ops.convert_to_tensor(parameter), sizes))
        return aligned

    def _broadcast_shape(self, rank):
        """Sizes of the parameters' trailing axes against an input of `rank`, batch left out."""
        if not self._own_sizes:
            return ()
        sizes = dict(zip(self._normalized_axes(rank), self._own_sizes, strict=True))
        return tuple(sizes.get(axis, 1) for axis in range(1, rank))

    def _normalized_axes(self, rank):
        """The axes as positive numbers in rising order."""
        if self.axis is None:
            return ()
        given = [self.axis] if isinstance(self.axis, int) else self.axis
        axes = []
        for axis in given:
            positive = axis + rank if axis < 0 else axis
            if not 1 <= positive < rank:
                raise ValueError(
                    f"{self._title()}: an axis with its own parameters is one of the input's, "
                    f"the batch axis 0 excluded. Received axis={axis} for an input of rank "
                    f"{rank}. Give one of {list(range(1, rank))} or its negative counterpart."
                )
            axes.append(positive)
        if len(set(axes)) < len(axes):
            raise ValueError(
                f"{self._title()}: each axis is given once. Received axis={self.axis}, which "
                f"for an input of rank {rank} means {axes}. Remove the repeated one."
            )
        return tuple(sorted(axes))

    def _title(self):
        return f"{type(self).__name__} '{self.name}'"


def _moves(constraint, parameter):
    """Whether a constraint changes the parameter by more than rounding."""
    value = ops.convert_to_numpy(parameter)
    moved = np.abs(ops.convert_to_numpy(constraint(parameter)) - value)
    return not moved.max(initial=0) <= 1e-4 * max(1, np.abs(value).max(initial=0))


def working_dtype(x: Any, parameter: Any) -> str:
    """The wider dtype of an input's and a parameter's, in which a layer computes.

    Not `keras.backend.result_type`, which on JAX and PyTorch makes float32 of two float64.
    """
    dtypes = [keras.backend.standardize_dtype(each.dtype) for each in (x, parameter)]
    return "float64" if "float64" in dtypes else keras.backend.result_type(*dtypes)


def _axis_argument(axis):
    """`axis` as None, an integer or a list of integers."""
    if axis is None:
        return None
    several = isinstance(axis, (list, tuple))
    for entry in axis if several else [axis]:
        if isinstance(entry, bool) or not isinstance(entry, (int, np.integer)):
            raise ValueError(
                "`axis` is None, an integer, or a list of integers. Received: "
                f"axis={axis!r}. Use axis=-1 for one set of parameters per channel."
            )
    if not several:
        return int(axis)
    return [int(entry) for entry in axis] or None


def starting_again() -> bool:
    """Whether a layer is being made from its configuration, and need not warn about its start."""
    return _AGAIN.get()


def finite_in_float32(values: Any) -> bool:
    """Whether all of some numbers are finite in float32, in which weights are kept."""
    return bool((np.abs(values) <= LARGEST["float32"]).all())


def number_argument(owner: str, name: str, value: Any, hint: str) -> float:
    """An argument as a float that is finite in float32, as the weights are.

    Args:
        owner: The layer, for the message.
        name: The argument's name.
        value: What was given.
        hint: What to give instead, a sentence.

    Raises:
        ValueError: If it is no such number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not finite_in_float32(number):
        raise ValueError(
            f"{owner} starts from a finite {name}, in float32. Received: {name}={shown(value)}. "
            f"{hint}"
        )
    return number
