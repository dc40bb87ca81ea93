"""How the project's own benchmark trains one function: a small network, in seconds.

Three 3×3 convolutions of 16, 32 and 32 channels (stride 2, padding 1), each followed by the
activation function, then a dense layer. Weights are scaled by AutoInit, so that the signal
neither explodes nor vanishes with depth, whatever the function.

Thousands of functions are trained on one or two cores, where eager PyTorch is the fastest
backend (nothing is compiled). The training loop is PyTorch's own for that reason; the network,
its initial weights, the activation and the Fisher spectrum are Keras's and this package's.
The patches of the first convolution do not depend on its weights and are cut once for all
functions; the other convolutions use the channels-last layout. Both are ways to compute the
same numbers, several times faster.
"""

import dataclasses
import functools
import os
import time

import keras
import numpy as np

from ..._activation import activation
from ...datasets import balanced_indices, load, train_validation_split
from ...fisher import fisher_spectrum
from ...initialization import autoinit
from ...models.seeds import seeds_drawn_from


@dataclasses.dataclass(frozen=True)
class BenchRecipe:
    """What decides a training of the benchmark, beside the function and the seed.

    Attributes:
        training_images: Drawn from the training set, classes in balance.
        validation_images: Held out of the training set, classes in balance.
        epochs: Epochs; images that do not fill a batch are dropped, others every time.
        batch_size: Images a step.
        learning_rate: Its peak; reached by linear warm-up, left by linear decay to zero.
        warm_up: Part of the steps before the peak.
        momentum: Of stochastic gradient descent.
        weight_decay: Factor of the L2 penalty's gradient, on all parameters.
        spectrum_images: Training images that the Fisher spectrum is computed on.
    """

    training_images: int = 5000
    validation_images: int = 10000
    epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 0.05
    warm_up: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 1e-4
    spectrum_images: int = 128


def small_network(spec: object) -> keras.Model:
    """The benchmark's Keras model of 19,178 parameters, with logits, for 1×28×28 images."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((1, 28, 28))])
    for number, filters in enumerate((16, 32, 32), start=1):
        model.add(layers.ZeroPadding2D(1, data_format="channels_first"))
        model.add(
            layers.Conv2D(
                filters, 3, strides=2, data_format="channels_first", name=f"convolution_{number}"
            )
        )
        model.add(activation(spec))
    # Height, width, channels in this order: that of the training loop.
    model.add(layers.Permute((2, 3, 1)))
    model.add(layers.Flatten())
    model.add(layers.Dense(10, name="logits"))
    return model


def train_function(
    spec: object,
    seed: int,
    recipe: BenchRecipe | None = None,
    data_path: str | os.PathLike | None = None,
    spectrum: bool = True,
) -> dict:
    """Train the network with one function and measure it.

    Args:
        spec: What `keras_actfn.activation` takes.
        seed: Seed of the initial weights and of the order of the images.
        recipe: A `BenchRecipe`; None for the benchmark's.
        data_path: Folder with Fashion-MNIST; None for the usual places.
        spectrum: Whether to compute the Fisher spectrum at initialisation as well.

    Returns:
        A dictionary for JSON: accuracy and loss on the training (mean over the last epoch),
        validation and test images; `diverged`; `steps`; `seconds`; with `spectrum`, `valid`
        and `cdf`, the layers' cumulative eigenvalue counts in the paper's bins. A training
        ends at the first loss that is not finite; its accuracies are those of chance.

    Raises:
        ValueError: If the backend is not PyTorch.
    """
    recipe = recipe or BenchRecipe()
    if keras.backend.backend() != "torch":
        raise ValueError(
            "The benchmark is trained by eager PyTorch. Set KERAS_BACKEND=torch. Received: the "
            f"backend {keras.backend.backend()}."
        )
    data = _data(recipe, None if data_path is None else str(data_path))
    started = time.perf_counter()
    with seeds_drawn_from(seed):
        model = small_network(spec)
    autoinit(model, input_mean=0.0, input_variance=1.0)
    result = {"function": str(spec), "seed": seed}
    if spectrum:
        found = fisher_spectrum(model, data["spectrum"], loss="softmax_crossentropy")
        result["valid"] = found.valid
        result["cdf"] = (
            np.concatenate([np.cumsum(found.histogram(i)) for i in range(len(found.blocks))])
            .astype(int)
            .tolist()
        )
    result["spectrum_seconds"] = round(time.perf_counter() - started, 3)
    network = _TorchNetwork(model)
    result |= _train(network, data, seed, recipe)
    for part in ("validation", "test"):
        accuracy, loss = (0.1, float("nan")) if result["diverged"] else network.measure(*data[part])
        if not np.isfinite(loss):
            accuracy, loss = 0.1, float("nan")
        result |= {f"{part}_accuracy": accuracy, f"{part}_loss": loss}
    result["seconds"] = round(time.perf_counter() - started, 3)
    return {
        k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in result.items()
    }


def _train(network, data, seed, recipe):
    """Train from the present weights; the figures of the last epoch."""
    import torch

    patches, labels = data["training"]
    order = np.random.default_rng(seed)
    per_epoch = len(labels) // recipe.batch_size
    total = per_epoch * recipe.epochs
    warm_up = max(1, round(total * recipe.warm_up))
    optimizer = torch.optim.SGD(
        network.parameters,
        recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    step, loss, hits, losses = 0, 0.0, 0, []
    for epoch in range(recipe.epochs):
        permutation = torch.from_numpy(order.permutation(len(labels)))
        for start in range(0, per_epoch * recipe.batch_size, recipe.batch_size):
            chosen = permutation[start : start + recipe.batch_size]
            rate = min((step + 1) / warm_up, (total - step) / max(1, total - warm_up))
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * rate
            target = labels[chosen]
            logits = network(patches[chosen])
            loss = torch.nn.functional.cross_entropy(logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            value = loss.item()
            if not np.isfinite(value):
                return {
                    "diverged": True,
                    "steps": step,
                    "training_accuracy": 0.1,
                    "training_loss": value,
                }
            if epoch == recipe.epochs - 1:
                losses.append(value)
                hits += int((logits.detach().argmax(1) == target).sum())
    return {
        "diverged": False,
        "steps": step,
        "training_accuracy": hits / (per_epoch * recipe.batch_size),
        "training_loss": float(np.mean(losses)),
    }


class _TorchNetwork:
    """`small_network` in PyTorch's own operations, from the Keras model's present weights."""

    def __init__(self, model):
        import torch

        (k1, b1), (k2, b2), (k3, b3), (w, b) = [
            [torch.from_numpy(value) for value in layer.get_weights()]
            for layer in model.layers
            if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
        ]
        sites = [
            layer
            for layer in model.layers
            if not isinstance(
                layer,
                keras.layers.Conv2D
                | keras.layers.Dense
                | keras.layers.ZeroPadding2D
                | keras.layers.Permute
                | keras.layers.Flatten,
            )
        ]
        self.activations = sites
        kernels = [
            k.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last) for k in (k2, k3)
        ]
        first = k1.reshape(9, 16)  # rows of the kernel, columns, one channel
        self.parameters = [first, b1, kernels[0], b2, kernels[1], b3, w, b]
        for parameter in self.parameters:
            parameter.requires_grad_()

    def __call__(self, patches):
        """Logits (N, 10) of images cut into patches, (N, 196, 9)."""
        import torch

        k1, b1, k2, b2, k3, b3, w, b = self.parameters
        first, second, third = self.activations
        x = torch.addmm(b1, patches.reshape(-1, 9), k1)
        x = first(x).reshape(-1, 14, 14, 16).permute(0, 3, 1, 2)  # channels last in memory
        x = second(torch.nn.functional.conv2d(x, k2, b2, stride=2, padding=1))
        x = third(torch.nn.functional.conv2d(x, k3, b3, stride=2, padding=1))
        return torch.addmm(b, x.permute(0, 2, 3, 1).reshape(-1, 512), w)

    def measure(self, patches, labels):
        """Accuracy and mean cross-entropy."""
        import torch

        hits, loss = 0, 0.0
        with torch.no_grad():
            for start in range(0, len(labels), 500):
                target = labels[start : start + 500]
                logits = self(patches[start : start + 500])
                hits += int((logits.argmax(1) == target).sum())
                loss += float(torch.nn.functional.cross_entropy(logits, target, reduction="sum"))
        return hits / len(labels), loss / len(labels)


@functools.lru_cache(maxsize=1)
def _data(recipe, data_path):
    """Standardised images of each part, cut into patches, with labels; read once a process."""
    import torch

    data = load("fashion_mnist", data_path)
    (x, y), (x_validation, y_validation) = train_validation_split(
        data.x_train, data.y_train, recipe.validation_images
    )
    keep = np.sort(balanced_indices(y, recipe.training_images))
    x, y = x[keep], y[keep]
    mean, std = x.mean(dtype="float64"), x.std(dtype="float64")
    x, x_validation, x_test = (
        ((part - mean) / std).astype("float32").transpose(0, 3, 1, 2)
        for part in (x, x_validation, data.x_test)
    )

    def patches(images):
        cut = torch.nn.functional.unfold(torch.from_numpy(images.copy()), 3, padding=1, stride=2)
        return cut.transpose(1, 2).contiguous()

    def labels(values):
        return torch.from_numpy(values.astype("int64"))

    return {
        "training": (patches(x), labels(y)),
        "validation": (patches(x_validation), labels(y_validation)),
        "test": (patches(x_test), labels(data.y_test)),
        "spectrum": np.ascontiguousarray(x[: recipe.spectrum_images]),
    }
