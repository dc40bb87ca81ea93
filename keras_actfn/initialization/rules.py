"""How each kind of layer without weights of its own changes a signal, for AutoInit."""

import math

import keras
import numpy as np
from keras import layers

from ..models import activations
from .kernels import CONVOLUTIONS, DEPTHWISE, SEPARABLE, TRANSPOSED, windows
from .signal_moments import Signal, mixture_of, product_of, sum_of


class Unknown(Exception):
    """A layer that the analysis does not know; the text says why."""


def propagate(operation, signals, tensors):
    """The signal behind a layer or operation, for those it receives.

    For layers with kernels this is what follows the kernel: their own activation.

    Args:
        operation: A layer, or an operation of `keras.ops` in a functional model.
        signals: Signals of its inputs.
        tensors: Its symbolic inputs.

    Raises:
        Unknown: If there is no rule for it.
    """
    for kinds, rule in RULES:
        if isinstance(operation, kinds):
            return rule(operation, signals, tensors)
    name = type(operation).__name__
    if not isinstance(operation, keras.Layer):
        if len(signals) == 1 and (name in ARITHMETIC or activations.is_elementwise(operation)):
            return _elementwise(operation, signals, tensors)
        if name in OPERATIONS and len(signals) == len(tensors):
            return OPERATIONS[name](operation, signals, tensors)
        if activations.is_elementwise(operation) is False:
            raise Unknown(f"{name} is not a function of one value")
        raise Unknown(f"there is no rule for the operation {name}")
    if activations.is_activation_layer(operation) and len(signals) == 1:
        return _activation_layer(operation, signals, tensors)
    weights = "the weights of " if operation.weights else ""
    raise Unknown(f"there is no rule for {weights}a {name}")


def _same(operation, signals, tensors):
    return signals[0]


def _moved(operation, signals, tensors):
    return signals[0].anywhere()


def _normalised(layer, signals, tensors):
    """Scale γ and offset β of what has mean zero and variance one."""
    gamma, beta = (
        np.array([default]) if weight is None else keras.ops.convert_to_numpy(weight)
        for weight, default in ((layer.gamma, 1.0), (layer.beta, 0.0))
    )
    variance = (gamma.astype("float64") ** 2).mean() + beta.astype("float64").var()
    return Signal.gaussian(beta.mean(), variance)


def _own_activation(layer, signals, tensors):
    function = layer.activation
    if function is None or function is keras.activations.linear:
        return signals[0]
    if isinstance(function, keras.Layer):
        return propagate(function, signals, tensors)
    if activations.is_elementwise(function) is False:
        raise Unknown(f"{activations.function_name(function)} is not a function of one value")
    return _elementwise(function, signals, tensors)


def _activation_layer(layer, signals, tensors):
    if hasattr(layer, "evaluate"):
        return signals[0].map(layer.evaluate)
    if isinstance(layer, keras.layers.Activation):
        return _own_activation(layer, signals, tensors)
    if activations.is_elementwise(layer) is False:
        raise Unknown(f"{activations.layer_name(layer)} is not a function of one value")
    return _elementwise(layer, signals, tensors)


def _elementwise(function, signals, tensors):
    """A function of tensors, computed in float32 in one batch."""

    def values(x):
        tensor = keras.ops.convert_to_tensor(x.astype("float32"))
        return keras.ops.convert_to_numpy(function(tensor))

    return signals[0].map(values)


def _prelu(layer, signals, tensors):
    slope = float(keras.ops.convert_to_numpy(layer.alpha).mean())
    return signals[0].map(lambda x: np.where(x > 0, x, slope * x))


def _dropout(layer, signals, tensors):
    return signals[0].dropped(layer.rate)


def _max_pool(layer, signals, tensors):
    """The largest of as many values as the pool has, of the kind at its middle."""
    signal = signals[0].largest_of(math.prod(layer.pool_size))
    seen = windows(layer, tensors[0].shape)
    if seen is None or not signal.kinds.ndim:
        return signal
    kinds = signal.kinds
    for axis, (matrix, _) in enumerate(seen):
        middle = [np.flatnonzero(row)[row.sum().astype(int) // 2] for row in matrix]
        kinds = kinds.take(middle, axis)
    return signal.at(kinds)


def _average_pool(layer, signals, tensors):
    n = math.prod(layer.pool_size)
    return Signal.gaussian(signals[0].mean, signals[0].variances.mean() / n)


def _global_average(layer, signals, tensors):
    variance = signals[0].variances.mean() / _pixels(layer, tensors)
    return Signal.gaussian(signals[0].mean, variance)


def _global_max(layer, signals, tensors):
    return signals[0].at(np.array(signals[0].kinds.flat[0])).largest_of(_pixels(layer, tensors))


def _padded(layer, signals, tensors):
    """Zeros around the image."""
    if None in tensors[0].shape[1:]:
        return signals[0].anywhere()
    last = layer.data_format == "channels_last" if hasattr(layer, "data_format") else True
    shape = tensors[0].shape[1:-1] if last else tensors[0].shape[2:]
    padding = [layer.padding] if isinstance(layer.padding[0], int) else layer.padding
    means, squares = (
        np.pad(np.broadcast_to(m, shape), padding)
        for m in (signals[0].means, signals[0].second_moments)
    )
    return Signal.gaussian(means, squares - means**2)


def _rescaled(layer, signals, tensors):
    scale, offset = np.mean(layer.scale), np.mean(layer.offset)
    return signals[0].map(lambda x: x * scale + offset)


def _sum(operation, signals, tensors):
    return sum_of(signals)


def _difference(operation, signals, tensors):
    return sum_of([signals[0], signals[1].map(np.negative)])


def _product(operation, signals, tensors):
    return product_of(signals)


def _mean(operation, signals, tensors):
    return sum_of(signals).map(lambda x: x / len(signals))


def _concatenation(operation, signals, tensors):
    sizes = [math.prod(_known(tensor.shape[1:])) for tensor in tensors]
    if len({signal.kinds.shape for signal in signals}) > 1:
        signals = [signal.anywhere() for signal in signals]
    return mixture_of(signals, sizes)


#: (classes, rule), the first that fits counts; a rule takes (layer, signals, input tensors).
RULES = (
    ((layers.Dense, *CONVOLUTIONS, *DEPTHWISE, *SEPARABLE, *TRANSPOSED), _own_activation),
    (layers.PReLU, _prelu),
    (layers.BatchNormalization, _normalised),
    ((layers.LayerNormalization, layers.GroupNormalization), _normalised),
    ((layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D), _dropout),
    (layers.Dropout, _dropout),
    ((layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D), _max_pool),
    ((layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D), _average_pool),
    (
        (
            layers.GlobalAveragePooling1D,
            layers.GlobalAveragePooling2D,
            layers.GlobalAveragePooling3D,
        ),
        _global_average,
    ),
    (
        (layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
        _global_max,
    ),
    ((layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D), _padded),
    (layers.Rescaling, _rescaled),
    (layers.Add, _sum),
    (layers.Subtract, _difference),
    (layers.Multiply, _product),
    (layers.Average, _mean),
    (layers.Concatenate, _concatenation),
    ((layers.Identity, layers.ActivityRegularization, layers.Masking), _same),
    ((layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector), _moved),
    ((layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D), _moved),
    ((layers.Cropping1D, layers.Cropping2D, layers.Cropping3D), _moved),
)

#: Operations of `keras.ops` in functional models, by class name.
OPERATIONS = {
    "Add": _sum,
    "Subtract": _difference,
    "Multiply": _product,
    "Concatenate": _concatenation,
    "Reshape": _moved,
    "Transpose": _moved,
    "GetItem": _moved,
}
#: Functions of one number that are no activations, by class name.
ARITHMETIC = frozenset(
    ("Absolute", "Arcsinh", "Arctan", "Cos", "Erf", "Exp", "Negative", "Sin", "Square")
)


def _pixels(layer, tensors):
    shape = tensors[0].shape[1:]
    return math.prod(_known(shape[:-1] if layer.data_format == "channels_last" else shape[1:]))


def _known(shape):
    """Sizes, one standing for those that are unknown."""
    return [1 if n is None else n for n in shape]
