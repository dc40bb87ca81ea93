r"""What an activation sees before and after training: AQuaSurF's Figure 9, in LeNet-5.

    KERAS_BACKEND=tensorflow python benchmarks/aquasurf_inputs.py \
        --output benchmarks/aquasurf_inputs.txt

The paper's CoAtNet, trained on Imagenette, uses erfc(softplus(x))² "like a rectifier at
initialization and like a sigmoidal activation function after training". Here LeNet-5 is trained
with it on Fashion-MNIST (Adam 1e-3, 8 epochs of batches of 128, seeds 0 to 2). The inputs of its
three activations on 1,000 test images are put together, as many of each, and a rectifier, a
sigmoid and a straight line, either way round, are fitted to the function where those inputs are.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from keras_actfn.applications import LeNet5

from keras_actfn import datasets
from keras_actfn._files import write_file
from keras_actfn.expressions import resolve
from keras_actfn.surgery import find_activations
from keras_actfn.theory import compare_shapes
from keras_actfn.training.results import in_columns

NAME = "erfc_softplus_squared"
SEEDS, EPOCHS, INPUTS = (0, 1, 2), 8, 1_000  # inputs of each activation
FAMILIES = ("relu", "sigmoid", "linear")


def seen(model, x, sites):
    """1,000 inputs of each activation on the images, drawn evenly, in one array."""
    rng = np.random.default_rng(0)
    reader = keras.Model(model.inputs, [model.get_layer(name).input for name in sites])
    found = [part.ravel() for part in reader.predict(x, batch_size=500, verbose=0)]
    return np.concatenate([rng.choice(part, INPUTS, replace=False) for part in found])


def row(when, seed, inputs, accuracy):
    """Where the inputs are, and how well each family describes the function there."""
    fits = compare_shapes(inputs, resolve(NAME)(inputs))
    quantiles = np.quantile(inputs, (0.05, 0.5, 0.95))
    return [
        when,
        str(seed),
        *(f"{value:+.2f}" for value in quantiles),
        *(f"{fits[family].r2:.4f}" for family in FAMILIES),
        "—" if accuracy is None else f"{100 * accuracy:.2f}",
    ]


def rows(seed, data):
    """One training: what its activations see before it and after it."""
    keras.utils.set_random_seed(seed)
    model = LeNet5(activation=NAME, input_shape=data.input_shape, classes=data.classes)
    sites = [site.path for site in find_activations(model) if site.role == "hidden"]
    images = data.x_test[:1000]
    before = seen(model, images, sites)
    optimizer = keras.optimizers.Adam(1e-3)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(data.x_train, data.y_train, batch_size=128, epochs=EPOCHS, verbose=0)
    accuracy = model.evaluate(data.x_test, data.y_test, batch_size=500, verbose=0)[1]
    after = seen(model, images, sites)
    return [row("before", seed, before, None), row("after", seed, after, accuracy)]


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="file for the table")
    args = parser.parse_args()
    data = datasets.load("fashion_mnist")
    body = [cells for seed in SEEDS for cells in rows(seed, data)]
    headings = ["training", "seed", "5 %", "50 %", "95 %"]
    headings += [f"R² of {family}" for family in FAMILIES]
    text = (
        f"{NAME} in LeNet-5, {EPOCHS} epochs on {len(data.x_train):,} images of Fashion-MNIST: "
        "quantiles of the inputs of its three activations,\nand R² of the best fit of each family "
        f"to the function at {INPUTS:,} inputs of each. Backend: {keras.backend.backend()}.\n\n"
        f"{in_columns([*headings, 'test accuracy (%)'], body)}\n"
    )
    print(text)
    if args.output:
        write_file(args.output, text)


if __name__ == "__main__":
    main()
