"""Seconds for a Fisher spectrum beside curvlinops, on the same model in the same process.

    pip install curvlinops-for-pytorch
    KERAS_BACKEND=torch python benchmarks/fisher_peers.py > benchmarks/fisher_peers.txt

curvlinops computes Kronecker factors of PyTorch modules, so the Keras model is rebuilt of these
with the same weights, for each activation function anew. Both compute the exact Fisher factors of
128 random images (`FisherType.TYPE2`, a backward pass a class) and their eigenvalues, in turn;
ours counts the histograms as well. The last column compares the traces of the blocks, whose
product of factors both define alike.
"""

import argparse
import os
import statistics
import time

import keras
import numpy as np
import torch
from curvlinops import FisherType, KFACLinearOperator
from torch import nn

from keras_actfn import applications
from keras_actfn.fisher import fisher_spectrum

BATCH = 128
SHAPES = {"LeNet5": (28, 28, 1), "KerasNet": (32, 32, 3), "AllCNNC": (32, 32, 3)}
FUNCTIONS = {
    "tanh": nn.Tanh,
    "swish": nn.SiLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
}


class _ChannelsLast(nn.Module):
    """Flattens as Keras does: channels vary fastest."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


class _Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def rebuilt(model):
    """The chain of layers as a PyTorch module that ends in logits, with the same weights."""
    parts, shape = [], None
    for layer in model.layers[1:]:
        kind = type(layer).__name__
        if kind in ("Conv2D", "Dense"):
            weight, bias = (torch.tensor(np.array(v)) for v in layer.get_weights())
            if kind == "Conv2D":
                padding = _padding(layer, shape)
                if isinstance(padding, list):
                    parts.append(nn.ZeroPad2d(padding))
                    padding = 0
                part = nn.Conv2d(
                    weight.shape[2], weight.shape[3], layer.kernel_size, layer.strides, padding
                )
                weight = weight.permute(3, 2, 0, 1)
            else:
                part, weight = nn.Linear(*weight.shape), weight.T
            part.weight.data, part.bias.data = weight.contiguous(), bias
            parts.append(part)
        elif kind == "MaxPooling2D":
            parts.append(nn.MaxPool2d(layer.pool_size))
        elif kind == "Flatten":
            parts.append(_ChannelsLast())
        elif kind == "GlobalAveragePooling2D":
            parts.append(_Mean())
        elif kind != "Dropout" and layer.activation is not keras.activations.softmax:
            parts.append(FUNCTIONS[layer.activation.__name__.replace("silu", "swish")]())
        shape = layer.output.shape
    return nn.Sequential(*parts)


def _padding(layer, shape):
    """PyTorch's padding for a convolution; Keras pads strided ones on one side more."""
    if layer.padding == "valid":
        return 0
    if layer.strides == (1, 1):
        return "same"
    sides = []
    for size, kernel, stride in zip(
        shape[2:0:-1], layer.kernel_size[::-1], layer.strides[::-1], strict=True
    ):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        sides += [total // 2, total - total // 2]
    return sides


def by_curvlinops(module, x):
    """The trace of each layer's block, after the factors' eigenvalues."""
    images = torch.tensor(x).permute(0, 3, 1, 2).contiguous()
    labels = torch.zeros(len(x), dtype=torch.long)
    operator = KFACLinearOperator(
        module,
        nn.CrossEntropyLoss(),
        list(module.parameters()),
        [(images, labels)],
        check_deterministic=False,
        fisher_type=FisherType.TYPE2,
        separate_weight_and_bias=False,
    )
    operator.compute_kronecker_factors()
    traces = []
    for name, gradients in operator._gradient_covariances.items():
        values = [torch.linalg.eigvalsh(m) for m in (operator._input_covariances[name], gradients)]
        traces.append(float(values[0].sum() * values[1].sum()))
    return traces


def by_us(model, x):
    """The trace of each layer's block, after the spectrum and its histograms."""
    spectrum = fisher_spectrum(model, x)
    spectrum.features()
    return [block.summary()["trace"] for block in spectrum.blocks]


def timed(function, *arguments):
    """Seconds of a call and its result."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def main():
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=2, help="each function so often")
    options = parser.parse_args()
    version, threads = torch.__version__.split("+")[0], torch.get_num_threads()
    print(f"PyTorch {version}, {threads} threads on {os.cpu_count()} cores; batch {BATCH};")
    print("medians of wall-clock seconds\n")
    print(f"{'model':<10}{'ours':>8}{'curvlinops':>12}{'ratio':>8}{'traces differ by':>18}")
    for name in options.models:
        x = np.random.default_rng(0).normal(size=(BATCH, *SHAPES[name])).astype("float32")
        seconds, apart = [], 0.0
        for text in list(FUNCTIONS) * options.rounds:
            keras.utils.set_random_seed(0)
            model = getattr(applications, name)(text, input_shape=SHAPES[name])
            module = rebuilt(model).eval()
            ours, traces = timed(by_us, model, x)
            theirs, others = timed(by_curvlinops, module, x)
            seconds.append((ours, theirs))
            apart = max(apart, np.max(np.abs(np.divide(sorted(others), sorted(traces)) - 1)))
        ours, theirs = (statistics.median(part) for part in zip(*seconds[1:], strict=True))
        print(f"{name:<10}{ours:>8.2f}{theirs:>12.2f}{theirs / ours:>8.2f}{apart:>18.1e}")


if __name__ == "__main__":
    main()
