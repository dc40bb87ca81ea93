"""The task of a command: the user's own, or a built-in model on data by name."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import model_builder, model_name, own_function
from .data import DataChoice
from .tables import RECIPES, listed

if TYPE_CHECKING:
    import keras

    from ..datasets import Dataset
    from ..training import Task

TaskOption = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="module:function, your own function that returns a keras_actfn.training.Task: any "
        "Keras model, data and metric. Instead of --model, --data and how to train.",
    ),
]
RecipeOption = Annotated[
    str,
    typer.Option(
        "--recipe",
        help=f"How to train: adam (rate 1e-3), or a paper's recipe: {listed(RECIPES[1:])}.",
    ),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help="What is best, a name that the model's evaluate() reports. Default: the task's, else "
        "accuracy, or mae for a regression.",
    ),
]
ModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode", help="min or max: whether less or more of it is better. Default: as it says."
    ),
]

#: Options of the commands that a task of the user's has decided on.
_OF_TASK = ("model", "epochs", "batch_size", "recipe", "subset", "validation")


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option is on the command line, by the name of its argument."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def check_task_alone(context: typer.Context, task: str | None, apart: str = "") -> None:
    """Raise a ValueError if `--task` comes with options that it has decided on.

    Args:
        context: The command's context.
        task: `--task`.
        apart: An option that has another meaning in this command.
    """
    if task is None:
        return
    names = {*_OF_TASK, *DataChoice.__dataclass_fields__} - {apart}
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names and is_given(context, parameter.name)
    ]
    if given:
        raise ValueError(
            f"--task has a model, its data and how it is trained. Received beside it: "
            f"{', '.join(given)}. Leave out one or the other, and set it in {task}."
        )


def task_of(
    name: str | None,
    model: str | None,
    data: DataChoice,
    *,
    metric: str | None = None,
    mode: str | None = None,
    **training: Any,
) -> "tuple[Task, str]":
    """The task of a command's options, and what people call it.

    Args:
        name: `--task`, or None for a built-in one.
        model: `--model`.
        data: The options of the data.
        metric: `--metric`.
        mode: `--mode`.
        **training: Arguments of `Task` for a built-in one.

    Raises:
        ValueError: If an option is not what it should be, or the function returns no task.
    """
    from ..training import Task

    if name is None:
        dataset = data.load()
        task = built_in_task(model, dataset, **training)
        return task.judged_by(metric, mode), (
            f"{model_name(model, dataset)} on {dataset.name} ({dataset.source})"
        )
    task = own_function(name, "--task", "a function that returns a Task")()
    if not isinstance(task, Task):
        raise ValueError(
            f"--task module:function names a function that returns a keras_actfn.training.Task. "
            f"Received from {name}: {type(task).__name__}."
        )
    return task.judged_by(metric, mode), name


def built_in_task(
    model: str | None, dataset: "Dataset", recipe: str = "adam", **training: Any
) -> "Task":
    """A built-in model on a dataset; a regression is compiled by `compile_regressor`.

    Args:
        model: `--model`.
        dataset: The data.
        recipe: Name of the recipe for a classification.
        **training: Further arguments of `Task`.
    """
    from ..training import Task, compile_regressor, recipes

    if dataset.problem == "classification":
        shape = recipes.get(recipe).model_shape(dataset.input_shape)
        return Task(model_builder(model, dataset, shape), dataset, recipe=recipe, **training)
    if recipe != "adam":
        raise ValueError(
            f"A recipe of a paper trains a classification. Received: --recipe {recipe} for "
            f"{dataset.name}, a regression. Leave it out."
        )
    build = model_builder(model, dataset)

    def build_compiled(activation: Any) -> "keras.Model":
        built = build(activation)
        return built if getattr(built, "compiled", False) else compile_regressor(built, dataset)

    return Task(build_compiled, dataset, **training)
