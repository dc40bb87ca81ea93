"""The contract of a constraint, as checks that any constraint can be put to."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

#: Slices along axis 0: random, all negative, equal, far from the set, already in it.
_COLUMNS = np.stack(
    [
        np.random.default_rng(0).normal(size=5),
        [-3.0, -2.0, -5.0, -1.0, -4.0],
        [0.3, 0.3, 0.3, 0.3, 0.31],
        [1e4, -1e4, 5.0, 0.0, 1.0],
        [0.1, 0.2, 0.3, 0.4, 0.0],
    ],
    axis=1,
).astype("float32")


def check_shape_and_dtype(factory: Callable[[], Any]) -> None:
    """The result has the shape and dtype of the weight, for every number of axes."""
    for w in (_COLUMNS[:, 0], _COLUMNS, np.stack([_COLUMNS, -_COLUMNS], axis=-1)):
        for dtype in ("float32", "bfloat16"):
            result = factory()(ops.convert_to_tensor(w, dtype))
            assert tuple(result.shape) == w.shape, f"shape {result.shape} for {w.shape}"
            assert keras.backend.standardize_dtype(result.dtype) == dtype


def check_idempotent(factory: Callable[[], Any]) -> None:
    """Applied twice it changes nothing more."""
    once = ops.convert_to_numpy(factory()(ops.convert_to_tensor(_COLUMNS)))
    twice = ops.convert_to_numpy(factory()(ops.convert_to_tensor(once)))
    np.testing.assert_allclose(twice, once, atol=1e-6)


def check_columns_apart(factory: Callable[[], Any]) -> None:
    """Each column is treated on its own."""
    whole = ops.convert_to_numpy(factory()(ops.convert_to_tensor(_COLUMNS)))
    for index in range(_COLUMNS.shape[1]):
        one = factory()(ops.convert_to_tensor(_COLUMNS[:, index : index + 1]))
        np.testing.assert_allclose(
            ops.convert_to_numpy(one)[:, 0], whole[:, index], rtol=1e-5, atol=1e-6
        )


def check_config_round_trip(factory: Callable[[], Any]) -> None:
    """The constraint from its configuration gives the same result."""
    constraint = factory()
    copy = keras.constraints.deserialize(keras.constraints.serialize(constraint))
    w = ops.convert_to_tensor(_COLUMNS)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(copy(w)), ops.convert_to_numpy(constraint(w))
    )


def check_holds_in_training(factory: Callable[[], Any]) -> None:
    """After every optimizer step the weight is a fixed point of the constraint."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 5)), rng.normal(size=(24, 3))
    dense = keras.layers.Dense(3, kernel_constraint=factory(), use_bias=False)
    model = keras.Sequential([keras.Input((5,)), dense])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    kernel = ops.convert_to_numpy(dense.kernel)
    again = ops.convert_to_numpy(factory()(ops.convert_to_tensor(kernel)))
    np.testing.assert_allclose(again, kernel, atol=1e-6)


#: Every check of a constraint by its name.
CONSTRAINT_CHECKS = {
    "shape_and_dtype": check_shape_and_dtype,
    "idempotent": check_idempotent,
    "columns_apart": check_columns_apart,
    "config_round_trip": check_config_round_trip,
    "holds_in_training": check_holds_in_training,
}
