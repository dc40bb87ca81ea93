r"""Are the inputs of an activation Gaussian within a class? The correlation paper's section 4.2.

    KERAS_BACKEND=tensorflow python benchmarks/correlation_inputs.py \
        --output benchmarks/correlation_inputs.txt

The paper looks at histograms of each class and finds them "approximately Gaussian". Here the
networks of `correlation_networks.py` (PWL with 33 knots after BatchNormalization, trained by the
loss) are measured before and after training on 1,000 test images, by the Kolmogorov distance of
each class's inputs from the normal law of their mean and deviation: `layer` with all channels
together, as the layer's one function sees them, `channel` for each channel by itself.

Fashion-MNIST, 3,000 training images, batch 128, Adam 1e-3, 20 epochs, seeds 0 to 2.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from correlation_networks import BATCH_SIZE, build

from keras_actfn import datasets
from keras_actfn._files import write_file
from keras_actfn.layers import PWL
from keras_actfn.theory.gaussianity import gaussianity
from keras_actfn.training.results import in_columns

IMAGES, EPOCHS, SEEDS = 3_000, 20, (0, 1, 2)
BINS = 200


def normality(values):
    """The `Gaussianity` of values, in 200 bins of their range; None if all are equal."""
    counts, edges = np.histogram(values, BINS)
    return gaussianity(counts, edges) if np.count_nonzero(counts) > 1 else None


def measure(model, x, y):
    """For each activation: mean distance, |skewness| and excess kurtosis, layer and channel."""
    found = [layer for layer in model.layers if isinstance(layer, PWL)]
    reader = keras.Model(model.inputs, [layer.input for layer in found])
    result = []
    for inputs in keras.tree.flatten(reader.predict(x, batch_size=500, verbose=0)):
        by_class = [inputs[y == label].astype("float64") for label in np.unique(y)]
        pooled = [normality(part.ravel()) for part in by_class]
        channels = [
            normality(part[..., channel].ravel())
            for part in by_class
            for channel in range(part.shape[-1])
        ]
        result.append([*_means(pooled), *_means([one for one in channels if one is not None])])
    return np.array(result)


def _means(parts):
    return np.mean([[p.distance, abs(p.skewness), p.excess_kurtosis] for p in parts], axis=0)


def trained(name, seed, data):
    """What one network measures before and after training, (2, layers, 6)."""
    keras.utils.set_random_seed(seed)
    model = build(name, PWL)
    test = np.asarray(data.x_test[:1000]), np.asarray(data.y_test[:1000])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    x, y = np.asarray(data.x_train[:IMAGES]), np.asarray(data.y_train[:IMAGES])
    # Before training the averages of BatchNormalization are not those of the data yet.
    model.optimizer.learning_rate = 0.0
    model.fit(x, y, BATCH_SIZE, 2, verbose=0)
    before = measure(model, *test)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    model.fit(x, y, BATCH_SIZE, EPOCHS, verbose=0)
    return np.array([before, measure(model, *test)])


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="file for the table")
    args = parser.parse_args()
    data = datasets.load("fashion_mnist")
    parts = [
        "Inputs of activations, class by class: Kolmogorov distance from the normal law with "
        "their mean and deviation, |skewness|\nand excess kurtosis; means over ten classes (and "
        f"channels) of 1,000 test images, ± deviation of the distance over {len(SEEDS)}\nseeds. A "
        "uniform law has distance 0.06 and excess kurtosis -1.2, an exponential one 0.16, skewness "
        f"2 and excess 6.\nBackend: {keras.backend.backend()}."
    ]
    for name in ("vgg", "resnet"):
        runs = np.array([trained(name, seed, data) for seed in SEEDS])
        means, spread = runs.mean(axis=0), runs.std(axis=0, ddof=1)
        body = [
            [
                str(layer + 1),
                when,
                *(
                    cell
                    for i in (0, 3)
                    for cell in (
                        f"{means[stage, layer, i]:.3f} ± {spread[stage, layer, i]:.3f}",
                        f"{means[stage, layer, i + 1]:.2f}",
                        f"{means[stage, layer, i + 2]:+.2f}",
                    )
                ),
            ]
            for layer in range(means.shape[1])
            for stage, when in enumerate(("before", "after"))
        ]
        headings = ["layer", "training", "layer: distance", "skewness", "excess"]
        headings += ["channel: distance", "skewness", "excess"]
        parts.append(f"{name}\n\n{in_columns(headings, body)}")
    text = "\n\n".join(parts)
    print(text)
    if args.output:
        write_file(args.output, text + "\n")


if __name__ == "__main__":
    main()
