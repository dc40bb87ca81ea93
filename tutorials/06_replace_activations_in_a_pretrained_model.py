"""Put learned activations into a trained network, train them alone, and export the result
=======================================================================================

    python tutorials/06_replace_activations_in_a_pretrained_model.py

A small convolutional network is trained with ReLU on scikit-learn's digits: it stands for
the pretrained model. Its ReLUs are replaced in one line, weights kept; only the new
activations are trained at first, then everything. At the end the learned curves are drawn
and the model is frozen for serving. The same works on keras.applications.
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from matplotlib.figure import Figure

from keras_actfn import datasets
from keras_actfn.surgery import (
    find_activations,
    freeze_activations,
    replace_activations,
    set_activation_trainable,
)

folder = Path("runs/tutorials/06")
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(0)
data = datasets.load("digits")

# %%
# A trained model with ReLUs in every form: an activation layer, a fused argument, a bare op.
inputs = keras.Input(data.input_shape)
x = keras.layers.Conv2D(16, 3, padding="same", name="conv_1")(inputs)
x = keras.layers.ReLU(name="relu_1")(x)
x = keras.layers.Conv2D(16, 3, activation="relu", name="conv_2")(x)
x = keras.layers.MaxPooling2D(2, name="pool")(x)
x = keras.layers.Flatten(name="flatten")(x)
x = keras.ops.relu(keras.layers.Dense(32, name="dense")(x))
outputs = keras.layers.Dense(data.classes, activation="softmax", name="predictions")(x)
model = keras.Model(inputs, outputs, name="digits")
model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(data.x_train, data.y_train, batch_size=64, epochs=4, verbose=0)

# %%
# What is there? The softmax has the role "output" and stays.
for site in find_activations(model):
    print(f"{site.path:12} {site.kind:6} {site.activation:8} {site.role}")


def accuracy(network):
    """Test accuracy in percent."""
    return 100 * network.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)["accuracy"]


# %%
# ReLU by ReLU changes nothing: the new model computes the same bits.
same = replace_activations(model, "relu")
first = data.x_test[:64]
assert np.array_equal(
    keras.ops.convert_to_numpy(model(first)), keras.ops.convert_to_numpy(same(first))
)

# %%
# One line: piecewise-linear activations that start as ReLU. The accuracy is the same at first.
learned = replace_activations(model, "pwl(initial=relu)")
print(f"with ReLU {accuracy(model):.2f} %, with PWL before training {accuracy(learned):.2f} %")

# %%
# Train the curves alone: 33 numbers for each site, all other weights frozen.
learned.trainable = False
set_activation_trainable(learned, True)
learned.compile(keras.optimizers.Adam(1e-2), model.loss, metrics=["accuracy"])
learned.fit(data.x_train, data.y_train, batch_size=64, epochs=3, verbose=0)
print(f"curves trained alone: {accuracy(learned):.2f} %")

# %%
# Then everything together.
learned.trainable = True
learned.compile(keras.optimizers.Adam(5e-4), model.loss, metrics=["accuracy"])
learned.fit(data.x_train, data.y_train, batch_size=64, epochs=3, verbose=0)
print(f"everything trained: {accuracy(learned):.2f} %")

# %%
# The curves that were learned.
figure = Figure(figsize=(6, 4))
axes = figure.subplots()
grid = np.linspace(-4, 4, 401)
for site in find_activations(learned):
    if site.activation == "PWL":
        axes.plot(grid, learned.get_layer(site.path).evaluate(grid), label=site.path)
axes.plot(grid, np.maximum(grid, 0), "k:", label="ReLU, the start")
axes.set(xlabel="input", ylabel="output", title="Learned activations")
axes.legend()
figure.savefig(folder / "curves.png", dpi=120)

# %%
# For serving: the activations are fixed; export with model.export as usual (see docs/surgery.md).
serving = freeze_activations(learned)
print(f"frozen: {accuracy(serving):.2f} %, {len(serving.trainable_variables)} trainable variables")
serving.save(folder / "serving.keras")
print(f"Curves and model: {folder}")
