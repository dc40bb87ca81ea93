"""A multilayer perceptron: the model for tables.

(dense units – act) × depth – dense. Its last layer gives probabilities of classes, or the numbers
of a regression without an activation.
"""

from typing import Any

import keras
from keras import layers

from .common import activation_sites, classifier_function, is_positive

#: The number of classes where neither `classes` nor `outputs` is given.
_CLASSES = 10


def MLP(
    activation: Any = "relu",
    input_shape: int | tuple[int, ...] = (784,),
    classes: int | None = None,
    classifier_activation: Any = "softmax",
    outputs: int | None = None,
    units: int = 64,
    depth: int = 2,
    name: str | None = "mlp",
) -> keras.Model:
    """Dense layers with an activation behind each but the last; `depth` sites.

    With f features it has (f + 1)·u + (d − 1)·(u + 1)·u + (u + 1)·n parameters, u `units`, d
    `depth` and n `classes` or `outputs`.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: `(features,)`. A shape with more axes, such as that of images, is flattened.
        classes: Number of classes, for a classification; 10 if neither it nor `outputs` is given.
        classifier_activation: Activation of the last layer for classes; None for logits.
        outputs: Number of outputs, for a regression: the last layer has no activation.
        units: Width of each hidden layer.
        depth: Number of hidden layers.
        name: Name of the model.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be, or both `classes` and `outputs` are
            given.

    Example:
    ```python
    model = MLP(activation="pwl", input_shape=(8,), outputs=1)
    model.compile("adam", "mean_squared_error")
    rows = np.random.default_rng(0).normal(size=(64, 8))
    model.fit(rows, rows.sum(1), verbose=0)
    ```
    """
    if classes is not None and outputs is not None:
        raise ValueError(
            f"MLP: classes is for a classification, outputs for a regression. Received: "
            f"classes={classes!r} and outputs={outputs!r}. Leave one out."
        )
    if classes is None and outputs is None:
        classes = _CLASSES
    shape = (input_shape,) if isinstance(input_shape, int) else input_shape
    if not isinstance(shape, tuple | list) or not shape or not all(map(is_positive, shape)):
        raise ValueError(
            "MLP: input_shape is (features,) or a longer shape, positive integers without the "
            f"batch. Received: input_shape={input_shape!r}."
        )
    numbers = {"classes": classes, "outputs": outputs, "units": units, "depth": depth}
    for argument, value in numbers.items():
        if value is not None and not is_positive(value):
            raise ValueError(
                f"MLP: {argument} is a positive integer. Received: {argument}={value!r}."
            )
    last = classifier_function("MLP", classifier_activation)
    site = activation_sites(activation)

    inputs = x = keras.Input(tuple(shape), name="features")
    if len(shape) > 1:
        x = layers.Flatten(name="flatten")(x)
    for index in range(1, depth + 1):
        x = layers.Dense(units, name=f"dense_{index}")(x)
        x = site()(x)
    if outputs is not None:
        x = layers.Dense(outputs, name="predictions")(x)
    else:
        x = layers.Dense(classes, activation=last, name="predictions")(x)
    return keras.Model(inputs, x, name=name)
