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


def propagate(operation: keras.Operation, signals: list[Signal], tensors: list) -> Signal:
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
    why = "".join(f": {reason}" for kinds, reason in REASONS if isinstance(operation, kinds))
    weights = "the weights of " if operation.weights else ""
    raise Unknown(f"there is no rule for {weights}a {name}{why}")


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


def _rms_normalised(layer, signals, tensors):
    """Divided by the root of the mean square over the channels, times the scale γ."""
    signal, scale = signals[0], keras.ops.convert_to_numpy(layer.scale).astype("float64")
    square = signal.second_moments + layer.epsilon
    mean = signal.means / np.sqrt(square) * scale.mean()
    mean_square = signal.second_moments / square * (scale**2).mean()
    return Signal.gaussian(mean, mean_square - mean**2)


def _standardised(layer, signals, tensors):
    """Each channel less its mean, divided by its standard deviation, or back."""
    if layer.mean is None:
        raise Unknown("its mean and variance are not known yet: call adapt")
    mean = keras.ops.convert_to_numpy(layer.mean).astype("float64").ravel()
    std = np.sqrt(keras.ops.convert_to_numpy(layer.variance).astype("float64")).ravel()
    if layer.invert:
        return signals[0].map(lambda x: x[..., None] * std + mean)
    return signals[0].map(lambda x: (x[..., None] - mean) / std)


def _noisy(layer, signals, tensors):
    return Signal.gaussian(signals[0].means, signals[0].variances + layer.stddev**2)


def _multiplied_noise(layer, signals, tensors):
    """Times a Gaussian of mean 1 and variance rate / (1 − rate)."""
    noise = Signal.gaussian(1.0, layer.rate / (1 - layer.rate))
    return product_of([signals[0], noise])


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
    (layers.RMSNormalization, _rms_normalised),
    (layers.Normalization, _standardised),
    (layers.GaussianNoise, _noisy),
    (layers.GaussianDropout, _multiplied_noise),
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

_LOOP = "what a step receives depends on the steps before"
_FOREIGN = "it is not made of Keras's operations"

#: (classes, why there is no rule) for layers of Keras's that keep weights.
REASONS = (
    (layers.EinsumDense, "which axes its kernel sums over depends on the equation"),
    ((layers.Embedding, layers.ReversibleEmbedding), "its inputs are indices, not a signal"),
    (
        (
            layers.Attention,
            layers.AdditiveAttention,
            layers.MultiHeadAttention,
            layers.GroupQueryAttention,
        ),
        "its output is a mean whose weights depend on the inputs",
    ),
    (
        (
            layers.RNN,  # LSTM, GRU, SimpleRNN and ConvLSTM are its subclasses
            layers.Bidirectional,
            layers.StackedRNNCells,
            layers.LSTMCell,
            layers.GRUCell,
            layers.SimpleRNNCell,
        ),
        _LOOP,
    ),
    (layers.SpectralNormalization, "it scales the kernel by itself, in every step"),
    ((layers.TimeDistributed, layers.Wrapper), "what it wraps is called inside it"),
    (layers.MelSpectrogram, "a spectrogram is not a sum of independent inputs"),
    (layers.STFTSpectrogram, "a spectrogram is not a sum of independent inputs"),
    (
        (layers.JaxLayer, layers.FlaxLayer, layers.TFSMLayer, layers.TorchModuleWrapper),
        _FOREIGN,
    ),
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
