"""The atlas: eight tasks, and how one function is trained on one of them."""

import functools
import time
import warnings
from typing import Any

import keras
import numpy as np

from ..._names import unknown_name
from ...fisher import fisher_spectrum
from ...models.seeds import seeds_drawn_from
from . import coordinates, images, physics, small_cnn, tables, text
from .eager import EagerModel, Optimizer
from .measures import METRICS
from .task import PARTS, BenchRecipe, BenchTask

#: The tasks by name.
TASKS = {
    task.name: task
    for task in (
        BenchTask(
            "fashion_cnn",
            "three convolutions on Fashion-MNIST",
            functools.partial(small_cnn.small_network, data_format="channels_last"),
            images.fashion,
            "softmax_crossentropy",
            "accuracy",
            0.1,
            BenchRecipe(5000, 10000, 10000, 6, 128, "sgd", 0.05),
            train=small_cnn.train,
        ),
        BenchTask(
            "digits_mlp",
            "a perceptron on scikit-learn's digits",
            images.mlp,
            images.digits,
            "softmax_crossentropy",
            "crossentropy",
            2.3026,
            BenchRecipe(400, 1000, 355, 20, 40, "sgd", 0.05),
            ("accuracy",),
        ),
        BenchTask(
            "diamonds_mlp",
            "a perceptron on the prices of diamonds",
            tables.mlp,
            tables.diamonds,
            "squared_error",
            "rmse",
            1.01,
            BenchRecipe(4000, 3000, 10000, 5, 64, "adamw", 0.02),
        ),
        BenchTask(
            "fashion_resnet",
            "a residual network with batch normalisation on Fashion-MNIST",
            images.resnet,
            functools.partial(images.fashion, size=14),
            "softmax_crossentropy",
            "accuracy",
            0.1,
            BenchRecipe(1600, 1000, 2000, 4, 50, "sgd", 0.1),
        ),
        BenchTask(
            "fashion_vit",
            "a vision transformer on Fashion-MNIST",
            images.vit,
            images.fashion,
            "softmax_crossentropy",
            "accuracy",
            0.1,
            BenchRecipe(1500, 1500, 3000, 4, 50, "adamw", 0.01),
        ),
        BenchTask(
            "chat_lm",
            "a causal transformer on the characters of chats",
            text.transformer,
            text.chats,
            "softmax_crossentropy",
            "bits",
            5.585,
            BenchRecipe(1200, 300, 600, 4, 16, "adamw", 0.02, initialization="keras", spectrum=8),
        ),
        BenchTask(
            "image_inr",
            "a perceptron from an image's coordinates to its grey values",
            coordinates.network,
            coordinates.picture,
            "squared_error",
            "psnr",
            10.0,
            BenchRecipe(2048, 1024, 1024, 30, 256, "adamw", 0.03),
        ),
        BenchTask(
            "heat_pinn",
            "a perceptron that solves the heat equation, by its second derivatives",
            physics.network,
            physics.points,
            physics.residual,
            "log10_error",
            0.0,
            BenchRecipe(1024, 1000, 1000, 20, 128, "adamw", 0.06),
        ),
    )
}


def task_of(name: str) -> BenchTask:
    """A task of the atlas by its name."""
    if name not in TASKS:
        raise unknown_name("A task", name, TASKS)
    return TASKS[name]


def train_function(
    task: str | BenchTask,
    spec: Any,
    seed: int,
    recipe: BenchRecipe | None = None,
    spectrum: bool = True,
) -> dict:
    """Train a task's network with one function and measure it.

    Args:
        task: A `BenchTask` or its name.
        spec: What `keras_actfn.activation` takes.
        seed: Seed of the initial weights and of the order of the examples.
        recipe: A `BenchRecipe`; None for the task's.
        spectrum: Whether to compute the Fisher spectrum at initialisation as well.

    Returns:
        A dictionary for JSON: metric and loss on the training (mean over the last epoch),
        validation and test examples; `curve_metric`, the validation metric after each epoch, and
        `curve_loss`, the mean training loss of each; `diverged`; `steps`; `seconds`; with
        `spectrum`, `valid` and `cdf`, the layers' cumulative eigenvalue counts in the paper's
        bins. A training ends at the first loss that is not finite; its metrics are those of
        chance.

    Raises:
        ValueError: If the backend is not PyTorch.
    """
    task = task_of(task) if isinstance(task, str) else task
    recipe = recipe or task.recipe
    if keras.backend.backend() != "torch":
        raise ValueError(
            "The atlas is trained by eager PyTorch. Set KERAS_BACKEND=torch. Received: the "
            f"backend {keras.backend.backend()}."
        )
    if task.train is not None:
        return task.train(spec, seed, recipe, spectrum)
    data = _tensors(task, recipe)
    started = time.process_time()
    with seeds_drawn_from(seed):
        model = task.build(spec, recipe)
    result: dict[str, Any] = {"function": str(spec), "seed": seed}
    if spectrum and task.has_spectrum:
        inputs = data["training"][0][: recipe.spectrum]
        result |= _spectrum(model, inputs, task.loss)
        result["spectrum_seconds"] = round(time.process_time() - started, 3)
    result |= _train(task, EagerModel(model), data, seed, recipe)
    result["seconds"] = round(time.process_time() - started, 3)
    return result


def _spectrum(model, inputs, loss):
    # One label drawn from each prediction of a text; a pass for every character takes minutes.
    mode = "sampled" if len(model.output_shape) == 3 else "exact"
    with warnings.catch_warnings():
        # Embeddings and positions have no block, which the benchmark's manifest says once.
        warnings.filterwarnings("ignore", "The Fisher spectrum leaves out")
        found = fisher_spectrum(model, inputs.numpy(), loss=loss, mode=mode, seed=0)
    counts = [np.cumsum(found.histogram(i)) for i in range(len(found.blocks))]
    return {"valid": found.valid, "cdf": np.concatenate(counts).astype(int).tolist()}


def _train(task, network, data, seed, recipe):
    """Train from the present weights and measure."""
    import torch

    x, y = data["training"]
    order = np.random.default_rng(seed)
    per_epoch = len(x) // recipe.batch_size
    optimizer = Optimizer(network.parameters, recipe)
    curves: dict[str, list] = {"curve_metric": [], "curve_loss": []}
    steps = 0
    final: tuple[float, ...] = ()
    for _ in range(recipe.epochs):
        permutation = torch.from_numpy(order.permutation(len(x)))
        network.training = True
        total = 0.0
        for start in range(0, per_epoch * recipe.batch_size, recipe.batch_size):
            chosen = permutation[start : start + recipe.batch_size]
            loss = batch_loss(task, network, x[chosen], y[chosen])
            value = loss.item()
            steps += 1
            if not np.isfinite(value):
                return _failed(task) | _rounded(curves) | {"steps": steps}
            optimizer.step(loss)
            total += value
        network.training = False
        final = measure(task, network, *data["validation"])
        curves["curve_loss"].append(total / per_epoch)
        curves["curve_metric"].append(final[0])
    if not all(map(np.isfinite, final)):
        return _failed(task) | _rounded(curves) | {"steps": steps}
    parts = {
        "training": measure(task, network, x, y),
        "validation": final,
        "test": measure(task, network, *data["test"]),
    }
    found = {
        f"{part}_{what}": value if np.isfinite(value) else None
        for part, values in parts.items()
        for what, value in zip((*task.metrics, "loss"), values, strict=True)
    }
    return {"diverged": False, "steps": steps} | found | _rounded(curves)


def _failed(task):
    chance = {task.metric: task.chance, "loss": None}
    values = {
        f"{part}_{what}": chance.get(what) for part in PARTS for what in (*task.metrics, "loss")
    }
    return {"diverged": True} | values


def _rounded(curves):
    """Five digits, which are more than seeds agree on; None for what is not finite."""
    return {
        name: [float(f"{v:.5g}") if np.isfinite(v) else None for v in values]
        for name, values in curves.items()
    }


def batch_loss(task: BenchTask, network: Any, x: Any, y: Any) -> Any:
    """The mean loss of a batch of tensors."""
    import torch

    if not isinstance(task.loss, str):
        return task.loss(network, x)
    outputs = network(x)
    if task.loss == "squared_error":
        return torch.nn.functional.mse_loss(outputs, y)
    return torch.nn.functional.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1))


def measure(task: BenchTask, network: Any, x: Any, y: Any) -> tuple[float, ...]:
    """The metrics and the mean loss of examples."""
    import torch

    with torch.no_grad():
        outputs = torch.cat([network(part) for part in x.split(500)])
        if not isinstance(task.loss, str) or task.loss == "squared_error":
            loss = torch.nn.functional.mse_loss(outputs, y)
        else:
            loss = torch.nn.functional.cross_entropy(
                outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1)
            )
    value = float(loss)
    if not np.isfinite(value):
        return (*(float("nan") for _ in task.metrics), value)
    outputs, y = outputs.numpy(), y.numpy()
    return (*(METRICS[name].value(value, outputs, y) for name in task.metrics), value)


@functools.lru_cache(maxsize=2)
def _tensors(task, recipe):
    import torch

    return {
        part: tuple(torch.from_numpy(np.ascontiguousarray(values)) for values in pair)
        for part, pair in task.data(recipe).items()
    }
