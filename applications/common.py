"""What the models share: numbered activation sites and checks of the arguments."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras

from .._activation import activation


def activation_sites(spec: Any) -> Callable[[], keras.Layer]:
    """A function whose every call gives the next site's own activation layer.

    Args:
        spec: Any specification that `keras_actfn.activation` takes.

    Returns:
        A function without arguments; its layers are called `"activation_1"`,
        `"activation_2"`, … and share nothing.
    """
    count = 0

    def site():
        nonlocal count
        count += 1
        return activation(spec, name=f"activation_{count}")

    return site


def image_model(
    default: tuple[int, int, int], smallest: int | Callable[[str, dict], int]
) -> Callable[[Callable[..., keras.Model]], Callable[..., keras.Model]]:
    """Decorate a model of images: its body gets arguments that are checked and complete.

    What the user gives and what the body receives:

    | argument | given | received |
    |---|---|---|
    | `activation` | any specification | a function whose every call gives a site's new layer |
    | `input_shape` | a shape or None | the shape of one image in `data_format` |
    | `classes` | a number | the same, a positive integer |
    | `classifier_activation` | a name, a function or None | a function of a tensor |
    | `data_format` | a name or None | `"channels_last"` or `"channels_first"` |

    The decorated function has the attributes `default` and `smallest`, the least side of an
    image with the other arguments at their defaults.

    Args:
        default: `(height, width, channels)` where `input_shape` is None.
        smallest: Least height and width that the model's pooling leaves anything of, or a
            function of the model's name and its arguments that gives it.
    """

    def decorate(build):
        signature, title = inspect.signature(build), build.__name__

        def least(arguments):
            return smallest(title, arguments) if callable(smallest) else smallest

        @functools.wraps(build)
        def model(*args, **kwargs):
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = bound.arguments
            given["input_shape"], given["data_format"] = image_arguments(
                title,
                given["input_shape"],
                given["classes"],
                given["data_format"],
                default=default,
                smallest=least(given),
            )
            last = classifier_function(title, given["classifier_activation"])
            given["classifier_activation"] = last
            given["activation"] = activation_sites(given["activation"])
            return build(*bound.args, **bound.kwargs)

        found: Any = model
        found.default = default
        found.smallest = least({p.name: p.default for p in signature.parameters.values()})
        return found

    return decorate


def image_arguments(
    model: str,
    input_shape: tuple[int, ...] | None,
    classes: int,
    data_format: str | None,
    *,
    default: tuple[int, int, int],
    smallest: Any,
) -> tuple[tuple[int, ...], str]:
    """Check and complete the arguments of a model of images.

    Args:
        model: The model's name, for messages.
        input_shape: Shape of one image in `data_format`, or None.
        classes: Number of outputs.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        default: `(height, width, channels)` where `input_shape` is None.
        smallest: Least height and width that the model's pooling leaves anything of.

    Returns:
        `(input_shape, data_format)`, both complete.

    Raises:
        ValueError: If one of them is not what it should be.
    """
    if data_format is None:
        data_format = keras.config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            f"{model}: data_format is 'channels_last', 'channels_first' or None. Received: "
            f"data_format={data_format!r}."
        )
    if not is_positive(classes):
        raise ValueError(f"{model}: classes is a positive integer. Received: classes={classes!r}.")
    last = data_format == "channels_last"
    if input_shape is None:
        height, width, channels = default
        return ((height, width, channels) if last else (channels, height, width)), data_format
    axes = "(height, width, channels)" if last else "(channels, height, width)"
    try:
        shape = tuple(input_shape)
    except TypeError:
        shape = ()
    if len(shape) != 3 or not all(map(is_positive, shape)):
        raise ValueError(
            f"{model}: input_shape is {axes}, three positive integers without the batch. "
            f"Received: input_shape={input_shape!r}."
        )
    height, width = shape[:2] if last else shape[1:]
    if min(height, width) < smallest:
        raise ValueError(
            f"{model}: images have at least {smallest}×{smallest} pixels, or nothing is left after "
            f"pooling. Received: input_shape={shape}, read as {axes}. Resize the images or set "
            "data_format."
        )
    return shape, data_format


def is_positive(value: object) -> bool:
    """Whether a value is an integer of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def classifier_function(model: str, classifier_activation: Any) -> Callable:
    """The last layer's activation, never a site.

    Args:
        model: The model's name, for messages.
        classifier_activation: A name or function of Keras, or None for logits.

    Returns:
        A function of a tensor.

    Raises:
        ValueError: If Keras knows no activation of that name.
    """
    try:
        return keras.activations.get(classifier_activation)
    except ValueError as error:
        raise ValueError(
            f"{model}: classifier_activation is 'softmax', None for logits, or another activation "
            f"of Keras. Received: classifier_activation={classifier_activation!r}."
        ) from error
