"""Layers as a user writes them."""

import keras
from keras import layers


@keras.saving.register_keras_serializable("own_layers")
class Block(layers.Layer):
    """Applies its activation in the middle."""

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.activation = units, keras.activations.get(activation)
        self.dense = layers.Dense(units)

    def call(self, x):
        return self.dense(self.activation(x))

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "units": self.units, "activation": activation}
