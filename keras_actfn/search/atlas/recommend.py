"""Which functions to try on a model, without any training.

The candidates are the atlas's portfolio and the usual functions. Each gets the Fisher spectrum of
the untrained model: a function that overflows there, has no finite gradient or an invalid spectrum
is left out, with the reason, since such functions fail in training. The others come in the order of
what the atlas expects of them (`expectation`); those that one task alone has trained come last, for
one gain says little about the next. Spectra do not decide about that order; what an
order by them is worth on tasks that are left out is printed in `benchmarks/recommend.txt`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras

from ..._progress import Progress
from ...models.seeds import seeds_drawn_from
from ...surgery import replace_activations
from ...training import Task
from ...training.results import in_columns
from ..objective import objective_of
from ..probe import WITHOUT, Probe
from .expectation import LEVEL, Expectation, expectation, gains_over_relu
from .portfolio import greedy
from .table import load_atlas

#: How many functions of the portfolio are looked at.
PORTFOLIO = 24


@dataclasses.dataclass(frozen=True)
class Recommended:
    """One function.

    Attributes:
        expression: Its text, as `keras_actfn.activation` takes it.
        gain: Its `Expectation` over ReLU.
        usual: Whether it is one of the usual functions.
    """

    expression: str
    gain: Expectation
    usual: bool


@dataclasses.dataclass(frozen=True)
class Recommendation:
    """What `recommend` found.

    Attributes:
        functions: The functions to try, the most promising first.
        left_out: Why a function is not among them, by its text.
        tasks: The tasks that it was learned from.
        spectra: How spectra were computed, or `"none"`.
    """

    functions: tuple[Recommended, ...]
    left_out: dict[str, str]
    tasks: tuple[str, ...]
    spectra: str

    @property
    def best(self) -> Recommended:
        """The first of the functions."""
        return self.functions[0]

    @property
    def evidence(self) -> str:
        """In a sentence, whether any function is to be expected to be better than ReLU."""
        better = [each for each in self.functions if each.gain.evidence == "better"]
        level = f"{LEVEL:.0%}".replace("%", " %")
        if not better:
            return (
                f"No evidence that one of them is better than ReLU here: every {level} interval "
                "includes 0. Search, or compare the first few."
            )
        return (
            f"Expected to be better than ReLU here, with {level} intervals above 0: "
            f"{', '.join(each.expression for each in better)}."
        )

    def to_dict(self) -> dict:
        """Everything for JSON."""
        return {
            "functions": [
                dataclasses.asdict(each) | {"evidence": each.gain.evidence}
                for each in self.functions
            ],
            "left_out": self.left_out,
            "tasks": list(self.tasks),
            "spectra": self.spectra,
            "level": LEVEL,
            "evidence": self.evidence,
        }

    def __str__(self) -> str:
        level = f"{LEVEL:.0%}".replace("%", " %")
        body = [
            (
                each.expression,
                f"{each.gain.mean:+.2f}",
                f"[{each.gain.low:+.2f}, {each.gain.high:+.2f}]",
                each.gain.evidence,
                "usual" if each.usual else "",
            )
            for each in self.functions
        ]
        lines = [
            in_columns(("function", "expected gain", f"{level} interval", "than ReLU", ""), body),
            "",
            f"Gain: 0 is ReLU, 1 the best function known on a task. Learned from {len(self.tasks)} "
            f"{'task' if len(self.tasks) == 1 else 'tasks'} ({', '.join(self.tasks)}).",
            self.evidence,
        ]
        lines += [f"Left out: {text}: {reason}" for text, reason in self.left_out.items()]
        return "\n".join(lines)


def recommend(
    task_or_model: Task | keras.Model | Callable,
    data: Any = None,
    *,
    size: int = PORTFOLIO,
    leave_out: Sequence[str] = (),
    examples: int = 128,
    seed: int = 0,
    mode: str | None = None,
    progress: bool = False,
) -> Recommendation:
    """Which activation functions to try on a model, without training any.

    Args:
        task_or_model: A `keras_actfn.training.Task`; or a Keras model, whose activations are
            replaced; or a function from an activation to a model.
        data: Of a model or a function, what `Task` takes as `train`, such as `(x, y)` or a
            `Dataset`. None with a task.
        size: How many functions of the portfolio are looked at, beside the usual ones.
        leave_out: Tasks of the atlas that are not learned from.
        examples: How many examples spectra are computed on.
        seed: Of the initial weights and the draw of examples.
        mode: How spectra are computed, as in `ActivationSearch`.
        progress: Whether to show a progress bar on standard error.

    Returns:
        A `Recommendation`: `print` shows it.

    Raises:
        ValueError: If data is missing or given twice, there is no such task, or no function has
            finite outputs.

    Example:
    ```python
    from keras_actfn import search

    found = search.recommend(build_model, data, size=4)
    print(found)
    layer = keras_actfn.activation(found.best.expression)
    ```
    """
    task = _task(task_or_model, data)
    atlas = load_atlas(leave_out=leave_out)
    names = list(dict.fromkeys([*greedy(atlas, size), *(f"{name}(x)" for name in atlas.usual)]))
    objective = objective_of(task, seed, judged=False)
    with seeds_drawn_from(seed):
        model = task.build_model("relu")
    probe = Probe.of(objective, model, examples, seed, mode)
    gains = dict(zip(atlas.names, gains_over_relu(atlas), strict=True))
    usual = {f"{name}(x)" for name in atlas.usual}
    functions, left_out = [], {}
    with Progress(len(names), progress, title="Fisher spectra") as bar:
        for number, text in enumerate(names):
            result = probe.result(text, number)
            if result.reason is None:
                functions.append(Recommended(text, expectation(gains[text]), text in usual))
            else:
                left_out[text] = result.reason
            bar.advance()
    if not functions:
        raise ValueError(
            "A function is recommended if its outputs on the data are finite. Received: a model "
            f"and data with which none is; 'relu(x)': {left_out.get('relu(x)', 'left out')}. Look "
            "for NaN in the data, and scale it."
        )
    functions.sort(key=_place)
    return Recommendation(
        tuple(functions), left_out, atlas.tasks, "none" if probe.mode == WITHOUT else probe.mode
    )


def _place(each):
    """What functions are ordered by; those with an interval of their own come first."""
    return each.gain.tasks < 2, -each.gain.mean, len(each.expression)


def _task(task_or_model, data):
    if isinstance(task_or_model, Task):
        if data is not None:
            raise ValueError(
                "A task has its data. Received: recommend(task, data). Leave out the data."
            )
        return task_or_model
    if not callable(task_or_model):
        raise ValueError(
            "recommend takes a Task, a Keras model, or a function from an activation to a model. "
            f"Received: {type(task_or_model).__name__}."
        )
    if data is None:
        raise ValueError(
            "Spectra are computed on data. Received: a model without any. Write "
            "recommend(model, (x, y))."
        )
    if isinstance(task_or_model, keras.Model):
        model = task_or_model
        return Task(lambda activation: replace_activations(model, activation), data, validation=0)
    return Task(task_or_model, data, validation=0)
