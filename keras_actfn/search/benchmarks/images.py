"""Networks and data of the tasks on images: Fashion-MNIST and digits."""

import functools
from typing import Any

import keras
import numpy as np

from ..._activation import activation
from ...applications import ViTTiny
from ...datasets import balanced_indices, load, train_validation_split


def resnet(spec: Any) -> keras.Model:
    """Pre-activation residual network on 14×14×1: five 3×3 convolutions of 8 and 16 channels.

    A convolution of stride 2, then two blocks x + conv(f(BN(conv(f(BN x))))), the second at half
    the size with a 1×1 convolution on its way past, then BN, f, the mean over places and a dense
    layer. BN is batch normalisation, f the activation.
    """
    layers = keras.layers

    def convolution(filters, size=3, strides=1):
        if strides == 1:
            return lambda x: layers.Conv2D(filters, size, padding="same", use_bias=False)(x)
        return lambda x: layers.Conv2D(filters, size, strides=strides, use_bias=False)(
            layers.ZeroPadding2D(1)(x) if size == 3 else x
        )

    def site(x):
        return activation(spec)(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))

    inputs = keras.Input((14, 14, 1))
    x = convolution(8, strides=2)(inputs)
    for filters, strides in ((8, 1), (16, 2)):
        before = site(x)
        past = x if strides == 1 else convolution(filters, 1, strides)(before)
        inside = site(convolution(filters, strides=strides)(before))
        x = layers.Add()([past, convolution(filters)(inside)])
    x = layers.GlobalAveragePooling2D()(site(x))
    return keras.Model(inputs, layers.Dense(10, name="logits")(x))


def vit(spec: Any) -> keras.Model:
    """Vision transformer on 28×28×1: patches of 7×7, width 24, depth 2, 2 heads, MLP of 72."""
    return ViTTiny(
        activation=spec,
        input_shape=(28, 28, 1),
        classifier_activation=None,
        patch_size=7,
        width=24,
        depth=2,
        heads=2,
        mlp_ratio=3,
    )


def mlp(spec: Any) -> keras.Model:
    """Three dense layers of 64 on 64 values, and the logits."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(3):
        model.add(layers.Dense(64))
        model.add(activation(spec))
    model.add(layers.Dense(10, name="logits"))
    return model


def fashion(recipe: Any, size: int = 28) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Standardised images of Fashion-MNIST, channels last, classes in balance.

    Args:
        recipe: A `BenchRecipe`.
        size: Height and width: 28, or 14 for means over 2×2.
    """
    parts = dict(_fashion(recipe.training, recipe.validation, recipe.test))
    if size == 14:
        for part, (x, y) in parts.items():
            parts[part] = x.reshape(-1, 14, 2, 14, 2, 1).mean((2, 4)), y
    x = parts["training"][0]
    mean, std = x.mean(dtype="float64"), x.std(dtype="float64")
    return {part: (((x - mean) / std).astype("float32"), y) for part, (x, y) in parts.items()}


@functools.lru_cache(maxsize=1)
def _fashion(training, validation, test):
    data = load("fashion_mnist")
    (x, y), held_out = train_validation_split(data.x_train, data.y_train, validation)
    keep = np.sort(balanced_indices(y, training))
    return {
        "training": (x[keep], y[keep].astype("int64")),
        "validation": (held_out[0], held_out[1].astype("int64")),
        "test": (data.x_test[:test], data.y_test[:test].astype("int64")),
    }


def digits(recipe: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """scikit-learn's digits as 64 values of mean 0 and variance 1 over all training values."""
    data = load("digits")
    held_out = np.zeros(len(data.y_train), dtype=bool)
    held_out[balanced_indices(data.y_train, recipe.validation)] = True
    x, y, x_validation, y_validation = (
        part[rows] for rows in (~held_out, held_out) for part in (data.x_train, data.y_train)
    )
    keep = np.sort(balanced_indices(y, recipe.training))
    x, y = x[keep], y[keep]
    mean, std = x.mean(dtype="float64"), x.std(dtype="float64")

    def standardised(images):
        return ((images.reshape(-1, 64) - mean) / std).astype("float32")

    return {
        "training": (standardised(x), y.astype("int64")),
        "validation": (standardised(x_validation), y_validation.astype("int64")),
        "test": (
            standardised(data.x_test[: recipe.test]),
            data.y_test[: recipe.test].astype("int64"),
        ),
    }
