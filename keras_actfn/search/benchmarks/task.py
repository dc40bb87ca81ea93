"""`BenchTask`: what a benchmark trains, on which data, how, and how the result is judged."""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ...fisher import fisher_spectrum
from ...fisher.spectrum import PARAMETERS_PER_BIN
from ...initialization import autoinit
from ...training import CoupledSGD, Task
from .measures import METRICS

#: Parts of a task's data, in the order of the measures.
PARTS = ("training", "validation", "test")


@dataclasses.dataclass(frozen=True)
class BenchRecipe:
    """What decides a training of a benchmark, beside the function and the seed.

    Attributes:
        training: Examples to train on.
        validation: Examples that functions are compared on.
        test: Examples that only the final figures are computed on.
        epochs: Epochs; examples that do not fill a batch are dropped, others every time.
        batch_size: Examples a step.
        optimizer: `"sgd"`, with momentum 0.9 and weight decay in the gradient, or `"adamw"`.
        learning_rate: Its peak; reached by linear warm-up, left by linear decay to zero.
        warm_up: Part of the steps before the peak.
        weight_decay: Factor of the L2 penalty's gradient for `"sgd"`, of the decoupled decay
            for `"adamw"`; on all parameters.
        initialization: `"autoinit"`, or `"keras"` for the layers' own initialisers.
        spectrum: Training examples that the Fisher spectrum is computed on.
    """

    training: int
    validation: int
    test: int
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    warm_up: float = 0.2
    weight_decay: float = 1e-4
    initialization: str = "autoinit"
    spectrum: int = 128

    momentum = 0.9

    @property
    def steps(self) -> int:
        """Steps of a training."""
        return self.epochs * (self.training // self.batch_size)

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        up = self.warm_up_steps
        return self.learning_rate * min(
            (step + 1) / up, (self.steps - step) / max(1, self.steps - up)
        )

    @property
    def warm_up_steps(self) -> int:
        """Steps until the peak of the learning rate."""
        return max(1, round(self.steps * self.warm_up))


@dataclasses.dataclass(frozen=True)
class BenchTask:
    """One task of the atlas.

    Attributes:
        name: Of the task and of its benchmark.
        title: What is trained on what, for people.
        network: Function of an activation specification that returns a new Keras model, whose
            outputs are logits or values.
        data: Function of a recipe that returns NumPy arrays `(x, y)` for each of `PARTS`.
        loss: `"softmax_crossentropy"`, `"squared_error"`, or a function of the model (as a
            function of inputs) and a batch's inputs that returns the loss, by `keras.ops`.
        metric: A name in `METRICS`.
        chance: The metric of a model that has learned nothing, or a little worse.
        recipe: The benchmark's `BenchRecipe`.
        also: Further metrics that are measured.
        train: Function of an activation, a seed, a recipe and whether to compute the spectrum that
            trains in place of the loop common to all tasks; see `tasks.train_function`.
    """

    name: str
    title: str
    network: Callable[[Any], keras.Model]
    data: Callable[[BenchRecipe], dict[str, tuple[np.ndarray, np.ndarray]]]
    loss: Any
    metric: str
    chance: float
    recipe: BenchRecipe
    also: tuple[str, ...] = ()
    train: Callable[[Any, int, BenchRecipe, bool], dict] | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured beside the loss; the first decides."""
        return (self.metric, *self.also)

    @property
    def mode(self) -> str:
        """`"max"` or `"min"`: whether more or less of the metric is better."""
        return METRICS[self.metric].mode

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is measured of a training."""
        return (
            *(f"{part}_{what}" for part in PARTS for what in (*self.metrics, "loss")),
            "seconds",
        )

    @property
    def has_spectrum(self) -> bool:
        """Whether the loss is a likelihood, so that there is a Fisher information."""
        return isinstance(self.loss, str)

    def layers(self) -> list[int]:
        """Parameters of each layer with bins of its Fisher eigenvalues, in order.

        Layers of fewer than 100 parameters have none.
        """
        if not self.has_spectrum:
            return []
        model = self.network("relu")
        one = np.zeros((1, *model.inputs[0].shape[1:]), model.inputs[0].dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The Fisher spectrum leaves out")
            found = fisher_spectrum(model, one, mode="sampled", loss=self.loss, seed=0)
        return [b.parameters for b in found.blocks if b.parameters >= PARAMETERS_PER_BIN]

    def build(self, spec: Any, recipe: BenchRecipe | None = None) -> keras.Model:
        """The network with its initial weights."""
        recipe = recipe or self.recipe
        model = self.network(spec)
        if recipe.initialization == "autoinit":
            autoinit(model)
        return model

    def compiled(self, spec: Any, recipe: BenchRecipe | None = None) -> keras.Model:
        """The network with Keras's own initial weights, compiled to train by the recipe."""
        recipe = recipe or self.recipe
        model = self.network(spec)
        loss: Any = None
        if not isinstance(self.loss, str):
            model = ModelWithLoss(model.inputs[0], model.outputs[0], rule=self.loss)
        elif self.loss == "squared_error":
            loss = keras.losses.MeanSquaredError()
        else:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer = _optimizer(recipe)
        model.compile(optimizer, loss, metrics=[METRICS[name].of_keras() for name in self.metrics])
        return model

    def training_task(self, recipe: BenchRecipe | None = None) -> Task:
        """The task for `training.compare` and `ActivationSearch`, on every backend.

        Data, network, loss, optimiser and schedule are those of the benchmark; the order of
        the examples is `fit`'s. Functions are judged by the metric on the validation part.

        Args:
            recipe: Another `BenchRecipe`; None for the benchmark's.

        Example:
        ```python
        from keras_actfn.search.benchmarks.tasks import task_of

        task = task_of("digits_mlp").training_task()
        ```
        """
        recipe = recipe or self.recipe
        data = self.data(recipe)
        return Task(
            functools.partial(self.compiled, recipe=recipe),
            *(data[part] for part in PARTS),
            metric=self.metric,
            mode=self.mode,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            callbacks=_autoinit_first if recipe.initialization == "autoinit" else None,
        )


@keras.saving.register_keras_serializable(package="keras_actfn")
class WarmUpAndDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a peak, then linear decay to zero.

    Step s of n, of which w are warm-up, has the rate peak · min((s + 1) / w, (n − s) / (n − w)).

    Args:
        peak: The greatest learning rate.
        steps: n.
        warm_up: w, at least 1.
    """

    def __init__(self, peak: float, steps: int, warm_up: int):
        self.peak, self.steps, self.warm_up = peak, steps, warm_up

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step."""
        step = keras.ops.cast(step, "float32")
        down = (self.steps - step) / max(1, self.steps - self.warm_up)
        return self.peak * keras.ops.minimum((step + 1) / self.warm_up, down)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"peak": self.peak, "steps": self.steps, "warm_up": self.warm_up}


class ModelWithLoss(keras.Model):
    """A functional model whose loss is a function of itself and of its inputs."""

    def __init__(self, *args: Any, rule: Callable | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.rule = rule

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a batch."""
        rule: Any = self.rule
        return rule(lambda inputs: self(inputs, training=training), x)


class _AutoInit(keras.callbacks.Callback):
    """Scales the weights by AutoInit before the first step."""

    def on_train_begin(self, logs=None):
        """Scale them."""
        autoinit(self.model)


def _autoinit_first():
    return [_AutoInit()]


def _optimizer(recipe):
    schedule = WarmUpAndDecay(recipe.learning_rate, recipe.steps, recipe.warm_up_steps)
    if recipe.optimizer == "sgd":
        return CoupledSGD(schedule, momentum=recipe.momentum, l2=recipe.weight_decay)
    return keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
