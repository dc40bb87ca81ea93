"""Start a network by AutoInit, train it by a paper's recipe, give activations their own rate
==========================================================================================

The recipes are the papers'. The data is scikit-learn's digits, so the accuracies are not. For
CIFAR-10, replace the digits by `datasets.load("cifar10", path)`, which reads the official archive,
and the small network by `applications.AllCNNC`.

Run it from any folder:

    python tutorials/07_train_like_the_paper.py

It takes less than a minute. The figure goes to runs/tutorials/07/.
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from matplotlib.figure import Figure

import keras_actfn
from keras_actfn import datasets
from keras_actfn.initialization import autoinit
from keras_actfn.training import RECIPES, Task, activation_variables, compare, parameter_groups

folder = Path("runs/tutorials/07")
folder.mkdir(parents=True, exist_ok=True)
data = datasets.load("digits").subset(640)


def small_all_cnn(activation):
    """An All-CNN-C in small: strided convolutions, an activation after each."""
    inputs = x = keras.Input(data.input_shape)
    for index, (filters, strides) in enumerate(((16, 1), (16, 2), (32, 1), (32, 2)), start=1):
        x = keras.layers.Conv2D(filters, 3, strides, padding="same", name=f"conv_{index}")(x)
        x = keras_actfn.activation(activation, name=f"activation_{index}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = keras.layers.Dense(data.classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, outputs)


# %%
# 1. AutoInit scales the weights so that the signal keeps its variance. Print the variance of each
# convolution's output before and after, for a function that Glorot's initialisation does not suit:
# erfc(softplus(x))², the best one of the AQuaSurF paper for CoAtNet.
keras.utils.set_random_seed(0)
model = small_all_cnn("square(erfc(softplus(x)))")
noise = np.random.default_rng(0).normal(size=(64, *data.input_shape)).astype("float32")
convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
taps = keras.Model(model.input, [layer.output for layer in convolutions])


def variances():
    """Variance of the outputs of every convolution."""
    return [float(keras.ops.convert_to_numpy(y).var()) for y in taps(noise, training=True)]


before = variances()
report = autoinit(model)
after = variances()
print(report)
print("variance before:", np.round(before, 3), " after:", np.round(after, 3))
assert not report.unknown

# %%
# 2. Train with a recipe by its name: SGD with warm-up and linear decay, crops and flips,
# standardised images, AutoInit, no weight decay on the activations. Both activations start from the
# same weights.
recipe = RECIPES["aquasurf_cifar"]
print(f"{recipe.name}: {recipe.source}")
task = Task(small_all_cnn, data, validation=0, recipe=recipe, epochs=2, batch_size=64)
print(compare(task, ["relu", "aff(identity,relu)"], seeds=1))

# %%
# 3. Set up an optimiser by hand: the activations learn at ten times the rate of the weights and are
# frozen for the first epoch.
keras.utils.set_random_seed(0)
model = small_all_cnn("aff(identity,relu)")
autoinit(model, input_mean=data.x_train.mean(), input_variance=data.x_train.var())
steps_per_epoch = -(-len(data.x_train) // 64)
optimizer = parameter_groups(
    model,
    keras.optimizers.Adam(1e-3),
    keras.optimizers.Adam(1e-2),
    freeze_steps=steps_per_epoch,
)
model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
for epoch in range(2):
    model.fit(data.x_train, data.y_train, batch_size=64, verbose=0)
    weights = [keras.ops.convert_to_numpy(v).round(3).tolist() for v in activation_variables(model)]
    print(f"epoch {epoch + 1}: coefficients of identity and ReLU at each site: {weights}")

figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.subplots()
names = [layer.name for layer in convolutions]
axes.semilogy(names, before, "o-", label="Glorot initialisation")
axes.semilogy(names, after, "o-", label="AutoInit")
axes.set_ylabel("variance of the outputs")
axes.legend()
figure.savefig(folder / "autoinit.png", dpi=150)
print("figure:", folder / "autoinit.png")
