"""One epoch as one compiled loop, on JAX: for small models on an accelerator.

A step of such a model takes a GPU less time than Python needs to begin the next one. Here Python
begins an epoch; the steps are those of `fit`.
"""

import jax
import keras
import numpy as np


def pays():
    """Whether the loop is worth its compilation: XLA runs loops on a CPU slowly."""
    return jax.default_backend() != "cpu"


class EpochLoop:
    """Trains a compiled classifier of one input an epoch at a time, as `fit` does.

    Args:
        model: Compiled; its loss is the cross-entropy of integer labels and what layers add.
        x, y: The training images and labels; they stay on the device.
    """

    def __init__(self, model, x, y):
        self._model = model
        self._data = jax.device_put(x), jax.device_put(y)
        self._epoch = jax.jit(self._steps, donate_argnums=0)

    def train(self, order):
        """Train on the images at `order`, (steps, images); return each step's loss."""
        model = self._model
        parts = (model.trainable_variables, model.non_trainable_variables)
        parts += (model.optimizer.variables,)
        state = tuple([variable.value for variable in part] for part in parts)
        state, losses = self._epoch(state, *self._data, order)
        for part, values in zip(parts, state, strict=True):
            for variable, value in zip(part, values, strict=True):
                variable.assign(value)
        return np.asarray(losses)

    def _steps(self, state, x, y, order):
        def step(state, rows):
            trained, fixed, of_optimizer = state
            (value, fixed), gradients = gradient(trained, fixed, x[rows], y[rows])
            trained, of_optimizer = self._model.optimizer.stateless_apply(
                of_optimizer, gradients, trained
            )
            return (trained, fixed, of_optimizer), value

        gradient = jax.value_and_grad(self._loss, has_aux=True)
        return jax.lax.scan(step, state, order)

    def _loss(self, trained, fixed, x, y):
        predicted, fixed, losses = self._model.stateless_call(
            trained, fixed, x, training=True, return_losses=True
        )
        value = keras.losses.SparseCategoricalCrossentropy()(y, predicted)
        return value + sum(losses), fixed
