"""`fashion_cnn`: a small convolutional network, trained by a loop of its own.

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

import functools
import time
from typing import Any

import keras
import numpy as np

from ..._activation import activation
from ...fisher import fisher_spectrum
from ...initialization import autoinit
from ...models.seeds import seeds_drawn_from
from .images import fashion


def small_network(spec: Any, data_format: str = "channels_first") -> keras.Model:
    """The Keras model of 19,178 parameters, with logits, for 28×28 images of one channel.

    Args:
        spec: What `keras_actfn.activation` takes.
        data_format: Where the channels are. The weights, and what they compute, are the same.
    """
    layers = keras.layers
    first = data_format == "channels_first"
    model = keras.Sequential([keras.Input((1, 28, 28) if first else (28, 28, 1))])
    for number, filters in enumerate((16, 32, 32), start=1):
        model.add(layers.ZeroPadding2D(1, data_format=data_format))
        model.add(
            layers.Conv2D(
                filters, 3, strides=2, data_format=data_format, name=f"convolution_{number}"
            )
        )
        model.add(activation(spec))
    if first:
        # Height, width, channels in this order: that of the training loop.
        model.add(layers.Permute((2, 3, 1)))
    model.add(layers.Flatten())
    model.add(layers.Dense(10, name="logits"))
    return model


def train(spec: Any, seed: int, recipe: Any, spectrum: bool = True) -> dict:
    """Train the network with one function and measure it, as `tasks.train_function` says.

    There are no curves.

    Args:
        spec: What `keras_actfn.activation` takes.
        seed: Seed of the initial weights and of the order of the images.
        recipe: A `BenchRecipe`.
        spectrum: Whether to compute the Fisher spectrum at initialisation as well.
    """
    data = _data(recipe)
    started = time.process_time()
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
    result["spectrum_seconds"] = round(time.process_time() - started, 3)
    network = _TorchNetwork(model)
    result |= _train(network, data, seed, recipe)
    for part in ("validation", "test"):
        accuracy, loss = (0.1, float("nan")) if result["diverged"] else network.measure(*data[part])
        if not np.isfinite(loss):
            accuracy, loss = 0.1, float("nan")
        result |= {f"{part}_accuracy": accuracy, f"{part}_loss": loss}
    result["seconds"] = round(time.process_time() - started, 3)
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
    warm_up = recipe.warm_up_steps
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
def _data(recipe):
    """The images of each part, cut into patches, with labels; read once a process."""
    import torch

    parts = fashion(recipe)

    def patches(images):
        images = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        cut = torch.nn.functional.unfold(images, 3, padding=1, stride=2)
        return cut.transpose(1, 2).contiguous()

    found: dict[str, Any] = {
        part: (patches(x), torch.from_numpy(y)) for part, (x, y) in parts.items()
    }
    images = parts["training"][0][: recipe.spectrum].transpose(0, 3, 1, 2)
    return found | {"spectrum": np.ascontiguousarray(images)}
