"""Put learned activations into a trained network, train them alone, and export the result
=======================================================================================

A small convolutional network, trained with ReLU on scikit-learn's digits, stands for the pretrained
model. One call replaces its ReLUs and keeps its weights. At first only the new activations are
trained, then all weights. The script plots the learned activations and freezes the model for
serving. Models of keras.applications are treated in the same way.

Run it from any folder:

    python tutorials/06_replace_activations_in_a_pretrained_model.py

It takes a few seconds. The model and the figure go to runs/tutorials/06/.
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
# Train a model with ReLUs in all forms: as a layer, as an argument of a layer, as an operation.
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
# List the activation sites. The softmax has the role "output" and is not replaced by default.
for site in find_activations(model):
    print(f"{site.path:12} {site.kind:6} {site.activation:8} {site.role}")


def accuracy(network):
    """Test accuracy in percent."""
    return 100 * network.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)["accuracy"]


# %%
# Replacing ReLU by ReLU changes no bit of the outputs.
same = replace_activations(model, "relu")
first = data.x_test[:64]
assert np.array_equal(
    keras.ops.convert_to_numpy(model(first)), keras.ops.convert_to_numpy(same(first))
)

# %%
# Replace the ReLUs by piecewise linear activations that start as ReLU. The accuracy stays the same.
learned = replace_activations(model, "pwl(initial=relu)")
print(f"with ReLU {accuracy(model):.2f} %, with PWL before training {accuracy(learned):.2f} %")

# %%
# Train only the activations, 33 numbers per site, with all other weights frozen.
learned.trainable = False
set_activation_trainable(learned, True)
learned.compile(keras.optimizers.Adam(1e-2), model.loss, metrics=["accuracy"])
learned.fit(data.x_train, data.y_train, batch_size=64, epochs=3, verbose=0)
print(f"activations trained: {accuracy(learned):.2f} %")

# %%
# Then train all weights together.
learned.trainable = True
learned.compile(keras.optimizers.Adam(5e-4), model.loss, metrics=["accuracy"])
learned.fit(data.x_train, data.y_train, batch_size=64, epochs=3, verbose=0)
print(f"all weights trained: {accuracy(learned):.2f} %")

# %%
# Plot the learned activations.
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
# Freeze the activations for serving. Export the model with `model.export` as usual (see
# docs/surgery.md).
serving = freeze_activations(learned)
print(f"frozen: {accuracy(serving):.2f} %, {len(serving.trainable_variables)} trainable variables")
serving.save(folder / "serving.keras")
print(f"figure and model: {folder}")
